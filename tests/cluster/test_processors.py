"""Processors of every dialect against a whole installation whose database stands still."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import asyncpg
import msgspec
import pytest
import yarl

from cli.agents import Agent, Asked, Heard, agents_of
from cli.demo_connections import DemoFile
from storage.embedded import EmbeddedPostgres
from tests.cluster.installation import Installation

pytestmark = pytest.mark.slow
REPEATED = {"osmp": {"1", "90"}, "cyberplat": {"-3"}, "moneta": {"FAIL"}, "sber": {"-1"}, "bisys": {"2", "90"}}
_BACK_S_MAX = 40.0


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    made = Installation(accounts=50)
    made.start()
    yield made
    made.remove()


async def said(session: aiohttp.ClientSession, agent: Agent, asked: Asked) -> Heard:
    url = yarl.URL(asked.url, encoded=True)
    method = "GET" if asked.body is None else "POST"
    async with session.request(method, url, data=asked.body, headers=asked.headers) as reply:
        reply.raise_for_status()
        return agent.read(await reply.read())


def processes_of(postgres: EmbeddedPostgres) -> list[int]:
    """The server and its children."""
    pid = postgres.pid()
    assert pid is not None
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


async def test_with_the_database_frozen_every_dialect_says_repeat_and_the_repeat_counts_once(
    installation: Installation,
) -> None:
    demo = msgspec.convert(await asyncio.to_thread(installation.seed), DemoFile)
    agents, account, number = agents_of(demo), demo.sample_accounts[0], time.time_ns()
    pays = [(agent, agent.pay(number, account, 12_300)) for agent in agents]
    postgres = EmbeddedPostgres(installation.home)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        await asyncio.gather(*(_until_done(session, agent, agent.check(number, account)) for agent in agents))
        frozen = processes_of(postgres)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            answers = await asyncio.gather(*(said(session, agent, asked) for agent, asked in pays))
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        codes = {agent.name: heard.code for (agent, _), heard in zip(pays, answers, strict=True)}
        assert {name: code for name, code in codes.items() if code not in REPEATED[name]} == {}
        await asyncio.gather(*(_until_done(session, agent, asked) for agent, asked in pays))
    connection = await asyncpg.connect(postgres.start())
    credited = await connection.fetch("SELECT source, amount_kopecks FROM events WHERE txn_id = $1", str(number))
    await connection.close()
    assert sorted(map(tuple, credited)) == sorted(
        (name, 12_300) for name in ("bisys", "cyberplat", "moneta", "qiwi", "sber")
    )
    done = await asyncio.to_thread(installation.run, "audit", "--json", "--quiet")
    assert json.loads(done.stdout)["mismatches"] == 0


async def _until_done(session: aiohttp.ClientSession, agent: Agent, asked: Asked) -> None:
    """Ask again as the processor does, until it is done. A door knows new connections within a few seconds."""
    async with asyncio.timeout(_BACK_S_MAX):
        while True:
            with suppress(aiohttp.ClientResponseError):
                if (await said(session, agent, asked)).done:
                    return
            await asyncio.sleep(0.5)
