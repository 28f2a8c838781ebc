"""Yardstick: one row, one INSERT, one commit, one connection: the least that a durable answer takes."""

from time import monotonic_ns

import asyncpg

from bench.loadgen import LoadResult

_TABLE = """CREATE TABLE IF NOT EXISTS single_insert (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account text, txn_id text, amounts bigint[])"""


async def measure(database_url: str, seconds: float) -> LoadResult:
    """Insert row after row, each with its commit, for that long."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_TABLE)
        insert = await connection.prepare(
            "INSERT INTO single_insert (account, txn_id, amounts) VALUES ($1, $2, $3) RETURNING id"
        )
        latencies, ends = [], monotonic_ns() + int(seconds * 1e9)
        while (begun := monotonic_ns()) < ends:
            await insert.fetchval("0000000001", "100000000000001", [1000] * 6)
            latencies.append((monotonic_ns() - begun) // 1000)
    finally:
        await connection.close()
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    return LoadResult(len(latencies), 0, len(latencies) / seconds, p50, p99, latencies[-1])
