"""When an account's state is saved, so that reading it back costs one row: off the payments' way, hundreds at once.

Two reasons. A hot account has had many events since its snapshot: a successor would have to fold them all. An account
leaves the cache with some: whoever touches it next would. Only durable states are saved; losing them loses speed only.
"""

import asyncio
from collections.abc import Container
from itertools import islice

from actors.cache import AccountCache, Live, TailT
from actors.settings import Settings
from actors.shard_metrics import ShardMetrics
from engine.ids import AccountId
from storage import codec
from storage.journal import Journal

PAUSE_S = 0.25
_ACCOUNTS_MAX = 500
_LEAVING_MAX = 20_000

Packed = tuple[AccountId, int, bytes]


class SnapshotWriter:
    """Saves what a shard's cache notes here. `parked` accounts are never saved: their state is in doubt."""

    def __init__(
        self,
        journal: Journal,
        accounts: AccountCache[TailT],
        parked: Container[AccountId],
        settings: Settings,
        metrics: ShardMetrics,
    ) -> None:
        self._journal = journal
        self._accounts = accounts
        self._parked = parked
        self._settings = settings
        self._metrics = metrics
        self._unsaved: dict[AccountId, None] = {}
        self._leaving: list[Packed] = []

    def __len__(self) -> int:
        """How many wait to be saved."""
        return len(self._unsaved) + len(self._leaving)

    def note_durable(self, live: Live[TailT]) -> None:
        """An account's events have become durable."""
        if live.state.seq - live.snapshot_seq >= self._settings.snapshot_every_events:
            self._unsaved[live.state.account] = None

    def note_leaving(self, live: Live[TailT]) -> None:
        """A durable account has left the cache."""
        state = live.state
        behind = state.seq - live.snapshot_seq >= self._settings.snapshot_evicted_events
        if behind and len(self._leaving) < _LEAVING_MAX:
            self._leaving.append((state.account, state.seq, codec.pack_snapshot(state)))

    async def run(self) -> None:
        """Save for ever."""
        while True:
            await asyncio.sleep(PAUSE_S)
            while packed := self._pack():
                await self._journal.save_snapshots(packed)
                self._metrics.snapshots += len(packed)

    def _pack(self) -> list[Packed]:
        """At most one snapshot an account, the newest: those of accounts that left, then of those that stay."""
        leaving, self._leaving = self._leaving[:_ACCOUNTS_MAX], self._leaving[_ACCOUNTS_MAX:]
        packed = {account: (account, seq, state) for account, seq, state in leaving}
        for account in list(islice(self._unsaved, _ACCOUNTS_MAX - len(packed))):
            del self._unsaved[account]
            live = self._accounts.peek(account)
            if live is not None and live.tail is None and account not in self._parked:
                packed[account] = (account, live.state.seq, codec.pack_snapshot(live.state))
                live.snapshot_seq = live.state.seq
        return list(packed.values())
