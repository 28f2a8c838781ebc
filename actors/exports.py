"""Exports as the doors see them: a few at once, each with its own connection, never in a shard's way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from storage import exports
from storage.errors import NotDone
from storage.export_cursor import Cursor, CursorInvalid, read_cursor
from storage.exports import (
    CURSOR_KINDS,
    KINDS,
    Export,
    ExportedAccount,
    ExportedEvent,
    ExportedReading,
    ExportQuery,
    Item,
    NotYours,
)

__all__ = [
    "CURSOR_KINDS",
    "KINDS",
    "Cursor",
    "CursorInvalid",
    "Export",
    "ExportQuery",
    "ExportedAccount",
    "ExportedEvent",
    "ExportedReading",
    "Exports",
    "ExportsAway",
    "ExportsBusy",
    "Item",
    "NotYours",
    "read_cursor",
]
_AT_ONCE_MAX = 4


class ExportsBusy(Exception):
    """As many exports are running as may; try again when one has ended."""


class ExportsAway(Exception):
    """The database cannot be read now, or the export was broken off; its cursors stay good."""


class Exports:
    """Opens exports of one database; at most a few at once in this process."""

    def __init__(self, database_url: str, at_once_max: int = _AT_ONCE_MAX) -> None:
        self._database_url = database_url
        self._places = asyncio.Semaphore(at_once_max)

    @asynccontextmanager
    async def open(self, query: ExportQuery) -> AsyncIterator[Export]:
        """Open an export for the length of a block; its place and its connection are given back at the end.

        Errors: `ExportsBusy`, `CursorInvalid`, `NotYours`; `ExportsAway`, then or later, also for what breaks in the
        block by itself: a reader that hangs up.
        """
        if self._places.locked():
            raise ExportsBusy
        try:
            async with self._places, exports.open_export(self._database_url, query) as export:
                yield export
        except NotDone as error:
            raise ExportsAway(str(error)) from error
