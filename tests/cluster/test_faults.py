"""Real faults, real processes: kill -9, SIGSTOP, SIGTERM and a power cut under load. Nothing acknowledged is lost."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.cluster.installation import Installation
from tests.cluster.payers import Payers

pytestmark = pytest.mark.slow
_OUTAGE_S_MAX = 12.0
"""The bars of a shard's or a server's outage, doubled for a busy machine."""


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    made = Installation(accounts=200)
    made.start()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def demo(installation: Installation) -> dict[str, Any]:
    return installation.seed()


@pytest.fixture(autouse=True)
def _up(installation: Installation) -> None:
    if installation.up is None or installation.up.poll() is not None:
        installation.start()


def payers(installation: Installation, demo: dict[str, Any], name: str) -> Payers:
    return Payers(installation.url, demo, name=name)


def database_url(installation: Installation) -> str:
    return EmbeddedPostgres(installation.home).start()


async def _settle(crowd: Payers, installation: Installation) -> None:
    await crowd.judge(database_url(installation))
    done = await asyncio.to_thread(installation.run, "audit", "--json", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["mismatches"] == 0


async def test_a_shard_killed_under_load_loses_and_doubles_nothing(
    installation: Installation, demo: dict[str, Any]
) -> None:
    async with payers(installation, demo, "shard") as crowd:
        await crowd.until_acknowledged(200)
        for shard in (1, 2):
            os.kill(await asyncio.to_thread(installation.shard_pid, shard), signal.SIGKILL)
            await crowd.until_acknowledged(300)
    assert crowd.silence_s < _OUTAGE_S_MAX
    await _settle(crowd, installation)


async def test_a_gateway_killed_under_load_loses_and_doubles_nothing(
    installation: Installation, demo: dict[str, Any]
) -> None:
    async with payers(installation, demo, "gateway") as crowd:
        await crowd.until_acknowledged(200)
        os.kill(installation.pids("ray::GatewayProcess")[0], signal.SIGKILL)
        await crowd.until_acknowledged(300)
    assert crowd.repeats > 0
    assert crowd.silence_s < _OUTAGE_S_MAX
    await _settle(crowd, installation)


async def test_postgres_killed_under_load_comes_back_and_nothing_acknowledged_is_lost(
    installation: Installation, demo: dict[str, Any]
) -> None:
    async with payers(installation, demo, "postgres") as crowd:
        await crowd.until_acknowledged(200)
        postmaster = EmbeddedPostgres(installation.home).pid()
        assert postmaster is not None
        os.kill(postmaster, signal.SIGKILL)
        await crowd.until_acknowledged(300)
    assert EmbeddedPostgres(installation.home).pid() not in (None, postmaster)
    assert crowd.silence_s < 2 * _OUTAGE_S_MAX
    await _settle(crowd, installation)


async def test_payments_go_on_without_valkey(installation: Installation, demo: dict[str, Any]) -> None:
    async with payers(installation, demo, "valkey") as crowd:
        await crowd.until_acknowledged(100)
        valkey = EmbeddedValkey(installation.home).pid()
        assert valkey is not None
        os.kill(valkey, signal.SIGKILL)
        await crowd.until_acknowledged(300)
    assert crowd.silence_s < 2
    await _settle(crowd, installation)


async def test_a_paused_shard_that_was_replaced_commits_nothing_and_ends(
    installation: Installation, demo: dict[str, Any]
) -> None:
    """The zombie wakes with payments in its hands; another node has taken its epoch over meanwhile."""
    connection = await asyncpg.connect(database_url(installation))
    async with payers(installation, demo, "zombie") as crowd:
        await crowd.until_acknowledged(100)
        zombie = await asyncio.to_thread(installation.shard_pid, 1)
        os.kill(zombie, signal.SIGSTOP)
        await asyncio.sleep(0.5)
        taken_at, stale = await connection.fetchrow(
            "UPDATE shards SET epoch = epoch + 1, door_host = '' WHERE shard = 1 RETURNING seq, epoch - 1"
        )
        os.kill(zombie, signal.SIGCONT)
        await _until_gone(zombie)
        await crowd.until_acknowledged(200)
    assert await connection.fetchval("SELECT count(*) FROM events WHERE shard = 1 AND epoch = $1", stale) > 0
    late = "SELECT count(*) FROM events WHERE shard = 1 AND epoch = $1 AND seq > $2"
    assert await connection.fetchval(late, stale, taken_at) == 0
    await connection.close()
    await _settle(crowd, installation)


async def _until_gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while os.path.exists(f"/proc/{pid}"):  # noqa: ASYNC110, ASYNC240 - another process's end has no event
            await asyncio.sleep(0.05)


async def test_a_row_edited_by_hand_is_named_by_the_audit(installation: Installation, demo: dict[str, Any]) -> None:
    async with payers(installation, demo, "edited") as crowd:
        await crowd.until_acknowledged(20)
    connection = await asyncpg.connect(database_url(installation))
    await connection.execute("SET session_replication_role = replica")
    row = await connection.fetchrow(
        "UPDATE events SET amount_kopecks = amount_kopecks + 1 WHERE txn_id = $1 AND request_hash <> '' "
        "RETURNING shard, seq, account",
        next(iter(crowd.told)),
    )
    assert row is not None
    done = await asyncio.to_thread(installation.run, "audit", "--json", "--quiet")
    await connection.execute(
        "UPDATE events SET amount_kopecks = amount_kopecks - 1 WHERE shard = $1 AND seq = $2", row["shard"], row["seq"]
    )
    await connection.close()
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    assert (row["shard"], row["seq"], row["account"]) in {(f["shard"], f["seq"], f["account"]) for f in findings}
    assert (await asyncio.to_thread(installation.run, "audit", "--quiet")).returncode == 0


async def test_a_power_cut_loses_nothing_acknowledged_and_one_command_starts_again(
    installation: Installation, demo: dict[str, Any]
) -> None:
    async with payers(installation, demo, "power") as crowd:
        await crowd.until_acknowledged(200)
        installation.kill_everything()
        assert await asyncio.to_thread(installation.start) < 60
        await crowd.until_acknowledged(200)
    await _settle(crowd, installation)


async def test_a_drained_system_answers_what_it_accepted_and_leaves_nothing_behind(
    installation: Installation, demo: dict[str, Any]
) -> None:
    url = database_url(installation)
    crowd = payers(installation, demo, "drain")
    async with crowd:
        await crowd.until_acknowledged(200)
        took_s = await asyncio.to_thread(installation.stop)
        crowd.give_up()
    assert took_s < 30
    ends = time.monotonic() + 10
    while installation.everything() and time.monotonic() < ends:  # noqa: ASYNC110 - processes' ends have no event
        await asyncio.sleep(0.1)
    assert installation.everything() == []
    server = EmbeddedPostgres(installation.home)
    server.start()
    await crowd.judge(url)
    server.stop()
