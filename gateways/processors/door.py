"""The door that all dialects share: their routes, who is calling, and the bytes of the request."""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from aiohttp import web

from actors.client import Router
from gateways.connections import Connections
from gateways.processors.dialects import Dialect, all_dialects
from gateways.processors.entrance import Entrance
from gateways.processors.port import PayerOf

_BODY_S_MAX = 10.0


class Doors(Protocol):
    """What this door needs of the gateway."""

    @property
    def router(self) -> Router: ...
    @property
    def payer(self) -> PayerOf: ...
    @property
    def connections(self) -> Connections: ...


def processor_routes(doors: Doors) -> list[web.RouteDef]:
    """The routes of every dialect: `/{dialect}` and `/{dialect}/{connection}`. HEAD is no way to pay."""
    return [route for dialect in all_dialects().values() for route in _routes_of(dialect, doors)]


def _routes_of(dialect: Dialect, doors: Doors) -> Iterator[web.RouteDef]:
    door = _Door(dialect, doors)
    for path in (f"/{dialect.name}", f"/{dialect.name}/{{connection}}"):
        if "GET" in dialect.methods:
            yield web.get(path, door.handle, allow_head=False)
        if "POST" in dialect.methods:
            yield web.post(path, door.handle)


class _Door:
    """Answers the requests of all connections of one dialect."""

    def __init__(self, dialect: Dialect, doors: Doors) -> None:
        self._content_types = dialect.content_types
        self._entrance = Entrance(dialect, doors)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request: what concerns HTTP alone by HTTP, everything else in the protocol's own form."""
        desk = self._entrance.admit(request)
        if isinstance(desk, web.Response):
            return desk
        if request.method == "GET":
            text = request.raw_path.partition("?")[2]
        else:
            body = await self._body_of(request)
            if isinstance(body, web.Response):
                return body
            text = body.decode("utf-8", "surrogateescape").strip("\r\n")
        reply, reply_headers = await desk.answer(text)
        return web.Response(body=reply, headers=reply_headers)

    async def _body_of(self, request: web.Request) -> bytes | web.Response:
        if request.content_type not in self._content_types:
            return web.Response(status=415, text=f"{' or '.join(self._content_types)} expected\n")
        try:
            async with asyncio.timeout(_BODY_S_MAX):
                return await request.read()
        except TimeoutError:
            return web.Response(status=408, text="The body did not arrive in time\n", headers={"Connection": "close"})
        except web.HTTPRequestEntityTooLarge as error:
            return web.Response(status=413, text=f"{error.text}\n")
