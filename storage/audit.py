"""The audit: refold the whole ledger from nothing and compare it with everything that was ever derived from it.

Two passes over the events, both streaming. By (shard, seq): no gap, no double, every row's hash follows from the row
before it, every event's lines add up, debits equal credits. By (account, account_seq): no gap, every event folds, the
balance it was told with is the balance it leaves, a snapshot equals the state it claims. Then the keys: each belongs to
an event of that source and number, and no accepted command is without one.

Reads the primary, in one repeatable-read snapshot, and changes nothing. It may run while payments go on.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

import asyncpg
import msgspec

from engine.account import AccountState
from engine.apply import apply
from engine.charge import Kind
from engine.events import Event, EventKind
from engine.ids import SEQ_SPAN, AccountId
from engine.ledger import postings
from storage import codec
from storage.database import connected
from storage.journal import FOLDING_ERRORS, event_of, position_of, stamp_of

_PREFETCH_ROWS = 2_000
_FINDINGS_MAX = 100
_PROGRESS_ROWS = 5_000


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it must be, and where."""

    shard: int
    seq: int
    account: str
    what: str


class AuditReport(msgspec.Struct, kw_only=True):
    """What was checked, how long it took, and everything that was wrong (at most 100 findings are listed).

    Units: kopecks; `turnover_kopecks` is the sum of all debits, which is the sum of all credits.
    """

    events: int = 0
    accounts: int = 0
    shards: int = 0
    keys: int = 0
    snapshots: int = 0
    turnover_kopecks: int = 0
    payments: int = 0
    paid_kopecks: int = 0
    seconds: float = 0.0
    mismatches: int = 0
    findings: list[Finding] = []

    @property
    def clean(self) -> bool:
        """Nothing was wrong."""
        return not self.mismatches

    def add(self, shard: int, seq: int, account: str, what: str) -> None:
        """Note one mismatch."""
        self.mismatches += 1
        if len(self.findings) < _FINDINGS_MAX:
            self.findings.append(Finding(shard, seq, account, what))


