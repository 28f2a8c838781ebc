"""Cases: what does not agree and a person must solve. Their history is only added to; the database itself refuses else.

States: open -> in_work -> solved | returned, and from open straight to either. `step` is empty but while a resolution
that takes several commands is under way: the decision is written before its first command, so that whoever finds it
after an interruption carries it to its end (see `actors/case_work.py`).
"""

import datetime
import enum

import asyncpg
import msgspec

from storage.database import connected
from storage.errors import NotDone

SYSTEM = "kopeck"
"""Who did what nobody did by hand."""


class CaseKind(enum.StrEnum):
    """What does not agree. The first eight are outcomes of lines (`engine/registers.py`)."""

    MISSING_ONLINE = "missing_online"
    AMOUNT_MISMATCH = "amount_mismatch"
    ACCOUNT_MISMATCH = "account_mismatch"
    DATE_SHIFT = "date_shift"
    DUPLICATE = "duplicate"
    UNKNOWN_ACCOUNT = "unknown_account"
    REFUND = "refund"
    REJECTED = "rejected"
    MISSING_REGISTER = "missing_register"
    MISSING_FILE = "missing_file"
    STATEMENT_AMOUNT = "statement_amount"
    STATEMENT_MISSING = "statement_missing"
    STATEMENT_STRAY = "statement_stray"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case as stored. Units: kopecks; local dates; instants in UTC."""

    number: int
    kind: str
    state: str
    connection: str
    source: str
    subject: str
    day: datetime.date
    due_on: datetime.date
    opened_at: datetime.datetime
    closed_at: datetime.datetime | None
    file: int | None
    row: int | None
    txn_id: str
    account: str
    payment_id: int
    ours_kopecks: int
    theirs_kopecks: int
    step: str
    decision: str
    target: str
    decided_by: str
    reason: str


def proposal_of(case: Case, today: datetime.date) -> str:
    """Say what is proposed for a case: `return` of unidentified money once its time is over, or nothing."""
    is_open = case.state in ("open", "in_work") and not case.step
    return "return" if is_open and case.kind == CaseKind.UNKNOWN_ACCOUNT and today > case.due_on else ""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what with a case, when and why."""

    step: int
    at: datetime.datetime
    who: str
    action: str
    reason: str


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """Who paid, as the register names them: personal data, for operators alone, never logged."""

    payer: str
    address: str


class NewCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case to open. `subject` is its natural key: the same trouble is opened once."""

    kind: CaseKind
    connection: str
    source: str
    subject: str
    day: datetime.date
    due_on: datetime.date
    file: int | None = None
    ours_kopecks: int = 0
    theirs_kopecks: int = 0
    reason: str = ""


class Changed(NotDone):
    """The case is not as it was when it was read: read it again."""


_NOTE = """
    INSERT INTO case_history (number, step, who, action, reason)
    SELECT $1, coalesce(max(step), 0) + 1, $2, $3, $4 FROM case_history WHERE number = $1"""


async def open_case(connection: asyncpg.Connection, case: NewCase) -> bool:
    """Open a case in the caller's transaction, once by its subject; return whether it is new."""
    number = await connection.fetchval(
        """INSERT INTO cases (kind, connection, source, subject, day, due_on, file, ours_kopecks, theirs_kopecks)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING number""",
        *(case.kind, case.connection, case.source, case.subject, case.day, case.due_on, case.file),
        *(case.ours_kopecks, case.theirs_kopecks),
    )
    if number is not None:
        await connection.execute(_NOTE, number, SYSTEM, "opened", case.reason)
    return number is not None


async def solve_found(connection: asyncpg.Connection, kind: CaseKind, source: str, subject: str, reason: str) -> None:
    """Solve a case whose trouble went away by itself, in the caller's transaction."""
    number = await connection.fetchval(
        """UPDATE cases SET state = 'solved', closed_at = now()
        WHERE kind = $1 AND source = $2 AND subject = $3 AND state IN ('open', 'in_work') RETURNING number""",
        *(kind, source, subject),
    )
    if number is not None:
        await connection.execute(_NOTE, number, SYSTEM, "solved", reason)


# Served by cases_open for what is open, by the primary key for the rest.
_PAGE = """
    SELECT * FROM cases
    WHERE number > $1 AND ($2 = '' OR connection = $2) AND ($3::bigint IS NULL OR file = $3)
        AND (NOT $4 OR state IN ('open', 'in_work')) AND ($5 = '' OR kind = $5)
    ORDER BY number LIMIT $6"""


async def page(
    database_url: str,
    *,
    after: int = 0,
    limit: int,
    connection_name: str = "",
    file: int | None = None,
    open_only: bool = False,
    kind: str = "",
) -> list[Case]:
    """Return cases in order of their numbers, after one of them."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(_PAGE, after, connection_name, file, open_only, kind, limit)
    return [Case(**row) for row in rows]


async def find(database_url: str, number: int) -> Case | None:
    """Return a case, or None."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow("SELECT * FROM cases WHERE number = $1", number)
    return None if row is None else Case(**row)


async def history(database_url: str, number: int) -> list[HistoryEntry]:
    """Return all that was done with a case, oldest first."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT step, at, who, action, reason FROM case_history WHERE number = $1 ORDER BY step", number
        )
    return [HistoryEntry(**row) for row in rows]


async def payer_of(database_url: str, case: Case) -> Payer:
    """Return who paid, where the register says it."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow(
            "SELECT payer, address FROM register_lines WHERE file = $1 AND row = $2", case.file, case.row
        )
    return Payer(payer="", address="") if row is None else Payer(**row)


async def move(
    database_url: str,
    case: Case,
    *,
    action: str,
    who: str,
    reason: str,
    state: str = "",
    step: str = "",
    decision: str = "",
    target: str = "",
    payment_id: int = 0,
) -> Case:
    """Change a case and write down who did what and why, in one transaction; return it as it is then.

    Rule: only if it is still as it was read. Empty arguments keep what is there, but for `step`, which is set.
    Errors: `Changed`; `NotDone`.
    """
    state = state or case.state
    async with connected(database_url) as connection, connection.transaction():
        row = await connection.fetchrow(
            """UPDATE cases SET state = $4, step = $5, decision = $6, target = $7, decided_by = $8, reason = $9,
                payment_id = $10, closed_at = CASE WHEN $4 IN ('solved', 'returned') THEN now() END
            WHERE number = $1 AND state = $2 AND step = $3 RETURNING *""",
            *(case.number, case.state, case.step, state, step, decision or case.decision, target or case.target),
            *(who, reason, payment_id or case.payment_id),
        )
        if row is None:
            raise Changed(f"case {case.number} was changed by somebody else")
        await connection.execute(_NOTE, case.number, who, action, reason)
    return Case(**row)


async def under_way(database_url: str) -> list[Case]:
    """Return the cases whose resolution was begun and not ended. Served by cases_under_way."""
    async with connected(database_url) as connection:
        rows = await connection.fetch("SELECT * FROM cases WHERE step <> '' ORDER BY number")
    return [Case(**row) for row in rows]


async def count_open(database_url: str) -> dict[tuple[str, str], int]:
    """Count open cases by connection and kind. Served by cases_open."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT connection, kind, count(*) AS cases FROM cases WHERE state IN ('open', 'in_work')
            GROUP BY connection, kind"""
        )
    return {(row["connection"], row["kind"]): row["cases"] for row in rows}
