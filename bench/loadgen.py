"""A lean load generator: keep-alive connections over raw sockets, in a process of its own.

An HTTP client of a library costs as much as the server that it measures; this one finds the end of a reply and looks
for the text that a good one contains, no more.
"""

import asyncio
import multiprocessing
from array import array
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from time import monotonic_ns
from typing import cast

import msgspec
import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_TICK_S = 0.001
_ANSWER_S_MAX = 30.0


MakeRequests = Callable[[], Iterator[bytes]]


class Load(msgspec.Struct, frozen=True):
    """What to send. `requests` is called in the generator's process; it must not run dry.

    Units: `per_second` > 0 asks for that rate whatever the answers (open model), latency then counts from the instant
    at which a request was due; 0 means that every connection sends its next request when its answer is there.
    """

    host: str
    port: int
    requests: MakeRequests
    wanted: bytes
    connections: int
    seconds: float
    warm_up_s: float = 1.0
    per_second: float = 0.0


class LoadResult(msgspec.Struct, frozen=True):
    """What came back within the measured time. Units: microseconds."""

    answers: int
    errors: int
    per_second: float
    p50_us: int
    p99_us: int
    max_us: int


class _Channel(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, generator: "_Generator") -> None:
        self._generator = generator
        self._received = b""
        self.sent_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._generator.is_idle(self)

    def send(self, request: bytes, due_ns: int) -> None:
        self.sent_ns = due_ns
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        reply = self._received + data if self._received else data
        end = reply.find(_HEAD_END)
        if end < 0 or len(reply) < end + 4 + _body_length(reply, end):
            self._received = reply
            return
        self._received = b""
        self._generator.answered(self, reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._generator.lost(self)

    def close(self) -> None:
        self._transport.abort()


def _body_length(reply: bytes, head_end: int) -> int:
    at = reply.find(_LENGTH)
    if at < 0 or at > head_end:
        at = reply[:head_end].lower().find(_LENGTH)
        assert at >= 0, "a reply without Content-Length cannot be measured here"
    return int(reply[at + len(_LENGTH) : reply.find(b"\r\n", at)])


class _Generator:
    """All channels of one load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = load.requests()
        self._idle: list[_Channel] = []
        self._channels: list[_Channel] = []
        self._latencies_us = array("q")
        self._errors = 0
        self._measures = False
        self._ends = False

    async def run(self) -> LoadResult:
        loop, load = asyncio.get_running_loop(), self._load
        for _ in range(load.connections):
            _, channel = await loop.create_connection(lambda: _Channel(self), load.host, load.port)
            self._channels.append(channel)
        clock = loop.create_task(self._keep_rate()) if load.per_second else None
        await asyncio.sleep(load.warm_up_s)
        self._measures, begun = True, monotonic_ns()
        await asyncio.sleep(load.seconds)
        self._measures, seconds = False, (monotonic_ns() - begun) / 1e9
        if clock is not None:
            clock.cancel()
        await self._finish()
        return self._result(seconds)

    async def _finish(self) -> None:
        """Let what is under way come back, so that the next measurement begins in silence."""
        self._ends = True
        ends = monotonic_ns() + int(_ANSWER_S_MAX * 1e9)
        while len(self._idle) < len(self._channels) and monotonic_ns() < ends:  # noqa: ASYNC110 - once a measurement
            await asyncio.sleep(_TICK_S)
        for channel in self._channels:
            channel.close()

    def _result(self, seconds: float) -> LoadResult:
        latencies = sorted(self._latencies_us)
        assert latencies, "no answer came within the measured time"
        return LoadResult(
            len(latencies),
            self._errors,
            len(latencies) / seconds,
            latencies[len(latencies) // 2],
            latencies[len(latencies) * 99 // 100],
            latencies[-1],
        )

    def is_idle(self, channel: _Channel) -> None:
        if self._ends or self._load.per_second:
            self._idle.append(channel)
        else:
            channel.send(next(self._requests), monotonic_ns())

    async def _keep_rate(self) -> None:
        """Send what is due by the clock; with every connection busy it waits, and its latency tells."""
        gap_ns = 1e9 / self._load.per_second
        due_ns = float(monotonic_ns())
        while True:
            now_ns = monotonic_ns()
            while due_ns <= now_ns and self._idle:
                self._idle.pop().send(next(self._requests), int(due_ns))
                due_ns += gap_ns
            await asyncio.sleep(_TICK_S)

    def answered(self, channel: _Channel, reply: bytes) -> None:
        if self._measures:
            self._latencies_us.append((monotonic_ns() - channel.sent_ns) // 1000)
        if self._load.wanted not in reply:
            self._errors += 1
        self.is_idle(channel)

    def lost(self, channel: _Channel) -> None:
        if not self._ends:
            self._errors += 1


async def run(load: Load) -> LoadResult:
    """Run a load in a process of its own. Errors: RuntimeError when that process fails."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_in_process, args=(load, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        result: LoadResult = await asyncio.to_thread(ours.recv)
    except EOFError as error:
        raise RuntimeError("the load generator failed; see its error above") from error
    finally:
        await asyncio.to_thread(process.join)
    return result


def _in_process(load: Load, results: Connection) -> None:
    results.send(uvloop.run(_Generator(load).run()))
