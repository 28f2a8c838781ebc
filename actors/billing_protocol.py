"""The protocol that goes back to a billing: what has become of every row, in a file that is kept for ever."""

import asyncio
import tempfile
from collections import Counter
from typing import IO

from actors.billing_intake import FILE_BYTES_MAX, Place
from storage import billing, billing_staging
from storage.archive import Kept
from storage.billing import Finding, Session
from storage.billing_staging import ToldRow
from storage.received import ReceivedFile

_ROWS_A_PAGE = 10_000
_STATUSES = ("accepted", "warning", "rejected", "waiting")


async def close(session: Session, place: Place, file: ReceivedFile, state: str, problem: str) -> None:
    """End a file, done or refused, with its counts and its protocol."""
    kept = await _write(session, place, file, state, problem)
    await billing.finish(session, file.file, state, problem, kept)


async def renew(session: Session, place: Place, file: ReceivedFile) -> None:
    """Count a file again and add a version of its protocol: rows of it wait no more."""
    await close(session, place, file, file.state, file.problem)


async def _write(session: Session, place: Place, file: ReceivedFile, state: str, problem: str) -> Kept:
    """Write the protocol into the archive, a page of rows at a time."""
    is_refused, counts, after = state == "refused", Counter[str](), 0
    with tempfile.TemporaryFile() as out:
        _put(out, _head(file, state, problem))
        _put(out, [_line(0, "", "", finding) for finding in await billing_staging.file_findings(session, file.file)])
        while rows := await billing_staging.told_rows(session, file.file, after, _ROWS_A_PAGE, is_refused=is_refused):
            counts.update(row.status for row in rows)
            after = rows[-1].row
            await asyncio.to_thread(_put, out, [line for row in rows for line in _lines(row, is_refused=is_refused)])
        totals = [counts.total(), *(counts[status] for status in _STATUSES)]
        _put(out, ["#TOTAL;" + ";".join(map(str, totals))])
        out.seek(0)
        return await asyncio.to_thread(place.archive.keep, out, FILE_BYTES_MAX)


def _put(out: IO[bytes], lines: list[str]) -> None:
    out.write("".join(f"{line}\r\n" for line in lines).encode())


def _head(file: ReceivedFile, state: str, problem: str) -> list[str]:
    about = (file.file, file.name, file.kind, file.mode, file.sha256, state, problem)
    return ["#PROTOCOL;1.0;" + ";".join(_cell(str(cell)) for cell in about), "#FIELDS;ROW;ACCOUNT;STATUS;CODE;TEXT"]


def _lines(row: ToldRow, *, is_refused: bool) -> list[str]:
    """A line for every finding of a row, or one that says it is well."""
    findings = list(row.findings)
    if row.status == "waiting":
        if row.waits_for_services:
            findings.append(Finding(row.row, "", "service_unmapped", f"ждёт сопоставления: {row.waits_for_services}"))
        if row.waits_for_providers:
            findings.append(Finding(row.row, "", "provider_unmapped", f"ждёт сопоставления: {row.waits_for_providers}"))
    if not findings and is_refused:
        findings.append(Finding(row.row, "", "file_refused", "файл отклонён целиком"))
    return [_line(row.row, row.account, row.status, finding) for finding in findings] or [
        _line(row.row, row.account, row.status, Finding(row.row, "", "", ""))
    ]


def _line(row: int, account: str, status: str, finding: Finding) -> str:
    return ";".join((str(row), _cell(account), status or finding.severity, finding.code, _cell(finding.text)))


def _cell(text: str) -> str:
    """A cell of a table that a person opens: quoted where needed; what a sheet would take for a formula is text."""
    if text[:1] in ("=", "+", "-", "@", "\t", "\r"):
        text = "'" + text
    if any(sign in text for sign in ';"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text
