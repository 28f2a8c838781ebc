"""The journal in memory: the same contract as Postgres, for the simulation and for tests of what stands above it.

A `MemoryLedger` is the database: shared by every journal of a simulated installation, also by one whose owner was
replaced long ago. It keeps what Postgres keeps, row bytes and hash chain included. A `MemoryJournal` is one shard's
connection to it. `Interruptions` are where a test lets things go wrong: before an append, between its checks and its
commit (never inside: a commit is atomic), and between the commit and its answer.
"""

from collections.abc import Awaitable, Callable, Sequence

from engine.account import AccountState
from engine.apply import apply
from engine.events import Event, EventKind
from engine.ids import AccountId, Epoch, IdempotencyKey, PaymentId, ShardId, Slot, journal_position
from engine.outcomes import Receipt
from engine.sharding import SLOTS
from storage import codec
from storage.codec import Position
from storage.errors import Fenced, KeysTaken, NotDone
from storage.journal import FOLDING_ERRORS, Entry, Fetched, KnownKey, Term

Interruption = Callable[[str], Awaitable[None]]
"""Called with the name of a point of an append: `before`, `answer`. It may wait, or raise what storage raises."""


async def _nothing(point: str) -> None:
    """The interruption of a calm day."""


class MemoryLedger:
    """All that the database of an installation holds."""

    def __init__(self, shards: int) -> None:
        numbers = [ShardId(number) for number in range(1, shards + 1)]
        self.epochs = dict.fromkeys(numbers, Epoch(0))
        self.ends = dict.fromkeys(numbers, 0)
        self.heads = dict.fromkeys(numbers, codec.GENESIS_HASH)
        self.slots = [numbers[slot % shards] for slot in range(SLOTS)]
        self.rows: dict[tuple[ShardId, int], tuple[Event, Position, bytes]] = {}
        self.by_account: dict[AccountId, list[tuple[Event, Position]]] = {}
        self.keys: dict[IdempotencyKey, KnownKey] = {}
        self.snapshots: dict[AccountId, tuple[int, bytes]] = {}
        self.outbox: list[tuple[ShardId, int, int]] = []

    def move_slots(self, slots: Sequence[Slot], to_shard: ShardId) -> None:
        """Give slots to a shard and end the terms of everybody concerned."""
        for shard in {self.slots[slot] for slot in slots} | {to_shard}:
            self.epochs[shard] = Epoch(self.epochs[shard] + 1)
        for slot in slots:
            self.slots[slot] = to_shard

    def store(self, shard: ShardId, entries: Sequence[Entry], now_us: int) -> list[Position]:
        """Write a batch, whole; the caller has made every check."""
        first = self.ends[shard] + 1
        answers = []
        for entry in entries:
            for index, event in enumerate(entry.events):
                self.ends[shard] += 1
                at = Position(shard, self.ends[shard], now_us)
                _, self.heads[shard] = codec.pack_event(event, at, codec.Stamp(0), self.heads[shard])
                self.rows[shard, at.seq] = (event, at, self.heads[shard])
                self.by_account.setdefault(event.account, []).append((event, at))
                if index == entry.answer:
                    answers.append(at)
                    self.keys[entry.key] = KnownKey(entry.request_hash, codec.receipt(event, at))
        self.outbox.append((shard, first, self.ends[shard]))
        return answers


