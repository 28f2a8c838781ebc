"""The work of a run, a chunk of accounts at a time: what is to be posted for them, and the checkpoint after it.

A chunk is the next accounts after the cursor, in their order; a checkpoint writes what the chunk changed and moves the
cursor in one transaction. So whatever lies beyond the cursor may have been asked of the shards already, and is asked
again under the same keys; whatever lies before it is never asked again.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from engine.charge import Kind
from storage.billing import Finding, Session
from storage.billing_staging import StagedRow, add_findings
from storage.received import ReceivedFile

LineOf = tuple[str, str, int]
"""Service, provider and kind, in the master's codes."""
Lines = dict[LineOf, int]
"""Kopecks by line; lines of zero are left out."""


class Codes(NamedTuple):
    """What a sender's codes meant when the file was checked, by (code, period); None: nobody has confirmed it."""

    services: Mapping[tuple[str, int], str | None]
    providers: Mapping[tuple[str, int], str | None]


class AccountWork(NamedTuple):
    """All that a plan for one account needs.

    `rejected` are numbers of rows that count for nothing. `billed` is what the billing has posted, by period.
    `waits`: rows of it wait for a mapping, in this file or an earlier one. `is_held`: we hold its money for that.
    """

    account: str
    rows: list[StagedRow]
    rejected: frozenset[int]
    billed: dict[int, Lines]
    is_known: bool
    is_closed: bool
    is_held: bool
    waits: bool


class Progress(NamedTuple):
    """What a chunk has changed."""

    cursor: str
    accounts: int
    kopecks: int
    billed: list[tuple[str, int, Lines]]
    opened: list[str]
    closed: list[str]
    held: list[str]
    unheld: list[str]
    findings: list[Finding]


# Each part gives its lowest accounts after the cursor, so the lowest of all are among them.
# Served by the partition's (account, row), billed_pkey, billing_accounts_pkey and billing_holds_pkey.
_NEXT_ACCOUNTS = """
    SELECT account FROM (
        (SELECT DISTINCT account FROM billing_rows WHERE file = $1 AND account > $3 ORDER BY account LIMIT $4)
        UNION
        (SELECT DISTINCT account FROM billed
            WHERE $5 AND billing = $2 AND account > $3 AND period = ANY($6::int[]) ORDER BY account LIMIT $4)
        UNION
        (SELECT account FROM billing_accounts
            WHERE $7 AND billing = $2 AND account > $3 AND NOT is_closed ORDER BY account LIMIT $4)
        UNION
        (SELECT account FROM billing_holds WHERE billing = $2 AND account > $3 ORDER BY account LIMIT $4)
    ) AS next ORDER BY account LIMIT $4"""

_ROWS = """
    SELECT r.*, EXISTS (SELECT 1 FROM billing_findings f
        WHERE f.file = $1 AND f.row = r.row AND f.severity <> 'warning') AS is_rejected
    FROM billing_rows r WHERE r.file = $1 AND r.account = ANY($2::text[]) ORDER BY r.account, r.row"""

_ABOUT = """
    SELECT a.account, k.account IS NOT NULL AS is_known, coalesce(k.is_closed, false) AS is_closed,
        h.account IS NOT NULL AS is_held,
        EXISTS (SELECT 1 FROM billing_waiting w
            WHERE w.billing = $1 AND w.account = a.account AND w.state IN ('waiting', 'releasing')) AS waits,
        (SELECT json_agg(json_build_array(b.period, b.lines)) FROM billed b
            WHERE b.billing = $1 AND b.account = a.account AND b.period = ANY($3::int[]))::text AS billed
    FROM unnest($2::text[]) AS a(account)
    LEFT JOIN billing_accounts k ON k.billing = $1 AND k.account = a.account
    LEFT JOIN billing_holds h ON h.billing = $1 AND h.account = a.account
    ORDER BY a.account"""


async def next_accounts(
    session: Session, file: ReceivedFile, cursor: str, limit: int, *, periods: Sequence[int], is_whole: bool
) -> list[str]:
    """Return the next accounts after the cursor that a file may concern, in their order; none: the file is done."""
    rows = await session.connection.fetch(
        _NEXT_ACCOUNTS,
        *(file.file, session.billing.billing, cursor, limit),
        *(is_whole and file.kind == "charges", list(periods), is_whole and file.kind == "accounts"),
    )
    return [row["account"] for row in rows]


