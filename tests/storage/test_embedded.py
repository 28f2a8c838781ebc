"""The embedded servers: they start, stay, come back and keep what was committed."""

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from storage.embedded import EmbeddedPostgres, EmbeddedValkey


async def _value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_the_server_is_postgres_18_and_durable(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    assert str(asyncio.run(_value(url, "SHOW server_version"))).startswith("18")
    assert asyncio.run(_value(url, "SHOW fsync")) == "on"
    assert asyncio.run(_value(url, "SHOW synchronous_commit")) == "on"
    assert asyncio.run(_value(url, "SHOW listen_addresses")) == "127.0.0.1"


def test_a_second_start_adopts_the_running_server(postgres: EmbeddedPostgres, home: Path) -> None:
    pid = postgres.pid()
    assert EmbeddedPostgres(home).start() == postgres.start()
    assert EmbeddedPostgres(home).pid() == pid


def test_after_kill_9_the_server_comes_back_with_what_was_committed(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    asyncio.run(_value(url, "CREATE TABLE survivor AS SELECT 7 AS n"))
    pid = postgres.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert postgres.start() == url
    assert postgres.pid() != pid
    assert asyncio.run(_value(url, "SELECT n FROM survivor")) == 7


def test_passwords_are_readable_by_their_owner_only(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey, home: Path
) -> None:
    for name in ("postgres.json", "valkey.json"):
        assert (home / name).stat().st_mode & 0o077 == 0


def test_valkey_wants_its_password_and_comes_back_after_kill_9(valkey: EmbeddedValkey) -> None:
    url = valkey.start()

    async def ping(at: str) -> bool:
        async with Redis.from_url(at) as redis:
            return bool(await redis.ping())

    assert asyncio.run(ping(url))
    pid = valkey.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert valkey.start() == url
    assert asyncio.run(ping(url))
