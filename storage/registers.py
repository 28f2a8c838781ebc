"""Registers and their lines: what a register says, and how its lines ended. They are written in `register_book.py`."""

import datetime

import msgspec

from engine.ids import AccountId, PaymentId, Period, SourceId, TxnId
from engine.registers import LineOutcome
from storage.database import connected


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


LINE_COLUMNS = tuple(field.name for field in msgspec.structs.fields(Line))


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


class Refundable(msgspec.Struct, frozen=True, kw_only=True):
    """The payment that a refund names. `reversed_kopecks`: undone by anything but a register; `claimed_kopecks`: so
    much of that other refund lines have claimed already.
    """

    payment_id: PaymentId
    kopecks: int
    reversed_kopecks: int
    claimed_kopecks: int
    account: AccountId


class CaseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a contract says of cases: the last day to solve them (local dates), and whether a
    payment that came by register alone is one.
    """

    due_on: datetime.date
    pays_online: bool
    shift_days_max: int


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