class MemoryJournal:
    """One shard's journal over a `MemoryLedger`; keeps the contract `storage.journal.Journal`."""

    def __init__(self, ledger: MemoryLedger, now_us: Callable[[], int], interruption: Interruption = _nothing) -> None:
        self._ledger = ledger
        self._now_us = now_us
        self._interruption = interruption
        self._shard = ShardId(0)
        self._epoch = Epoch(0)
        self._last_us = 0

    async def take_ownership(self, shard: ShardId, owner: str) -> Term:
        """Begin a new term. Errors: `NotDone` for an unknown shard."""
        ledger = self._ledger
        if shard not in ledger.epochs:
            raise NotDone(f"{owner}: no shard {shard}")
        self._shard = shard
        self._epoch = ledger.epochs[shard] = Epoch(ledger.epochs[shard] + 1)
        slots = frozenset(Slot(slot) for slot, of in enumerate(ledger.slots) if of == shard)
        return Term(shard, self._epoch, ledger.ends[shard], slots)

    async def renew_lease(self) -> None:
        """Errors: `Fenced` when the term is over."""
        self._check_fence()

    def _check_fence(self) -> None:
        if self._ledger.epochs[self._shard] != self._epoch:
            raise Fenced(f"shard {self._shard}: epoch {self._epoch} is over")

    def now_us(self) -> int:
        """The simulated clock, never going back."""
        self._last_us = max(self._last_us, self._now_us())
        return self._last_us

    async def fetch(self, accounts: Sequence[AccountId], keys: Sequence[IdempotencyKey]) -> Fetched:
        """Fold cold accounts and look up keys."""
        states: dict[AccountId, tuple[AccountState, int]] = {}
        unreadable = set()
        for account in accounts:
            try:
                states[account] = self._fold(account)
            except FOLDING_ERRORS:
                unreadable.add(account)
        known = {key: self._ledger.keys[key] for key in keys if key in self._ledger.keys}
        return Fetched(states, known, frozenset(unreadable))

    def _fold(self, account: AccountId) -> tuple[AccountState, int]:
        _, packed = self._ledger.snapshots.get(account, (0, b""))
        state = codec.unpack_snapshot(packed) if packed else AccountState(account)
        snapshot_seq = state.seq
        for event, _ in self._ledger.by_account.get(account, []):
            if event.account_seq > snapshot_seq:
                apply(state, event)
        return state, snapshot_seq

    async def look(self, account: AccountId) -> Fetched:
        """Read one account for a reader."""
        return await self.fetch([account], [])

    async def trail(self, payment: PaymentId) -> tuple[Event, ...]:
        """Return a payment's event and all later events of its account."""
        row = self._ledger.rows.get(journal_position(payment))
        if row is None or row[0].kind is not EventKind.PAYMENT_RECEIVED:
            return ()
        return tuple(
            event for event, _ in self._ledger.by_account[row[0].account] if event.account_seq >= row[0].account_seq
        )

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """Commit a batch; see `storage.journal` for its errors."""
        assert entries, "an append has something to append"
        await self._interruption("before")
        self._check_fence()
        taken = frozenset(entry.key for entry in entries if entry.key in self._ledger.keys)
        if taken:
            raise KeysTaken(taken)
        answers = self._ledger.store(self._shard, entries, self.now_us())
        await self._interruption("answer")
        return answers

    async def save_snapshots(self, snapshots: Sequence[tuple[AccountId, int, bytes]]) -> None:
        """Store packed states; an older one never replaces a newer."""
        for account, seq, packed in snapshots:
            if seq > self._ledger.snapshots.get(account, (0, b""))[0]:
                self._ledger.snapshots[account] = (seq, packed)

    async def history(self, account: AccountId, after_seq: int, limit: int) -> list[Receipt]:
        """Return the account's receipts after `after_seq`, oldest first."""
        found = [
            codec.receipt(event, at)
            for event, at in self._ledger.by_account.get(account, [])
            if event.account_seq > after_seq
        ]
        return found[:limit]

    async def find_payment(self, payment: PaymentId) -> Receipt | None:
        """Return the receipt of a journal row, or None."""
        row = self._ledger.rows.get(journal_position(payment))
        return None if row is None else codec.receipt(row[0], row[1])

    async def find_key(self, key: IdempotencyKey) -> Receipt | None:
        """Return the receipt that this key got, or None."""
        known = self._ledger.keys.get(key)
        return None if known is None else known.receipt

    async def close(self) -> None:
        """Nothing to let go of."""
