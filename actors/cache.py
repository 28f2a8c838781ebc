"""The live accounts of a shard: a bounded cache, least recently used out first, none that is ahead of the journal."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from engine.account import AccountState
from engine.ids import AccountId

TailT = TypeVar("TailT")

SPARE = 64
"""A full memory makes room for one part in so many at a time: finding the oldest in a dict passes over the places of
all that went before them, so doing it for every batch would cost each a walk through the whole.
"""


class Live(Generic[TailT]):
    """One account in memory.

    `tail` is its newest decision that is not durable yet, or None; `snapshot_seq` the `account_seq` of its snapshot.
    """

    __slots__ = ("snapshot_seq", "state", "tail")

    def __init__(self, state: AccountState, snapshot_seq: int) -> None:
        self.state = state
        self.snapshot_seq = snapshot_seq
        self.tail: TailT | None = None


class AccountCache(Generic[TailT]):
    """Accounts by number. Dropping one loses nothing: it is read again from the journal.

    Shape: at most `accounts_max`, exceeded only while more than that many accounts have a tail.
    """

    def __init__(self, *, accounts_max: int) -> None:
        self._accounts_max = accounts_max
        self._live: dict[AccountId, Live[TailT]] = {}

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, account: AccountId) -> bool:
        return account in self._live

    def __iter__(self) -> Iterator[Live[TailT]]:
        return iter(self._live.values())

    def peek(self, account: AccountId) -> Live[TailT] | None:
        """Return a live account without making it younger."""
        return self._live.get(account)

    def touch(self, account: AccountId) -> Live[TailT] | None:
        """Return a live account and make it the youngest."""
        live = self._live.pop(account, None)
        if live is not None:
            self._live[account] = live
        return live

    def add(self, state: AccountState, snapshot_seq: int) -> None:
        """Take in an account that was read from the journal."""
        assert state.account not in self._live, "a live account is never replaced by an older reading"
        self._live[state.account] = Live(state, snapshot_seq)

    def drop(self, account: AccountId) -> None:
        """Forget an account, whatever it is."""
        self._live.pop(account, None)

    def shrink(self) -> list[Live[TailT]]:
        """Past the bound, drop the oldest accounts without a tail, and some to spare; return those that went."""
        excess = len(self._live) - self._accounts_max
        if excess <= 0:
            return []
        excess += self._accounts_max // SPARE
        oldest = []
        for live in self._live.values():
            if live.tail is None:
                oldest.append(live)
                if len(oldest) == excess:
                    break
        for live in oldest:
            del self._live[live.state.account]
        return oldest
