"""`kopeck export`: the same exports as over HTTP, for operators, straight from the database to a file or a pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from cli.console import err
from gateways import export_wire
from gateways.export_wire import Format
from storage.export_cursor import read_cursor
from storage.exports import CURSOR_KINDS, ExportQuery, open_export


def query_with(query: ExportQuery, after: str) -> ExportQuery:
    """Set where an export begins. Errors: `CursorInvalid`."""
    return msgspec.structs.replace(query, after=read_cursor(after, CURSOR_KINDS[query.kind]))


async def write_export(database_url: str, query: ExportQuery, form: Format, file: Path | None) -> str:
    """Write an export; return the cursor after all of it.

    A file appears under its name when it is whole. Errors: `CursorInvalid`, `NotDone`, OSError.
    """
    with _sink(file) as sink:
        async with open_export(database_url, query) as export:
            sink.write(export_wire.header(query.kind, form))
            async for page in export.pages():
                sink.write(export_wire.render(query.kind, form, page))
    return export.end.text()


@contextmanager
def _sink(file: Path | None) -> Iterator[IO[bytes]]:
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = file.with_name(f"{file.name}.part")
    with part.open("wb") as sink:
        yield sink
        sink.flush()
        os.fsync(sink.fileno())
    part.replace(file)


def tell_position(kind: str, position: str) -> None:
    """Say on standard error where the next export may go on."""
    err.print(f"{kind}: go on with --after {position}", soft_wrap=True)
