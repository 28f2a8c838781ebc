"""Movements on our bank accounts, and which registers they paid for."""

import datetime
from collections.abc import Sequence

import asyncpg
import msgspec

from storage.cases import CaseKind, NewCase, open_case, solve_found
from storage.database import connected


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One movement as a statement tells it; > 0 came in."""

    row: int
    dated_on: datetime.date
    booked_on: datetime.date
    amount_kopecks: int
    number: str
    our_account: str
    other_account: str
    other_inn: str
    purpose: str


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent owes by one payment order: the registers that name it. Without a number each is by itself.

    `file` is the first of them; `states`: what was known of them so far; `entry` and `arrived_kopecks`: the movement
    that was found, or None.
    """

    file: int
    files: list[int]
    day: datetime.date
    order_number: str
    order_on: datetime.date | None
    transferred_kopecks: int
    states: list[str]
    entry: int | None
    arrived_kopecks: int | None


class Payer(msgspec.Struct, frozen=True):
    """Whom a statement names when a connection's agent transfers money; empty is anybody."""

    connection: str
    source: str
    inn: str
    account: str


async def add(database_url: str, file: int, entries: Sequence[Entry]) -> int:
    """Write a whole statement and end its file; return how many of its entries are new (statements overlap)."""
    async with connected(database_url) as connection, connection.transaction():
        new = 0
        for entry in entries:
            added = await connection.execute(
                """INSERT INTO statement_entries (file, row, dated_on, booked_on, amount_kopecks, number, our_account,
                    other_account, other_inn, purpose)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING""",
                *(file, *msgspec.structs.astuple(entry)),
            )
            new += added == "INSERT 0 1"
        await connection.execute(
            """UPDATE received_files SET state = 'done', rows_total = $2, rows_accepted = $2, finished_at = now()
            WHERE file = $1 AND state = 'received'""",
            *(file, len(entries)),
        )
    return new


# Served by registers_waiting; the movement by the unique constraint (number, date) or statement_entries_by_payer.
# A register that names no order is paid by a movement of its very sum, from its agent, in the days after it.
_TRANSFERS = """
    WITH waiting AS (
        SELECT file, order_number, order_on FROM registers WHERE connection = $1 AND transfer_state <> 'arrived'),
    owed AS (
        SELECT min(r.file) AS file, array_agg(r.file ORDER BY r.file) AS files, min(r.day) AS day,
            r.order_number, r.order_on, sum(r.transferred_kopecks)::bigint AS transferred_kopecks,
            array_agg(DISTINCT r.transfer_state) AS states
        FROM registers r
        WHERE r.connection = $1 AND CASE r.order_number
            WHEN '' THEN r.file IN (SELECT file FROM waiting) AND r.transferred_kopecks > 0
            ELSE EXISTS (SELECT FROM waiting w WHERE w.order_number = r.order_number
                AND w.order_on IS NOT DISTINCT FROM r.order_on) END
        GROUP BY r.order_number, r.order_on, CASE r.order_number WHEN '' THEN r.file END)
    SELECT o.*, e.entry, e.amount_kopecks AS arrived_kopecks
    FROM owed o LEFT JOIN LATERAL (
        SELECT e.entry, e.amount_kopecks FROM statement_entries e
        WHERE e.amount_kopecks > 0 AND ($2 = '' OR e.other_inn = $2) AND ($3 = '' OR e.other_account = $3)
            AND (e.register IS NULL OR e.register = ANY(o.files))
            AND CASE o.order_number WHEN '' THEN $2 || $3 <> '' AND e.amount_kopecks = o.transferred_kopecks
                ELSE e.number = o.order_number END
            AND (e.dated_on = o.order_on OR o.order_on IS NULL AND e.booked_on BETWEEN o.day AND o.day + 14)
        ORDER BY e.booked_on, e.entry LIMIT 1) e ON true
    ORDER BY o.file"""


async def transfers(database_url: str, payer: Payer) -> list[Transfer]:
    """Return what a connection's registers wait for, and the movements that were found for it."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(_TRANSFERS, payer.connection, payer.inn, payer.account)
    return [Transfer(**row) for row in rows]


def state_of(transfer: Transfer, *, is_late: bool) -> str:
    """Say what became of a transfer: `arrived`, `differs`, `late`, or `waiting`."""
    if transfer.entry is not None:
        return "arrived" if transfer.arrived_kopecks == transfer.transferred_kopecks else "differs"
    return "late" if is_late else "waiting"


async def settle(database_url: str, payer: Payer, transfer: Transfer, state: str, due_on: datetime.date) -> None:
    """Write what became of a transfer; open or solve its cases.

    Rule: a movement pays for one transfer; if another took it meanwhile, this one goes on waiting.
    """
    named = f"{transfer.order_number}/{transfer.order_on}" if transfer.order_number else str(transfer.file)
    subject = f"order/{named}"
    async with connected(database_url) as connection, connection.transaction():
        if transfer.entry is not None and not await _claim(connection, transfer):
            return
        await connection.execute(
            "UPDATE registers SET transfer_state = $2 WHERE file = ANY($1::bigint[])", transfer.files, state
        )
        if state in ("arrived", "differs"):
            await solve_found(connection, CaseKind.STATEMENT_MISSING, payer.source, subject, "поступило по выписке")
        if state == "arrived":
            await solve_found(connection, CaseKind.STATEMENT_AMOUNT, payer.source, subject, "сумма сошлась")
        kind = {"differs": CaseKind.STATEMENT_AMOUNT, "late": CaseKind.STATEMENT_MISSING}.get(state)
        if kind is not None:
            await open_case(connection, _case(kind, payer, transfer, subject, due_on))


async def _claim(connection: asyncpg.Connection, transfer: Transfer) -> bool:
    claimed = await connection.execute(
        """UPDATE statement_entries SET register = $2
        WHERE entry = $1 AND (register IS NULL OR register = ANY($3::bigint[]))""",
        *(transfer.entry, transfer.file, transfer.files),
    )
    return bool(claimed == "UPDATE 1")


def _case(kind: CaseKind, payer: Payer, transfer: Transfer, subject: str, due_on: datetime.date) -> NewCase:
    return NewCase(
        kind=kind,
        connection=payer.connection,
        source=payer.source,
        subject=subject,
        day=transfer.day,
        due_on=due_on,
        file=transfer.file,
        ours_kopecks=transfer.arrived_kopecks or 0,
        theirs_kopecks=transfer.transferred_kopecks,
    )


# Served by statement_entries_by_payer.
_STRAY = """
    SELECT entry, booked_on, amount_kopecks FROM statement_entries
    WHERE amount_kopecks > 0 AND register IS NULL AND booked_on < $3
        AND ($1 = '' OR other_inn = $1) AND ($2 = '' OR other_account = $2) AND $1 || $2 <> ''
    ORDER BY entry"""


async def open_strays(database_url: str, payer: Payer, before: datetime.date, due_on: datetime.date) -> int:
    """Open a case for every movement from a connection's agent, booked before a date, that no register explains."""
    opened = 0
    async with connected(database_url) as connection, connection.transaction():
        for row in await connection.fetch(_STRAY, payer.inn, payer.account, before):
            opened += await open_case(connection, _stray_case(payer, row, due_on))
    return opened


def _stray_case(payer: Payer, row: asyncpg.Record, due_on: datetime.date) -> NewCase:
    return NewCase(
        kind=CaseKind.STATEMENT_STRAY,
        connection=payer.connection,
        source=payer.source,
        subject=f"entry/{row['entry']}",
        day=row["booked_on"],
        due_on=due_on,
        ours_kopecks=row["amount_kopecks"],
    )
