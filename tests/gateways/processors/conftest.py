"""The stage of the processors' tests: one shard in memory, every dialect's door, the stage's own clock."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateways.processors import contract
from tests.gateways.osmp_stage import NOW_US, Stage, open_stage


@pytest.fixture(autouse=True)
def stage_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that name no date come at the stage's time."""
    monkeypatch.setattr(contract, "now_us", lambda: NOW_US)


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened
