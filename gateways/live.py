"""Live streams (SSE): every commit of one account as it happens, each with its number.

A notice only wakes a stream; what it sends it reads from the account's history after the last number it sent.
So there is no hole and no repeat, whatever becomes of the notices, and `Last-Event-ID` resumes exactly where
a reader stopped, on any gateway. Each stream is bounded: a reader that does not read is dropped and may
resume.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Protocol

import msgspec
from aiohttp import web

from actors.client import Router
from engine.account import Status
from engine.ids import AccountId
from engine.outcomes import Receipt
from gateways.problems import Refused
from gateways.text_rules import account_number
from gateways.wire import event_view

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_encode = msgspec.json.Encoder().encode
_OPENING = b"retry: 2000\n\n"
_COMMENT = b": \n\n"

_PAGE_RECEIPTS_MAX = 16
_SEQ_DIGITS_MAX = 10
_HEARTBEAT_S = 15.0
_RETRY_S = 1.0
_UNSENT_BYTES_MAX = 32 * 1024
_UNSENT_S_MAX = 10.0
_UNSENT_POLL_S = 0.1


class Wakeups(Protocol):
    """One reader's wake-ups: `actors.notices.Subscription`."""

    async def next(self, timeout_s: float) -> None:
        """Return when something may have been committed, or when time is up."""
        ...


class Live(Protocol):
    """Where wake-ups come from: `actors.notices.NoticeListener`."""

    def subscribe(self, account: AccountId) -> AbstractAsyncContextManager[Wakeups]:
        """Hear of one account's commits while the context is open."""
        ...


class Streams:
    """All live streams of one gateway."""

    def __init__(self, router: Router, live: Live, *, streams_max: int = 2_000) -> None:
        self._router = router
        self._live = live
        self._streams_max = streams_max
        self._running: set[asyncio.Task[object]] = set()
        self._closed = False

    @property
    def running(self) -> frozenset[asyncio.Task[object]]:
        """The streams that are open, each as the task that serves it."""
        return frozenset(self._running)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Answer `GET /v1/accounts/{number}/events`.

        Rule: begins after `Last-Event-ID` (header, or query `last_event_id`), without one at the present.
        Ends when the reader goes, does not read for ten seconds, or the gateway stops. Errors: HTTP 400, 404
        and 503 before the start.
        """
        account = account_number(request.match_info["number"], "number")
        after_seq = await self._begin_after(account, _asked_after(request))
        stream = web.StreamResponse(headers=_HEADERS)
        task = asyncio.current_task()
        assert task is not None, "a handler runs in a task"
        self._running.add(task)
        try:
            await stream.prepare(request)
            await self._follow(request, stream, account, after_seq)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        except asyncio.CancelledError:
            # `close` ends streams so: then it is an orderly end, and the reader resumes at another gateway.
            if not self._closed:
                raise
            task.uncancel()
        finally:
            self._running.discard(task)
        return stream

    async def close(self) -> None:
        """End every stream and refuse new ones: the gateway stops."""
        self._closed = True
        for task in self._running:
            task.cancel()

    async def _begin_after(self, account: AccountId, asked: int | None) -> int:
        """Return the number after which the stream begins, or refuse it."""
        if self._closed or len(self._running) >= self._streams_max:
            raise Refused("busy", retry_after_s=5)
        view = await self._router.account(account)
        if view is None:
            raise Refused("unavailable", retry_after_s=1)
        if view.status == Status.UNKNOWN.name:
            raise Refused("account-unknown", "number")
        if asked is None:
            return view.account_seq
        if asked > view.account_seq:
            raise Refused("cursor-invalid", "last_event_id")
        return asked

    async def _follow(
        self, request: web.Request, stream: web.StreamResponse, account: AccountId, after_seq: int
    ) -> None:
        """Send what is new, then sleep until there may be more. Listening begins before the first look."""
        async with self._live.subscribe(account) as wakeups:
            await _send(request, stream, _OPENING)
            silent_since = monotonic()
            while True:
                receipts = await self._router.history(account, after_seq, _PAGE_RECEIPTS_MAX)
                if receipts is None:
                    await asyncio.sleep(_RETRY_S)
                elif receipts:
                    await _send(request, stream, _page(receipts))
                    after_seq, silent_since = receipts[-1].account_seq, monotonic()
                elif (left_s := silent_since + _HEARTBEAT_S - monotonic()) > 0:
                    await wakeups.next(left_s)
                else:
                    await _send(request, stream, _COMMENT)
                    silent_since = monotonic()


def _page(receipts: Sequence[Receipt]) -> bytes:
    return b"".join(
        b"id: %d\nevent: %s\ndata: %s\n\n" % (r.account_seq, _name(r), _encode(event_view(r))) for r in receipts
    )


def _name(receipt: Receipt) -> bytes:
    return receipt.kind.name.lower().encode()


def _asked_after(request: web.Request) -> int | None:
    """Read the number to resume after. A header wins: the browser sends it when it reconnects by itself."""
    text = request.headers.get("Last-Event-ID") or request.query.get("last_event_id")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _SEQ_DIGITS_MAX):
        raise Refused("cursor-invalid", "last_event_id")
    return int(text)


async def _send(request: web.Request, stream: web.StreamResponse, content: bytes) -> None:
    """Write, and wait until the reader has taken most of it, so that little is ever kept for one reader.

    Errors: TimeoutError for a reader that does not read; ConnectionError if it has gone.
    """
    async with asyncio.timeout(_UNSENT_S_MAX):
        await stream.write(content)
        # A transport tells its size, not its changes.
        while _transport(request).get_write_buffer_size() > _UNSENT_BYTES_MAX:  # noqa: ASYNC110
            await asyncio.sleep(_UNSENT_POLL_S)


def _transport(request: web.Request) -> asyncio.Transport:
    """The open connection of a request. Errors: ConnectionError if it has gone."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    return transport


STREAMS = web.AppKey("streams", Streams)


def open_streams(app: web.Application, streams: Streams) -> None:
    """Give an application its streams; they end when it shuts down."""
    app[STREAMS] = streams

    async def close(_: web.Application) -> None:
        await streams.close()

    app.on_shutdown.append(close)


async def events(request: web.Request) -> web.StreamResponse:
    """The route's handler; see `Streams.events`."""
    return await request.app[STREAMS].events(request)
