"""Exports: what the ledger holds, told to billings and providers, each its own lines, from any point on.

Nothing here touches a shard's path: one read-only connection an export, short queries over windows of bounded size, and
between them nothing is held, so a reader may be as slow as it likes.

Why (shard, seq) is a safe cursor: a shard's rows are numbered without gaps by its one writer, and each append moves
`shards.seq` on under a row lock in the same transaction. So rows become visible in their order, and whoever has read
up to `shards.seq` will never find a row below it later. Between two shards there is no order in time: an account that
moved goes on in another shard, and its `account_seq` tells the order.

`accounts` and `balances` are folded as of a position, which the cursor carries: taken up again, they go on as of the
same instant, whatever has been paid meanwhile.
"""

import datetime
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import asyncpg
import msgspec

from engine.account import AccountState
from engine.apply import apply
from engine.charge import LineKey
from engine.events import Details, EventKind
from engine.ids import AccountId, Period, ProviderId, ServiceCode, ShardId
from engine.outcomes import Receipt
from storage.database import connected
from storage.export_cursor import Cursor, CursorInvalid
from storage.journal import FOLDING_ERRORS, event_of, receipt_of

ExportKind = Literal["accounts", "charges", "payments", "balances", "readings"]
KINDS: tuple[ExportKind, ...] = ("accounts", "charges", "payments", "balances", "readings")

_EVER = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
_WINDOW_ROWS = 2_000
_RANGE_ACCOUNTS = 200
_SETTINGS = {
    "application_name": "kopeck-export",
    "default_transaction_read_only": "on",
    "statement_timeout": "60000",
    "enable_seqscan": "off",
    "jit": "off",
}
_EVENT_KINDS: dict[str, tuple[EventKind, ...]] = {
    "charges": (
        EventKind.CHARGE_POSTED,
        EventKind.CHARGE_ADJUSTED,
        EventKind.PENALTY_ACCRUED,
        EventKind.CORRECTION_NETTED,
        EventKind.BALANCE_TRANSFERRED,
    ),
    "payments": (
        EventKind.PAYMENT_RECEIVED,
        EventKind.PAYMENT_REVERSED,
        EventKind.ADVANCE_APPLIED,
        EventKind.REFUNDED,
    ),
}
"""Balance = charges - payments, for every account, provider and service: no other event moves money."""


CURSOR_KINDS = {
    "charges": "events",
    "payments": "events",
    "accounts": "accounts",
    "balances": "balances",
    "readings": "readings",
}
"""Whose cursors an export takes: a position in the ledger is one for charges and payments alike."""


class NotYours(Exception):
    """The reader asked for a provider whose lines it may not see."""


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, and by what right. Empty fields do not restrict.

    `own_provider` or `own_billing` is whose lines the reader may see; `provider` and `period` narrow further.
    """

    kind: ExportKind
    own_provider: str = ""
    own_billing: str = ""
    provider: str = ""
    period: Period = Period(0)
    since: datetime.datetime | None = None
    after: Cursor | None = None


class ExportedEvent(msgspec.Struct, frozen=True):
    """A charge or a payment. Shape: the receipt has only the lines that the reader may see and asked for."""

    receipt: Receipt
    details: Details | None


class ExportedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as of a position. `keys`: every service and provider that ever charged it. `state`: None if the
    account's events cannot be read; a person is at it.
    """

    account: AccountId
    state: AccountState | None
    keys: tuple[tuple[ServiceCode, ProviderId], ...]
    address: str = ""
    flat: str = ""
    area_dm2: int = 0


