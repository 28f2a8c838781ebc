"""Registers and their lines: staged whole or not at all, and given outcomes a set at a time.

A line's outcome is written once: every statement here that decides asks for lines without one. Whatever is decided and
the cases that follow from it are written in one transaction.
"""

import datetime
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from engine.ids import AccountId, PaymentId, Period, SourceId, TxnId
from engine.registers import LineOutcome
from storage.database import connected

_LOCK_CLASS = 4_096_007


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a register, as staged. Units: kopecks; a refund is negative. Payer and address are personal data."""

    file: int
    row: int
    day: datetime.date
    operated_at: datetime.datetime
    paid_kopecks: int
    transferred_kopecks: int
    fee_kopecks: int
    period: Period
    source: SourceId
    txn_id: TxnId
    account: AccountId
    account_as_sent: str
    refund_of: str
    point: str
    payer: str
    address: str


_LINE_COLUMNS = tuple(field.name for field in msgspec.structs.fields(Line))


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """A register whose file was checked whole. Units: kopecks, sums over its lines."""

    file: int
    connection: str
    source: str
    day: datetime.date
    order_number: str
    order_on: datetime.date | None
    lines: int
    paid_kopecks: int
    transferred_kopecks: int
    fee_kopecks: int


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """How one line ended, and what the ledger has for it."""

    row: int
    outcome: LineOutcome
    ours_kopecks: int = 0
    payment_id: int = 0
    online_day: datetime.date | None = None
    problem: str = ""


class OutcomeSum(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines of a file ended in one way, and their amounts."""

    outcome: str
    lines: int
    theirs_kopecks: int
    ours_kopecks: int


@asynccontextmanager
async def alone(database_url: str, connection_name: str) -> AsyncIterator[None]:
    """Let one worker at a time handle the registers of a connection; others wait. It ends with its process too."""
    async with connected(database_url) as connection:
        await connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", _LOCK_CLASS, connection_name)
        yield


async def stage(database_url: str, register: Register, batches: AsyncIterator[Sequence[Line]]) -> None:
    """Write a checked register and all its lines, or nothing; its file is `staged` then.

    Rule: staged already (an earlier worker came so far), it changes nothing.
    """
    async with connected(database_url) as connection, connection.transaction():
        added = await connection.execute(
            """INSERT INTO registers (file, connection, source, day, order_number, order_on, lines, paid_kopecks,
                transferred_kopecks, fee_kopecks)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING""",
            *msgspec.structs.astuple(register),
        )
        if added == "INSERT 0 0":
            return
        async for batch in batches:
            records = [msgspec.structs.astuple(line) for line in batch]
            await connection.copy_records_to_table("register_lines", records=records, columns=_LINE_COLUMNS)
        await connection.execute(
            "UPDATE received_files SET state = 'staged', rows_total = $2, rows_waiting = $2 WHERE file = $1",
            register.file,
            register.lines,
        )


async def refuse(database_url: str, file: int, problem: str, rows: int) -> None:
    """End a file that cannot be taken; nothing of it counts."""
    async with connected(database_url) as connection:
        await connection.execute(
            """UPDATE received_files SET state = 'refused', problem = $2, rows_total = $3, rows_rejected = $3,
                finished_at = now() WHERE file = $1 AND state = 'received'""",
            *(file, problem, rows),
        )


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


async def match_online(database_url: str, file: int, shift_minutes: int) -> None:
    """Give an outcome to every line that is a duplicate or came online.

    Rule: `taken` was brought up to date before. `shift_minutes`: from an instant to its operating day, see `Contract`.
    """
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute(
            "UPDATE received_files SET state = 'posting' WHERE file = $1 AND state = 'staged'", file
        )
        await connection.execute(_DUPLICATES, file)
        await connection.execute(_MATCHES, file, shift_minutes)


# Served by register_lines_waiting. Refunds come after all payments: they may undo one of the same file.
_WAITING = """
    SELECT file, row, day, operated_at, paid_kopecks, transferred_kopecks, fee_kopecks, period, source, txn_id, account,
        account_as_sent, refund_of, point, payer, address
    FROM register_lines WHERE file = $1 AND outcome = '' AND row > $2 AND (paid_kopecks < 0) = $3
    ORDER BY row LIMIT $4"""


