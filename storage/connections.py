"""Connections as stored, and the trail of their changes. A change and its trail are one transaction.

Nobody overwrites what they have not seen: a change names the version that it was made from, and is refused if the
connection has another one by now. The trail tells settings without secrets; what is a secret, the doors know, so
whoever changes a connection brings both texts.
"""

import datetime
import enum
from collections.abc import Sequence

import asyncpg
import msgspec

from storage.database import connected
from storage.errors import ChangedMeanwhile


class Action(enum.StrEnum):
    """What a person did. ADOPT: the connection was there before the trail."""

    ADD = "add"
    EDIT = "edit"
    ROTATE_KEY = "rotate-key"
    DISABLE = "disable"
    ENABLE = "enable"
    ADOPT = "adopt"


class ConnectionRow(msgspec.Struct, frozen=True):
    """One contract as stored; `settings` is JSON that the door's own types read. `version` 0: not stored yet."""

    connection: str
    dialect: str
    active: bool
    settings: str
    version: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change to make. `row.version` is the version that it was made from; `before` and `after` tell no secrets."""

    row: ConnectionRow
    action: Action
    who: str
    why: str
    before: str | None
    after: str


class PastChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change as the trail tells it. `version` is the one that it made."""

    connection: str
    version: int
    action: Action
    who: str
    why: str
    before: str | None
    after: str
    changed_at: datetime.datetime


async def read_connections(database_url: str) -> list[ConnectionRow]:
    """Read all connections, in order of their names. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT connection, dialect, active, settings, version FROM connections ORDER BY connection"
        )
    return [ConnectionRow(**row) for row in rows]


_ADD = """
    INSERT INTO connections (connection, dialect, active, settings) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING RETURNING version"""

# Locks the connection's row; a second editor waits for the first one's end, then finds another version.
_REPLACE = """
    UPDATE connections SET dialect = $2, active = $3, settings = $4, version = version + 1, changed_at = now()
    WHERE connection = $1 AND version = $5 RETURNING version"""

_LEAVE_TRAIL = """
    INSERT INTO connection_changes (connection, version, action, who, why, before, after)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""


async def change_connections(database_url: str, changes: Sequence[Change]) -> None:
    """Make changes and leave their trail: all of them, or none.

    Errors: `ChangedMeanwhile` when a connection has another version by now (for a new one: when it is there already);
    `NotDone`. Nothing was changed then.
    """
    async with connected(database_url) as connection, connection.transaction():
        for change in changes:
            await _change(connection, change)


async def _change(connection: asyncpg.Connection, change: Change) -> None:
    row = change.row
    stored = (row.connection, row.dialect, row.active, row.settings)
    if row.version:
        version = await connection.fetchval(_REPLACE, *stored, row.version)
    else:
        version = await connection.fetchval(_ADD, *stored)
    if version is None:
        raise ChangedMeanwhile(f"connection {row.connection} was changed by somebody else meanwhile; look at it again")
    await connection.execute(
        _LEAVE_TRAIL,
        *(row.connection, version, change.action.value, change.who, change.why, change.before, change.after),
    )


# Each is served by the primary key or by the index on the time.
_PAST = """
    SELECT connection, version, action, who, why, before, after, changed_at FROM connection_changes
    WHERE $1 = '' OR connection = $1 ORDER BY changed_at DESC, connection, version DESC LIMIT $2"""

_LAST = """
    SELECT DISTINCT ON (connection) connection, version, action, who, why, before, after, changed_at
    FROM connection_changes ORDER BY connection, version DESC"""


async def past_changes(database_url: str, name: str, limit: int) -> list[PastChange]:
    """Return the changes of one connection, or of all if `name` is empty; the newest first. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        return [_past(row) for row in await connection.fetch(_PAST, name, limit)]


async def last_changes(database_url: str) -> dict[str, PastChange]:
    """Return each connection's last change, by its name. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        return {row["connection"]: _past(row) for row in await connection.fetch(_LAST)}


def _past(row: asyncpg.Record) -> PastChange:
    return PastChange(**dict(row) | {"action": Action(row["action"])})
