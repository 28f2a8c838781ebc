"""Quarantine: rows whose codes nobody has confirmed yet, and the beginning of a file's posting, which puts them there.

A row waits until its codes have a confirmed meaning. Then it is `releasing`, with that meaning fixed, until its
commands are durable; so a release that dies asks the same again. A whole file that comes meanwhile supersedes what
waits of its months.
"""

from collections.abc import Sequence

import msgspec

from storage.billing import Session
from storage.billing_staging import StagedRow
from storage.billing_work import Codes, Progress, put_changes
from storage.database import connected
from storage.received import ReceivedFile

FixedCode = tuple[str, str, int, str | None]
"""Kind (service or provider), the sender's code, the period, and the master's code if somebody has confirmed it."""


class WaitingCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code that nobody has confirmed, and what waits for it. Units: kopecks."""

    billing: str
    kind: str
    code: str
    period: int
    rows: int
    accounts: int
    kopecks: int


# Readings and meters wait for nothing: they move no money, and are kept under the sender's codes.
_USED_CODES = """
    SELECT DISTINCT 'service' AS kind, service AS code, period FROM billing_rows WHERE file = $1 AND service <> ''
    UNION ALL
    SELECT DISTINCT 'provider', provider, period FROM billing_rows WHERE file = $1 AND provider <> ''"""


async def used_codes(session: Session, file: int) -> list[tuple[str, str, int]]:
    """Return the codes that a file uses: kind, code, period."""
    return [(row["kind"], row["code"], row["period"]) for row in await session.connection.fetch(_USED_CODES, file)]


_SUPERSEDE = """
    UPDATE billing_waiting w SET state = 'superseded', changed_at = now()
    FROM received_files f
    WHERE w.billing = $1 AND w.file < $2 AND w.state = 'waiting' AND w.period = ANY($3::int[])
        AND f.file = w.file AND f.kind = 'charges'"""

_QUARANTINE = """
    INSERT INTO billing_waiting (file, row, part, billing, account, period, service, provider, kopecks)
    SELECT r.file, r.row, r.part, $2, r.account, r.period, r.service, r.provider,
        r.due_kopecks + r.penalty_kopecks + r.duty_kopecks
    FROM billing_rows r
    LEFT JOIN billing_codes s ON s.file = $1 AND s.kind = 'service' AND s.code = r.service AND s.period = r.period
    LEFT JOIN billing_codes p ON p.file = $1 AND p.kind = 'provider' AND p.code = r.provider AND p.period = r.period
    WHERE r.file = $1 AND (r.service <> '' AND s.master IS NULL OR r.provider <> '' AND p.master IS NULL)
        AND NOT EXISTS (SELECT 1 FROM billing_findings f
            WHERE f.file = $1 AND f.row = r.row AND f.severity <> 'warning')
    ON CONFLICT DO NOTHING"""

_BEGIN_RUN = """
    INSERT INTO billing_runs (file, periods, is_whole, accounts)
    SELECT $1::bigint, $2::integer[], $3::boolean, count(DISTINCT account) FROM billing_rows WHERE file = $1"""


async def begin_posting(
    session: Session, file: ReceivedFile, codes: Sequence[FixedCode], periods: Sequence[int], *, is_whole: bool
) -> None:
    """Fix what a file's codes mean, set aside the rows that must wait, and note that posting begins; all or nothing."""
    connection = session.connection
    async with connection.transaction():
        await connection.copy_records_to_table(
            "billing_codes",
            records=[(file.file, *code) for code in codes],
            columns=("file", "kind", "code", "period", "master"),
        )
        if file.mode == "full" and file.kind == "charges":
            await connection.execute(_SUPERSEDE, session.billing.billing, file.file, list(periods))
        if file.kind in ("charges", "payments"):
            await connection.execute(_QUARANTINE, file.file, session.billing.billing)
        await connection.execute(_BEGIN_RUN, file.file, list(periods), is_whole)
        await connection.execute("UPDATE received_files SET state = 'posting' WHERE file = $1", file.file)


async def read_codes(session: Session, file: int) -> Codes:
    """Return what a file's codes meant when its posting began."""
    services: dict[tuple[str, int], str | None] = {}
    providers: dict[tuple[str, int], str | None] = {}
    for row in await session.connection.fetch("SELECT * FROM billing_codes WHERE file = $1", file):
        (services if row["kind"] == "service" else providers)[row["code"], row["period"]] = row["master"]
    return Codes(services, providers)


# Release -------------------------------------------------------------------------------------------------------------


async def waiting_codes(session: Session) -> list[tuple[int, str, str, int]]:
    """Return what rows of this billing wait with: file, service, provider, period, as the sender wrote them."""
    rows = await session.connection.fetch(
        """SELECT DISTINCT file, service, provider, period FROM billing_waiting
            WHERE billing = $1 AND state = 'waiting' ORDER BY 1, 2, 3, 4""",
        session.billing.billing,
    )
    return [(row["file"], row["service"], row["provider"], row["period"]) for row in rows]


