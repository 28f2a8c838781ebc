"""The JSON door for registers and bank statements: upload, and what became of them.

An upload is kept as received and answered at once: 201 when it is new, 200 with the first result when this content came
before. The work on it is done elsewhere; `GET /v1/registers/{id}` tells how far it is. A connection sees its own files;
an operator (scope `operate`) sees all, and may name the connection that a file is of.
"""

import asyncio
import datetime
import re
from typing import TYPE_CHECKING

from aiohttp import web

from gateways import replies
from gateways.connections import Connection
from gateways.paging import cursor_of, limit_of, number_after
from gateways.problems import Refused
from gateways.register_port import RegisterPort
from gateways.register_wire import CasePage, RegisterPage
from gateways.requests import caller

if TYPE_CHECKING:
    from gateways.app import Doors

_CHUNK_BYTES = 64 * 1024
_UPLOAD_S_MAX = 300.0
_LIST = "registers"
_NAME_CHARS_MAX = 128
_REPLAYED = {"Idempotent-Replayed": "true"}
_JSON = {"Content-Type": "application/json; charset=utf-8"}


def register_routes(doors: "Doors") -> list[web.RouteDef]:
    """The routes of this door."""
    door = Registers(doors)
    return [
        web.post("/v1/registers", door.upload),
        web.get("/v1/registers", door.page),
        web.get("/v1/registers/report", door.report),
        web.get("/v1/registers/{id}", door.show),
        web.get("/v1/registers/{id}/cases", door.cases),
    ]


class Registers:
    """Uploads and reads of registers."""

    def __init__(self, doors: "Doors") -> None:
        self._connections = doors.connections
        self._port = doors.registers

    async def upload(self, request: web.Request) -> web.Response:
        """`POST /v1/registers?name=&profile=&day=&connection=`: the file itself is the body."""
        connection = caller(request, self._connections, "pay")
        name, whose = _text(request, "name") or "register", _whose(request, connection)
        profile, day = _text(request, "profile"), _day(request, "day")
        if not request.body_exists:
            raise Refused("field-invalid", reason="the body is the file")
        content = request.content.iter_chunked(_CHUNK_BYTES)
        try:
            async with asyncio.timeout(_UPLOAD_S_MAX):
                told, is_new = await self._open.receive(
                    content, name=name, connection=whose, who=connection.name, profile=profile, day=day
                )
        except TimeoutError:
            raise Refused("body-timeout", headers={"Connection": "close"}) from None
        headers = _JSON if is_new else _JSON | _REPLAYED
        return web.Response(body=replies.encode(told), status=201 if is_new else 200, headers=headers)

    async def page(self, request: web.Request) -> web.Response:
        """`GET /v1/registers?limit=&after=&connection=`: newest first."""
        sender = _sender(request, caller(request, self._connections, "read"))
        limit, below = limit_of(request), number_after(request, _LIST)
        found = await self._open.page(sender, below, limit + 1)
        items, has_more = found[:limit], len(found) > limit
        after = cursor_of(_LIST, int(items[-1].id)) if has_more else None
        return replies.told(RegisterPage(items=items, has_more=has_more, next=after))

    async def show(self, request: web.Request) -> web.Response:
        """`GET /v1/registers/{id}`: one file and how its lines ended."""
        connection = caller(request, self._connections, "read")
        return replies.told(await self._open.find(_number(request), _own(connection)))

    async def cases(self, request: web.Request) -> web.Response:
        """`GET /v1/registers/{id}/cases?limit=&after=`: what does not agree."""
        connection = caller(request, self._connections, "read")
        file = _number(request)
        listed = f"{_LIST}/{file}"
        limit, after = limit_of(request), number_after(request, listed)
        await self._open.find(file, _own(connection))
        found = await self._open.cases(file, after, limit + 1)
        items, has_more = found[:limit], len(found) > limit
        cursor = cursor_of(listed, items[-1].number) if has_more else None
        return replies.told(CasePage(items=items, has_more=has_more, next=cursor))

    async def report(self, request: web.Request) -> web.Response:
        """`GET /v1/registers/report?date=&connection=`: the reconciliation of an operating day."""
        connection = caller(request, self._connections, "read")
        day = _day(request, "date")
        if day is None:
            raise Refused("field-invalid", "date")
        return replies.told(await self._open.report(_whose(request, connection), day))

    @property
    def _open(self) -> RegisterPort:
        if self._port is None:
            raise Refused("unavailable", retry_after_s=1)
        return self._port


def _whose(request: web.Request, connection: Connection) -> str:
    """The connection that is asked for: one's own, or with the right to operate any."""
    asked = _text(request, "connection") or connection.name
    if asked != connection.name and "operate" not in connection.scopes:
        raise Refused("forbidden")
    return asked


def _sender(request: web.Request, connection: Connection) -> str:
    return _text(request, "connection") if "operate" in connection.scopes else _whose(request, connection)


def _own(connection: Connection) -> str:
    return "" if "operate" in connection.scopes else connection.name


def _text(request: web.Request, name: str) -> str:
    text = request.query.get(name, "")
    if len(text) > _NAME_CHARS_MAX or not text.isprintable():
        raise Refused("field-invalid", name)
    return text


def _day(request: web.Request, name: str) -> datetime.date | None:
    text = request.query.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", text):
        raise Refused("field-invalid", name)
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise Refused("field-invalid", name) from None


def _number(request: web.Request) -> int:
    text = request.match_info["id"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise Refused("register-unknown", "id")
    return int(text)
