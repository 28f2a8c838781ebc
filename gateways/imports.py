"""The JSON door for billings: their files in, and what has become of them, row by row. Nothing is decided here.

A key with the scope "bill" speaks for one billing, and sees that billing's files alone.
"""

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from actors import import_desk
from actors.import_desk import FILE_BYTES_MAX, FileView, Handed, ImportDesk
from gateways import replies, text_rules
from gateways.connections import Connection
from gateways.problems import Refused
from gateways.requests import caller

if TYPE_CHECKING:
    from gateways.app import Doors

_PAGE = 200
_PAGE_MAX = 1_000
_ROW_DIGITS_MAX = 9
_NAME_CHARS_MAX = 128
_PIECE_BYTES = 64 * 1024
PIECE_S_MAX = 30.0
"""How long a piece of an upload may be on its way; a sender that stops holds nothing for longer."""
_UPLOAD_S_MAX = 3_600.0


class ImportReply(msgspec.Struct, frozen=True, kw_only=True):
    """A file, how far it has come, and how many of its rows became what."""

    id: Annotated[str, Meta(description="Номер файла")]
    name: Annotated[str, Meta(description="Имя файла у отправителя")]
    kind: Annotated[str, Meta(description="accounts, charges, meters, readings или payments")]
    mode: Annotated[str, Meta(description="full: файл целиком заменяет свои месяцы; delta: добавляет")]
    profile: Annotated[str, Meta(description="Профиль и его версия")]
    sha256: Annotated[str, Meta(description="Хеш содержимого")]
    size_bytes: Annotated[int, Meta(description="Размер")]
    received_at: Annotated[datetime.datetime, Meta(description="Когда получен")]
    state: Annotated[str, Meta(description="received, staged, checked, posting, done или refused")]
    problem: Annotated[str, Meta(description="Почему отклонён целиком")]
    rows_total: Annotated[int, Meta(description="Строк всего")]
    rows_accepted: Annotated[int, Meta(description="Принято")]
    rows_warned: Annotated[int, Meta(description="Принято с замечанием")]
    rows_rejected: Annotated[int, Meta(description="Отклонено")]
    rows_waiting: Annotated[int, Meta(description="Ждут сопоставления кодов")]
    finished_at: Annotated[datetime.datetime | None, Meta(description="Когда обработан")]


class RowFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is to be said of a row."""

    severity: Annotated[str, Meta(description="file, row или warning")]
    code: Annotated[str, Meta(description="Код, неизменный")]
    text: Annotated[str, Meta(description="Пояснение")]


class RowReply(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of one row."""

    row: Annotated[int, Meta(description="Номер строки файла")]
    account: Annotated[str, Meta(description="Лицевой счёт; пусто, если строку не удалось прочесть")]
    status: Annotated[str, Meta(description="accepted, warning, rejected или waiting")]
    findings: Annotated[list[RowFinding], Meta(description="Замечания")]


class RowsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a file's rows, in their order. `next` is the cursor of the next page."""

    items: Annotated[list[RowReply], Meta(description="Строки")]
    has_more: Annotated[bool, Meta(description="Есть ли следующая страница")]
    next: Annotated[str | None, Meta(description="Указатель следующей страницы, для after")]


def import_routes(doors: "Doors") -> list[web.RouteDef]:
    """Every route of billings' files."""
    imports = Imports(doors)
    return [
        web.post("/v1/imports", imports.take),
        web.get("/v1/imports/{id}", imports.show),
        web.get("/v1/imports/{id}/protocol", imports.protocol),
        web.get("/v1/imports/{id}/rows", imports.rows),
    ]


