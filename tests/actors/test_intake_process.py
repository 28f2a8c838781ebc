"""The intake's chores: each comes again whatever happened, and none keeps another from its turn."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from actors.intake_process import Chore, repeat
from storage.errors import NotDone


@pytest.mark.parametrize("trouble", [NotDone("the database is away"), OSError("no space"), ZeroDivisionError()])
async def test_a_chore_comes_again_after_any_trouble(trouble: Exception) -> None:
    done = asyncio.Event()
    turns = 0

    async def fail_once() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise trouble
        done.set()

    before = REGISTRY.get_sample_value("kopeck_intake_troubles_total", {"chore": "tried"}) or 0
    task = asyncio.ensure_future(repeat(Chore("tried", 0.0, fail_once)))
    await asyncio.wait_for(done.wait(), 5)
    assert REGISTRY.get_sample_value("kopeck_intake_troubles_total", {"chore": "tried"}) == before + 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_ends_a_chore_is_only_the_end_of_the_process() -> None:
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(repeat(Chore("long", 0.0, wait_for_ever)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
