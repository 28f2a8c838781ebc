"""What waits to be decided: jobs of client batches, in order, bounded; and the batch that collects their outcomes."""

import asyncio
from collections import deque
from collections.abc import Sequence

from actors import messages
from engine.commands import AnyCommand
from engine.ids import AccountId, IdempotencyKey
from engine.outcomes import Outcome


class Batch:
    """One client's batch: done when every one of its commands has its outcome."""

    __slots__ = ("_left", "done", "outcomes")

    def __init__(self, size: int) -> None:
        self._left = size
        self.outcomes: list[bytes] = [b""] * size
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, outcome: bytes) -> None:
        """Note the outcome of the command at `index`."""
        assert not self.outcomes[index], "a command has one outcome"
        self.outcomes[index] = outcome
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)


class Job:
    """One command on its way through the shard.

    `must_look`: its key is to be looked up before it is decided. `looks`: how often that was done.
    """

    __slots__ = ("account", "batch", "command", "index", "key", "looks", "must_look")

    def __init__(self, command: AnyCommand, batch: Batch, index: int) -> None:
        self.command = command
        self.account: AccountId = command.account
        self.key: IdempotencyKey = (command.source, command.txn_id)
        self.batch = batch
        self.index = index
        self.must_look = False
        self.looks = 0

    def answer(self, outcome: Outcome) -> None:
        """Give the command its outcome."""
        self.batch.settle(self.index, messages.encode_outcome(outcome))


class Inbox:
    """A bounded queue of jobs. What does not fit is refused at once: waiting is the client's business."""

    def __init__(self, *, commands_max: int) -> None:
        self._commands_max = commands_max
        self._jobs: deque[Job] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._jobs)

    def has_room(self, count: int) -> bool:
        """Tell whether a batch of `count` commands fits now."""
        return len(self._jobs) + count <= self._commands_max

    def put(self, jobs: Sequence[Job]) -> None:
        """Queue a client's jobs; the caller has asked `has_room`."""
        self._jobs.extend(jobs)
        self._filled.set()

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Queue jobs again, before all others: they have waited already and count no more against the bound."""
        self._jobs.extendleft(reversed(jobs))
        self._filled.set()

    async def take(self, jobs_max: int) -> list[Job]:
        """Wait for jobs and take the oldest ones, at most `jobs_max`."""
        await self._filled.wait()
        jobs = [self._jobs.popleft() for _ in range(min(jobs_max, len(self._jobs)))]
        if not self._jobs:
            self._filled.clear()
        return jobs

    def take_all(self) -> list[Job]:
        """Empty the queue: the shard is ending."""
        jobs = list(self._jobs)
        self._jobs.clear()
        self._filled.clear()
        return jobs
