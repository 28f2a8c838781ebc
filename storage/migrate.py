"""Migrations: numbered SQL files, applied in order, once each, whoever comes first.

Each file runs in its own transaction under one advisory lock, so two programs starting at once are safe. A file that
was applied is never edited (its checksum is kept); a mistake is corrected by the next file. A database that knows a
newer file than this program is refused with one clear line.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

import asyncpg
import msgspec

from storage.database import connected
from storage.errors import MigrationChanged, SchemaTooNew

_NAME = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql")
_LOCK = 4096000

_CREATE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number     integer PRIMARY KEY,
        name       text NOT NULL,
        sha256     text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        took_ms    integer NOT NULL
    )"""


class Migration(msgspec.Struct, frozen=True):
    """One file. `took_ms` is 0 until it has been applied here."""

    number: int
    name: str
    sha256: str
    sql: str
    took_ms: int = 0


def files(folder: Traversable | None = None) -> list[Migration]:
    """Read the migration files, in order.

    Errors: ValueError for a name out of form, a number used twice, or a gap.
    """
    folder = folder or resources.files("storage") / "migrations"
    found = []
    for entry in folder.iterdir():
        if not entry.name.endswith(".sql"):
            continue
        name = _NAME.fullmatch(entry.name)
        if name is None:
            raise ValueError(f"{entry.name}: a migration is named NNNN_what.sql")
        sql = entry.read_text(encoding="utf-8")
        found.append(Migration(int(name[1]), entry.name, hashlib.sha256(sql.encode()).hexdigest(), sql))
    found.sort(key=lambda migration: migration.number)
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations are numbered from 0001 without gaps or repeats")
    return found


async def plan(database_url: str, folder: Traversable | None = None) -> list[Migration]:
    """Return what `migrate` would apply. Errors: as `migrate`."""
    async with connected(database_url) as connection:
        exists = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        return _pending(files(folder), await _applied(connection) if exists else {})


async def migrate(database_url: str, folder: Traversable | None = None) -> list[Migration]:
    """Apply what is pending and return it.

    Errors: `SchemaTooNew`; `MigrationChanged`; `NotDone` when the database refuses, with that file undone.
    """
    async with connected(database_url) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_CREATE)
        applied = [await _apply(connection, m) for m in _pending(files(folder), await _applied(connection))]
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
        return applied


async def _applied(connection: asyncpg.Connection) -> dict[int, str]:
    rows = await connection.fetch("SELECT number, sha256 FROM schema_migrations")
    return {row["number"]: row["sha256"] for row in rows}


def _pending(known: Sequence[Migration], applied: dict[int, str]) -> list[Migration]:
    newest = max(applied, default=0)
    if newest > len(known):
        raise SchemaTooNew(f"the database is at migration {newest}, this program knows {len(known)}: install the newer")
    for migration in known:
        if applied.get(migration.number, migration.sha256) != migration.sha256:
            raise MigrationChanged(f"{migration.name} was applied with another text; undo the edit, add a new file")
    return [migration for migration in known if migration.number not in applied]


async def _apply(connection: asyncpg.Connection, migration: Migration) -> Migration:
    begun = time.monotonic()
    async with connection.transaction():
        await connection.execute(migration.sql)
        took_ms = int((time.monotonic() - begun) * 1000)
        await connection.execute(
            "INSERT INTO schema_migrations (number, name, sha256, took_ms) VALUES ($1, $2, $3, $4)",
            *(migration.number, migration.name, migration.sha256, took_ms),
        )
    return msgspec.structs.replace(migration, took_ms=took_ms)
