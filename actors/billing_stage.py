"""From a file in the archive to staged rows: read by its profile, checked row by row, copied in chunks.

The reader works in a thread while the database takes the chunk before; no more than two chunks are in memory. A file
that its reader refuses half-way leaves nothing: what was copied is dropped with its table.
"""

import asyncio
import datetime
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.billing_posting import Pace
from intake.checks import Checker
from intake.faults import Code, FileRefused
from intake.profile import Profile
from intake.reader import items
from intake.rows import (
    AccountRow,
    ChargeRow,
    Item,
    MeterRow,
    PaidElsewhereRow,
    ReadingRow,
    Row,
    RowFault,
    Skipped,
)
from storage import billing_staging
from storage.billing import Finding, Session
from storage.billing_staging import StagedRow

_ZONE_MAX = 99
_DIGITS_MAX = 20
_AREA_DM2_MAX = 1_000_000_000
CHUNK_ITEMS = 500
"""Items in one COPY: about a megabyte, so that the commits of payers never wait for long behind it."""


class Reading(NamedTuple):
    """How a file is to be read: where it is, how its sender writes, and which day it is."""

    path: Path
    profile: Profile
    today: datetime.date


class Chunk(NamedTuple):
    """Some of a file: rows, what is to be said of them, and how many records were skipped."""

    rows: list[StagedRow]
    findings: list[Finding]
    skipped: int


async def stage(session: Session, file: int, reading: Reading, pace: Pace, progress: Callable[[int], None]) -> None:
    """Stage a file from nothing and show it. A file refused by its reader is shown without rows, with the reason.

    Errors: `NotDone` of the database; then nothing is shown and it can be begun again.
    """
    table = await billing_staging.begin(session, file)
    chunks = _chunks(file, reading)
    skipped = 0
    try:
        following = await asyncio.to_thread(next, chunks, None)
        while following is not None:
            chunk, begun = following, time.monotonic()
            filled = asyncio.ensure_future(billing_staging.fill(session, table, chunk.rows, chunk.findings, file))
            try:
                following = await asyncio.to_thread(next, chunks, None)
            finally:
                await filled
            skipped += chunk.skipped
            progress(len(chunk.rows) + len(chunk.findings))
            await asyncio.sleep(pace.rest_s(time.monotonic() - begun))
    except FileRefused as refused:
        await billing_staging.begin(session, file)
        reason = Finding(refused.row, "file", refused.code.value, refused.text)
        await billing_staging.add_findings(session, file, [reason])
    else:
        if skipped:
            text = f"пропущено записей, помеченных удалёнными: {skipped}"
            await billing_staging.add_findings(session, file, [Finding(0, "warning", "deleted_rows", text)])
    await billing_staging.show(session, file)


def _chunks(file: int, reading: Reading) -> Iterator[Chunk]:
    """Cut a file into chunks. A wide record gives parts of one row, counted from 0."""
    read = iter(items(reading.path, reading.profile))
    checker = Checker(reading.profile, reading.today, keys_max=0)  # Duplicates are sought where all rows are.
    row, part = 0, 0
    while batch := _batch(read):
        chunk = Chunk([], [], sum(item.count for item in batch if isinstance(item, Skipped)))
        for item in batch:
            if isinstance(item, RowFault):
                chunk.findings.append(Finding(item.row, "row", item.code.value, item.text))
            elif isinstance(item, (ChargeRow, AccountRow, MeterRow, ReadingRow, PaidElsewhereRow)):
                too_large = _beyond_columns(item)
                if too_large:
                    chunk.findings.append(Finding(item.row, "row", Code.NUMBER.value, too_large))
                    continue
                row, part = (row, part + 1) if item.row == row else (item.row, 0)
                chunk.rows.append(staged(file, item, part))
                chunk.findings.extend(
                    Finding(found.row, found.severity.value, found.code.value, found.text)
                    for found in checker.check(item)
                )
        yield chunk


def _beyond_columns(item: Row) -> str:
    """Say which number is none of this world; the tables have no room for it."""
    if isinstance(item, (MeterRow, ReadingRow)) and not 0 <= item.zone <= _ZONE_MAX:
        return "нет такой тарифной зоны"
    if isinstance(item, MeterRow) and not 0 <= item.digits <= _DIGITS_MAX:
        return "нет прибора с таким числом знаков"
    if isinstance(item, AccountRow) and not 0 <= item.area_dm2 <= _AREA_DM2_MAX:
        return "нет помещения с такой площадью"
    return ""


def _batch(read: Iterator[Item]) -> list[Item]:
    try:
        return list(itertools.islice(read, CHUNK_ITEMS))
    except ValueError as error:
        raise FileRefused(Code.BROKEN_FILE, f"профиль не подходит: {error}") from error


def staged(file: int, item: ChargeRow | AccountRow | MeterRow | ReadingRow | PaidElsewhereRow, part: int) -> StagedRow:
    """Make the staged row of a record."""
    match item:
        case ChargeRow():
            return _charge(file, item, part)
        case AccountRow():
            return _other(file, item, part)._replace(value="closed" if item.is_closed else "open")
        case MeterRow():
            meter = _other(file, item, part)
            return meter._replace(service=item.service, reference=item.serial, zone=item.zone)
        case ReadingRow():
            reading = _other(file, item, part)._replace(service=item.service, reference=item.serial, zone=item.zone)
            return reading._replace(on_date=item.read_on, value=str(item.value))
        case PaidElsewhereRow():
            payment = _other(file, item, part)._replace(due_kopecks=item.amount_kopecks, on_date=item.paid_on)
            return payment._replace(
                period=item.period, service=item.service, provider=item.provider, reference=item.operation
            )


_json = msgspec.json.Encoder()
_NOTHING = StagedRow(0, 0, 0, 0, None, None, 0, 0, None, 0, 0, 0, "", "", "", "", "", "")


def _charge(file: int, item: ChargeRow, part: int) -> StagedRow:
    """Positional: this is the one that is made millions of times."""
    return StagedRow(
        file,
        item.due_kopecks,
        item.penalty_kopecks,
        item.duty_kopecks,
        item.opening_kopecks,
        item.closing_kopecks,
        item.row,
        item.period,
        item.due_on,
        part,
        item.kind,
        0,
        item.account,
        item.service,
        item.provider,
        item.document,
        "",
        _json.encode(item).decode(),
    )


def _other(file: int, item: AccountRow | MeterRow | ReadingRow | PaidElsewhereRow, part: int) -> StagedRow:
    content = _json.encode(msgspec.structs.asdict(item)).decode()
    return _NOTHING._replace(file=file, row=item.row, part=part, account=item.account, content=content)
