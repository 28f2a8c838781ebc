"""Operating days whose register is due: is one here, and which online payments does no register have?"""

import datetime

import msgspec

from storage.cases import CaseKind, NewCase, open_case
from storage.database import connected


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """An operating day of a connection, with the instants at which it begins and the next one does."""

    connection: str
    source: str
    day: datetime.date
    begins_at: datetime.datetime
    ends_at: datetime.datetime


async def incomplete(database_url: str, connection_name: str, days: list[datetime.date]) -> list[datetime.date]:
    """Return those of the days that are not complete. Served by the primary key."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT day FROM unnest($2::date[]) AS day WHERE NOT EXISTS (
                SELECT FROM register_days d WHERE d.connection = $1 AND d.day = day.day AND d.state = 'complete')
            ORDER BY day""",
            *(connection_name, days),
        )
    return [row["day"] for row in rows]


# Served by registers_by_day and register_lines_by_day. Registers that are not done yet keep a day from being complete.
_HERE = """
    SELECT count(*) AS registers, bool_and(f.state = 'done') AS are_done
    FROM registers r JOIN received_files f USING (file)
    WHERE r.connection = $1 AND (r.day = $3
        OR r.file IN (SELECT l.file FROM register_lines l WHERE l.source = $2 AND l.day = $3))"""

# Served by taken_by_time and register_lines_by_operation. Fully reversed payments are in no register.
_OPEN_MISSING = """
    WITH opened AS (
        INSERT INTO cases (kind, connection, source, subject, day, due_on, txn_id, account, payment_id, ours_kopecks)
        SELECT 'missing_register', $1, t.source, 'online/' || t.txn_id, $3, $4, t.txn_id, t.account, t.payment_id,
            t.kopecks - t.reversed_kopecks
        FROM taken t
        WHERE t.source = $2 AND t.accepted_at >= $5 AND t.accepted_at < $6 AND NOT t.by_register
            AND t.kopecks > t.reversed_kopecks
            AND NOT EXISTS (SELECT FROM register_lines l WHERE l.source = t.source AND l.txn_id = t.txn_id)
        ORDER BY t.txn_id ON CONFLICT DO NOTHING RETURNING number)
    INSERT INTO case_history (number, step, who, action, reason) SELECT number, 1, 'kopeck', 'opened', '' FROM opened"""

_MARK = """
    INSERT INTO register_days (connection, day, state) VALUES ($1, $2, $3)
    ON CONFLICT (connection, day) DO UPDATE SET state = excluded.state"""


async def close_day(database_url: str, day: Day, due_on: datetime.date) -> str:
    """Look at a day whose register is due; return `missing`, `waiting` (one is being worked on) or `complete`.

    Rule: without a register the day itself is the case; with one, every online payment that no register has.
    """
    async with connected(database_url) as connection, connection.transaction():
        here = await connection.fetchrow(_HERE, day.connection, day.source, day.day)
        if not here["registers"]:
            await open_case(
                connection,
                NewCase(
                    kind=CaseKind.MISSING_FILE,
                    connection=day.connection,
                    source=day.source,
                    subject=f"day/{day.day}",
                    day=day.day,
                    due_on=due_on,
                ),
            )
            await connection.execute(_MARK, day.connection, day.day, "missing")
            return "missing"
        if not here["are_done"]:
            return "waiting"
        await connection.execute(_OPEN_MISSING, day.connection, day.source, day.day, due_on, day.begins_at, day.ends_at)
        await connection.execute(_MARK, day.connection, day.day, "complete")
        return "complete"


async def missing(database_url: str) -> dict[str, int]:
    """Count the days without their register, by connection. Served by register_days_missing."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT connection, count(*) AS days FROM register_days WHERE state = 'missing' GROUP BY connection"
        )
    return {row["connection"]: row["days"] for row in rows}
