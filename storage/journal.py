"""The journal in Postgres: one fenced append per batch, and all that is read back from the ledger.

An append is one COPY, a transaction by itself; the database checks the epoch, moves the shard's sequence on, and writes
the idempotency keys and the outbox row in it. What can go wrong, and what it tells the caller:
- `Fenced`: another process owns the shard now. Nothing was written; the shard must die.
- `KeysTaken`: some keys were committed through another shard. Nothing was written; the rest may be appended again.
- `OutcomeUnknown`: the connection broke or time ran out. Perhaps it was written. The shard must die; its successor
  reads the truth.

One journal object serves one shard on one event loop. Appends and batch reads have a connection each, so that the
next batch is read while the last one commits; everything else shares a small pool.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol, TypeAlias

import asyncpg
import msgspec

from engine.account import AccountState
from engine.apply import apply
from engine.events import Event, EventKind
from engine.ids import (
    SEQ_SPAN,
    AccountId,
    Epoch,
    IdempotencyKey,
    PaymentId,
    ShardId,
    Slot,
    journal_position,
)
from engine.outcomes import Receipt
from storage import codec
from storage.codec import Position, Stamp
from storage.errors import Fenced, KeysTaken, NotDone, OutcomeUnknown

_FENCED = "KP001"
"""What the database says to who is not the owner; see `complete_append` in 0001_ledger.sql."""

LEASE_S = 5.0
"""How long a shard may answer reads after its last proof of ownership."""

_READ_SETTINGS = {
    "application_name": "kopeck-shard",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Batch reads are index probes whatever the statistics of a young table say: fix the plan."""


class Entry(NamedTuple):
    """What one accepted command appends: its events, the index of the one that answers it, and its key."""

    events: tuple[Event, ...]
    answer: int
    key: IdempotencyKey
    request_hash: bytes


class Term(NamedTuple):
    """A shard's ownership, as taken: its epoch, the end of its sequence and the slots it owns."""

    shard: ShardId
    epoch: Epoch
    seq: int
    slots: frozenset[Slot]


class KnownKey(NamedTuple):
    """A key that is already in the ledger."""

    request_hash: bytes
    receipt: Receipt


class Fetched(NamedTuple):
    """Cold accounts with the `account_seq` of their snapshot (unknown ones as fresh states), the known ones among the
    keys asked for, and the accounts whose events our code cannot fold: a person must look at those.
    """

    accounts: dict[AccountId, tuple[AccountState, int]]
    keys: dict[IdempotencyKey, KnownKey]
    unreadable: frozenset[AccountId] = frozenset()


