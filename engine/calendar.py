"""The production calendar and the rules of terms that lean on it: last days to pay, limitation.

The tables are facts of each year's Government decree. Years after the last decree known here fall back to the Labour
Code's fixed holidays; an installation adds a year's transfers as master data when its decree is out, which give a
`WorkCalendar` of its own. General knowledge: verify before go-live.
"""

import datetime
from functools import lru_cache

import msgspec

from engine.ids import Period
from engine.limits import LIMITATION_YEARS

_FIXED_HOLIDAYS = frozenset([(1, day) for day in range(1, 9)] + [(2, 23), (3, 8), (5, 1), (5, 9), (6, 12), (11, 4)])
"""ТК РФ ст. 112: (month, day)."""


def _days(year: int, *month_days: tuple[int, int]) -> frozenset[datetime.date]:
    return frozenset(datetime.date(year, month, day) for month, day in month_days)


_DAYS_OFF_MOVED_HERE = frozenset().union(
    _days(2020, (2, 24), (3, 9), (5, 4), (5, 5), (5, 11), (6, 24), (7, 1)),
    _days(2021, (2, 22), (5, 3), (5, 10), (6, 14), (11, 5), (12, 31)),
    _days(2022, (3, 7), (5, 2), (5, 3), (5, 10), (6, 13)),
    _days(2023, (2, 24), (5, 8), (11, 6)),
    _days(2024, (4, 29), (4, 30), (5, 10), (12, 30), (12, 31)),
    _days(2025, (5, 2), (5, 8), (6, 13), (11, 3), (12, 31)),
    _days(2026, (1, 9), (3, 9), (5, 11), (12, 31)),
)
_WORKING_WEEKENDS = frozenset().union(
    _days(2021, (2, 20)),
    _days(2022, (3, 5)),
    _days(2024, (4, 27), (11, 2), (12, 28)),
    _days(2025, (11, 1)),
)
_NEW_DUE_DAY_SINCE = Period(202602)


class WorkCalendar(msgspec.Struct, frozen=True):
    """Days that are off, or working, against what their weekday and the Labour Code say."""

    days_off: frozenset[datetime.date]
    working_days: frozenset[datetime.date]

    def with_days(self, days: dict[datetime.date, bool]) -> "WorkCalendar":
        """Return this calendar with some days said anew: True is a working one."""
        off = frozenset(day for day, is_working in days.items() if not is_working)
        working = frozenset(day for day, is_working in days.items() if is_working)
        return WorkCalendar((self.days_off - working) | off, (self.working_days - off) | working)


KNOWN = WorkCalendar(_DAYS_OFF_MOVED_HERE, _WORKING_WEEKENDS)
"""What the program knows by itself."""


def is_working_day(day: datetime.date, calendar: WorkCalendar = KNOWN) -> bool:
    """Tell whether a local date is a working day of the five-day week.

    Source: ТК РФ ст. 112 and the Government's decrees on transferred days off, 2020 to 2026.
    """
    if day in calendar.working_days:
        return True
    return not (day.weekday() >= 5 or (day.month, day.day) in _FIXED_HOLIDAYS or day in calendar.days_off)


def next_working_day(day: datetime.date, calendar: WorkCalendar = KNOWN) -> datetime.date:
    """Return the day itself if it is a working day, else the next one (ГК РФ ст. 193)."""
    while not is_working_day(day, calendar):
        day += datetime.timedelta(days=1)
    return day


def add_working_days(day: datetime.date, count: int, calendar: WorkCalendar = KNOWN) -> datetime.date:
    """Return the `count`-th working day after a date; `count` >= 0, and 0 gives `next_working_day`."""
    if count == 0:
        return next_working_day(day, calendar)
    for _ in range(count):
        day = next_working_day(day + datetime.timedelta(days=1), calendar)
    return day


@lru_cache(maxsize=4096)
def due_date(period: Period, calendar: WorkCalendar = KNOWN) -> datetime.date:
    """Return the last day to pay for a period, moved off days that are not working days.

    Rule: until January 2026 the 10th of the following month, from February 2026 on the 15th, inclusive.
    Source: ЖК РФ ст. 155 ч. 1 (edition in force since 1 March 2026; Минстрой letter of 20.02.2026 № 9202-ДН/04 for
    February), ГК РФ ст. 193.
    """
    year, month = divmod(period, 100)
    year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return next_working_day(datetime.date(year, month, 15 if period >= _NEW_DUE_DAY_SINCE else 10), calendar)


@lru_cache(maxsize=4096)
def barred_before(on: datetime.date, calendar: WorkCalendar = KNOWN) -> Period:
    """Return the first period whose limitation has not expired on a local date.

    Rule: a period is barred when its due date plus three years is before the date. Source: ГК РФ ст. 196, 200 п. 2.
    """
    period = Period((on.year - LIMITATION_YEARS - 1) * 100 + 1)
    while _add_years(due_date(period, calendar), LIMITATION_YEARS) < on:
        period = next_period(period)
    return period


def next_period(period: Period) -> Period:
    """Return the month after."""
    return Period(period + 89) if period % 100 == 12 else Period(period + 1)


def _add_years(day: datetime.date, years: int) -> datetime.date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return datetime.date(day.year + years, 2, 28)
