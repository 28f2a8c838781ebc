"""Live notices over a real server: they wake, they may be lost, and nobody who pays ever waits for them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from actors import messages, notices
from actors.messages import Notice
from actors.notices import CHANNEL, NoticeListener, NoticePublisher, Subscription
from engine.events import EventKind
from engine.ids import AccountId, PaymentId
from storage.embedded import EmbeddedValkey

ONE, OTHER = AccountId("007001020003"), AccountId("007001020011")
NOBODY = "redis://127.0.0.1:1/0"
LONG_S = 30.0
SOON_S = 1.5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    valkey = EmbeddedValkey(tmp_path)
    valkey.start()
    yield valkey
    valkey.stop()


def notice(account: AccountId = ONE, account_seq: int = 1) -> Notice:
    return Notice(account, account_seq, EventKind.PAYMENT_RECEIVED, 100, 0, PaymentId(1))


async def woken(subscription: Subscription, within_s: float = SOON_S) -> bool:
    """Tell whether a wake-up comes in time; one that is due by the clock alone does not count."""
    try:
        async with asyncio.timeout(within_s):
            await subscription.next(LONG_S)
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[NoticeListener]:
    listener = NoticeListener(url)
    running = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[NoticePublisher]:
    publisher = NoticePublisher(url)
    try:
        yield publisher
    finally:
        await publisher.close()


async def connected(listener: NoticeListener, subscription: Subscription) -> None:
    """Wait until the listener hears: it wakes everybody then."""
    async with asyncio.timeout(10):
        while not listener.connected:
            await subscription.next(LONG_S)
    subscription.forget()


async def test_a_commit_wakes_the_readers_of_its_account_and_no_others(server: EmbeddedValkey) -> None:
    url = server.start()
    async with (
        listening(url) as listener,
        publishing(url) as publisher,
        listener.subscribe(ONE) as one,
        listener.subscribe(ONE) as twin,
        listener.subscribe(OTHER) as other,
    ):
        await connected(listener, one)
        twin.forget()
        other.forget()
        publisher.publish([notice()])
        assert await woken(one)
        assert await woken(twin)
        assert not await woken(other, within_s=0.1)


async def test_one_message_carries_a_batch(server: EmbeddedValkey) -> None:
    url = server.start()
    async with Redis.from_url(url) as redis, redis.pubsub() as channel, publishing(url) as publisher:
        await channel.subscribe(CHANNEL)
        await channel.get_message(timeout=5)
        batch = [notice(), notice(OTHER, 7)]
        publisher.publish(batch)
        message = await channel.get_message(timeout=5)
        assert messages.notices_decoder.decode(message["data"]) == batch


async def test_a_wake_up_between_two_waits_is_not_lost() -> None:
    listener = NoticeListener(NOBODY)
    async with listener.subscribe(ONE) as one:
        listener.heard(messages.encode([notice()]))
        listener.heard(messages.encode([notice(account_seq=2)]))
        assert await woken(one, within_s=0.1)
        assert not await woken(one, within_s=0.05)


async def test_publishing_without_redis_never_waits_and_never_fails() -> None:
    async with publishing(NOBODY) as publisher:
        for _ in range(10_000):
            publisher.publish([notice()])
        assert publisher.waiting <= notices._BATCHES_MAX
        assert publisher.dropped_batches == 10_000 - publisher.waiting


async def test_readers_poll_while_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "POLL_S", 0.05)
    async with listening(NOBODY) as listener, listener.subscribe(ONE) as one:
        assert await woken(one)
        assert await woken(one)
        assert not listener.connected


async def test_readers_wake_when_redis_dies_and_when_it_is_back(server: EmbeddedValkey) -> None:
    url = server.start()
    async with listening(url) as listener, listener.subscribe(ONE) as one, publishing(url) as publisher:
        await connected(listener, one)
        pid = server.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, pid, 0)
        assert await woken(one), "the loss itself is a reason to look"
        publisher.publish([notice()])
        assert server.start() == url
        await connected(listener, one)
        publisher.publish([notice()])
        assert await woken(one, within_s=2.0), "live screens catch up within two seconds"


async def test_after_a_loss_everybody_is_told_to_look(server: EmbeddedValkey) -> None:
    url = server.start()
    async with publishing(url) as publisher, listening(url) as listener, listener.subscribe(OTHER) as other:
        await connected(listener, other)
        for _ in range(notices._BATCHES_MAX + 1):
            publisher.publish([notice(ONE)])
        assert publisher.dropped_batches == 1
        assert await woken(other)


async def test_batches_dropped_between_two_messages_are_told_too(server: EmbeddedValkey) -> None:
    url = server.start()
    async with publishing(url) as publisher, listening(url) as listener, listener.subscribe(ONE) as one:
        await connected(listener, one)
        publisher.publish([notice(ONE)])
        assert await woken(one)
        async with listener.subscribe(OTHER) as other:
            for _ in range(notices._BATCHES_MAX + 1):
                publisher.publish([notice(ONE)])
            assert await woken(other)


@pytest.mark.parametrize("message", [b"", b"\xff\xff", b"\x93\x01\x02\x03", b"hello", b"\x91\xa3abc"])
async def test_what_cannot_be_read_wakes_everybody(message: bytes) -> None:
    listener = NoticeListener(NOBODY)
    async with listener.subscribe(ONE) as one:
        listener.heard(message)
        assert await woken(one, within_s=0.1)


async def test_nothing_is_decoded_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = NoticeListener(NOBODY)
    monkeypatch.setattr(notices, "_touched_decoder", None)
    listener.heard(messages.encode([notice()]))


async def test_a_reader_that_left_is_forgotten() -> None:
    listener = NoticeListener(NOBODY)
    async with listener.subscribe(ONE), listener.subscribe(ONE):
        assert listener.readers == 2
    assert listener.readers == 0


@pytest.mark.parametrize("turns", range(10, 130, 5))
async def test_closing_ends_a_publisher_whatever_it_does(server: EmbeddedValkey, turns: int) -> None:
    publisher = NoticePublisher(server.start())
    for _ in range(200):
        publisher.publish([notice()])
    async with asyncio.timeout(5):
        for _ in range(turns):
            await asyncio.sleep(0)
        await publisher.close()


async def test_a_frozen_server_is_left(server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_QUIET_S", 0.1)
    url = server.start()
    async with listening(url) as listener, listener.subscribe(ONE) as one:
        await connected(listener, one)
        pid = server.pid()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await woken(one)
            assert not listener.connected
        finally:
            os.kill(pid, signal.SIGCONT)