class Imports:
    """Files of billings over HTTP."""

    def __init__(self, doors: "Doors", *, piece_s_max: float = PIECE_S_MAX) -> None:
        self._connections = doors.connections
        self._desk: ImportDesk = doors.imports
        self._piece_s_max = piece_s_max

    async def take(self, request: web.Request) -> web.Response:
        """`POST /v1/imports?kind=&name=&mode=&profile=`: the file is the body. 202, or 200 for the same file again."""
        connection = self._caller(request)
        if request.content_type.startswith("multipart/"):
            raise Refused("media-type", headers={"Accept": "application/octet-stream"})
        if request.content_length is not None and request.content_length > FILE_BYTES_MAX:
            raise Refused("body-too-large")
        try:
            async with asyncio.timeout(_UPLOAD_S_MAX):
                file, is_new = await self._desk.take(_handed(request, connection), self._pieces(request))
        except TimeoutError:
            raise Refused("body-timeout", headers={"Connection": "close"}) from None
        except import_desk.Refused as refused:
            raise Refused("import-invalid", reason=str(refused)) from None
        except import_desk.TooLarge:
            raise Refused("body-too-large") from None
        except import_desk.Away:
            raise Refused("unavailable", retry_after_s=1) from None
        headers = {"Location": f"/v1/imports/{file.file}"}
        return web.Response(
            body=replies.encode(_reply(file)),
            status=202 if is_new else 200,
            content_type="application/json",
            headers=headers if is_new else headers | {"Idempotent-Replayed": "true"},
        )

    async def _pieces(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body, piece by piece, each within its time."""
        while True:
            async with asyncio.timeout(self._piece_s_max):
                piece = await request.content.read(_PIECE_BYTES)
            if not piece:
                return
            yield piece

    async def show(self, request: web.Request) -> web.Response:
        """`GET /v1/imports/{id}`: how far a file has come."""
        return replies.told(_reply(await self._file(request)))

    async def protocol(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/imports/{id}/protocol?version=`: the protocol file, the newest version unless one is named."""
        file = await self._file(request)
        version = _number(request, "version", 0)
        try:
            path = await self._desk.protocol(file, version)
        except import_desk.Away:
            raise Refused("unavailable", retry_after_s=1) from None
        if path is None:
            raise Refused("import-unfinished", retry_after_s=5)
        name = f'attachment; filename="protocol-{file.file}.csv"'
        return web.FileResponse(path, headers={"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": name})

    async def rows(self, request: web.Request) -> web.Response:
        """`GET /v1/imports/{id}/rows?after=&limit=`: what has become of every row, page by page."""
        file = await self._file(request)
        if file.state == "received":
            raise Refused("import-unfinished", retry_after_s=1)
        after, limit = _number(request, "after", 0), _number(request, "limit", _PAGE)
        if not 1 <= limit <= _PAGE_MAX:
            raise Refused("field-invalid", "limit", limit_max=_PAGE_MAX)
        try:
            told = await self._desk.rows(file, after, limit + 1)
        except import_desk.Away:
            raise Refused("unavailable", retry_after_s=1) from None
        items = [
            RowReply(
                row=row.row,
                account=row.account,
                status=row.status,
                findings=[RowFinding(severity=f.severity, code=f.code, text=f.text) for f in row.findings],
            )
            for row in told[:limit]
        ]
        has_more = len(told) > limit
        return replies.told(
            RowsPage(items=items, has_more=has_more, next=str(items[-1].row) if has_more and items else None)
        )

    def _caller(self, request: web.Request) -> Connection:
        """Who speaks for a billing. Errors: `Refused`, also for a key that is bound to none."""
        connection = caller(request, self._connections, "bill")
        if not connection.billing:
            raise Refused("forbidden")
        return connection

    async def _file(self, request: web.Request) -> FileView:
        """The file that is asked for; another billing's is not there."""
        connection = self._caller(request)
        text = request.match_info["id"]
        if not (text.isascii() and text.isdecimal() and len(text) <= _ROW_DIGITS_MAX):
            raise Refused("import-unknown", "id")
        try:
            found = await self._desk.find(int(text), connection.billing)
        except import_desk.Away:
            raise Refused("unavailable", retry_after_s=1) from None
        if found is None:
            raise Refused("import-unknown", "id")
        return found


def _handed(request: web.Request, connection: Connection) -> Handed:
    def asked(name: str) -> str:
        text = text_rules.label(request.query.get(name, ""), name)
        if len(text) > _NAME_CHARS_MAX:
            raise Refused("text-invalid", name)
        return text

    return Handed(
        billing=connection.billing,
        kind=asked("kind"),
        name=asked("name"),
        by=connection.name,
        profile=asked("profile"),
        mode=asked("mode"),
    )


def _number(request: web.Request, name: str, usual: int) -> int:
    text = request.query.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and len(text) <= _ROW_DIGITS_MAX):
        raise Refused("cursor-invalid" if name == "after" else "field-invalid", name)
    return int(text)


def _reply(file: FileView) -> ImportReply:
    told: dict[str, Any] = {name: getattr(file, name) for name in FileView.__struct_fields__ if name != "file"}
    return ImportReply(id=str(file.file), **told)
