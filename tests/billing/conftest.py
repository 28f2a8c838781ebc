"""Imports are tested over a real Postgres with real shards in this process; the server is the storage tests' own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import ray

from tests.billing.stage import Stage, open_stage


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("these tests need no Ray")

    monkeypatch.setattr(ray, "init", refuse)


@pytest_asyncio.fixture
async def stage(database: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A billing whose codes are confirmed, and an installation in this process."""
    async with open_stage(database, tmp_path) as opened:
        yield opened
