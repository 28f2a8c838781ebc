"""Live streams: every commit once and in order, whatever happens to wake-ups, readers and the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import pytest_asyncio
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from actors.client import ShardUnreachable, Transport
from engine.commands import AcceptPayment, OpenAccount
from engine.ids import AccountId
from gateways import live, middleware
from gateways.live import Streams, events, open_streams
from tests.gateways.osmp_stage import OPEN, Stage, open_stage

Client = TestClient[web.Request, web.Application]
PATH = f"/v1/accounts/{OPEN}/events"
BILLED_SEQ = 2
HEARTBEAT = {"": ""}


class Wakeups:
    """Wake-ups that the test sends by hand."""

    def __init__(self) -> None:
        self.asleep = asyncio.Event()
        self._woken = asyncio.Event()

    async def next(self, timeout_s: float) -> None:
        self.asleep.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self.asleep.clear()
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()

    @asynccontextmanager
    async def subscribe(self, account: AccountId) -> AsyncIterator["Wakeups"]:
        yield self


class Gateway(NamedTuple):
    """What a test holds: the stage, its wake-ups, the streams and a client."""

    stage: Stage
    wakeups: Wakeups
    streams: Streams
    client: Client


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with open_stage() as stage:
        wakeups = Wakeups()
        streams = Streams(stage.router, wakeups, streams_max=2)
        app = web.Application()
        middleware.install(app)
        open_streams(app, streams)
        app.router.add_get("/v1/accounts/{number}/events", events)
        async with TestClient(TestServer(app)) as client:
            yield Gateway(stage, wakeups, streams, client)


async def pay(stage: Stage, kopecks: int = 100) -> None:
    await stage.post(OPEN, AcceptPayment, amount_kopecks=kopecks)


async def block(reply: ClientResponse) -> dict[str, str]:
    """Read one block of a stream: its fields, without comments' text."""
    lines = (await reply.content.readuntil(b"\n\n")).decode().rstrip("\n").split("\n")
    pairs = [line.partition(": ") for line in lines]
    return {name: value for name, _, value in pairs}


async def all_ended(gateway: Gateway) -> None:
    """Wait for every stream's end."""
    assert gateway.streams.running
    _, still_open = await asyncio.wait(gateway.streams.running, timeout=5)
    assert not still_open


async def test_a_stream_begins_at_the_present_and_tells_each_commit(gateway: Gateway) -> None:
    async with gateway.client.get(PATH) as reply:
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        assert await block(reply) == {"retry": "2000"}
        for number in (1, 2):
            await pay(gateway.stage, 100 * number)
            gateway.wakeups.wake()
            told = await block(reply)
            assert (told["id"], told["event"]) == (str(BILLED_SEQ + number), "payment_received")
            content = json.loads(told["data"])
            assert (content["account_seq"], content["amount_kopecks"]) == (BILLED_SEQ + number, 100 * number)
            assert sum(part["amount_kopecks"] for part in content["allocations"]) == 100 * number


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_reader_resumes_after_the_last_number_it_saw(gateway: Gateway, by_header: bool) -> None:
    for _ in range(40):
        await pay(gateway.stage)
    headers = {"Last-Event-ID": "1"} if by_header else {}
    params = {} if by_header else {"last_event_id": "1"}
    async with gateway.client.get(PATH, headers=headers, params=params) as reply:
        await block(reply)
        numbers = [int((await block(reply))["id"]) for _ in range(41)]
    assert numbers == list(range(2, 43)), "no hole and no repeat over several pages"


async def test_a_wake_up_without_news_tells_nothing(gateway: Gateway) -> None:
    async with gateway.client.get(PATH) as reply:
        await block(reply)
        gateway.wakeups.wake()
        await gateway.wakeups.asleep.wait()
        await pay(gateway.stage)
        gateway.wakeups.wake()
        assert (await block(reply))["id"] == str(BILLED_SEQ + 1)


async def test_a_lost_wake_up_costs_time_and_no_event(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT_S", 0.05)
    async with gateway.client.get(PATH) as reply:
        await block(reply)
        await pay(gateway.stage)
        while (told := await block(reply)) == HEARTBEAT:
            pass
        assert told["id"] == str(BILLED_SEQ + 1)


async def test_a_silent_stream_says_that_it_lives(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT_S", 0.05)
    async with gateway.client.get(PATH) as reply:
        await block(reply)
        assert await block(reply) == HEARTBEAT


async def test_a_shard_that_is_away_is_waited_for(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_RETRY_S", 0.01)
    lane = next(iter(gateway.stage.router.lanes.values()))
    async with gateway.client.get(PATH) as reply:
        await block(reply)
        await pay(gateway.stage)
        there, asked = lane.transport, asyncio.Event()

        async def silence(_: bytes) -> bytes:
            asked.set()
            raise ShardUnreachable

        lane.transport = Transport(silence, silence)
        gateway.wakeups.wake()
        await asked.wait()
        lane.transport = there
        assert (await block(reply))["id"] == str(BILLED_SEQ + 1)


@pytest.mark.parametrize(
    ("path", "last", "status"),
    [
        ("/v1/accounts/404/events", None, 404),
        ("/v1/accounts/%00/events", None, 400),
        (PATH, "99", 400),
        (PATH, "-1", 400),
        (PATH, "x", 400),
        (PATH, "9" * 40, 400),
    ],
)
async def test_what_cannot_be_streamed_is_a_problem(gateway: Gateway, path: str, last: str | None, status: int) -> None:
    reply = await gateway.client.get(path, headers={} if last is None else {"Last-Event-ID": last})
    assert reply.status == status
    assert reply.content_type == "application/problem+json"


async def test_streams_are_bounded(gateway: Gateway) -> None:
    async with gateway.client.get(PATH) as first, gateway.client.get(PATH) as second:
        await block(first)
        await block(second)
        refused = await gateway.client.get(PATH)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        await pay(gateway.stage)


async def test_a_reader_that_goes_is_forgotten(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT_S", 0.02)
    reply = await gateway.client.get(PATH)
    await block(reply)
    reply.close()
    await all_ended(gateway)


async def test_a_stopping_gateway_ends_its_streams_in_order(gateway: Gateway) -> None:
    async with gateway.client.get(PATH) as reply:
        await block(reply)
        await gateway.streams.close()
        async with asyncio.timeout(5):
            assert await reply.content.read() == b""
        assert reply.content.at_eof()
    assert (await gateway.client.get(PATH)).status == 503


async def test_who_does_not_read_is_dropped(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_UNSENT_S_MAX", 0.05)
    monkeypatch.setattr(live, "_UNSENT_POLL_S", 0.01)
    monkeypatch.setattr(live, "event_view", lambda receipt: "x" * 500_000)
    for _ in range(60):
        await pay(gateway.stage)
    reader, writer = await asyncio.open_connection(gateway.client.host, gateway.client.port, limit=1024)
    writer.write(f"GET {PATH}?last_event_id=1 HTTP/1.1\r\nHost: k\r\n\r\n".encode())
    await reader.readuntil(b"retry: 2000")
    await all_ended(gateway)
    writer.transport.abort()


async def test_an_account_opened_later_is_unknown_until_then(gateway: Gateway) -> None:
    path = "/v1/accounts/500/events"
    assert (await gateway.client.get(path)).status == 404
    await gateway.stage.post(AccountId("500"), OpenAccount, agreement="A")
    async with gateway.client.get(path) as reply:
        assert await block(reply) == {"retry": "2000"}
