"""How a file of an agent becomes a register: kept as received, looked through, staged line by line, or refused whole.

States of a file: received -> staged -> posting -> done, or refused. Every step can be repeated: the archive and the
list of received files know a content that came before, staging is one transaction, and a file that is done or refused
is never begun again. So an end of the process at any point leaves nothing, or a file that `register_run` goes on with.
"""

import asyncio
import datetime
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import BinaryIO, NamedTuple

import msgspec

from actors import profiles
from actors.client import Router
from actors.profiles import NoSuchProfile
from engine.registers import Contract
from intake import reader
from intake.profile import FileKind, Profile
from intake.register_survey import Survey, survey
from intake.rows import Item, RegisterRow
from storage import codec, connections, received
from storage.archive import Archive
from storage.connections import ConnectionRow
from storage.received import Arrival, ReceivedFile
from storage.register_book import Book
from storage.registers import Line, Register

_LINES_A_BATCH = 5_000


class Place(NamedTuple):
    """Where the work on registers happens: the database, the archive of files, the way to the shards."""

    database_url: str
    archive: Archive
    router: Router


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A file as handed over.

    `connection`: whose it is. `profile`: how it is written, empty for what the contract says. `day`: the operating day
    that it covers, None to take it from its lines. `who`: the person or program that brought it.
    """

    name: str
    connection: str
    who: str
    profile: str = ""
    day: datetime.date | None = None


class NoSuchConnection(Exception):
    """There is no connection of this name, or its settings cannot be read."""


class Interrupted(Exception):
    """The shards or the database could not do it now; go on later."""


async def contract_of(database_url: str, connection: str) -> Contract:
    """Return a connection's contract as registers see it. Errors: `NoSuchConnection`."""
    for row in await connections.read_connections(database_url):
        if row.connection == connection:
            return _contract(row)
    raise NoSuchConnection(connection)


async def contracts(database_url: str) -> list[Contract]:
    """Return the contracts of all active connections whose settings can be read, by name."""
    found = []
    for row in await connections.read_connections(database_url):
        if row.active:
            try:
                found.append(_contract(row))
            except NoSuchConnection:
                continue  # The doors count and log it.
    return found


def _contract(row: ConnectionRow) -> Contract:
    try:
        contract = msgspec.json.decode(row.settings, type=Contract)
    except msgspec.DecodeError as error:
        raise NoSuchConnection(f"{row.connection}: {error}") from None
    return msgspec.structs.replace(contract, name=row.connection)


async def receive(
    place: Place, content: BinaryIO, delivery: Delivery, size_bytes_max: int
) -> tuple[ReceivedFile, bool]:
    """Keep a file as received and register it; return it, and whether it is new.

    Rule: the same content of the same connection is the same file, whatever its name. Errors: `NoSuchConnection`,
    `NoSuchProfile`, `NotDone`, OSError; ValueError when it is too large. Nothing is kept then that anybody sees.
    """
    contract = await contract_of(place.database_url, delivery.connection)
    profile = await profile_named(place.database_url, delivery.profile or contract.register.profile)
    kept = await asyncio.to_thread(place.archive.keep, content, size_bytes_max)
    arrival = Arrival(
        kept=kept,
        name=delivery.name,
        kind=profile.kind.value,
        sender=contract.name,
        profile=profile.name,
        profile_version=profile.version,
        received_by=delivery.who,
        mode=delivery.day.isoformat() if delivery.day else "",
    )
    return await received.register(place.database_url, arrival)


async def profile_named(database_url: str, name: str, version: int = 0) -> Profile:
    """Return a profile of registers or statements: a version, or the newest. Errors: `NoSuchProfile`."""
    profile = await profiles.resolve(database_url, name, version)
    if profile.kind not in (FileKind.REGISTER, FileKind.STATEMENT):
        raise NoSuchProfile(f"{name} is a profile of {profile.kind.value}")
    return profile


async def look_through(place: Place, file: ReceivedFile, contract: Contract) -> Survey:
    """Read a whole register and say what is in it, or what is wrong; nothing is written."""
    profile = await profile_named(place.database_url, file.profile, file.profile_version)
    path = place.archive.path(file.sha256)
    return await asyncio.to_thread(lambda: survey(reader.items(path, profile), contract))


async def stage(place: Place, book: Book, file: ReceivedFile, contract: Contract) -> bool:
    """Look through a file and write it as a register, or refuse it whole; return whether it was taken."""
    found = await look_through(place, file, contract)
    if found.faults_total:
        await book.refuse(file.file, found.problem(), found.lines)
        return False
    register = _register(file, contract, found)
    profile = await profile_named(place.database_url, file.profile, file.profile_version)
    items = reader.items(place.archive.path(file.sha256), profile)
    await book.stage(register, _batches(items, register, contract))
    return True


def _register(file: ReceivedFile, contract: Contract, found: Survey) -> Register:
    """Rule: the day is the one told with the file, else that of most lines, else the day before the file came."""
    told = datetime.date.fromisoformat(file.mode) if file.mode else None
    before = contract.day_of(codec.micros(file.received_at)) - datetime.timedelta(days=1)
    return Register(
        file=file.file,
        connection=contract.name,
        source=contract.source,
        day=told or found.day() or before,
        order_number=found.totals.order_number if found.totals else "",
        order_on=found.totals.order_on if found.totals else None,
        lines=found.lines,
        paid_kopecks=found.paid_kopecks,
        transferred_kopecks=found.transferred_kopecks,
        fee_kopecks=found.fee_kopecks,
    )


async def _batches(items: Iterable[Item], register: Register, contract: Contract) -> AsyncIterator[Sequence[Line]]:
    """Read lines a batch at a time beside the event loop, so that memory stays bounded and others go on."""
    rows = (item for item in items if isinstance(item, RegisterRow))
    while batch := await asyncio.to_thread(lambda: list(islice(rows, _LINES_A_BATCH))):
        yield [_line(row, register, contract) for row in batch]


def _line(row: RegisterRow, register: Register, contract: Contract) -> Line:
    at_us = contract.instant_us(row.operated_at)
    return Line(
        file=register.file,
        row=row.row,
        day=contract.day_of(at_us) if contract.register.many_days else register.day,
        operated_at=codec.instant(at_us),
        paid_kopecks=row.paid_kopecks,
        transferred_kopecks=row.transferred_kopecks,
        fee_kopecks=row.fee_kopecks,
        period=row.period,
        source=contract.source,
        txn_id=contract.txn_id(row.operation),
        account=contract.account(row.account),
        account_as_sent=row.account,
        refund_of=contract.txn_id(row.refund_of) if row.refund_of else "",
        point=row.point or row.terminal,
        payer=row.payer,
        address=row.address,
    )
