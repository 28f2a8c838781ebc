"""Rates, caps, moratoria and the calendar of an installation: what the engine knows, with the database's rows."""

from engine import calendar
from engine.calendar import WorkCalendar
from engine.master import CalendarDay, KeyRateRow, MoratoriumRow, RateCapRow
from engine.penalty import PenaltyTerms
from engine.rates import terms_with
from storage.database import connected
from storage.master import read_inside


async def penalty_terms(database_url: str) -> PenaltyTerms:
    """Read the dated tables of penalties: the program's own, with this installation's rows. Errors: `NotDone`."""
    async with connected(database_url) as connection, connection.transaction(isolation="repeatable_read"):
        return terms_with(
            await read_inside(connection, KeyRateRow),
            await read_inside(connection, RateCapRow),
            await read_inside(connection, MoratoriumRow),
        )


async def read_calendar(database_url: str) -> WorkCalendar:
    """Read the production calendar: the program's own, with this installation's days. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        days = await read_inside(connection, CalendarDay)
    return calendar.KNOWN.with_days({row.day: row.is_working for row in days})