_FIX = """
    UPDATE billing_waiting w SET state = 'releasing', master_service = m.master_service,
        master_provider = m.master_provider, changed_at = now(),
        release = (SELECT coalesce(max(release), 0) + 1 FROM billing_waiting WHERE billing = $1)
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[])
            AS m(file, service, provider, period, master_service, master_provider)
    WHERE w.billing = $1 AND w.state = 'waiting'
        AND (w.file, w.service, w.provider, w.period) = (m.file, m.service, m.provider, m.period)"""


async def fix_meanings(session: Session, found: Sequence[tuple[int, str, str, int, str, str]]) -> None:
    """Let rows go whose codes are confirmed now: file, service, provider, period, master service, master provider."""
    await session.connection.execute(_FIX, session.billing.billing, *map(list, zip(*found, strict=True)))


_NEXT_RELEASING = """
    SELECT w.file, w.release, w.account FROM billing_waiting w WHERE w.billing = $1 AND w.state = 'releasing'
    ORDER BY w.file, w.release, w.account LIMIT 1"""

_RELEASING = """
    SELECT r.*, w.master_service, w.master_provider FROM billing_waiting w
    JOIN billing_rows r ON r.file = w.file AND r.row = w.row AND r.part = w.part
    WHERE w.billing = $1 AND w.state = 'releasing' AND w.file = $2 AND w.release = $3 AND r.file = $2
    ORDER BY w.account, w.row, w.part LIMIT $4"""

Releasing = tuple[StagedRow, str, str]
"""A row on its way out, and the meaning of its service and provider (empty where it names none)."""


async def next_releasing(session: Session, limit: int) -> tuple[int, int, list[Releasing]] | None:
    """Return rows on their way out: their file, the number of the release, and the rows in order of accounts.

    Shape: an account's rows are never divided between two answers unless it has more than `limit`.
    """
    connection, billing = session.connection, session.billing.billing
    first = await connection.fetchrow(_NEXT_RELEASING, billing)
    if first is None:
        return None
    rows = await connection.fetch(_RELEASING, billing, first["file"], first["release"], limit + 1)
    found = [
        (
            StagedRow(*(row[column] for column in StagedRow._fields)),
            row["master_service"] or "",
            row["master_provider"] or "",
        )
        for row in rows
    ]
    if len(found) > limit:
        found = [each for each in found if each[0].account != found[-1][0].account] or found[:limit]
    return first["file"], first["release"], found


async def still_wait(session: Session, accounts: Sequence[str], gone: Sequence[StagedRow]) -> set[str]:
    """Return those of the accounts that still wait when these rows are gone."""
    found = await session.connection.fetch(
        """SELECT DISTINCT account FROM billing_waiting w
            WHERE billing = $1 AND account = ANY($2::text[]) AND state IN ('waiting', 'releasing')
                AND NOT EXISTS (SELECT 1 FROM unnest($3::bigint[], $4::int[], $5::smallint[]) AS g(file, row, part)
                    WHERE (g.file, g.row, g.part) = (w.file, w.row, w.part))""",
        *(session.billing.billing, accounts, *_places(gone)),
    )
    return {row["account"] for row in found}


def _places(rows: Sequence[StagedRow]) -> tuple[list[int], list[int], list[int]]:
    return [row.file for row in rows], [row.row for row in rows], [row.part for row in rows]


async def save_release(session: Session, file: int, rows: Sequence[StagedRow], done: Progress) -> None:
    """Note that rows of a file wait no more, and what their posting has changed; in one transaction."""
    async with session.connection.transaction():
        await put_changes(session, file, done)
        await session.connection.execute(
            """UPDATE billing_waiting w SET state = 'posted', changed_at = now()
                FROM unnest($1::bigint[], $2::int[], $3::smallint[]) AS g(file, row, part)
                WHERE (g.file, g.row, g.part) = (w.file, w.row, w.part)""",
            *_places(rows),
        )


async def list_waiting(database_url: str, billing: str) -> list[WaitingCode]:
    """Return what waits, by code; of one billing if it is named."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT w.billing, c.kind, c.code, w.period, count(*) AS rows, count(DISTINCT w.account) AS accounts,
                sum(w.kopecks)::bigint AS kopecks
            FROM billing_waiting w
            JOIN billing_codes c ON c.file = w.file AND c.period = w.period AND c.master IS NULL
                AND c.code = CASE c.kind WHEN 'service' THEN w.service ELSE w.provider END
            WHERE w.state = 'waiting' AND ($1 = '' OR w.billing = $1)
            GROUP BY w.billing, c.kind, c.code, w.period ORDER BY w.billing, c.kind, c.code, w.period""",
            billing,
        )
    return [WaitingCode(**row) for row in rows]
