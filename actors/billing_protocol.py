"""The protocol that goes back to a billing: what has become of every row, in a file that is kept for ever."""

import asyncio
import itertools
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from actors.billing_intake import FILE_BYTES_MAX, Place
from intake.faults import Code
from intake.protocol import Protocol, Result, RowResult, csv_lines
from storage import billing, billing_staging
from storage.archive import Kept
from storage.billing import Counts, Finding, Session
from storage.billing_staging import ToldRow
from storage.received import ReceivedFile

ALL_ROWS_MAX = 1_000_000
"""Up to here every row is listed; of a larger file only those that are not plainly accepted, and the totals of all."""
_ROWS_A_PAGE = 10_000
_RESULTS = {
    "accepted": Result.ACCEPTED,
    "warning": Result.WARNED,
    "waiting": Result.WAITING,
    "rejected": Result.REJECTED,
}
_GRAVITY = ("file", "row", "waiting", "warning")


class _Ending(NamedTuple):
    """How a file ends, and by what its protocol is made."""

    file: ReceivedFile
    state: str
    problem: str
    counts: Counts

    @property
    def is_refused(self) -> bool:
        return self.state == "refused"

    @property
    def lists_all(self) -> bool:
        return self.counts.total <= ALL_ROWS_MAX


async def close(session: Session, place: Place, file: ReceivedFile, state: str, problem: str) -> None:
    """End a file, done or refused, with its counts and its protocol."""
    counts = await billing.count_rows(session, file.file, is_refused=state == "refused")
    kept = await _write(session, place, _Ending(file, state, problem, counts))
    await billing.finish(session, file.file, state, problem, counts, kept)


async def renew(session: Session, place: Place, file: ReceivedFile) -> None:
    """Count a file again and add a version of its protocol: rows of it wait no more."""
    await close(session, place, file, file.state, file.problem)


async def _write(session: Session, place: Place, ending: _Ending) -> Kept:
    """Write the protocol into the archive in a thread, which asks for a page of rows at a time."""
    of_file = await billing_staging.file_findings(session, ending.file.file)
    first = next(iter(await billing_staging.file_errors(session, ending.file.file, 1)), None)
    loop = asyncio.get_running_loop()

    def page(after: int) -> list[ToldRow]:
        rows = billing_staging.told_rows(
            *(session, ending.file.file, after, _ROWS_A_PAGE),
            is_refused=ending.is_refused,
            notable_only=not ending.lists_all,
        )
        return asyncio.run_coroutine_threadsafe(rows, loop).result()

    def results() -> Iterator[RowResult]:
        rows = page(0)
        while rows:
            yield from (_result(row.row, row.account, row.status, _reasons(row)) for row in rows)
            rows = page(rows[-1].row)
        if not ending.lists_all:
            yield from itertools.repeat(RowResult(row=0, result=Result.ACCEPTED), ending.counts.accepted)

    def write() -> Kept:
        with tempfile.TemporaryFile() as file:
            file.writelines(csv_lines(_about(ending, first, of_file), results(), all_rows=ending.lists_all))
            file.seek(0)
            return place.archive.keep(file, FILE_BYTES_MAX)

    return await asyncio.to_thread(write)


def _about(ending: _Ending, first_error: Finding | None, of_file: list[Finding]) -> Protocol:
    file = ending.file
    refused = first_error if ending.is_refused else None
    return Protocol(
        file_name=file.name,
        sha256=file.sha256,
        kind=f"{file.kind} {file.mode}",
        profile=f"{file.profile}@{file.profile_version}",
        received_at=file.received_at.isoformat(timespec="seconds"),
        refusal_code=None if refused is None else Code(refused.code),
        refusal_text=ending.problem if ending.is_refused else "",
        refusal_row=0 if refused is None else refused.row,
        notes=tuple(finding.text for finding in of_file if finding.severity == "warning"),
    )


def _reasons(row: ToldRow) -> list[Finding]:
    """All that is to be said of a row; of one that waits, what for."""
    waits = ((row.waits_for_services, Code.SERVICE_UNMAPPED), (row.waits_for_providers, Code.PROVIDER_UNMAPPED))
    text = "ждёт сопоставления кода"
    return [*row.findings, *(Finding(row.row, "waiting", code.value, f"{text} {what}") for what, code in waits if what)]


def _result(row: int, account: str, status: str, findings: list[Finding]) -> RowResult:
    """One result a row: the gravest finding gives the code, all give their texts."""
    ordered = sorted(findings, key=lambda finding: _GRAVITY.index(finding.severity))
    return RowResult(
        row=row,
        result=_RESULTS[status],
        code=Code(ordered[0].code) if ordered else None,
        text="; ".join(dict.fromkeys(finding.text for finding in ordered)),
        account=account,
    )