class Journal(Protocol):
    """What a shard needs of a journal; kept alike by Postgres and by the simulation's memory."""

    async def take_ownership(self, shard: ShardId, owner: str) -> Term:
        """Begin a new term: from now on every append of an older one is refused."""
        ...

    async def renew_lease(self) -> None:
        """Prove that the term still stands. Errors: `Fenced`; `OutcomeUnknown` when the database cannot be asked."""
        ...

    def now_us(self) -> int:
        """The database's clock, UTC microseconds, never going back."""
        ...

    async def fetch(self, accounts: Sequence[AccountId], keys: Sequence[IdempotencyKey]) -> Fetched:
        """Read the state of cold accounts and look up keys, as of now."""
        ...

    async def look(self, account: AccountId) -> Fetched:
        """Read one account's durable state for a reader; may run beside `fetch`."""
        ...

    async def trail(self, payment: PaymentId) -> tuple[Event, ...]:
        """Return a payment's event and all later events of its account, oldest first; empty if there is none."""
        ...

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """Commit a batch. Shape: one position per entry, that of its answering event."""
        ...

    async def save_snapshots(self, snapshots: Sequence[tuple[AccountId, int, bytes]]) -> None:
        """Store packed states (account, account_seq, bytes); an older one never replaces a newer."""
        ...

    async def history(self, account: AccountId, after_seq: int, limit: int) -> list[Receipt]:
        """Return the account's receipts after `after_seq`, oldest first, at most `limit`."""
        ...

    async def find_payment(self, payment: PaymentId) -> Receipt | None:
        """Return the receipt of a journal row."""
        ...

    async def find_key(self, key: IdempotencyKey) -> Receipt | None:
        """Return the receipt that this key got."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...


_RENEW = """
    UPDATE shards SET lease_until = clock_timestamp() + make_interval(secs => $3) WHERE shard = $1 AND epoch = $2
    RETURNING (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"""

_TAKE = """
    UPDATE shards
    SET epoch = epoch + 1, owner = $2, door_host = '', lease_until = clock_timestamp() + make_interval(secs => $3)
    WHERE shard = $1 RETURNING epoch, seq, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us"""

# Served by account_snapshots_pkey and each partition's (account, account_seq); partitions older than the snapshot
# are pruned at run time. The margin covers two shards whose copies of the database's clock differ.
_HYDRATE = """
    SELECT q.account AS asked, s.state, e.*
    FROM unnest($1::text[]) AS q(account)
    LEFT JOIN account_snapshots s ON s.account = q.account AND s.version = $2
    LEFT JOIN events e ON e.account = q.account AND e.account_seq > coalesce(s.account_seq, 0)
        AND e.recorded_at >= coalesce(s.recorded_at - interval '1 day', '-infinity')
    ORDER BY q.account, e.account_seq"""

# Served by idempotency_keys_pkey, then each row's partition by (shard, seq).
_KNOWN_KEYS = """
    SELECT e.*
    FROM unnest($1::text[], $2::text[]) AS q(source, txn_id)
    JOIN idempotency_keys k ON k.source = q.source AND k.txn_id = q.txn_id
    JOIN events e ON e.shard = k.payment_id / $3 AND e.seq = k.payment_id % $3 AND e.recorded_at = k.recorded_at
"""

_BY_POSITION = "SELECT e.* FROM events e WHERE e.shard = $1 AND e.seq = $2"

_ACCOUNT_HISTORY = """
    SELECT e.* FROM events e WHERE e.account = $1 AND e.account_seq > $2
    ORDER BY e.account_seq LIMIT $3"""

_SAVE_SNAPSHOTS = """
    INSERT INTO account_snapshots (account, account_seq, version, recorded_at, state)
    SELECT account, account_seq, $4, $5, state
    FROM unnest($1::text[], $2::int[], $3::bytea[]) AS n(account, account_seq, state)
    ON CONFLICT (account) DO UPDATE
        SET account_seq = excluded.account_seq, version = excluded.version, recorded_at = excluded.recorded_at,
            state = excluded.state
        WHERE account_snapshots.account_seq < excluded.account_seq
            OR account_snapshots.version <> excluded.version"""


def event_of(row: asyncpg.Record) -> Event:
    """Read an event back from its row of `events`."""
    return Event(
        kind=EventKind(row["kind"]),
        account=row["account"],
        account_seq=row["account_seq"],
        source=row["source"],
        txn_id=row["txn_id"],
        accepted_at_us=codec.micros(row["accepted_at"]),
        amount_kopecks=row["amount_kopecks"],
        balance_kopecks=row["balance_kopecks"],
        keys=codec.line_keys(row["services"], row["providers"], row["periods"], row["kinds"]),
        amounts=tuple(row["amounts"]),
        policy=row["policy"],
        channel=row["channel"],
        ref=row["ref"],
        details=codec.unpack_details(row["details"]),
    )


def position_of(row: asyncpg.Record) -> Position:
    """Read a row's place in the journal."""
    return Position(row["shard"], row["seq"], codec.micros(row["recorded_at"]))


def stamp_of(row: asyncpg.Record) -> Stamp:
    """Read what the append added to a row's event."""
    return Stamp(row["epoch"], row["request_hash"])


def receipt_of(row: asyncpg.Record) -> Receipt:
    """Read the receipt that a row's command got."""
    return codec.receipt(event_of(row), position_of(row))


FOLDING_ERRORS = (AssertionError, ArithmeticError, LookupError, TypeError, ValueError, msgspec.MsgspecError)
"""What unpacking or folding a damaged row raises; it concerns one account, never the shard."""


def fold(account: AccountId, rows: Sequence[asyncpg.Record]) -> tuple[AccountState, int]:
    """Fold an account from its snapshot and the events after it; return the state and the snapshot's `account_seq`."""
    stored = rows[0]["state"]
    state = AccountState(account) if stored is None else codec.unpack_snapshot(stored)
    snapshot_seq = state.seq
    for row in rows:
        if row["seq"] is not None:
            apply(state, event_of(row))
    return state, snapshot_seq


_Executor: TypeAlias = asyncpg.Connection | asyncpg.Pool


class PostgresJournal:
    """The journal of one shard in Postgres (see the module's text for what its errors mean)."""

    def __init__(self, database_url: str, *, commit_timeout_s: float = 10.0) -> None:
        self._url = database_url
        self._commit_timeout_s = commit_timeout_s
        self._append_connection: asyncpg.Connection | None = None
        self._read_connection: asyncpg.Connection | None = None
        self._pool: asyncpg.Pool | None = None
        self._shard = ShardId(0)
        self._epoch = Epoch(0)
        self._seq = 0
        self._head_hash = codec.GENESIS_HASH
        self._clock_offset_us = 0
        self._last_recorded_us = 0

    async def take_ownership(self, shard: ShardId, owner: str) -> Term:
        """Begin a new term of this shard; connects first.

        Errors: `NotDone` when the database cannot be reached or does not know the shard.
        """
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                await self._connect()
                return await self._take(shard, owner)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self.close()
            raise NotDone(f"cannot take shard {shard}: {error}") from error

    async def _connect(self) -> None:
        await self.close()
        self._append_connection = await asyncpg.connect(self._url, server_settings={"application_name": "kopeck-shard"})
        self._read_connection = await asyncpg.connect(self._url, server_settings=_READ_SETTINGS)
        self._pool = await asyncpg.create_pool(self._url, min_size=0, max_size=4, server_settings=_READ_SETTINGS)

    async def _take(self, shard: ShardId, owner: str) -> Term:
        connection = self._appends
        async with connection.transaction():
            taken = await connection.fetchrow(_TAKE, shard, owner, LEASE_S)
            if taken is None:
                raise NotDone(f"the database knows no shard {shard}; run `kopeck migrate`")
            slots = await connection.fetch("SELECT slot FROM slots WHERE shard = $1", shard)
            head = await connection.fetchval(
                "SELECT hash FROM events WHERE shard = $1 AND seq = $2", shard, taken["seq"]
            )
        assert (head is None) == (taken["seq"] == 0), "the journal's last row is missing"
        self._shard, self._epoch, self._seq = shard, Epoch(taken["epoch"]), taken["seq"]
        self._head_hash = head or codec.GENESIS_HASH
        self._set_clock(taken["now_us"])
        return Term(shard, self._epoch, self._seq, frozenset(Slot(row["slot"]) for row in slots))

    async def renew_lease(self) -> None:
        """Prove that the term still stands, and set the clock by the database's."""
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                now_us = await self._pooled.fetchval(_RENEW, self._shard, self._epoch, LEASE_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise OutcomeUnknown(f"cannot renew the lease of shard {self._shard}: {error}") from error
        if now_us is None:
            raise Fenced(f"shard {self._shard}: epoch {self._epoch} is over")
        self._set_clock(now_us)

    def now_us(self) -> int:
        """The database's clock as last seen, moved on by this process's monotonic clock."""
        now = time.monotonic_ns() // 1000 + self._clock_offset_us
        self._last_recorded_us = max(self._last_recorded_us, now)
        return self._last_recorded_us

    def _set_clock(self, database_now_us: int) -> None:
        self._clock_offset_us = database_now_us - time.monotonic_ns() // 1000

    async def fetch(self, accounts: Sequence[AccountId], keys: Sequence[IdempotencyKey]) -> Fetched:
        """Read cold accounts (snapshot + events after it) and known keys: at most one query each."""
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                known = await self._known_keys(self._reads, keys) if keys else {}
                return await self._hydrate(self._reads, accounts, known) if accounts else Fetched({}, known)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise OutcomeUnknown(f"shard {self._shard} cannot read: {error}") from error

    async def look(self, account: AccountId) -> Fetched:
        """Read one account for a reader: as `fetch`, but never in the way of the batches."""
        return await self._hydrate(self._pooled, [account], {})

    async def _hydrate(
        self, executor: _Executor, accounts: Sequence[AccountId], known: dict[IdempotencyKey, KnownKey]
    ) -> Fetched:
        rows = await executor.fetch(_HYDRATE, accounts, codec.SNAPSHOT_VERSION)
        states: dict[AccountId, tuple[AccountState, int]] = {}
        unreadable = set()
        for account, history in groupby(rows, key=itemgetter("asked")):
            try:
                states[account] = fold(account, list(history))
            except FOLDING_ERRORS:
                unreadable.add(account)
        assert len(states) + len(unreadable) == len(set(accounts)), "every account asked for is answered"
        return Fetched(states, known, frozenset(unreadable))

    async def _known_keys(self, executor: _Executor, keys: Sequence[IdempotencyKey]) -> dict[IdempotencyKey, KnownKey]:
        sources, txn_ids = zip(*keys, strict=True)
        rows = await executor.fetch(_KNOWN_KEYS, sources, txn_ids, SEQ_SPAN)
        return {(row["source"], row["txn_id"]): KnownKey(row["request_hash"], receipt_of(row)) for row in rows}

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """Commit a batch of entries: one COPY, which the database completes (see `complete_append` in 0001_ledger.sql).

        Errors: `Fenced`, `KeysTaken` (nothing written), `OutcomeUnknown` (perhaps written).
        """
        assert entries, "an append has something to append"
        recorded_at_us = self.now_us()
        packed = self._pack(entries, recorded_at_us)
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                await self._appends.copy_to_table(
                    codec.partition_of(recorded_at_us), source=_once(packed.events), format="binary"
                )
        except asyncpg.UniqueViolationError as error:
            raise await self._taken(entries, error) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if getattr(error, "sqlstate", None) == _FENCED:
                raise Fenced(f"shard {self._shard}: epoch {self._epoch} is over") from error
            self._appends.terminate()
            raise OutcomeUnknown(f"shard {self._shard}: append after {self._seq}: {error}") from error
        self._seq, self._head_hash = packed.last_seq, packed.head_hash
        return packed.answers

    def _pack(self, entries: Sequence[Entry], recorded_at_us: int) -> "_Packed":
        seq, head = self._seq, self._head_hash
        rows, answers = [codec.COPY_HEADER], []
        follower = Stamp(self._epoch)
        for entry in entries:
            for index, event in enumerate(entry.events):
                seq += 1
                at, stamp = Position(self._shard, seq, recorded_at_us), follower
                if index == entry.answer:
                    answers.append(at)
                    stamp = Stamp(self._epoch, entry.request_hash)
                row, head = codec.pack_event(event, at, stamp, head)
                rows.append(row)
        rows.append(codec.COPY_TRAILER)
        assert len(answers) == len(entries), "every entry has its answering event"
        return _Packed(b"".join(rows), answers, seq, head)

    async def _taken(self, entries: Sequence[Entry], error: asyncpg.UniqueViolationError) -> Exception:
        """Name the keys of the refused batch that are in the ledger already."""
        if error.table_name != "idempotency_keys":
            return Fenced(f"shard {self._shard}: another writer took the place after {self._seq}: {error}")
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                return KeysTaken(frozenset(await self._known_keys(self._pooled, [entry.key for entry in entries])))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as lost:
            return OutcomeUnknown(f"shard {self._shard} cannot tell which keys are taken: {lost}")

    async def trail(self, payment: PaymentId) -> tuple[Event, ...]:
        """Return a payment's event and all later events of its account."""
        row = await self._by_position(payment)
        if row is None or row["kind"] != EventKind.PAYMENT_RECEIVED:
            return ()
        later = await self._pooled.fetch(_ACCOUNT_HISTORY, row["account"], row["account_seq"], None)
        return (event_of(row), *map(event_of, later))

    async def save_snapshots(self, snapshots: Sequence[tuple[AccountId, int, bytes]]) -> None:
        """Store packed durable states in one statement."""
        accounts, seqs, states = zip(*snapshots, strict=True)
        at = codec.instant(self._last_recorded_us)
        await self._pooled.execute(_SAVE_SNAPSHOTS, accounts, seqs, states, codec.SNAPSHOT_VERSION, at)

    async def history(self, account: AccountId, after_seq: int, limit: int) -> list[Receipt]:
        """Return the account's receipts after `after_seq`, oldest first."""
        return [receipt_of(row) for row in await self._pooled.fetch(_ACCOUNT_HISTORY, account, after_seq, limit)]

    async def find_payment(self, payment: PaymentId) -> Receipt | None:
        """Return the receipt of a journal row, or None."""
        row = await self._by_position(payment)
        return None if row is None else receipt_of(row)

    async def find_key(self, key: IdempotencyKey) -> Receipt | None:
        """Return the receipt that this key got, or None."""
        rows = await self._pooled.fetch(_KNOWN_KEYS, [key[0]], [key[1]], SEQ_SPAN)
        return receipt_of(rows[0]) if rows else None

    async def _by_position(self, payment: PaymentId) -> asyncpg.Record | None:
        return await self._pooled.fetchrow(_BY_POSITION, *journal_position(payment))

    async def close(self) -> None:
        """Let go of every connection, at once: nothing on them is worth waiting for."""
        for connection in (self._append_connection, self._read_connection):
            if connection is not None:
                connection.terminate()
        if self._pool is not None:
            self._pool.terminate()
        self._append_connection = self._read_connection = self._pool = None

    @property
    def _appends(self) -> asyncpg.Connection:
        assert self._append_connection is not None, "take_ownership comes first"
        return self._append_connection

    @property
    def _reads(self) -> asyncpg.Connection:
        assert self._read_connection is not None, "take_ownership comes first"
        return self._read_connection

    @property
    def _pooled(self) -> asyncpg.Pool:
        assert self._pool is not None, "take_ownership comes first"
        return self._pool


class _Packed(NamedTuple):
    """A batch, ready to be sent: a COPY stream and what the journal's end will be."""

    events: bytes
    answers: list[Position]
    last_seq: int
    head_hash: bytes


async def _once(stream: bytes) -> AsyncIterator[bytes]:
    yield stream
