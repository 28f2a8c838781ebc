"""How events, keys and snapshots look in Postgres: binary COPY rows, their hash chain, and the way back.

A row's hash covers its bytes as sent (every column but the hash itself), after the hash of the shard's row before it.
A row changed, removed or inserted behind our back therefore breaks the chain at that very row; the audit packs the
rows it reads once more and compares. Packing is on the hot path: whatever repeats from row to row (names of source
and policy, the line keys of a bill) is packed once and kept.
"""

import datetime
import struct
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from engine.account import AccountState, AdvanceLot, Status
from engine.charge import LineKey, OpenItem, line_key
from engine.events import Details, Event
from engine.ids import AccountId, Period, ShardId, payment_id
from engine.outcomes import Receipt

COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"
HASH_BYTES = 16
GENESIS_HASH = bytes(HASH_BYTES)
SNAPSHOT_VERSION = 2

_PG_EPOCH_US = 946_684_800_000_000  # 2000-01-01 UTC, where Postgres counts microseconds from.
_UNIX_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_OID_TEXT, _OID_INT2, _OID_INT4, _OID_INT8 = 25, 21, 23, 20
_EVENT_FIXED = struct.Struct("!h" + "iq" * 5 + "ii" * 4 + "ih")
_INT32 = struct.Struct("!i")
_ARRAY = struct.Struct("!iiiiii")
_NULL = _INT32.pack(-1)
_EMPTY_AMOUNTS = struct.pack("!iiii", 12, 0, 0, _OID_INT8)
_CACHED_PREFIXES_MAX = 65_536

_details_encoder = msgspec.json.Encoder()
_details_decoder = msgspec.json.Decoder(Details)


class Position(NamedTuple):
    """Where an event stands in the journal. Units: `recorded_at_us` is a UTC instant by the database's clock."""

    shard: ShardId
    seq: int
    recorded_at_us: int


class Stamp(NamedTuple):
    """What an append adds to an event: its term, and the fingerprint of the request if this event answers it."""

    epoch: int
    request_hash: bytes = b""


class _Snapshot(msgspec.Struct, array_like=True):
    """An `AccountState` as stored, version 2."""

    account: AccountId
    status: Status
    agreement: str
    seq: int
    items: tuple[OpenItem, ...]
    lots: list[AdvanceLot]
    unidentified: dict[int, int]
    newest_period: Period
    holds: tuple[str, ...]


_snapshot_encoder = msgspec.msgpack.Encoder()
_snapshot_decoder = msgspec.msgpack.Decoder(_Snapshot)


def pack_event(event: Event, at: Position, stamp: Stamp, previous_hash: bytes) -> tuple[bytes, bytes]:
    """Pack one event as a binary COPY row of `events`.

    Shape: (row, hash of the row); the hash is also the row's last column.
    """
    # fmt: off
    fixed = _EVENT_FIXED.pack(
        23, 8, at.seq, 8, event.amount_kopecks, 8, event.balance_kopecks,
        8, event.accepted_at_us - _PG_EPOCH_US, 8, at.recorded_at_us - _PG_EPOCH_US,
        4, event.account_seq, 4, event.ref, 4, at.shard, 4, stamp.epoch, 2, event.kind,
    )
    # fmt: on
    body = b"".join(
        (
            fixed,
            _text(event.account),
            _text(event.txn_id),
            _names(event.source, event.policy, event.channel),
            _line_keys(event.keys),
            _amounts(event.amounts),
            _sized(stamp.request_hash),
            _NULL if event.details is None else _sized(_details_encoder.encode(event.details)),
        )
    )
    digest = blake2b(previous_hash + body, digest_size=HASH_BYTES).digest()
    return b"".join((body, _HASH_SIZE, digest)), digest


def partition_of(recorded_at_us: int) -> str:
    """Name the partition of `events` that holds this instant."""
    return f"events_{instant(recorded_at_us):%Y_%m}"


def _sized(content: bytes) -> bytes:
    return _INT32.pack(len(content)) + content


def _text(content: str) -> bytes:
    return _sized(content.encode())


