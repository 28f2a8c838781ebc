"""The demonstration's processors speak every dialect, by the credentials that its file tells."""

import datetime
import json
from pathlib import Path

import aiohttp
import pytest
import yarl

from cli import demo_connections
from cli.agents import Agent, Asked, agents_of
from cli.demo_connections import DemoFile, make_connections, read_demo_file, wanted_of, write_demo_file
from gateways.connections import Row, read_connection
from gateways.processors.dialects import all_dialects
from tests.gateways.osmp_stage import OPEN, UNKNOWN, Stage, open_doors


@pytest.fixture
async def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoFile:
    async def ensure(*_: object) -> None:
        pass

    monkeypatch.setattr(demo_connections, "ensure", ensure)
    made = await make_connections("", tmp_path, "http://pay.example")
    write_demo_file(tmp_path, made)
    return made


async def said(session: aiohttp.ClientSession, base: str, asked: Asked) -> bytes:
    url = yarl.URL(asked.url.replace("http://pay.example", base), encoded=True)
    method = "GET" if asked.body is None else "POST"
    async with session.request(method, url, data=asked.body, headers=asked.headers) as reply:
        assert reply.status == 200
        return await reply.read()


def test_there_is_an_agent_for_every_dialect(demo: DemoFile) -> None:
    assert {agent.name for agent in agents_of(demo)} == set(all_dialects()) == set(demo.dialects)


async def test_every_agent_checks_pays_and_repeats(
    stage: Stage, demo: DemoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = datetime.datetime(2026, 10, 15, 12)  # noqa: DTZ001 - protocols name no zone.
    monkeypatch.setattr("cli.agents._now", noon.strftime)
    rows = [Row(name, kind, active=True, settings=json.dumps(terms)) for name, kind, terms in wanted_of(demo)]
    connections = list(map(read_connection, rows))
    async with open_doors(stage, *connections) as door:
        base = f"http://{door.host}:{door.port}"
        for number, agent in enumerate(agents_of(demo), 1):
            await _try(agent, number, door.session, base)
    assert [txn_id for txn_id, _, _ in stage.credited()] == ["1", "2", "3", "4", "5"]


async def _try(agent: Agent, number: int, session: aiohttp.ClientSession, base: str) -> None:
    assert agent.read(await said(session, base, agent.check(number, OPEN))).done
    assert not agent.read(await said(session, base, agent.check(number, UNKNOWN))).done
    first = agent.read(await said(session, base, agent.pay(number, OPEN, 10_000)))
    again = agent.read(await said(session, base, agent.pay(number, OPEN, 10_000)))
    assert first.done
    assert (again.done, again.ours) == (True, first.ours)


async def test_a_restart_keeps_the_secrets(demo: DemoFile, tmp_path: Path) -> None:
    assert await make_connections("", tmp_path, "http://pay.example") == demo
    assert read_demo_file(tmp_path) == demo
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600
