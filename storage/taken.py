"""What was taken, per source and time: a narrow copy of the ledger's payments that registers are matched with.

It follows the ledger by a cursor per shard, behind the payments' path: an append neither knows of it nor waits for it.
A shard's rows become visible in the order of their numbers (the append moves the shard's sequence in its own
transaction), so a cursor misses nothing. Derived: emptied together with its cursors, it is filled again (ADR-0012).
"""

import asyncio
import time

import asyncpg

from engine.events import EventKind
from engine.ids import SEQ_SPAN, ShardId
from engine.registers import CHANNEL, REFUND_PREFIX
from storage.database import connected

_EVENTS_A_STEP = 5_000
_TAKEN_KINDS = (EventKind.PAYMENT_RECEIVED, EventKind.UNIDENTIFIED_RECEIVED)
_UNDONE_KINDS = (EventKind.PAYMENT_REVERSED, EventKind.UNIDENTIFIED_RELEASED)

_ENSURE = "INSERT INTO taken_cursors (shard) SELECT shard FROM shards ON CONFLICT DO NOTHING"

# Locks the cursor: of two followers one waits, then goes on from where the other came to.
_CURSOR = "SELECT seq, recorded_at FROM taken_cursors WHERE shard = $1 FOR UPDATE"

_END = "SELECT seq FROM shards WHERE shard = $1"

# Served by each partition's (shard, seq); the margin covers successive owners whose copies of the database's clock
# differ, and lets older partitions be pruned.
_TAKE = """
    INSERT INTO taken (payment_id, kopecks, accepted_at, by_register, source, txn_id, account)
    SELECT $5::bigint * $1::bigint + seq, amount_kopecks, accepted_at, channel = $6, source, txn_id, account FROM events
    WHERE shard = $1 AND seq > $2 AND seq <= $3 AND recorded_at >= $4::timestamptz - interval '1 day'
        AND kind = ANY($7::smallint[])
    ON CONFLICT DO NOTHING"""

# What is undone may be another shard's payment, not passed yet (its account has moved): it comes along.
_TAKE_UNDONE = """
    INSERT INTO taken (payment_id, kopecks, accepted_at, by_register, source, txn_id, account)
    SELECT $5::bigint * p.shard + p.seq, p.amount_kopecks, p.accepted_at, p.channel = $6, p.source, p.txn_id, p.account
    FROM events e JOIN events p ON p.account = e.account AND p.account_seq = e.ref
    WHERE e.shard = $1 AND e.seq > $2 AND e.seq <= $3 AND e.recorded_at >= $4::timestamptz - interval '1 day'
        AND e.kind = ANY($7::smallint[])
    ON CONFLICT DO NOTHING"""

# What undoes a payment names it by its place on the account; served by each partition's (account, account_seq). What
# registers undo themselves does not count: it is a line of theirs.
_UNDO = """
    UPDATE taken t SET reversed_kopecks = t.reversed_kopecks + undone.kopecks
    FROM (
        SELECT p.source, p.txn_id, -sum(e.amount_kopecks)::bigint AS kopecks
        FROM events e JOIN events p ON p.account = e.account AND p.account_seq = e.ref
        WHERE e.shard = $1 AND e.seq > $2 AND e.seq <= $3 AND e.recorded_at >= $4::timestamptz - interval '1 day'
            AND e.kind = ANY($5::smallint[]) AND NOT starts_with(e.txn_id, $6)
        GROUP BY p.source, p.txn_id
    ) AS undone
    WHERE t.source = undone.source AND t.txn_id = undone.txn_id"""

_MOVE = """
    UPDATE taken_cursors SET seq = $2, recorded_at = coalesce(
        (SELECT max(recorded_at) FROM events
            WHERE shard = $1 AND seq = $2 AND recorded_at >= $3::timestamptz - interval '1 day'),
        recorded_at)
    WHERE shard = $1"""


async def follow(database_url: str, *, share_percent: int = 100) -> int:
    """Take over everything that the ledger has up to now; return how many events were passed.

    Rule: one transaction a step moves rows and cursor together, so that an end at any point loses and doubles nothing.
    Whoever is in no hurry works for a share of the time only, and leaves the database to the payers for the rest.
    Errors: `NotDone`; what was passed stays passed.
    """
    async with connected(database_url) as connection:
        return await follow_on(connection, share_percent=share_percent)


async def follow_on(connection: asyncpg.Connection, *, share_percent: int = 100) -> int:
    """`follow`, over a connection of the caller's."""
    passed = 0
    await connection.execute(_ENSURE)
    for row in await connection.fetch("SELECT shard FROM taken_cursors ORDER BY shard"):
        begun = time.monotonic()
        while step := await _step(connection, ShardId(row["shard"])):
            passed += step
            await asyncio.sleep((time.monotonic() - begun) * (100 - share_percent) / share_percent)
            begun = time.monotonic()
    return passed


async def _step(connection: asyncpg.Connection, shard: ShardId) -> int:
    """Pass the next events of one shard; 0 at its end."""
    async with connection.transaction():
        cursor = await connection.fetchrow(_CURSOR, shard)
        end = await connection.fetchval(_END, shard)
        first, since = cursor["seq"], cursor["recorded_at"]
        last = min(end, first + _EVENTS_A_STEP)
        if last == first:
            return 0
        await connection.execute(_TAKE, shard, first, last, since, SEQ_SPAN, CHANNEL, list(_TAKEN_KINDS))
        undone = list(_UNDONE_KINDS)
        await connection.execute(_TAKE_UNDONE, shard, first, last, since, SEQ_SPAN, CHANNEL, undone)
        await connection.execute(_UNDO, shard, first, last, since, undone, REFUND_PREFIX)
        await connection.execute(_MOVE, shard, last, since)
    return int(last - first)


async def lag(database_url: str) -> int:
    """Return how many events the copy is behind the ledger."""
    async with connected(database_url) as connection:
        behind = await connection.fetchval(
            "SELECT coalesce(sum(s.seq - coalesce(c.seq, 0)), 0) FROM shards s LEFT JOIN taken_cursors c USING (shard)"
        )
    return int(behind)