_HASH_SIZE = _INT32.pack(HASH_BYTES)


@lru_cache(maxsize=_CACHED_PREFIXES_MAX)
def _names(source: str, policy: str, channel: str) -> bytes:
    return _text(source) + _text(policy) + _text(channel)


@lru_cache(maxsize=_CACHED_PREFIXES_MAX)
def _line_keys(keys: tuple[LineKey, ...]) -> bytes:
    """Columns services, providers, periods and kinds of these lines."""
    return b"".join(
        (
            _array(_OID_TEXT, [k.service.encode() for k in keys]),
            _array(_OID_TEXT, [k.provider.encode() for k in keys]),
            _array(_OID_INT4, [struct.pack("!i", k.period) for k in keys]),
            _array(_OID_INT2, [struct.pack("!h", k.kind) for k in keys]),
        )
    )


def _array(oid: int, elements: list[bytes]) -> bytes:
    if not elements:
        return struct.pack("!iiii", 12, 0, 0, oid)
    content = b"".join(map(_sized, elements))
    return _ARRAY.pack(20 + len(content), 1, 0, oid, len(elements), 1) + content


def _amounts(amounts: tuple[int, ...]) -> bytes:
    if not amounts:
        return _EMPTY_AMOUNTS
    header, lines = _amount_structs(len(amounts))
    interleaved = [8] * (2 * len(amounts))
    interleaved[1::2] = amounts
    return header + lines.pack(*interleaved)


@lru_cache(maxsize=256)
def _amount_structs(count: int) -> tuple[bytes, struct.Struct]:
    return _ARRAY.pack(20 + 12 * count, 1, 0, _OID_INT8, count, 1), struct.Struct("!" + "iq" * count)


def line_keys(
    services: Sequence[str], providers: Sequence[str], periods: Sequence[int], kinds: Sequence[int]
) -> tuple[LineKey, ...]:
    """Put the four parallel columns of a row back together."""
    return tuple(map(line_key, services, providers, periods, kinds))


def instant(us: int) -> datetime.datetime:
    """Turn UTC microseconds into the aware datetime that Postgres drivers speak."""
    return _UNIX_EPOCH + datetime.timedelta(microseconds=us)


def micros(at: datetime.datetime) -> int:
    """Turn an aware datetime into UTC microseconds, exactly."""
    return (at - _UNIX_EPOCH) // _MICROSECOND


def unpack_details(text: str | None) -> Details | None:
    """Read an event's details column."""
    return None if text is None else _details_decoder.decode(text)


def receipt(event: Event, at: Position) -> Receipt:
    """Make the receipt of a durable event: the same from memory today and from its row years later."""
    return Receipt(
        payment_id=payment_id(at.shard, at.seq),
        kind=event.kind,
        account=event.account,
        account_seq=event.account_seq,
        source=event.source,
        txn_id=event.txn_id,
        accepted_at_us=event.accepted_at_us,
        recorded_at_us=at.recorded_at_us,
        amount_kopecks=event.amount_kopecks,
        balance_kopecks=event.balance_kopecks,
        keys=event.keys,
        amounts=event.amounts,
        policy=event.policy,
        channel=event.channel,
        ref=event.ref,
    )


def pack_snapshot(state: AccountState) -> bytes:
    """Pack an account's state for `account_snapshots`."""
    return _snapshot_encoder.encode(
        _Snapshot(
            state.account,
            state.status,
            state.agreement,
            state.seq,
            tuple(state.items.values()),
            state.lots,
            state.unidentified,
            state.newest_period,
            state.holds,
        )
    )


def unpack_snapshot(content: bytes) -> AccountState:
    """Unpack what `pack_snapshot` made."""
    stored = _snapshot_decoder.decode(content)
    return AccountState(
        account=stored.account,
        status=stored.status,
        agreement=stored.agreement,
        seq=stored.seq,
        items={item.key: item for item in stored.items},
        lots=stored.lots,
        unidentified=stored.unidentified,
        newest_period=stored.newest_period,
        holds=stored.holds,
    )
