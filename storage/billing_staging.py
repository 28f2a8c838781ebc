"""Staging: a file's rows as they were understood, copied into a table of their own and shown once they are all there.

A staging that died is begun again from nothing: no reader has seen it. Rows never change afterwards; what becomes of
them is told by findings and by what waits, and read together with them here.
"""

import datetime
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from storage.billing import Finding, Session
from storage.database import connected


class StagedRow(NamedTuple):
    """One row of any kind of file, in the order of the table's columns; a wide record has several parts of one row.

    `reference` is a bill's document, a payment's operation or a meter's serial; `on_date` the day due, paid or read.
    Units: kopecks; a payment's amount is its `due_kopecks`.
    """

    file: int
    due_kopecks: int
    penalty_kopecks: int
    duty_kopecks: int
    opening_kopecks: int | None
    closing_kopecks: int | None
    row: int
    period: int
    on_date: datetime.date | None
    part: int
    kind: int
    zone: int
    account: str
    service: str
    provider: str
    reference: str
    value: str
    content: str


class ToldRow(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of a row: accepted, warning, rejected or waiting, and why. `account` is empty if unreadable.

    `waits_for_…`: the sender's codes that nobody has confirmed, where it waits.
    """

    row: int
    account: str
    period: int
    service: str
    provider: str
    due_kopecks: int
    status: str
    waits_for_services: str
    waits_for_providers: str
    findings: tuple[Finding, ...]


async def begin(session: Session, file: int) -> str:
    """Begin to stage a file, from nothing; return the name of the table to fill."""
    table: str = await session.connection.fetchval("SELECT begin_staging($1)", file)
    return table


async def fill(session: Session, table: str, rows: Sequence[StagedRow], findings: Sequence[Finding], file: int) -> None:
    """Add rows and what is to be said of them."""
    if rows:
        await session.connection.copy_records_to_table(table, records=rows, columns=StagedRow._fields)
    await add_findings(session, file, findings)


async def add_findings(session: Session, file: int, findings: Sequence[Finding]) -> None:
    """Add what is to be said of rows; the same again changes nothing."""
    if findings:
        rows, severities, codes, texts = zip(*((f.row, f.severity, f.code, f.text) for f in findings), strict=True)
        await session.connection.execute(
            """INSERT INTO billing_findings (file, row, severity, code, text)
                SELECT $1::bigint, * FROM unnest($2::int[], $3::text[], $4::text[], $5::text[])
                ON CONFLICT DO NOTHING""",
            *(file, rows, severities, codes, texts),
        )


async def show(session: Session, file: int) -> None:
    """End the staging: index the rows, show them to readers, and note that the file is staged."""
    async with session.connection.transaction():
        await session.connection.execute("SELECT finish_staging($1)", file)
        await session.connection.execute("UPDATE received_files SET state = 'staged' WHERE file = $1", file)


async def file_errors(session: Session, file: int, limit: int) -> list[Finding]:
    """Return the findings that refuse the file as a whole, the first ones."""
    rows = await session.connection.fetch(
        """SELECT row, severity, code, text FROM billing_findings WHERE file = $1 AND severity = 'file'
            ORDER BY row, code LIMIT $2""",
        *(file, limit),
    )
    return [Finding(**row) for row in rows]


# Served by the partition's index on row and by billing_findings_pkey; both are read only from `after` on. Of a wide
# record the first part stands for the row.
_TOLD = """
    WITH page AS (
        SELECT row FROM (
            (SELECT DISTINCT row FROM billing_rows WHERE NOT $5 AND file = $1 AND row > $2 ORDER BY row LIMIT $3)
            UNION
            (SELECT DISTINCT row FROM billing_waiting WHERE file = $1 AND row > $2 AND state IN ('waiting', 'releasing')
                ORDER BY row LIMIT $3)
            UNION
            (SELECT DISTINCT row FROM billing_findings WHERE file = $1 AND row > $2 ORDER BY row LIMIT $3)) AS every
        ORDER BY row LIMIT $3),
    told AS (
        SELECT row, bool_or(severity <> 'warning') AS is_rejected,
            json_agg(json_build_array(row, severity, code, text) ORDER BY code) AS findings
        FROM billing_findings WHERE file = $1 AND row IN (SELECT row FROM page) GROUP BY row),
    waits AS (
        SELECT w.row, string_agg(DISTINCT w.service, ', ') FILTER (WHERE c.kind = 'service') AS services,
            string_agg(DISTINCT w.provider, ', ') FILTER (WHERE c.kind = 'provider') AS providers
        FROM billing_waiting w
        JOIN billing_codes c ON c.file = $1 AND c.period = w.period AND c.master IS NULL
            AND c.code = CASE c.kind WHEN 'service' THEN w.service ELSE w.provider END
        WHERE w.file = $1 AND w.row IN (SELECT row FROM page) AND w.state IN ('waiting', 'releasing') GROUP BY w.row),
    parts AS (
        SELECT row, min(account) AS account, min(period) AS period, sum(due_kopecks)::bigint AS due_kopecks,
            string_agg(DISTINCT service, ' ') AS service, string_agg(DISTINCT provider, ' ') AS provider
        FROM billing_rows WHERE file = $1 AND row IN (SELECT row FROM page) GROUP BY row)
    SELECT p.row, coalesce(r.account, '') AS account, coalesce(r.period, 0) AS period,
        coalesce(r.service, '') AS service, coalesce(r.provider, '') AS provider,
        coalesce(r.due_kopecks, 0) AS due_kopecks, coalesce(t.findings::text, '[]') AS findings,
        coalesce(w.services, '') AS waits_for_services, coalesce(w.providers, '') AS waits_for_providers,
        CASE WHEN t.is_rejected OR $4 THEN 'rejected' WHEN w.row IS NOT NULL THEN 'waiting'
            WHEN t.row IS NOT NULL THEN 'warning' ELSE 'accepted' END AS status
    FROM page p
    LEFT JOIN parts r ON r.row = p.row
    LEFT JOIN told t ON t.row = p.row
    LEFT JOIN waits w ON w.row = p.row
    ORDER BY p.row"""
_findings = msgspec.json.Decoder(tuple[Finding, ...])


async def told_rows(
    session: Session, file: int, after: int, limit: int, *, is_refused: bool, notable_only: bool
) -> list[ToldRow]:
    """Return what has become of a file's rows after a row number, in order; of a refused file none is accepted.

    `notable_only`: without the rows of which there is nothing to say.
    """
    return await _told_rows(session.connection, (file, after, limit, is_refused, notable_only))


async def show_rows(database_url: str, file: int, after: int, limit: int, *, is_refused: bool) -> list[ToldRow]:
    """`told_rows` for somebody who only looks."""
    async with connected(database_url) as connection:
        return await _told_rows(connection, (file, after, limit, is_refused, False))


async def _told_rows(connection: asyncpg.Connection, asked: tuple[int, int, int, bool, bool]) -> list[ToldRow]:
    rows = await connection.fetch(_TOLD, *asked)
    return [ToldRow(**{**row, "findings": _findings.decode(row["findings"])}) for row in rows]


async def file_findings(session: Session, file: int) -> list[Finding]:
    """Return what is to be said of the file as a whole."""
    rows = await session.connection.fetch(
        "SELECT row, severity, code, text FROM billing_findings WHERE file = $1 AND row = 0 ORDER BY code", file
    )
    return [Finding(**row) for row in rows]
