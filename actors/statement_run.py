"""Bank statements: taken whole, then held against what the agents' registers said would come."""

import asyncio
import datetime
import time

from actors.register_intake import Place, contracts, profile_named
from engine.calendar import add_working_days
from engine.registers import Contract
from intake import reader
from intake.faults import FileRefused
from intake.profile import Profile
from intake.rows import RowFault, StatementEntry
from storage import statements
from storage.received import ReceivedFile
from storage.register_book import Book
from storage.statements import Entry, Payer


async def take(place: Place, book: Book, file: ReceivedFile) -> None:
    """Write a statement's movements, or refuse it whole."""
    profile = await profile_named(place.database_url, file.profile, file.profile_version)
    try:
        entries = await asyncio.to_thread(_entries, place, file, profile)
    except FileRefused as refused:
        await book.refuse(file.file, str(refused), 0)
        return
    await statements.add(place.database_url, file.file, entries)


def _entries(place: Place, file: ReceivedFile, profile: Profile) -> list[Entry]:
    """Read a whole statement. Rule: one row that cannot be read refuses it; what is merely odd does not."""
    found = []
    for item in reader.items(place.archive.path(file.sha256), profile):
        if isinstance(item, RowFault):
            raise FileRefused(item.code, item.text, item.row)
        if isinstance(item, StatementEntry):
            found.append(_entry(item))
    return found


def _entry(item: StatementEntry) -> Entry:
    return Entry(
        row=item.row,
        dated_on=item.dated_on,
        booked_on=item.booked_on,
        amount_kopecks=item.amount_kopecks,
        number=item.number,
        our_account=item.our_account,
        other_account=item.other_account,
        other_inn=item.other_inn,
        purpose=item.purpose,
    )


async def match_transfers(database_url: str) -> None:
    """Hold the movements against the registers of every connection. To be called when either has grown, and daily."""
    now_us = time.time_ns() // 1000
    for contract in await contracts(database_url):
        await match_contract(database_url, contract, now_us)


async def match_contract(database_url: str, contract: Contract, now_us: int) -> None:
    """Hold the movements against the registers of one connection; write what has changed.

    Rule: lateness and strays are known only where the contract says who pays.
    """
    today = contract.local_date(now_us)
    terms = contract.register
    payer = Payer(contract.name, contract.source, terms.payer_inn, terms.payer_account)
    due_on = add_working_days(today, terms.case_working_days)
    is_payer_known = bool(terms.payer_inn or terms.payer_account)
    for transfer in await statements.transfers(database_url, payer):
        ends_on = add_working_days(transfer.order_on or transfer.day, terms.statement_working_days)
        state = statements.state_of(transfer, is_late=is_payer_known and today > ends_on)
        if transfer.states != [state]:
            await statements.settle(database_url, payer, transfer, state, due_on)
    before = _working_days_ago(today, terms.statement_working_days)
    await statements.open_strays(database_url, payer, before, due_on)


def _working_days_ago(today: datetime.date, count: int) -> datetime.date:
    """The newest date from which so many working days have passed."""
    day = today
    while add_working_days(day, count) > today:
        day -= datetime.timedelta(days=1)
    return day
