"""Group commit: one append in flight, everything that gathers meanwhile goes with the next.

There is no timer: an idle journal commits a single payment at once, a busy one commits hundreds together. While one
batch is being committed the shard decides the next ones; `put` never waits, the shard bounds what it puts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

EntryT = TypeVar("EntryT")


class GroupCommit(Generic[EntryT]):
    """Gathers entries and commits them, strictly in order, one batch at a time.

    `commit` must leave every entry of its batch answered or put back; an error it raises ends `run`.
    """

    def __init__(self, commit: Callable[[Sequence[EntryT]], Awaitable[None]], *, entries_max: int) -> None:
        self._commit = commit
        self._entries_max = entries_max
        self._waiting: list[EntryT] = []
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def waiting(self) -> int:
        """How many entries are decided but not yet in an append."""
        return len(self._waiting)

    def put(self, entries: Sequence[EntryT]) -> None:
        """Hand over decided entries, to be committed after all those handed over before."""
        self._waiting.extend(entries)
        self._changed.set()
        if len(self._waiting) >= self._entries_max:
            self._room.clear()

    def put_back(self, entries: Sequence[EntryT]) -> None:
        """Hand back entries of a batch that was refused whole, to be committed before all that wait."""
        self._waiting[:0] = entries
        self._changed.set()

    def take_out(self, unwanted: Callable[[EntryT], bool]) -> list[EntryT]:
        """Take back the waiting entries that are not to be committed as they were decided."""
        taken = [entry for entry in self._waiting if unwanted(entry)]
        self._waiting = [entry for entry in self._waiting if not unwanted(entry)]
        return taken

    async def room(self) -> None:
        """Wait until fewer entries wait than one append takes."""
        await self._room.wait()

    async def run(self) -> None:
        """Commit for ever; ends only by an error of `commit` or by cancellation."""
        while True:
            await self._changed.wait()
            batch, self._waiting = self._waiting[: self._entries_max], self._waiting[self._entries_max :]
            if not self._waiting:
                self._changed.clear()
            if len(self._waiting) < self._entries_max:
                self._room.set()
            if batch:
                await self._commit(batch)
