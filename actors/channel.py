"""The way of batches from a gateway to a shard: one TCP connection, framed, many calls at once.

A call through Ray takes over a millisecond of both processes; this takes a tenth of that, so that a single payment is
quick and a batch need not be large to be cheap (ADR-0009). Ray still places, starts, restarts and ends the shards.

A shard's door is announced in Postgres by the term that opened it: where it listens, and a key made for this term.
Whoever cannot read the database cannot speak to a shard, and an owner that was replaced is not found any more.

Shape: the shard sends a nonce, the gateway its HMAC-SHA256 by the term's key; then frames both ways: length of the
body, number of the call, method, body. An answer carries the number of its call; answers come in any order.
"""

import asyncio
import enum
import hmac
import logging
import os
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import cast

from actors.client import ShardUnreachable, Transport
from engine.ids import ShardId
from storage.epochs import ShardDoor

_HEAD = struct.Struct("!IIB")
_BODY_BYTES_MAX = 64 * 1024 * 1024
_CALLS_MAX = 64
_NONCE_BYTES = 16
_PROOF_BYTES = 32
KEY_BYTES = 32
_log = logging.getLogger("kopeck.channel")


class Method(enum.IntEnum):
    """What a call asks for."""

    ACCEPT = 1
    READ = 2


Answer = Callable[[bytes], Awaitable[bytes]]


class ProtocolError(Exception):
    """The other side does not speak as agreed."""


class _Frames:
    """Puts frames together from whatever pieces arrive."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Take bytes; yield (number, method, body) of every frame that is complete. Errors: `ProtocolError`."""
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        while end - at >= _HEAD.size:
            length, number, method = _HEAD.unpack_from(data, at)
            if length > _BODY_BYTES_MAX:
                raise ProtocolError(f"a frame of {length} bytes")
            body_at = at + _HEAD.size
            if end - body_at < length:
                break
            at = body_at + length
            yield number, method, data[body_at:at]
        self._rest = data[at:]


class ChannelServer:
    """A shard's door. Calls that are not answered when it closes are lost, which their callers are told."""

    def __init__(self, methods: Mapping[int, Answer]) -> None:
        self._methods = methods
        self._server: asyncio.Server | None = None

    async def open(self, host: str) -> ShardDoor:
        """Listen on a free port of `host`."""
        key = os.urandom(KEY_BYTES)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Caller(self._methods, key), host, 0)
        return ShardDoor(host, int(self._server.sockets[0].getsockname()[1]), key)

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()


