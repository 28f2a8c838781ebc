"""The door for billings and providers: `GET /v1/export/{kind}`, streamed, each its own lines, from any cursor on.

A page is read from the database when the one before has gone out: a slow reader costs one page of memory, and one that
takes nothing for a minute is hung up on. What breaks in the middle ends the connection without the last chunk, so that
nobody takes a part for the whole; every line's cursor goes on from there.
"""

import asyncio
import datetime
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from actors.exports import (
    CURSOR_KINDS,
    KINDS,
    Cursor,
    CursorInvalid,
    Export,
    ExportQuery,
    ExportsAway,
    ExportsBusy,
    NotYours,
    read_cursor,
)
from engine.ids import Period, parse_period
from engine.limits import CODE_CHARS_MAX
from gateways import export_wire
from gateways.connections import Connection
from gateways.export_wire import Format
from gateways.problems import Refused
from gateways.requests import caller

if TYPE_CHECKING:
    from gateways.app import Doors

_PARAMETERS = {
    "accounts": {"provider"},
    "balances": {"provider", "period"},
    "charges": {"provider", "period", "since"},
    "payments": {"provider", "period", "since"},
    "readings": {"provider", "period", "since"},
}
_CURSOR_CHARS_MAX = 2_048
STALLED_S_MAX = 60.0
_BUSY_RETRY_S = 5


def export_routes(doors: "Doors", stalled_s_max: float) -> list[web.RouteDef]:
    """Make the routes of exports."""
    return [web.get("/v1/export/{kind}", _Door(doors, stalled_s_max).export, allow_head=False)]


class _Door:
    """Exports of all connections with the scope `export`."""

    def __init__(self, doors: "Doors", stalled_s_max: float) -> None:
        self._connections = doors.connections
        self._exports = doors.exports
        self._stalled_s_max = stalled_s_max

    async def export(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/export/{kind}?format=&after=&since=&period=&provider=`: NDJSON or CSV."""
        query = query_of(request, caller(request, self._connections, "export"))
        form = _form(request)
        if self._exports is None:
            raise Refused("unavailable", retry_after_s=1)
        response: web.StreamResponse | None = None
        try:
            async with self._exports.open(query) as export:
                response = _response(export, form)
                await response.prepare(request)
                await self._tell(response, query, form, export)
                return response
        except ExportsBusy:
            raise Refused("busy", retry_after_s=_BUSY_RETRY_S) from None
        except CursorInvalid:
            raise Refused("cursor-invalid", "after") from None
        except NotYours:
            raise Refused("forbidden", "provider") from None
        except (ExportsAway, ConnectionError):
            if response is None or not response.prepared:
                raise Refused("unavailable", retry_after_s=1) from None
            return _hang_up(request, response)

    async def _tell(self, response: web.StreamResponse, query: ExportQuery, form: Format, export: Export) -> None:
        """Send page after page; each write waits until the reader has taken most of what came before."""
        await response.write(export_wire.header(query.kind, form))
        async for page in export.pages():
            if page:
                async with asyncio.timeout(self._stalled_s_max):
                    await response.write(export_wire.render(query.kind, form, page))
        await response.write_eof()


def _response(export: Export, form: Format) -> web.StreamResponse:
    headers = {"Content-Type": export_wire.CONTENT_TYPES[form], "Kopeck-Position": export.end.text()}
    return web.StreamResponse(headers=headers | {"Cache-Control": "no-store"})


def _hang_up(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """End the connection in the middle: an export without its last chunk is seen to be a part."""
    if request.transport is not None:
        request.transport.abort()
    return response


def query_of(request: web.Request, connection: Connection) -> ExportQuery:
    """Read what is asked for, and bind it to what the connection may see.

    Errors: `Refused` not-found for an unknown kind, field-invalid, cursor-invalid, forbidden.
    """
    kind = next((known for known in KINDS if known == request.match_info["kind"]), None)
    if kind is None:
        raise Refused("not-found")
    is_bound = bool(connection.provider or connection.billing)
    if not is_bound and "operate" not in connection.scopes:
        raise Refused("forbidden")
    given = request.query
    for name in given:
        if name not in _PARAMETERS[kind] | {"format", "after"} or len(given.getall(name)) > 1:
            raise Refused("field-invalid", name)
    return ExportQuery(
        kind=kind,
        own_provider=connection.provider,
        own_billing=connection.billing,
        provider=_code(given.get("provider")),
        period=_period(given.get("period")),
        since=_since(given.get("since")),
        after=_after(given.get("after"), kind),
    )


def _code(text: str | None) -> str:
    if text is None:
        return ""
    if not text or len(text) > CODE_CHARS_MAX or not text.isprintable():
        raise Refused("field-invalid", "provider")
    return text


def _period(text: str | None) -> Period:
    try:
        return Period(0) if text is None else parse_period(text)
    except ValueError:
        raise Refused("field-invalid", "period") from None


def _since(text: str | None) -> datetime.datetime | None:
    try:
        at = None if text is None else msgspec.convert(text, datetime.datetime, strict=True)
    except msgspec.ValidationError:
        raise Refused("field-invalid", "since") from None
    if at is not None and at.tzinfo is None:
        raise Refused("field-invalid", "since")
    return at


def _after(text: str | None, kind: str) -> Cursor | None:
    try:
        return None if text is None else read_cursor(text[:_CURSOR_CHARS_MAX], CURSOR_KINDS[kind])
    except CursorInvalid:
        raise Refused("cursor-invalid", "after") from None


def _form(request: web.Request) -> Format:
    """`?format=` decides, else `Accept`, else NDJSON."""
    asked = request.query.get("format")
    if asked is None:
        return "csv" if "text/csv" in request.headers.get("Accept", "") else "ndjson"
    if asked not in ("ndjson", "csv"):
        raise Refused("field-invalid", "format")
    return "csv" if asked == "csv" else "ndjson"
