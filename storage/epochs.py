"""Who owns what: shards with their epochs, slots with their shards. Both live in Postgres; nothing else decides.

Moving slots bumps the epoch of the shard that loses them and of the one that gains them in the same transaction: from
that commit on neither's running process can append, and each learns its new slots by taking ownership again.
"""

from collections.abc import Iterable

import msgspec

from engine.ids import Epoch, ShardId, Slot
from engine.sharding import SLOTS
from storage.database import connected


class ShardRow(msgspec.Struct, frozen=True):
    """One shard as the database knows it."""

    shard: ShardId
    epoch: int
    seq: int
    slots: int
    owner: str
    lease_left_ms: int


class ShardDoor(msgspec.Struct, frozen=True):
    """Where a shard's process listens during its term, and the key to it."""

    host: str
    port: int
    key: bytes


class SlotTable(msgspec.Struct, frozen=True):
    """Which shard owns each slot. `version` grows with every change of ownership.

    Shape: `doors` has the shards that have announced theirs.
    """

    version: int
    shards: tuple[ShardId, ...]
    doors: dict[ShardId, ShardDoor]


async def ensure_shards(database_url: str, count: int) -> None:
    """Make shards 1..`count` exist and give them every slot that nobody owns, evenly.

    Rule: slots that have an owner keep it; moving them is `move_slots`. Safe when two callers try at once.
    """
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(4096002)")
        await connection.execute(
            "INSERT INTO shards (shard) SELECT generate_series(1, $1) ON CONFLICT DO NOTHING", count
        )
        await connection.execute(
            """INSERT INTO slots (slot, shard) SELECT slot, slot % $1::int + 1 FROM generate_series(0, $2::int) AS slot
                ON CONFLICT DO NOTHING""",
            count,
            SLOTS - 1,
        )


async def move_slots(database_url: str, slots: Iterable[Slot], to_shard: ShardId) -> None:
    """Give slots to a shard and end the terms of everybody concerned.

    Errors: ValueError when the shard is unknown. A process that still runs under an ended term is fenced.
    """
    async with connected(database_url) as connection, connection.transaction():
        moved = list(slots)
        known = await connection.fetchval("SELECT true FROM shards WHERE shard = $1", to_shard)
        if not known:
            raise ValueError(f"no shard {to_shard}")
        # Takes the shards' row locks: waits for appends in progress, in shard order so that movers cannot deadlock.
        await connection.execute(
            """UPDATE shards SET epoch = epoch + 1, door_host = '' WHERE shard IN (
                    SELECT shard FROM shards WHERE shard = $2
                        OR shard IN (SELECT shard FROM slots WHERE slot = ANY($1::int[]))
                    ORDER BY shard FOR UPDATE)""",
            moved,
            to_shard,
        )
        await connection.execute("UPDATE slots SET shard = $2 WHERE slot = ANY($1::int[])", moved, to_shard)


async def read_slots(database_url: str) -> SlotTable:
    """Read the routing table in one snapshot."""
    async with connected(database_url) as connection, connection.transaction(isolation="repeatable_read"):
        slots = await connection.fetch("SELECT shard FROM slots ORDER BY slot")
        shards = await connection.fetch("SELECT shard, epoch, door_host, door_port, door_key FROM shards")
    assert len(slots) == SLOTS, "every slot has an owner"
    doors = {
        row["shard"]: ShardDoor(row["door_host"], row["door_port"], row["door_key"])
        for row in shards
        if row["door_host"]
    }
    return SlotTable(sum(row["epoch"] for row in shards) + 1, tuple(ShardId(row["shard"]) for row in slots), doors)


async def announce_door(database_url: str, shard: ShardId, epoch: Epoch, door: ShardDoor) -> None:
    """Tell gateways where a term's process listens. A term that is over already announces nothing."""
    async with connected(database_url) as connection:
        await connection.execute(
            "UPDATE shards SET door_host = $3, door_port = $4, door_key = $5 WHERE shard = $1 AND epoch = $2",
            *(shard, epoch, door.host, door.port, door.key),
        )


async def read_shards(database_url: str) -> list[ShardRow]:
    """Read every shard's row, in order."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT s.shard, s.epoch, s.seq, s.owner,
            (SELECT count(*) FROM slots WHERE slots.shard = s.shard)::int AS slots,
            CASE WHEN s.lease_until = '-infinity' THEN 0
                ELSE (extract(epoch FROM s.lease_until - clock_timestamp()) * 1000)::bigint END AS lease_left_ms
        FROM shards s ORDER BY s.shard"""
        )
    return [msgspec.convert(dict(row), ShardRow) for row in rows]
