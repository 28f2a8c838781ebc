"""Bytes to a server and back: many requests on one connection, in order; or bytes that may not be HTTP at all."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

ANSWER_S_MAX = 20.0
"""Longer than any reply of a healthy server on a loaded machine: what takes longer is a hang."""

_SILENCES_MAX = 3
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


class Broken(Exception):
    """The server did what it must never do."""


class Request(NamedTuple):
    """One request; `framed` makes it HTTP whose length is true, whatever its content."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""

    def framed(self) -> bytes:
        """Write it down."""
        head = [b"%s %s HTTP/1.1" % (self.method, self.target), b"Host: pay.example"]
        head += [b"%s: %s" % header for header in self.headers]
        if self.body:
            head.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join(head) + b"\r\n\r\n" + self.body


class Reply(NamedTuple):
    """What came back, and whether the server closes the connection after it."""

    status: int
    body: bytes
    is_last: bool


async def exchange(host: str, port: int, said: Sequence[bytes]) -> list[Reply]:
    """Say framed requests, all at once on one connection, and hear a reply to each.

    Rule: a server may close a connection after a reply; what was said after that is said again on another one. Closing
    with bytes of ours unread may cost the last reply on its way, so silence counts only when it comes again.
    Errors: `Broken` when a reply does not come.
    """
    heard: list[Reply] = []
    silences = 0
    while len(heard) < len(said):
        more = await _heard_on_one_connection(host, port, said[len(heard) :])
        heard += more
        silences = 0 if more else silences + 1
        if silences == _SILENCES_MAX:
            raise Broken(f"the connection is closed without a reply to {said[len(heard)]!r}")
    return heard


async def _heard_on_one_connection(host: str, port: int, said: Sequence[bytes]) -> list[Reply]:
    heard: list[Reply] = []
    async with _connected(host, port) as (reader, writer):
        writer.write(b"".join(said))
        for request in said:
            reply = await _reply(reader, request)
            if reply is not None:
                heard.append(reply)
            if reply is None or reply.is_last:
                break
    return heard


class Heard(NamedTuple):
    """All that came back for bytes that were thrown. `is_whole`: the server closed first, so nothing is missing."""

    text: bytes
    is_whole: bool


async def throw(host: str, port: int, said: bytes, quiet_s: float) -> Heard:
    """Say bytes that may be anything, and hear what comes back until the connection is closed.

    Rule: who has heard nothing for `quiet_s` hangs up his end; then the server must close its own.
    Errors: `Broken` when it does not.
    """
    text = b""
    async with _connected(host, port) as (reader, writer):
        try:
            writer.write(said)
            while part := await _some(reader, quiet_s):
                text += part
            if reader.at_eof():
                return Heard(text, is_whole=True)
            writer.write_eof()
            async with asyncio.timeout(ANSWER_S_MAX):
                text += await reader.read()
        except TimeoutError:
            raise Broken(f"the connection stays open after {said!r}") from None
        except ConnectionError:
            pass  # Closed with bytes of ours unread: a reply may have been lost on its way.
    return Heard(text, is_whole=False)


def statuses(heard: bytes) -> list[int]:
    """The statuses of replies that follow each other."""
    return [int(found) for found in _STATUS.findall(heard)]


async def _some(reader: asyncio.StreamReader, quiet_s: float) -> bytes:
    try:
        async with asyncio.timeout(quiet_s):
            return await reader.read(65536)
    except TimeoutError:
        return b""


async def _reply(reader: asyncio.StreamReader, said: bytes) -> Reply | None:
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
    except TimeoutError:
        raise Broken(f"no reply within {ANSWER_S_MAX} s to {said!r}") from None
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Reply(int(head[9:12]), body, is_last=_CLOSE.search(head) is not None)


@asynccontextmanager
async def _connected(host: str, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()
