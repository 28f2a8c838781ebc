"""Registers are tested over a real Postgres with real shards; the server is the storage tests' own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.registers.stage import Stage, open_stage
from tests.storage.conftest import database, empty_database, home, postgres

__all__ = ["database", "empty_database", "home", "postgres", "stage"]


@pytest_asyncio.fixture
async def stage(database: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path) as opened:
        yield opened
