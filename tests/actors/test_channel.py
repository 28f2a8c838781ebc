"""The channel between gateways and shards, over real sockets of the loopback."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from actors.channel import ChannelServer, Method, ShardChannel
from actors.client import ShardUnreachable
from engine.ids import ShardId
from storage.epochs import ShardDoor

HOST = "127.0.0.1"
NONCE_BYTES = 16


class Rig:
    """A shard's door whose answers a test can hold back, and the way to it."""

    def __init__(self) -> None:
        self.held: dict[bytes, asyncio.Event] = {}
        self.seen: list[bytes] = []
        self.server = ChannelServer({Method.ACCEPT: self.echo, Method.READ: self.fail})
        self.channel = ShardChannel(ShardId(1))

    async def echo(self, body: bytes) -> bytes:
        self.seen.append(body)
        if body in self.held:
            await self.held[body].wait()
        return body[::-1]

    async def fail(self, body: bytes) -> bytes:
        raise RuntimeError("a bug of the shard")

    async def open(self) -> ShardDoor:
        self.door = await self.server.open(HOST)
        self.channel.point_to(self.door)
        return self.door

    def hold(self, body: bytes) -> asyncio.Event:
        self.held[body] = asyncio.Event()
        return self.held[body]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    await made.open()
    yield made
    made.channel.close()
    made.server.close()


async def _until(seen: list[bytes], body: bytes) -> None:
    async with asyncio.timeout(5):
        while body not in seen:  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await asyncio.sleep(0.001)


async def test_answers_come_in_whatever_order_they_are_ready(rig: Rig) -> None:
    slow = rig.hold(b"slow")
    first = asyncio.ensure_future(rig.channel.transport.accept(b"slow"))
    assert await rig.channel.transport.accept(b"quick") == b"kciuq"
    assert not first.done()
    slow.set()
    assert await first == b"wols"


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
async def test_bodies_of_any_size_arrive_whole(rig: Rig, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert await rig.channel.transport.accept(body) == body[::-1]


async def test_many_calls_at_once_are_each_answered_with_their_own(rig: Rig) -> None:
    bodies = [str(number).encode() for number in range(500)]
    answers = await asyncio.gather(*map(rig.channel.transport.accept, bodies))
    assert answers == [body[::-1] for body in bodies]


async def test_a_call_under_way_ends_unanswered_when_the_shard_dies(rig: Rig) -> None:
    rig.hold(b"never")
    call = asyncio.ensure_future(rig.channel.transport.accept(b"never"))
    await _until(rig.seen, b"never")
    rig.channel.close()
    with pytest.raises(ShardUnreachable):
        await call


async def test_a_bug_in_the_shard_ends_the_connection_and_the_next_call_makes_a_new_one(rig: Rig) -> None:
    with pytest.raises(ShardUnreachable):
        await rig.channel.transport.read(b"")
    assert await rig.channel.transport.accept(b"ab") == b"ba"


async def test_an_answer_of_a_replaced_owner_is_not_heard(rig: Rig) -> None:
    late = rig.hold(b"late")
    call = asyncio.ensure_future(rig.channel.transport.accept(b"late"))
    await _until(rig.seen, b"late")
    successor = Rig()
    rig.channel.point_to(await successor.open())
    late.set()
    with pytest.raises(ShardUnreachable):
        await call
    assert await rig.channel.transport.accept(b"ab") == b"ba"
    assert successor.seen == [b"ab"]
    successor.server.close()


async def test_without_a_door_the_shard_is_unreachable_at_once(rig: Rig) -> None:
    rig.channel.point_to(None)
    with pytest.raises(ShardUnreachable, match="not told"):
        await rig.channel.transport.accept(b"ab")


async def test_nobody_listening_is_unreachable_too() -> None:
    rig = Rig()
    await rig.open()
    rig.server.close()
    with pytest.raises(ShardUnreachable):
        await rig.channel.transport.accept(b"ab")


async def test_a_caller_without_the_terms_key_is_cut_off_and_runs_nothing(rig: Rig) -> None:
    rig.channel.point_to(ShardDoor(HOST, rig.door.port, b"another key"))
    with pytest.raises(ShardUnreachable):
        await rig.channel.transport.accept(b"ab")
    assert rig.seen == []


async def _rude(door: ShardDoor, after_nonce: bytes) -> bytes:
    """Connect by hand, send these bytes, return whatever comes after the nonce until the end."""
    reader, writer = await asyncio.open_connection(HOST, door.port)
    await reader.readexactly(NONCE_BYTES)
    writer.write(after_nonce)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"\0" * 64, b"GET / HTTP/1.1\r\nHost: kopeck\r\n\r\n"])
async def test_garbage_ends_its_connection_only(rig: Rig, sent: bytes) -> None:
    assert await _rude(rig.door, sent) == b""
    assert await rig.channel.transport.accept(b"ab") == b"ba"
    assert rig.seen == [b"ab"]


@pytest.mark.parametrize("head", [struct.pack("!IIB", 0xFFFFFFFF, 1, 1), struct.pack("!IIB", 0, 1, 99)])
async def test_a_frame_that_breaks_the_agreement_ends_its_connection(rig: Rig, head: bytes) -> None:
    import hmac

    reader, writer = await asyncio.open_connection(HOST, rig.door.port)
    nonce = await reader.readexactly(NONCE_BYTES)
    writer.write(hmac.digest(rig.door.key, nonce, "sha256") + head)
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(1)
    writer.close()
    assert rig.seen == []


async def test_frames_in_pieces_are_put_together(rig: Rig) -> None:
    import hmac

    reader, writer = await asyncio.open_connection(HOST, rig.door.port)
    nonce = await reader.readexactly(NONCE_BYTES)
    stream = hmac.digest(rig.door.key, nonce, "sha256")
    stream += struct.pack("!IIB", 3, 7, 1) + b"abc" + struct.pack("!IIB", 2, 8, 1) + b"de"
    for at in range(len(stream)):
        writer.write(stream[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        answers = await reader.readexactly(2 * 9 + 5)
    assert answers == struct.pack("!IIB", 3, 7, 1) + b"cba" + struct.pack("!IIB", 2, 8, 1) + b"ed"
    writer.close()
