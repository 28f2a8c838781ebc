"""One real Postgres and one real Valkey for the whole session; a fresh, migrated database for every test that asks."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.epochs import ensure_shards
from storage.errors import ServerFailed
from storage.migrate import migrate


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A home that the unprivileged user of Postgres can reach, also when tests are run by root."""
    path = Path(tempfile.mkdtemp(prefix="kopeck-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(home)
    try:
        server.start()
    except ServerFailed as failed:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Postgres does not run here: {failed}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(home: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(home)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> str:
    """The URL of a new, empty database."""
    return asyncio.run(new_database(postgres))


async def new_database(server: EmbeddedPostgres) -> str:
    """Make an empty database and return its URL."""
    url = server.start()
    name = f"t_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(url)
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()
    return url.rpartition("/")[0] + "/" + name


@pytest.fixture
def database(empty_database: str) -> str:
    """The URL of a new database with the schema and two shards."""

    async def prepare() -> None:
        await migrate(empty_database)
        await ensure_shards(empty_database, 2)

    asyncio.run(prepare())
    return empty_database
