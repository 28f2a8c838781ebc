"""Master data (НСИ) in Postgres: put, read, and the history that every change leaves.

The tables are plain rows of what is known now; `record_change` in `storage/migrations/0005_master_data.sql` writes who,
when, why, before and after into `master_changes`, which nobody can edit. One mechanism for every kind.
"""

import datetime
from collections.abc import Sequence
from typing import TypeVar

import asyncpg
import msgspec

from engine.master import KINDS, Record
from storage.database import connected

_RECORDS_A_STATEMENT_MAX = 5_000

R = TypeVar("R", bound=Record)
_TABLES: dict[type, str] = {record: kind for kind, record in KINDS.items()}


class Change(msgspec.Struct, frozen=True):
    """Who makes a change, and why; neither may be empty."""

    who: str
    why: str


BY_PROGRAM = Change("kopeck", "put in by the program itself")


class Put(msgspec.Struct, frozen=True):
    """What putting records did."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one record; `before` is empty for its first."""

    change: int
    kind: str
    id: str
    changed_at: datetime.datetime
    who: str
    why: str
    before: dict[str, object]
    after: dict[str, object]


async def say_why(connection: asyncpg.Connection, change: Change) -> None:
    """Say for the transaction under way who changes master data, and why."""
    await connection.execute(
        "SELECT set_config('kopeck.who', $1, true), set_config('kopeck.why', $2, true)", change.who, change.why
    )


async def put(database_url: str, records: Sequence[Record], change: Change) -> Put:
    """Add or change records of one kind, all or nothing; what is there as it is stays untouched.

    Rule: nothing is removed because a list does not name it. Errors: `NotDone`, and then nothing was put.
    """
    if not records:
        return Put()
    kind = _TABLES[type(records[0])]
    added = changed = 0
    async with connected(database_url) as connection, connection.transaction():
        await say_why(connection, change)
        for first in range(0, len(records), _RECORDS_A_STATEMENT_MAX):
            part = msgspec.json.encode(records[first : first + _RECORDS_A_STATEMENT_MAX]).decode()
            row = await connection.fetchrow("SELECT added, changed FROM put_master($1, $2::jsonb)", kind, part)
            added, changed = added + row["added"], changed + row["changed"]
    return Put(added, changed, len(records) - added - changed)


async def read(database_url: str, record: type[R]) -> list[R]:
    """Read every record of a kind as it is now, in order of their keys. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        return await read_inside(connection, record)


async def read_inside(connection: asyncpg.Connection, record: type[R]) -> list[R]:
    """Read every record of a kind in a transaction that is under way."""
    rows = await connection.fetch("SELECT read_master($1)", _TABLES[record])
    return [msgspec.json.decode(row[0], type=record) for row in rows]


async def history(database_url: str, kind: str, record_id: str) -> list[ChangeRow]:
    """Read every change of a record, oldest first. `kind` is the table's name. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        # Served by master_changes_by_record.
        rows = await connection.fetch(
            """SELECT change, kind, id, changed_at, who, why, coalesce(before, '{}') AS before, after
            FROM master_changes WHERE kind = $1 AND id = $2 ORDER BY change""",
            *(kind, record_id),
        )
    return [_change_row(row) for row in rows]


def _change_row(row: asyncpg.Record) -> ChangeRow:
    sides = {side: msgspec.json.decode(row[side], type=dict[str, object]) for side in ("before", "after")}
    return ChangeRow(**(dict(row) | sides))
