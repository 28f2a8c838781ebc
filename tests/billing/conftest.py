"""Imports are tested over a real Postgres with real shards in this process; the server is the storage tests' own."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import ray

from storage.embedded import EmbeddedPostgres
from storage.epochs import ensure_shards
from storage.migrate import migrate
from tests.billing.stage import Stage, open_stage
from tests.storage.conftest import home, postgres

__all__ = ["home", "postgres"]


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("these tests need no Ray")

    monkeypatch.setattr(ray, "init", refuse)


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database; a copy of it is made in half the time of a new one."""
    url, name = postgres.start(), f"template_{uuid.uuid4().hex[:12]}"

    async def prepare() -> None:
        await _create(url, f'CREATE DATABASE "{name}"')
        await migrate(_beside(url, name))
        await ensure_shards(_beside(url, name), 2)

    asyncio.run(prepare())
    return name


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: str) -> str:
    """The URL of a new database with the schema and two shards."""
    url, name = postgres.start(), f"t_{uuid.uuid4().hex[:12]}"
    asyncio.run(_create(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    return _beside(url, name)


def _beside(url: str, name: str) -> str:
    return url.rpartition("/")[0] + "/" + name


async def _create(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


@pytest_asyncio.fixture
async def stage(database: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A billing whose codes are confirmed, and an installation in this process."""
    async with open_stage(database, tmp_path) as opened:
        yield opened