async def waiting(database_url: str, file: int, after_row: int, limit: int, *, refunds: bool) -> list[Line]:
    """Return lines without an outcome, in their order: payments, or refunds."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(_WAITING, file, after_row, refunds, limit)
    return [Line(**row) for row in rows]


_RECORD = """
    UPDATE register_lines l SET outcome = d.outcome, ours_kopecks = d.ours_kopecks, payment_id = d.payment_id,
        online_day = d.online_day, problem = d.problem,
        payer = CASE WHEN d.outcome = 'unknown_account' THEN l.payer ELSE '' END,
        address = CASE WHEN d.outcome = 'unknown_account' THEN l.address ELSE '' END
    FROM unnest($2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::date[], $7::text[])
        AS d(row, outcome, ours_kopecks, payment_id, online_day, problem)
    WHERE l.file = $1 AND l.row = d.row AND l.outcome = ''"""


async def record(database_url: str, file: int, decided: Sequence[Decided]) -> None:
    """Write how lines ended, all at once."""
    if decided:
        async with connected(database_url) as connection:
            await connection.execute(
                _RECORD, file, *map(list, zip(*map(msgspec.structs.astuple, decided), strict=True))
            )


class Refundable(msgspec.Struct, frozen=True, kw_only=True):
    """The payment that a refund names. `reversed_kopecks`: undone by anything but a register; `claimed_kopecks`: so
    much of that other refund lines have claimed already.
    """

    payment_id: PaymentId
    kopecks: int
    reversed_kopecks: int
    claimed_kopecks: int
    account: AccountId


# Served by taken_pkey and register_lines_by_refund.
_REFUNDABLE = """
    SELECT t.payment_id, t.kopecks, t.reversed_kopecks, t.account, coalesce((
        SELECT -sum(l.paid_kopecks) FROM register_lines l
        WHERE l.source = $1 AND l.refund_of = $2 AND l.refund_of <> '' AND l.outcome = 'matched'), 0)::bigint
            AS claimed_kopecks
    FROM taken t WHERE t.source = $1 AND t.txn_id = $2"""


async def refundable(database_url: str, line: Line) -> Refundable | None:
    """Return the payment that a refund line names, or None when it names none that was taken."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow(_REFUNDABLE, line.source, line.refund_of)
    return None if row is None else Refundable(**row)


class CaseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a contract says of cases: the last day to solve them (local dates), and whether a
    payment that came by register alone is one.
    """

    due_on: datetime.date
    pays_online: bool
    shift_days_max: int


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


async def finish(database_url: str, file: int, terms: CaseTerms) -> None:
    """End a register whose lines all have their outcome: cases are opened, what had been missing is found."""
    async with connected(database_url) as connection, connection.transaction():
        left = await connection.fetchval("SELECT count(*) FROM register_lines WHERE file = $1 AND outcome = ''", file)
        assert not left, "every line has its outcome before a register ends"
        await connection.execute(_OPEN_CASES, file, terms.due_on, terms.pays_online, terms.shift_days_max)
        await connection.execute(_FOUND, file)
        await connection.execute(_DONE, file)


async def open_line_cases(database_url: str, file: int, terms: CaseTerms) -> None:
    """Open the cases that follow from lines of a register and are not open yet."""
    async with connected(database_url) as connection:
        await connection.execute(_OPEN_CASES, file, terms.due_on, terms.pays_online, terms.shift_days_max)


async def find(database_url: str, file: int) -> Register | None:
    """Return a register by its file, or None."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow(
            """SELECT file, connection, source, day, order_number, order_on, lines, paid_kopecks, transferred_kopecks,
                fee_kopecks FROM registers WHERE file = $1""",
            file,
        )
    return None if row is None else Register(**row)


async def sums(database_url: str, file: int) -> list[OutcomeSum]:
    """Return how the lines of a file ended, by outcome. Served by register_lines_pkey."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT outcome, count(*) AS lines, sum(paid_kopecks)::bigint AS theirs_kopecks,
                sum(ours_kopecks)::bigint AS ours_kopecks
            FROM register_lines WHERE file = $1 GROUP BY outcome ORDER BY outcome""",
            file,
        )
    return [OutcomeSum(**row) for row in rows]


async def problems(database_url: str, file: int, limit: int) -> list[tuple[int, str]]:
    """Return the first lines of which something must be said, and what."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT row, problem FROM register_lines WHERE file = $1 AND problem <> '' ORDER BY row LIMIT $2",
            *(file, limit),
        )
    return [(row["row"], row["problem"]) for row in rows]


async def line(database_url: str, file: int, row: int) -> Line:
    """Return one line, which must be there."""
    async with connected(database_url) as connection:
        found = await connection.fetchrow(
            """SELECT file, row, day, operated_at, paid_kopecks, transferred_kopecks, fee_kopecks, period, source,
                txn_id, account, account_as_sent, refund_of, point, payer, address
            FROM register_lines WHERE file = $1 AND row = $2""",
            *(file, row),
        )
    return Line(**found)


async def amend_rejected(database_url: str, file: int, decided: Decided) -> None:
    """Give a rejected line the outcome that it has now that its reason was mended; once."""
    async with connected(database_url) as connection:
        await connection.execute(
            """UPDATE register_lines SET outcome = $3, ours_kopecks = $4, payment_id = $5, online_day = $6, problem = ''
            WHERE file = $1 AND row = $2 AND outcome = 'rejected'""",
            *(file, decided.row, decided.outcome, decided.ours_kopecks, decided.payment_id, decided.online_day),
        )