class ExportedReading(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter showed. `value` is a decimal number as text."""

    account: str
    service: str
    serial: str
    zone: int
    value: str
    read_on: datetime.date
    source: str
    billing: str


Exported = ExportedEvent | ExportedAccount | ExportedReading


class Item(msgspec.Struct, frozen=True):
    """One record, the cursor after it, and how many of its first lines were told before."""

    cursor: Cursor
    record: Exported
    told_lines: int = 0


class Rights(msgspec.Struct, frozen=True):
    """Whose lines are told: of these providers (None: of all); "" stands for advances of an account as a whole."""

    providers: frozenset[str] | None

    def sees(self, provider: str) -> bool:
        """Tell whether lines of a provider may be told."""
        return self.providers is None or provider in self.providers


# A billing's providers are those that its codes mean; what was once confirmed stays its own.
_PROVIDERS_OF_BILLING = """
    SELECT DISTINCT master_id FROM mappings
    WHERE source = $1 AND kind = 'provider' AND status IN ('confirmed', 'superseded') AND master_id IS NOT NULL"""

# Served by each partition's (shard, seq) and billing_accounts_pkey.
_EVENTS = """
    SELECT e.* FROM events e
    WHERE e.shard = $1 AND e.seq > $2 AND e.seq <= $3 AND e.kind = ANY($4::smallint[]) AND e.recorded_at >= $5
        AND ($6::text[] IS NULL OR e.providers && $6)
        AND ($7 = '' OR EXISTS (SELECT FROM billing_accounts b WHERE b.billing = $7 AND b.account = e.account))
    ORDER BY e.seq"""

# Served by each partition's (account, account_seq); the first event of an account stands for it.
_ACCOUNTS = "SELECT account FROM events WHERE account >= $1 AND account_seq = 1 ORDER BY account LIMIT $2"

# Served by billing_accounts_pkey.
_ACCOUNTS_OF_BILLING = """
    SELECT account FROM billing_accounts WHERE account >= $1 AND billing = $3 ORDER BY account LIMIT $2"""

# Served by each partition's (account, account_seq).
_HISTORIES = """
    SELECT e.* FROM events e JOIN unnest($2::int[], $3::bigint[]) AS upto(shard, seq) ON upto.shard = e.shard
    WHERE e.account = ANY($1::text[]) AND e.seq <= upto.seq
    ORDER BY e.account, e.account_seq"""

# Served by account_holders_pkey and houses_pkey. Names of people are not told: who reads this knows its consumers.
_PLACES = """
    SELECT account, address, flat, area_dm2 FROM account_holders JOIN houses USING (house)
    WHERE account = ANY($1::text[])"""

# Served by readings_by_file. Files below the lowest unfinished one get no rows any more, so (file, row) is as safe a
# cursor. A provider sees what was read for a service that it charges.
_READINGS = """
    SELECT r.*, r.value::text AS value_text FROM readings r
    WHERE (r.file, r.row) > ($1, $2) AND r.file < $3
        AND ($4 = '' OR r.billing = $4)
        AND ($5 = '' OR EXISTS (
            SELECT FROM events e, unnest(e.services, e.providers) AS line(service, provider)
            WHERE e.account = r.account AND line.service = r.service AND line.provider = $5))
        AND ($6 = 0 OR r.read_on >= make_date($6 / 100, $6 % 100, 1)
            AND r.read_on < make_date($6 / 100, $6 % 100, 1) + interval '1 month')
        AND EXISTS (SELECT FROM received_files f WHERE f.file = r.file AND f.received_at >= $7)
    ORDER BY r.file, r.row LIMIT $8"""
_READINGS_END = """
    SELECT coalesce(min(file) FILTER (WHERE state NOT IN ('done', 'refused')), max(file) + 1, 1) FROM received_files
    WHERE kind IN ('meters', 'readings')"""


class Export:
    """One export, opened.

    `end` is the cursor after everything that it will tell; for accounts and balances, the position in the ledger that
    they are told for, as a cursor of charges and payments: these go on from there.
    """

    def __init__(
        self, connection: asyncpg.Connection, query: ExportQuery, rights: Rights, start: Cursor, end: Cursor
    ) -> None:
        self._connection = connection
        self._query = query
        self._rights = rights
        self._start = start
        self.end = end

    async def pages(self) -> AsyncIterator[list[Item]]:
        """Read page after page; each is made when it is asked for. Errors: `NotDone`, from the block that opened it."""
        ways: dict[str, Callable[[], AsyncIterator[list[Item]]]] = {
            "charges": self._events,
            "payments": self._events,
            "accounts": self._accounts,
            "balances": self._accounts,
            "readings": self._readings,
        }
        async for page in ways[self._query.kind]():
            yield page

    async def _events(self) -> AsyncIterator[list[Item]]:
        """Shard after shard, a window of its sequence at a time: bounded work, however few of its rows are told."""
        query, at = self._query, dict(self._start.positions)
        providers = None if self._rights.providers is None else sorted(self._rights.providers)
        for shard, end in sorted(self.end.positions.items()):
            while at.get(shard, 0) < end:
                first = at.get(shard, 0)
                last = min(end, first + _WINDOW_ROWS)
                rows = await self._connection.fetch(
                    _EVENTS,
                    shard,
                    first,
                    last,
                    _EVENT_KINDS[query.kind],
                    query.since or _EVER,
                    providers,
                    query.own_billing,
                )
                yield [item for row in rows if (item := self._event(row, at)) is not None]
                at[shard] = last

    def _event(self, row: asyncpg.Record, at: dict[ShardId, int]) -> Item | None:
        receipt = receipt_of(row)
        lines = [
            (key, kopecks)
            for key, kopecks in zip(receipt.keys, receipt.amounts, strict=True)
            if self._rights.sees(key.provider) and self._query.period in (0, key.period)
        ]
        if not lines:
            return None
        keys, amounts = zip(*lines, strict=True)
        told = self._start.lines if (row["shard"], row["seq"] - 1) == self._partial() else 0
        at[row["shard"]] = row["seq"]
        cursor = Cursor(kind="events", positions=dict(at), shard=row["shard"])
        record = ExportedEvent(msgspec.structs.replace(receipt, keys=keys, amounts=amounts), event_of(row).details)
        return Item(cursor, record, told)

    def _partial(self) -> tuple[int, int]:
        """The event that was told in part: the one right after the start, in the start's shard."""
        return self._start.shard, self._start.positions.get(self._start.shard, 0)

    async def _accounts(self) -> AsyncIterator[list[Item]]:
        """A range of accounts at a time, in the order of their numbers, each folded as of the position."""
        first, is_partial = self._start.account, self._start.lines > 0
        own = (self._query.own_billing,) if self._query.own_billing else ()
        while True:
            rows = await self._connection.fetch(
                _ACCOUNTS_OF_BILLING if own else _ACCOUNTS, first, _RANGE_ACCOUNTS, *own
            )
            accounts = [row["account"] for row in rows]
            if not is_partial and accounts[:1] == [first]:
                del accounts[0]
            if not accounts:
                return
            yield await self._folded(accounts)
            first, is_partial = accounts[-1], False

    async def _folded(self, accounts: Sequence[AccountId]) -> list[Item]:
        positions = self.end.positions
        places = {row["account"]: row for row in await self._connection.fetch(_PLACES, accounts)}
        states: dict[AccountId, AccountState | None] = {}
        keys: dict[AccountId, set[LineKey]] = {}
        rows = await self._connection.fetch(_HISTORIES, accounts, list(positions), list(positions.values()))
        for row in rows:
            account = row["account"]
            state = states.setdefault(account, AccountState(account))
            try:
                event = event_of(row)
                keys.setdefault(account, set()).update(event.keys)
                if state is not None:
                    apply(state, event)
            except FOLDING_ERRORS:
                states[account] = None
        items = [self._account(a, state, keys.get(a, set()), places.get(a)) for a, state in sorted(states.items())]
        return [item for item in items if item is not None]

    def _account(
        self, account: AccountId, state: AccountState | None, keys: set[LineKey], place: asyncpg.Record | None
    ) -> Item | None:
        """An account if the reader has anything to do with it, without what is not the reader's."""
        seen = sorted({key[:2] for key in keys if key.provider and self._rights.sees(key.provider)})
        if not seen and (self._query.own_provider or self._query.provider):
            return None
        if state is not None:
            period = self._query.period
            state.items = {
                key: item
                for key, item in state.items.items()
                if self._rights.sees(key.provider) and period in (0, key.period)
            }
            state.lots = [lot for lot in state.lots if self._rights.sees(lot.provider) and not period]
        cursor = Cursor(kind=self._query.kind, positions=self.end.positions, account=account)
        told = self._start.lines if account == self._start.account else 0
        known = {} if place is None else {name: place[name] for name in ("address", "flat", "area_dm2")}
        return Item(cursor, ExportedAccount(account=account, state=state, keys=tuple(seen), **known), told)

    async def _readings(self) -> AsyncIterator[list[Item]]:
        query, file, row_number = self._query, self._start.file, self._start.row
        provider = query.own_provider or query.provider
        while True:
            rows = await self._connection.fetch(
                _READINGS,
                *(file, row_number, self.end.file, query.own_billing, provider, query.period),
                *(query.since or _EVER, _WINDOW_ROWS),
            )
            if not rows:
                return
            yield [_reading(row) for row in rows]
            file, row_number = rows[-1]["file"], rows[-1]["row"]


def _reading(row: asyncpg.Record) -> Item:
    record = ExportedReading(
        value=row["value_text"],
        **{name: row[name] for name in ("account", "service", "serial", "zone", "read_on", "source", "billing")},
    )
    return Item(Cursor(kind="readings", file=row["file"], row=row["row"]), record)


@asynccontextmanager
async def open_export(database_url: str, query: ExportQuery) -> AsyncIterator[Export]:
    """Open an export for the length of a block, on a connection of its own.

    Errors: `CursorInvalid` for a cursor beyond the end; `NotYours`; `NotDone` when the database goes away.
    """
    async with connected(database_url, _SETTINGS) as connection:
        rights = await _rights(connection, query)
        end = await _end(connection, query)
        start = query.after or Cursor(kind=CURSOR_KINDS[query.kind])
        _check(start, end)
        if query.kind in ("accounts", "balances") and start.positions:
            end = msgspec.structs.replace(end, positions=start.positions)
        yield Export(connection, query, rights, start, end)


async def _rights(connection: asyncpg.Connection, query: ExportQuery) -> Rights:
    seen: frozenset[str] | None = None
    if query.own_provider:
        seen = frozenset((query.own_provider,))
    elif query.own_billing:
        rows = await connection.fetch(_PROVIDERS_OF_BILLING, query.own_billing)
        seen = frozenset(row["master_id"] for row in rows) | {""}
    if query.provider:
        if seen is not None and query.provider not in seen:
            raise NotYours(query.provider)
        seen = frozenset((query.provider,))
    return Rights(seen)


async def _end(connection: asyncpg.Connection, query: ExportQuery) -> Cursor:
    """The end of the ledger now, as a cursor."""
    if query.kind == "readings":
        return Cursor(kind=query.kind, file=await connection.fetchval(_READINGS_END))
    rows = await connection.fetch("SELECT shard, seq FROM shards ORDER BY shard")
    return Cursor(kind="events", positions={row["shard"]: row["seq"] for row in rows})


def _check(start: Cursor, end: Cursor) -> None:
    """Refuse a cursor of another ledger: one that knows shards or rows that this one does not have."""
    ahead = [shard for shard, seq in start.positions.items() if seq > end.positions.get(shard, -1)]
    if ahead or (end.file and start.file > end.file):
        raise CursorInvalid("the cursor is beyond the end of the ledger")
