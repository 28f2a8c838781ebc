"""Yardstick: how many rows Postgres takes when nothing is thought about them: bare COPY loops, one a core.

The very rows, tables and indexes of the journal, as binary COPY streams that were packed before the clock started
(`copy_records_to_table`, which packs as it goes, reached half of that). The best of several transaction sizes counts.
"""

import asyncio
import multiprocessing
import random
import struct
from collections.abc import AsyncIterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from time import monotonic, time_ns

import asyncpg
import uvloop

from engine.charge import Kind, LineKey
from engine.events import Event, EventKind
from engine.ids import AccountId, Period, ProviderId, ServiceCode, ShardId, SourceId, TxnId, payment_id
from storage import codec
from storage.codec import Position

BATCH_ROWS = (500, 2_000, 8_000)
_KEY = struct.Struct("!hiqiqi")
_POSTGRES_EPOCH_US = 946_684_800_000_000
_SHARDS_FROM = 80_000
_SERVICES = ("COLD_WATER", "HEAT", "HOT_WATER", "MAINTENANCE", "SEWERAGE", "WASTE")
_LINES = tuple(LineKey(ServiceCode(s), ProviderId("P01"), Period(202610), Kind.CHARGE) for s in _SERVICES)


async def measure(database_url: str, seconds: float, processes: int, round_: int) -> float:
    """Return rows per second of the best batch size; a row is an event with its idempotency key."""
    each = seconds / len(BATCH_ROWS)
    return max([await asyncio.to_thread(_run, database_url, each, processes, size, round_) for size in BATCH_ROWS])


def _run(database_url: str, seconds: float, count: int, batch_rows: int, round_: int) -> float:
    context = multiprocessing.get_context("spawn")
    results: SimpleQueue[float] = context.SimpleQueue()
    together = context.Barrier(count)
    started = [
        context.Process(target=_worker, args=(database_url, seconds, batch_rows, (round_, worker), together, results))
        for worker in range(count)
    ]
    for process in started:
        process.start()
    rates = [results.get() for _ in started]
    for process in started:
        process.join()
    return sum(rates)


def _worker(
    database_url: str,
    seconds: float,
    batch_rows: int,
    who: tuple[int, int],
    together: Barrier,
    results: SimpleQueue[float],
) -> None:
    results.put(uvloop.run(_copy(database_url, seconds, batch_rows, who, together)))


async def _copy(database_url: str, seconds: float, batch_rows: int, who: tuple[int, int], together: Barrier) -> float:
    """Copy batches until the time is over; rows per second of this worker."""
    chance = random.Random(f"{who}/{batch_rows}")
    shard, seq = ShardId(_SHARDS_FROM + who[1]), who[0] * 100_000_000 + batch_rows * 10_000
    # The bare tables and indexes: none of the triggers by which the ledger defends itself.
    connection = await asyncpg.connect(database_url, server_settings={"session_replication_role": "replica"})
    batches = []
    for _ in range(max(4, int(seconds * 120_000) // batch_rows)):
        batches.append(_streams(shard, seq, batch_rows, chance))
        seq += batch_rows
    together.wait()
    table = codec.partition_of(time_ns() // 1000)
    rows, begun = 0, monotonic()
    for events, keys in batches:
        await connection.execute("BEGIN")
        await connection.copy_to_table(table, source=_once(events), format="binary")
        await connection.copy_to_table("idempotency_keys", source=_once(keys), format="binary")
        await connection.execute("COMMIT")
        rows += batch_rows
        if monotonic() - begun > seconds:
            break
    rate = rows / (monotonic() - begun)
    await connection.close()
    return rate


def _streams(shard: ShardId, seq: int, rows: int, chance: random.Random) -> tuple[bytes, bytes]:
    events, keys, head = [codec.COPY_HEADER], [codec.COPY_HEADER], codec.GENESIS_HASH
    now_us = time_ns() // 1000
    for number in range(seq, seq + rows):
        event, at = _payment(number, now_us, chance), Position(shard, number, now_us)
        row, head = codec.pack_event(event, at, codec.Stamp(1, head), head)
        events.append(row)
        keys.append(_key_row(event, at))
    return b"".join((*events, codec.COPY_TRAILER)), b"".join((*keys, codec.COPY_TRAILER))


def _key_row(event: Event, at: Position) -> bytes:
    source, txn_id = event.source.encode(), event.txn_id.encode()
    at_us = at.recorded_at_us - _POSTGRES_EPOCH_US
    fixed = _KEY.pack(4, 8, payment_id(at.shard, at.seq), 8, at_us, len(source))
    return b"".join((fixed, source, len(txn_id).to_bytes(4, "big"), txn_id))


def _payment(number: int, now_us: int, chance: random.Random) -> Event:
    return Event(
        kind=EventKind.PAYMENT_RECEIVED,
        account=AccountId(f"{chance.randrange(10**10):010d}"),
        account_seq=number % 1_000_000_000,
        source=SourceId("osmp"),
        txn_id=TxnId(f"{chance.randrange(10**15):015d}"),
        accepted_at_us=now_us,
        amount_kopecks=6_000,
        balance_kopecks=994_000,
        keys=_LINES,
        amounts=(1_000,) * len(_LINES),
        policy="main@1",
        channel="terminal",
    )


async def _once(stream: bytes) -> AsyncIterator[bytes]:
    yield stream