async def read_work(session: Session, file: int, accounts: Sequence[str], periods: Sequence[int]) -> list[AccountWork]:
    """Read what is to be posted for accounts, in their order."""
    rows: dict[str, list[StagedRow]] = {account: [] for account in accounts}
    rejected: dict[str, set[int]] = {}
    for record in await session.connection.fetch(_ROWS, file, accounts):
        rows[record["account"]].append(StagedRow(*(record[column] for column in StagedRow._fields)))
        if record["is_rejected"]:
            rejected.setdefault(record["account"], set()).add(record["row"])
    about = await session.connection.fetch(_ABOUT, session.billing.billing, accounts, list(periods))
    return [
        AccountWork(
            account=record["account"],
            rows=rows[record["account"]],
            rejected=frozenset(rejected.get(record["account"], ())),
            billed=_billed(record["billed"]),
            is_known=record["is_known"],
            is_closed=record["is_closed"],
            is_held=record["is_held"],
            waits=record["waits"],
        )
        for record in about
    ]


_billed_decoder = msgspec.json.Decoder(list[tuple[int, str]])
_lines_decoder = msgspec.json.Decoder(list[tuple[str, str, int, int]])


def _billed(text: str | None) -> dict[int, Lines]:
    if text is None:
        return {}
    return {
        period: {
            (service, provider, kind): kopecks for service, provider, kind, kopecks in _lines_decoder.decode(lines)
        }
        for period, lines in _billed_decoder.decode(text)
    }


def _packed(lines: Lines) -> str:
    return msgspec.json.encode([(*line, kopecks) for line, kopecks in sorted(lines.items()) if kopecks]).decode()


_PUT_BILLED = """
    INSERT INTO billed (billing, file, account, period, lines, charged_kopecks)
    SELECT $1::text, $2::bigint, * FROM unnest($3::text[], $4::int[], $5::text[], $6::bigint[])
    ON CONFLICT (billing, account, period) DO UPDATE SET file = excluded.file, lines = excluded.lines,
        charged_kopecks = excluded.charged_kopecks"""


async def save(session: Session, file: int, done: Progress) -> None:
    """Write a checkpoint: what a chunk has changed, and the cursor behind it, in one transaction."""
    async with session.connection.transaction():
        await put_changes(session, file, done)
        await session.connection.execute(
            """UPDATE billing_runs SET cursor = $2, posted = posted + $3, kopecks = kopecks + $4, changed_at = now()
                WHERE file = $1""",
            *(file, done.cursor, done.accounts, done.kopecks),
        )


async def put_changes(session: Session, file: int, done: Progress) -> None:
    """Write what a chunk has changed, inside the caller's transaction."""
    connection, billing = session.connection, session.billing.billing
    if done.billed:
        accounts, periods, lines = zip(*done.billed, strict=True)
        charged = [sum(k for line, k in each.items() if line[2] == Kind.CHARGE) for each in lines]
        await connection.execute(
            _PUT_BILLED, billing, file, accounts, periods, [_packed(each) for each in lines], charged
        )
    if done.opened or done.closed:
        await connection.execute(
            """INSERT INTO billing_accounts (file, billing, account, is_closed)
                SELECT $1::bigint, $2, account, false FROM unnest($3::text[]) AS account
                UNION ALL SELECT $1::bigint, $2, account, true FROM unnest($4::text[]) AS account
                ON CONFLICT (billing, account) DO UPDATE SET is_closed = excluded.is_closed""",
            *(file, billing, [a for a in done.opened if a not in set(done.closed)], done.closed),
        )
    if done.held:
        await connection.execute(
            """INSERT INTO billing_holds (file, billing, account) SELECT $1::bigint, $2, * FROM unnest($3::text[])
                ON CONFLICT DO NOTHING""",
            *(file, billing, done.held),
        )
    if done.unheld:
        await connection.execute(
            "DELETE FROM billing_holds WHERE billing = $1 AND account = ANY($2::text[])", billing, done.unheld
        )
    await add_findings(session, file, done.findings)
