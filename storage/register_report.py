"""The reconciliation of one operating day with one agent: theirs against ours, outcome by outcome, to the kopeck.

Ours is added up from what was taken, theirs from the registers' lines, and the outcomes from the matching of the two:
three countings that must agree. What they do not explain is told as it is.
"""

import datetime

import asyncpg
import msgspec

from storage.database import connected
from storage.register_days import Day


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome of the day. `theirs_kopecks`: by the register; `ours_kopecks`: of this day in the ledger.

    Beside the outcomes of lines: `shifted_out`, online payments of this day that another day's register has;
    `missing_register`, those that none has; `cancelled`, those that were reversed in full and are in none.
    """

    outcome: str
    lines: int
    theirs_kopecks: int
    ours_kopecks: int


class ReportRegister(msgspec.Struct, frozen=True, kw_only=True):
    """One register of the day, and what became of its money."""

    file: int
    name: str
    state: str
    lines: int
    paid_kopecks: int
    transferred_kopecks: int
    fee_kopecks: int
    order_number: str
    order_on: datetime.date | None
    transfer_state: str


class DayReport(msgspec.Struct, frozen=True, kw_only=True):
    """The day as a whole. `unexplained_kopecks` is zero unless a defect of ours hides something."""

    connection: str
    day: datetime.date
    is_missing: bool
    registers: list[ReportRegister]
    rows: list[ReportRow]
    theirs_lines: int
    theirs_kopecks: int
    ours_payments: int
    ours_kopecks: int
    difference_kopecks: int
    unexplained_kopecks: int
    cases_open: int
    cases_closed: int

    @property
    def is_equal(self) -> bool:
        """Theirs and ours agree to the kopeck, and nothing waits for anybody."""
        return not (self.is_missing or self.difference_kopecks or self.unexplained_kopecks or self.cases_open)


# Served by registers_by_day and register_lines_by_day.
_REGISTERS = """
    SELECT r.file, f.name, f.state, r.lines, r.paid_kopecks, r.transferred_kopecks, r.fee_kopecks, r.order_number,
        r.order_on, r.transfer_state
    FROM registers r JOIN received_files f USING (file)
    WHERE r.connection = $1 AND (r.day = $3
        OR r.file IN (SELECT l.file FROM register_lines l WHERE l.source = $2 AND l.day = $3))
    ORDER BY r.file"""

# Served by register_lines_by_day. What a register did itself is ours too; what came online is, if it is of this day.
_LINES = """
    SELECT CASE outcome WHEN '' THEN 'waiting' ELSE outcome END AS outcome, count(*) AS lines,
        sum(paid_kopecks)::bigint AS theirs_kopecks,
        sum(CASE WHEN paid_kopecks < 0 OR outcome IN ('missing_online', 'unknown_account') OR online_day = day
            THEN ours_kopecks ELSE 0 END)::bigint AS ours_kopecks
    FROM register_lines WHERE source = $1 AND day = $2 GROUP BY 1 ORDER BY 1"""

# Served by taken_by_time and register_lines_by_operation: online payments of the day by where their line is.
_ONLINE = """
    SELECT CASE WHEN claim.days IS NULL THEN CASE WHEN t.kopecks > t.reversed_kopecks THEN 'missing_register'
            ELSE 'cancelled' END
            WHEN $4 = ANY(claim.days) THEN 'here' ELSE 'shifted_out' END AS outcome,
        count(*) AS payments, sum(t.kopecks)::bigint AS ours_kopecks
    FROM taken t LEFT JOIN LATERAL (
        SELECT array_agg(l.day) AS days FROM register_lines l
        WHERE l.source = t.source AND l.txn_id = t.txn_id AND l.paid_kopecks > 0
            AND l.outcome IN ('matched', 'date_shift', 'amount_mismatch', 'account_mismatch')) claim ON true
    WHERE t.source = $1 AND t.accepted_at >= $2 AND t.accepted_at < $3 AND NOT t.by_register
    GROUP BY 1 ORDER BY 1"""

# What registers of this day did themselves: credited, or undid.
_BY_REGISTER = """
    SELECT count(*) AS payments, coalesce(sum(ours_kopecks), 0)::bigint AS ours_kopecks FROM register_lines
    WHERE source = $1 AND day = $2 AND (paid_kopecks < 0 OR outcome IN ('missing_online', 'unknown_account'))
        AND payment_id <> 0"""

_CASES = """
    SELECT count(*) FILTER (WHERE state IN ('open', 'in_work')) AS open,
        count(*) FILTER (WHERE state NOT IN ('open', 'in_work')) AS closed
    FROM cases WHERE connection = $1 AND day = $2"""


async def day_report(database_url: str, day: Day) -> DayReport:
    """Reconcile a day. Rule: `taken` was brought up to date before. Reads one snapshot, changes nothing."""
    async with (
        connected(database_url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        registers = await connection.fetch(_REGISTERS, day.connection, day.source, day.day)
        lines = await connection.fetch(_LINES, day.source, day.day)
        online = await connection.fetch(_ONLINE, day.source, day.begins_at, day.ends_at, day.day)
        by_register = await connection.fetchrow(_BY_REGISTER, day.source, day.day)
        cases = await connection.fetchrow(_CASES, day.connection, day.day)
        is_missing = await connection.fetchval(
            "SELECT state = 'missing' FROM register_days WHERE connection = $1 AND day = $2", day.connection, day.day
        )
    rows = [ReportRow(**row) for row in lines] + [
        ReportRow(outcome=row["outcome"], lines=row["payments"], theirs_kopecks=0, ours_kopecks=row["ours_kopecks"])
        for row in online
        if row["outcome"] != "here"
    ]
    theirs = sum(row["theirs_kopecks"] for row in lines)
    ours = sum(row["ours_kopecks"] for row in online) + by_register["ours_kopecks"]
    explained = sum(row.theirs_kopecks - row.ours_kopecks for row in rows)
    return DayReport(
        connection=day.connection,
        day=day.day,
        is_missing=bool(is_missing),
        registers=[_register(row) for row in registers],
        rows=rows,
        theirs_lines=sum(row["lines"] for row in lines),
        theirs_kopecks=theirs,
        ours_payments=sum(row["payments"] for row in online) + by_register["payments"],
        ours_kopecks=ours,
        difference_kopecks=theirs - ours,
        unexplained_kopecks=theirs - ours - explained,
        cases_open=cases["open"],
        cases_closed=cases["closed"],
    )


def _register(row: asyncpg.Record) -> ReportRegister:
    return ReportRegister(**row)
