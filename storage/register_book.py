"""The book of one connection's registers, open to one worker: lines are staged whole or not at all, then get outcomes.

A line's outcome is written once: every statement that decides asks for lines without one. Everything is written over
the very connection that holds the worker's lock, so a worker that lost its lock writes nothing more.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from storage import taken
from storage.database import connected
from storage.received import ReceivedFile
from storage.registers import LINE_COLUMNS, CaseTerms, Decided, Line, Refundable, Register

_LOCK_CLASS = 4_096_007

# The earlier line of the same operation counts; one that was rejected credited nothing and stands in nobody's way.
# Served by register_lines_waiting and register_lines_by_operation.
_DUPLICATES = """
    UPDATE register_lines l SET outcome = 'duplicate', payer = '', address = ''
    WHERE l.file = $1 AND l.outcome = '' AND EXISTS (
        SELECT FROM register_lines e
        WHERE e.source = l.source AND e.txn_id = l.txn_id AND (e.file, e.row) < (l.file, l.row)
            AND (e.paid_kopecks < 0) = (l.paid_kopecks < 0) AND e.outcome <> 'rejected')
"""

# Served by register_lines_waiting and taken_pkey. What a register credited itself is not online: posting again tells.
_MATCHES = """
    WITH online AS (
        SELECT l.row, t.kopecks, t.payment_id, t.account,
            ((t.accepted_at AT TIME ZONE 'UTC') + make_interval(mins => $2))::date AS day
        FROM register_lines l JOIN taken t ON t.source = l.source AND t.txn_id = l.txn_id AND NOT t.by_register
        WHERE l.file = $1 AND l.outcome = '' AND l.paid_kopecks > 0)
    UPDATE register_lines l SET payer = '', address = '', ours_kopecks = o.kopecks, payment_id = o.payment_id,
        online_day = o.day, outcome = CASE WHEN o.kopecks <> l.paid_kopecks THEN 'amount_mismatch'
            WHEN o.account <> l.account THEN 'account_mismatch' WHEN o.day <> l.day THEN 'date_shift' ELSE 'matched' END
    FROM online o WHERE l.file = $1 AND l.row = o.row"""

# Served by register_lines_waiting. Refunds come after all payments: they may undo one of the same file.
_WAITING = """
    SELECT file, row, day, operated_at, paid_kopecks, transferred_kopecks, fee_kopecks, period, source, txn_id, account,
        account_as_sent, refund_of, point, payer, address
    FROM register_lines WHERE file = $1 AND outcome = '' AND row > $2 AND (paid_kopecks < 0) = $3
    ORDER BY row LIMIT $4"""

_RECORD = """
    UPDATE register_lines l SET outcome = d.outcome, ours_kopecks = d.ours_kopecks, payment_id = d.payment_id,
        online_day = d.online_day, problem = d.problem,
        payer = CASE WHEN d.outcome = 'unknown_account' THEN l.payer ELSE '' END,
        address = CASE WHEN d.outcome = 'unknown_account' THEN l.address ELSE '' END
    FROM unnest($2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::date[], $7::text[])
        AS d(row, outcome, ours_kopecks, payment_id, online_day, problem)
    WHERE l.file = $1 AND l.row = d.row AND l.outcome = ''"""

# Served by taken_pkey and register_lines_by_refund.
_REFUNDABLE = """
    SELECT t.payment_id, t.kopecks, t.reversed_kopecks, t.account, coalesce((
        SELECT -sum(l.paid_kopecks) FROM register_lines l
        WHERE l.source = $1 AND l.refund_of = $2 AND l.refund_of <> '' AND l.outcome = 'matched'), 0)::bigint
            AS claimed_kopecks
    FROM taken t WHERE t.source = $1 AND t.txn_id = $2"""

# Served by the primary keys. A payment credited from the register needs nobody any more: solved as it is opened.
_OPEN_CASES = """
    WITH opened AS (
        INSERT INTO cases (kind, state, closed_at, connection, source, subject, day, due_on, file, row, txn_id, account,
            payment_id, ours_kopecks, theirs_kopecks)
        SELECT l.outcome, CASE l.outcome WHEN 'missing_online' THEN 'solved' ELSE 'open' END,
            CASE l.outcome WHEN 'missing_online' THEN now() END, r.connection, l.source,
            'line/' || l.file || '/' || l.row, l.day, $2, l.file, l.row, l.txn_id, l.account, l.payment_id,
            l.ours_kopecks, l.paid_kopecks
        FROM register_lines l JOIN registers r USING (file)
        WHERE l.file = $1 AND (l.outcome IN ('amount_mismatch', 'account_mismatch', 'duplicate', 'unknown_account',
                'refund', 'rejected')
            OR l.outcome = 'missing_online' AND $3 OR l.outcome = 'date_shift' AND abs(l.online_day - l.day) > $4)
        ORDER BY l.row ON CONFLICT DO NOTHING RETURNING number, kind)
    INSERT INTO case_history (number, step, who, action, reason)
    SELECT number, 1, 'kopeck', CASE kind WHEN 'missing_online' THEN 'solved' ELSE 'opened' END,
        CASE kind WHEN 'missing_online' THEN 'платёж принят по реестру' ELSE '' END
    FROM opened"""

# What was missing is here now. Served by the unique constraint of cases.
_FOUND = """
    WITH found AS (
        UPDATE cases c SET state = 'solved', closed_at = now(), step = ''
        FROM register_lines l
        WHERE l.file = $1 AND l.outcome IN ('matched', 'date_shift', 'amount_mismatch', 'account_mismatch')
            AND c.kind = 'missing_register' AND c.source = l.source AND c.subject = 'online/' || l.txn_id
            AND c.state IN ('open', 'in_work')
        RETURNING c.number),
    arrived AS (
        UPDATE cases c SET state = 'solved', closed_at = now()
        FROM registers r
        WHERE r.file = $1 AND c.kind = 'missing_file' AND c.source = r.source AND c.subject = 'day/' || r.day
            AND c.state IN ('open', 'in_work')
        RETURNING c.number)
    INSERT INTO case_history (number, step, who, action, reason)
    SELECT number, (SELECT count(*) + 1 FROM case_history h WHERE h.number = f.number), 'kopeck', 'solved',
        'найдено в реестре ' || $1::bigint
    FROM (SELECT number FROM found UNION ALL SELECT number FROM arrived) f"""

_DONE = """
    UPDATE received_files f SET state = 'done', finished_at = now(), rows_waiting = 0, rows_accepted = s.accepted,
        rows_rejected = s.rejected, rows_warned = s.lines - s.accepted - s.rejected
    FROM (SELECT count(*) AS lines, count(*) FILTER (WHERE outcome = 'rejected') AS rejected, count(*) FILTER
            (WHERE outcome IN ('matched', 'date_shift', 'missing_online', 'reversed')) AS accepted
        FROM register_lines WHERE file = $1) s
    WHERE f.file = $1 AND f.state = 'posting'"""


@asynccontextmanager
async def alone(database_url: str, connection_name: str) -> AsyncIterator["Book"]:
    """Let one worker at a time handle the registers of a connection; others wait.

    Errors: `NotDone`, from anything in the block that the database or the disk refuses; the lock ends with the block.
    """
    async with connected(database_url) as connection:
        await connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", _LOCK_CLASS, connection_name)
        yield Book(connection)


class Book:
    """What a worker writes, and reads on its way. Every method is a transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def file(self, file: int) -> ReceivedFile:
        """Return a received file as it is now: whoever held the lock before may have moved it on."""
        row = await self._connection.fetchrow("SELECT * FROM received_files WHERE file = $1", file)
        return ReceivedFile(**row)

    async def refuse(self, file: int, problem: str, rows: int) -> None:
        """End a file that cannot be taken; nothing of it counts."""
        await self._connection.execute(
            """UPDATE received_files SET state = 'refused', problem = $2, rows_total = $3, rows_rejected = $3,
                finished_at = now() WHERE file = $1 AND state = 'received'""",
            *(file, problem, rows),
        )

    async def stage(self, register: Register, batches: AsyncIterator[Sequence[Line]]) -> None:
        """Write a checked register and all its lines, or nothing; its file is `staged` then."""
        connection = self._connection
        async with connection.transaction():
            await connection.execute(
                """INSERT INTO registers (file, connection, source, day, order_number, order_on, lines, paid_kopecks,
                    transferred_kopecks, fee_kopecks) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
                *msgspec.structs.astuple(register),
            )
            async for batch in batches:
                records = [msgspec.structs.astuple(line) for line in batch]
                await connection.copy_records_to_table("register_lines", records=records, columns=LINE_COLUMNS)
            await connection.execute(
                "UPDATE received_files SET state = 'staged', rows_total = $2, rows_waiting = $2 WHERE file = $1",
                *(register.file, register.lines),
            )

    async def follow(self) -> None:
        """Bring `taken` up to the ledger's end."""
        await taken.follow_on(self._connection)

    async def match_online(self, file: int, shift_minutes: int) -> None:
        """Give an outcome to every line that is a duplicate or came online.

        Rule: `follow` comes first. `shift_minutes`: from an instant to its operating day, see `Contract`.
        """
        connection = self._connection
        async with connection.transaction():
            await connection.execute(
                "UPDATE received_files SET state = 'posting' WHERE file = $1 AND state = 'staged'", file
            )
            await connection.execute(_DUPLICATES, file)
            await connection.execute(_MATCHES, file, shift_minutes)

    async def waiting(self, file: int, after_row: int, limit: int, *, refunds: bool) -> list[Line]:
        """Return lines without an outcome, in their order: payments, or refunds."""
        rows = await self._connection.fetch(_WAITING, file, after_row, refunds, limit)
        return [Line(**row) for row in rows]

    async def record(self, file: int, decided: Sequence[Decided]) -> None:
        """Write how lines ended, all at once."""
        if decided:
            columns = map(list, zip(*map(msgspec.structs.astuple, decided), strict=True))
            await self._connection.execute(_RECORD, file, *columns)

    async def refundable(self, line: Line) -> Refundable | None:
        """Return the payment that a refund line names, or None when it names none that was taken."""
        row = await self._connection.fetchrow(_REFUNDABLE, line.source, line.refund_of)
        return None if row is None else Refundable(**row)

    async def finish(self, file: int, terms: CaseTerms) -> None:
        """End a register whose lines all have their outcome: cases are opened, what had been missing is found."""
        connection = self._connection
        async with connection.transaction():
            left = await connection.fetchval(
                "SELECT count(*) FROM register_lines WHERE file = $1 AND outcome = ''", file
            )
            assert not left, "every line has its outcome before a register ends"
            await connection.execute(_OPEN_CASES, file, terms.due_on, terms.pays_online, terms.shift_days_max)
            await connection.execute(_FOUND, file)
            await connection.execute(_DONE, file)

    async def amend_rejected(self, file: int, decided: Decided, terms: CaseTerms) -> None:
        """Give a rejected line the outcome that it has now that its reason was mended, and its case if it has one."""
        connection = self._connection
        async with connection.transaction():
            await connection.execute(
                """UPDATE register_lines SET outcome = $3, ours_kopecks = $4, payment_id = $5, online_day = $6,
                    problem = '' WHERE file = $1 AND row = $2 AND outcome = 'rejected'""",
                *(file, decided.row, decided.outcome, decided.ours_kopecks, decided.payment_id, decided.online_day),
            )
            await connection.execute(_OPEN_CASES, file, terms.due_on, terms.pays_online, terms.shift_days_max)