async def audit(database_url: str, progress: Callable[[int], None] = lambda rows: None) -> AuditReport:
    """Check the whole ledger.

    Shape: `progress` is called with the number of rows read since the last call; every event is read twice.
    Errors: `NotDone` when the database cannot be read.
    """
    report = AuditReport()
    begun = time.monotonic()
    async with (
        connected(database_url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await _by_shard(connection, report, progress)
        await _by_account(connection, report, progress)
        await _keys(connection, report)
    report.seconds = time.monotonic() - begun
    return report


async def count_events(database_url: str) -> int:
    """Return about how many rows an audit will read, for its progress bar."""
    async with connected(database_url) as connection:
        return 2 * int(await connection.fetchval("SELECT coalesce(sum(seq), 0) FROM shards"))


async def _rows(
    connection: asyncpg.Connection, query: str, progress: Callable[[int], None]
) -> AsyncIterator[asyncpg.Record]:
    read = 0
    async for row in connection.cursor(query, prefetch=_PREFETCH_ROWS):
        yield row
        read += 1
        if read == _PROGRESS_ROWS:
            progress(read)
            read = 0
    progress(read)


async def _by_shard(connection: asyncpg.Connection, report: AuditReport, progress: Callable[[int], None]) -> None:
    """The chain of each shard, from its first row to the end that its `shards` row tells."""
    ends = {row["shard"]: row["seq"] for row in await connection.fetch("SELECT shard, seq FROM shards")}
    report.shards = len(ends)
    heads: dict[int, tuple[int, bytes]] = {}
    async for row in _rows(connection, "SELECT * FROM events ORDER BY shard, seq", progress):
        seq, previous = heads.get(row["shard"], (0, codec.GENESIS_HASH))
        if row["seq"] != seq + 1:
            report.add(row["shard"], row["seq"], row["account"], f"follows seq {seq}: rows are missing or doubled")
        heads[row["shard"]] = (row["seq"], row["hash"])
        _check_row(row, previous, report)
    for shard, end in ends.items():
        found = heads.get(shard, (0, b""))[0]
        if found != end:
            report.add(shard, found, "", f"the shard's sequence ends at {end}, its rows at {found}")


def _check_row(row: asyncpg.Record, previous: bytes, report: AuditReport) -> None:
    at = position_of(row)
    try:
        event = event_of(row)
        digest = codec.pack_event(event, at, stamp_of(row), previous)[1]
    except FOLDING_ERRORS as error:
        report.add(at.shard, at.seq, row["account"], f"the row cannot be read: {error!r}")
        return
    report.events += 1
    if digest != row["hash"]:
        report.add(
            at.shard, at.seq, event.account, "the row's hash does not follow: it, or the row before, was changed"
        )
    for what in _line_faults(event):
        report.add(at.shard, at.seq, event.account, what)
    legs = postings(event)
    report.turnover_kopecks += sum(leg.kopecks for leg in legs)
    if event.kind is EventKind.PAYMENT_RECEIVED:
        report.payments += 1
        report.paid_kopecks += event.amount_kopecks


def _line_faults(event: Event) -> list[str]:
    """What does not add up inside one event."""
    by_kind: Counter[Kind] = Counter()
    for key, kopecks in zip(event.keys, event.amounts, strict=True):
        by_kind[key.kind] += kopecks
    placed = sum(by_kind.values()) - by_kind[Kind.FEE]
    expected = 0 if event.kind in _INNER else event.amount_kopecks
    faults = []
    if event.keys and placed != expected:
        faults.append(f"its lines make {placed} kopecks, not {expected}")
    if by_kind[Kind.FEE] * (1 if event.amount_kopecks >= 0 else -1) < 0:
        faults.append("its fee has the wrong sign")
    return faults


_INNER = (EventKind.ADVANCE_APPLIED, EventKind.CORRECTION_NETTED, EventKind.BALANCE_TRANSFERRED)


async def _by_account(connection: asyncpg.Connection, report: AuditReport, progress: Callable[[int], None]) -> None:
    """Every account's history, folded; and its snapshot, if the fold passes it."""
    state = AccountState(AccountId(""))
    snapshots = _Snapshots(connection)
    broken = False
    async for row in _rows(connection, "SELECT * FROM events ORDER BY account, account_seq", progress):
        if row["account"] != state.account:
            state = AccountState(AccountId(row["account"]))
            broken = False
            report.accounts += 1
            await snapshots.seek(state.account)
        if broken:
            continue
        try:
            event = event_of(row)
            apply(state, event)
        except FOLDING_ERRORS as error:
            broken = True
            report.add(row["shard"], row["seq"], row["account"], f"does not fold after seq {state.seq}: {error!r}")
            continue
        if state.balance_kopecks() != event.balance_kopecks:
            told = event.balance_kopecks
            report.add(row["shard"], row["seq"], row["account"], f"told balance {told}, left {state.balance_kopecks()}")
        if snapshots.at_seq == state.seq:
            report.snapshots += 1
            if not snapshots.equals(state):
                report.add(
                    row["shard"], row["seq"], row["account"], "its snapshot is not the state that the events make"
                )


class _Snapshots:
    """Walks the snapshots in account order beside the events."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._rows = aiter(
            _rows(
                connection,
                "SELECT account, account_seq, version, state FROM account_snapshots ORDER BY account",
                _quiet,
            )
        )
        self._row: asyncpg.Record | None = None
        self._ended = False
        self.at_seq = -1

    async def seek(self, account: AccountId) -> None:
        """Stand at the account's snapshot, or at none."""
        while not self._ended and (self._row is None or self._row["account"] < account):
            self._row = await anext(self._rows, None)
            self._ended = self._row is None
        here = self._row is not None and self._row["account"] == account
        usable = here and self._row is not None and self._row["version"] == codec.SNAPSHOT_VERSION
        self.at_seq = self._row["account_seq"] if usable and self._row is not None else -1

    def equals(self, state: AccountState) -> bool:
        """Tell whether the snapshot holds this state."""
        assert self._row is not None
        try:
            return codec.unpack_snapshot(self._row["state"]) == state
        except FOLDING_ERRORS:
            return False


def _quiet(rows: int) -> None:
    """No progress for the walk beside the main one."""


async def _keys(connection: asyncpg.Connection, report: AuditReport) -> None:
    """Keys and events belong together, one to one."""
    report.keys = await connection.fetchval("SELECT count(*) FROM idempotency_keys")
    strays = await connection.fetch(
        """SELECT k.source, k.txn_id, k.payment_id FROM idempotency_keys k
        LEFT JOIN events e ON e.shard = k.payment_id / $1 AND e.seq = k.payment_id % $1
            AND e.recorded_at = k.recorded_at AND e.source = k.source AND e.txn_id = k.txn_id
        WHERE e.seq IS NULL LIMIT $2""",
        SEQ_SPAN,
        _FINDINGS_MAX,
    )
    for row in strays:
        shard, seq = divmod(row["payment_id"], SEQ_SPAN)
        report.add(shard, seq, "", f"key ({row['source']}, {row['txn_id']}) belongs to no such event")
    keyless = await connection.fetch(
        """SELECT e.shard, e.seq, e.account FROM events e
        LEFT JOIN idempotency_keys k ON k.source = e.source AND k.txn_id = e.txn_id
        WHERE k.source IS NULL LIMIT $1""",
        _FINDINGS_MAX,
    )
    for row in keyless:
        report.add(row["shard"], row["seq"], row["account"], "the event's key is missing")