class _Caller(asyncio.Protocol):
    """One gateway's connection, seen from the shard. Nothing of it is read before it has proved the key."""

    def __init__(self, methods: Mapping[int, Answer], key: bytes) -> None:
        self._methods = methods
        self._nonce = os.urandom(_NONCE_BYTES)
        self._wanted_proof = hmac.digest(key, self._nonce, "sha256")
        self._proof = b""
        self._proved = False
        self._frames = _Frames()
        self._running: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from asyncio's.
        self._transport.write(self._nonce)

    def data_received(self, data: bytes) -> None:
        if not self._proved:
            data = self._prove(data)
        try:
            for number, method, body in self._frames.feed(data):
                self._start(number, method, body)
        except ProtocolError as error:
            _log.warning("a caller is cut off: %s", error)
            self._transport.abort()

    def _prove(self, data: bytes) -> bytes:
        """Compare the proof once it is whole; return what came after it."""
        self._proof += data
        if len(self._proof) < _PROOF_BYTES:
            return b""
        proof, rest = self._proof[:_PROOF_BYTES], self._proof[_PROOF_BYTES:]
        if not hmac.compare_digest(proof, self._wanted_proof):
            _log.warning("a caller without this term's key is cut off")
            self._transport.abort()
            return b""
        self._proved = True
        return rest

    def _start(self, number: int, method: int, body: bytes) -> None:
        answer = self._methods.get(method)
        if answer is None:
            raise ProtocolError(f"unknown method {method}")
        task = asyncio.get_running_loop().create_task(self._run(answer, number, method, body))
        self._running.add(task)
        task.add_done_callback(self._ended)
        if len(self._running) >= _CALLS_MAX:
            self._transport.pause_reading()

    async def _run(self, answer: Answer, number: int, method: int, body: bytes) -> None:
        reply = await answer(body)
        self._transport.write(_HEAD.pack(len(reply), number, method) + reply)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A call that failed has no answer: its connection ends, and its caller knows as little as we say."""
        self._running.discard(task)
        if task.cancelled() or task.exception() is not None:
            _log.error("a call failed", exc_info=None if task.cancelled() else task.exception())
            self._transport.abort()
        elif len(self._running) == _CALLS_MAX - 1:
            self._transport.resume_reading()


class ShardChannel:
    """The way to one shard, wherever it lives now. Connects when first needed and after every loss."""

    def __init__(self, shard: ShardId) -> None:
        self._shard = shard
        self._door: ShardDoor | None = None
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()

    @property
    def transport(self) -> Transport:
        """This way, as lanes want it."""
        return Transport(self._accept, self._read)

    def point_to(self, door: ShardDoor | None) -> None:
        """Speak to this door from now on. Answers that still come from another one are not heard any more."""
        if door != self._door:
            self._door = door
            self.close()

    def close(self) -> None:
        """Let go of the connection; calls under way end with `ShardUnreachable`."""
        if self._link is not None:
            self._link.close()
            self._link = None

    async def _accept(self, batch: bytes) -> bytes:
        return await (await self._linked()).call(Method.ACCEPT, batch)

    async def _read(self, query: bytes) -> bytes:
        return await (await self._linked()).call(Method.READ, query)

    async def _linked(self) -> "_Link":
        if self._link is not None and self._link.is_open:
            return self._link
        async with self._connecting:
            if self._link is None or not self._link.is_open:
                self._link = await self._connect()
            return self._link

    async def _connect(self) -> "_Link":
        door = self._door
        if door is None:
            raise ShardUnreachable(f"shard {self._shard} has not told where it listens")
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_connection(lambda: _Link(door.key), door.host, door.port)
        except OSError as error:
            raise ShardUnreachable(f"shard {self._shard}: {error}") from error
        await link.admitted
        if door != self._door:
            link.close()
            raise ShardUnreachable(f"shard {self._shard} has moved")
        return link


class _Link(asyncio.Protocol):
    """One connection to a shard, seen from the gateway."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._nonce = b""
        self._frames = _Frames()
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._last = 0
        self.is_open = True
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.admitted.done():
            data = self._introduce(data)
        try:
            for number, _, body in self._frames.feed(data):
                call = self._calls.pop(number, None)
                if call is not None and not call.done():
                    call.set_result(body)
        except ProtocolError:
            self._transport.abort()

    def _introduce(self, data: bytes) -> bytes:
        self._nonce += data
        if len(self._nonce) < _NONCE_BYTES:
            return b""
        nonce, rest = self._nonce[:_NONCE_BYTES], self._nonce[_NONCE_BYTES:]
        self._transport.write(hmac.digest(self._key, nonce, "sha256"))
        self.admitted.set_result(None)
        return rest

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        lost = ShardUnreachable("the connection was lost")
        if not self.admitted.done():
            self.admitted.set_exception(lost)
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(lost)
        self._calls.clear()

    async def call(self, method: Method, body: bytes) -> bytes:
        """Ask and wait for the answer. Errors: `ShardUnreachable` when the connection is lost first."""
        if not self.is_open:
            raise ShardUnreachable("the connection was lost")
        self._last = number = self._last + 1 & 0xFFFFFFFF
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        self._transport.write(_HEAD.pack(len(body), number, method) + body)
        try:
            return await answer
        finally:
            self._calls.pop(number, None)

    def close(self) -> None:
        """End the connection at once; whoever waits is told."""
        self._transport.abort()
        self.connection_lost(None)
