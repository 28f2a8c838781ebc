"""Group commit, the inbox and the cache: what a shard is put together from."""

import asyncio
from collections.abc import Sequence

import pytest

from actors.cache import AccountCache
from actors.group_commit import GroupCommit
from actors.inbox import Batch, Inbox, Job
from engine.account import AccountState
from engine.ids import AccountId
from engine.outcomes import NotDone
from tests.actors.test_client import payment


class Disk:
    """A journal that commits when told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()

    async def commit(self, batch: Sequence[int]) -> None:
        self.batches.append(list(batch))
        await self.gate.wait()


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_entry_commits_alone_and_the_rest_together() -> None:
    disk = Disk()
    commits: GroupCommit[int] = GroupCommit(disk.commit, entries_max=100)
    running = asyncio.ensure_future(commits.run())
    commits.put([1])
    await _settle()
    for number in range(2, 6):
        commits.put([number])
    await _settle()
    assert disk.batches == [[1]]
    disk.gate.set()
    await _settle()
    assert disk.batches == [[1], [2, 3, 4, 5]]
    running.cancel()


async def test_a_group_is_never_larger_than_its_bound_and_room_waits_for_it() -> None:
    disk = Disk()
    commits: GroupCommit[int] = GroupCommit(disk.commit, entries_max=3)
    running = asyncio.ensure_future(commits.run())
    commits.put([1])
    await _settle()
    commits.put([2, 3, 4, 5])
    waiting = asyncio.ensure_future(commits.room())
    await _settle()
    assert not waiting.done()
    disk.gate.set()
    await _settle()
    assert waiting.done()
    assert disk.batches == [[1], [2, 3, 4], [5]]
    running.cancel()


async def test_what_is_put_back_goes_before_what_waits() -> None:
    disk = Disk()
    disk.gate.set()
    commits: GroupCommit[int] = GroupCommit(disk.commit, entries_max=100)
    commits.put([3, 4])
    commits.put_back([1, 2])
    assert commits.take_out(lambda number: number == 3) == [3]
    running = asyncio.ensure_future(commits.run())
    await _settle()
    assert disk.batches == [[1, 2, 4]]
    running.cancel()


async def test_an_error_of_the_journal_ends_the_group_commit() -> None:
    async def broken(batch: Sequence[int]) -> None:
        raise RuntimeError("lost")

    commits: GroupCommit[int] = GroupCommit(broken, entries_max=100)
    commits.put([1])
    with pytest.raises(RuntimeError, match="lost"):
        await commits.run()


def _jobs(count: int) -> list[Job]:
    batch = Batch(count)
    return [Job(payment(index), batch, index) for index in range(count)]


async def test_an_inbox_has_room_up_to_its_bound() -> None:
    inbox = Inbox(commands_max=5)
    inbox.put(_jobs(3))
    assert inbox.has_room(2)
    assert not inbox.has_room(3)


async def test_jobs_that_were_put_back_are_taken_first() -> None:
    inbox = Inbox(commands_max=5)
    one, two, three = _jobs(3)
    inbox.put([two, three])
    inbox.put_back([one])
    assert await inbox.take(2) == [one, two]
    assert inbox.take_all() == [three]
    assert not inbox


async def test_a_batch_is_done_when_every_command_has_its_outcome() -> None:
    jobs = _jobs(2)
    batch = jobs[0].batch
    jobs[1].answer(NotDone())
    assert not batch.done.done()
    jobs[0].answer(NotDone())
    assert batch.done.done()
    with pytest.raises(AssertionError):
        jobs[0].answer(NotDone())


def _cache(size: int, bound: int) -> AccountCache[object]:
    cache: AccountCache[object] = AccountCache(accounts_max=bound)
    for number in range(size):
        cache.add(AccountState(AccountId(str(number))), 0)
    return cache


def test_the_account_that_was_not_touched_longest_goes_first() -> None:
    cache = _cache(4, 2)
    cache.touch(AccountId("0"))
    assert len(cache.shrink()) == 2
    assert [live.state.account for live in cache] == ["3", "0"]


def test_an_account_ahead_of_the_journal_is_never_evicted() -> None:
    cache = _cache(4, 1)
    for number in ("0", "1"):
        live = cache.peek(AccountId(number))
        assert live is not None
        live.tail = object()
    assert len(cache.shrink()) == 2
    assert [live.state.account for live in cache] == ["0", "1"]


def test_a_live_account_is_never_replaced_by_an_older_reading() -> None:
    cache = _cache(1, 1)
    with pytest.raises(AssertionError):
        cache.add(AccountState(AccountId("0")), 0)
