"""Registers are tested over a real Postgres with real shards; the server is the storage tests' own.

A database costs seconds to make on a busy disk, and little to empty: one serves all tests, emptied before each as only
a superuser can who switches the guards of history off.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from storage.embedded import EmbeddedPostgres
from storage.epochs import ensure_shards
from storage.migrate import migrate
from tests.registers.stage import SHARDS, Stage, open_stage
from tests.storage.conftest import home, postgres

__all__ = ["home", "migrated", "postgres", "stage"]

_EMPTY = """
    DO $$ DECLARE t text; BEGIN
        SET LOCAL session_replication_role = replica;
        FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
            AND tablename NOT IN ('shards', 'slots', 'schema_migrations') AND tablename !~ '^events_' LOOP
            EXECUTE format('DELETE FROM %I', t);
        END LOOP;
        UPDATE shards SET seq = 0;
    END $$"""


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedPostgres) -> str:
    """The URL of a database with the schema and two shards."""
    url, name = postgres.start(), f"registers_{uuid.uuid4().hex[:12]}"
    made = url.rpartition("/")[0] + "/" + name

    async def make() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()
        await migrate(made)
        await ensure_shards(made, len(SHARDS))

    asyncio.run(make())
    return made


@pytest_asyncio.fixture
async def stage(migrated: str, tmp_path: Path) -> AsyncIterator[Stage]:
    connection = await asyncpg.connect(migrated)
    await connection.execute(_EMPTY)
    await connection.close()
    async with open_stage(migrated, tmp_path) as opened:
        yield opened
