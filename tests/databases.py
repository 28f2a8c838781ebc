"""One real Postgres and one real Valkey for the whole run; a fresh, migrated database for every test that asks."""

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


def new_database(postgres: EmbeddedPostgres, template: str = "template1") -> str:
    """Make a database, empty or as the template is; return its URL."""
    url = postgres.start()
    name = f"t_{uuid.uuid4().hex[:12]}"

    async def create() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        await connection.close()

    asyncio.run(create())
    return url.rpartition("/")[0] + "/" + name


async def prepare(database_url: str) -> None:
    """Give a database the schema and two shards."""
    await migrate(database_url)
    await ensure_shards(database_url, 2)


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> str:
    """The URL of a new, empty database."""
    return new_database(postgres)


@pytest.fixture(scope="session")
def prepared(postgres: EmbeddedPostgres) -> str:
    """The name of a database with the schema and two shards, to be copied: faster than migrating each anew."""
    url = new_database(postgres)
    asyncio.run(prepare(url))
    return url.rpartition("/")[2]


@pytest.fixture
def database(postgres: EmbeddedPostgres, prepared: str) -> str:
    """The URL of a new database with the schema and two shards."""
    return new_database(postgres, prepared)
