"""Registers are tested over a real Postgres with real shards; the server is the storage tests' own.

A database costs seconds to make on a busy disk, and little to empty: one serves all tests, emptied before each as only
a superuser can who switches the guards of history off.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from storage.embedded import EmbeddedPostgres
from tests.databases import new_database
from tests.registers.stage import Stage, open_stage

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
def migrated(postgres: EmbeddedPostgres, prepared: str) -> str:
    """The URL of a database with the schema and two shards."""
    return new_database(postgres, prepared)


@pytest_asyncio.fixture
async def stage(migrated: str, tmp_path: Path) -> AsyncIterator[Stage]:
    connection = await asyncpg.connect(migrated)
    await connection.execute(_EMPTY)
    await connection.close()
    async with open_stage(migrated, tmp_path) as opened:
        yield opened
