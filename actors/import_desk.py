"""Where a gateway hands billings' files in, and asks what has become of them. It runs nothing: others work on them."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from actors.billing_intake import KINDS, Delivery, Place, Wrong, register, vet
from actors.profiles import NoSuchProfile
from actors.settings import Settings
from intake.profile import FileKind
from storage import billing, billing_staging, received
from storage.archive import Archive, Incoming
from storage.billing_staging import ToldRow
from storage.errors import NotDone
from storage.received import ReceivedFile

FILE_BYTES_MAX = 2 << 30
"""What may be uploaded; a larger file is imported where it lies, by `kopeck import`."""
_WRITE_BYTES = 1 << 20


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """A file as its sender sees it."""

    file: int
    name: str
    kind: str
    mode: str
    profile: str
    sha256: str
    size_bytes: int
    received_at: datetime.datetime
    state: str
    problem: str
    rows_total: int
    rows_accepted: int
    rows_warned: int
    rows_rejected: int
    rows_waiting: int
    finished_at: datetime.datetime | None


class TooLarge(Exception):
    """The file is larger than may be uploaded."""


class Away(Exception):
    """The database does not answer; nothing happened, and it may be asked again."""


class Refused(Exception):
    """What was asked cannot be; the text says why."""


class ImportDesk:
    """Files of billings, for gateways."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def take(self, delivery: "Handed", content: AsyncIterator[bytes]) -> tuple[FileView, bool]:
        """Keep a file and register it; return it, and whether it is new: the same again is the first one.

        Errors: `Refused`, `TooLarge`, `Away`; none of them, nor a sender that breaks off, leaves a registered file.
        """
        asked = delivery.to_delivery()
        try:
            await vet(self._place, asked)
            with self._place.archive.incoming(FILE_BYTES_MAX) as incoming:
                async for chunk in _gathered(content):
                    await _write(incoming, chunk)
                kept = await asyncio.to_thread(incoming.keep)
            file, is_new = await register(self._place, asked, kept)
        except (Wrong, NoSuchProfile) as error:
            raise Refused(str(error)) from error
        except NotDone as error:
            raise Away from error
        return _view(file), is_new and file.state == "received"

    async def find(self, file: int, of: str) -> FileView | None:
        """Return a file of a billing; of any if none is named. Errors: `Away`."""
        try:
            found = await received.find(self._place.database_url, file)
        except NotDone as error:
            raise Away from error
        if found is None or found.kind not in KINDS or (of and found.sender != of):
            return None
        return _view(found)

    async def rows(self, file: FileView, after: int, limit: int) -> list[ToldRow]:
        """Return what has become of a file's rows after a row number, in order. Errors: `Away`."""
        try:
            return await billing_staging.show_rows(
                *(self._place.database_url, file.file, after, limit), is_refused=file.state == "refused"
            )
        except NotDone as error:
            raise Away from error

    async def protocol(self, file: FileView, version: int) -> Path | None:
        """Return where a file's protocol is; None while there is none. Errors: `Away`."""
        try:
            kept = await billing.find_protocol(self._place.database_url, file.file, version)
        except NotDone as error:
            raise Away from error
        return None if kept is None else self._place.archive.path(kept.sha256)


def open_desk(settings: Settings, database_url: str) -> ImportDesk:
    """The desk of an installation."""
    return ImportDesk(Place(database_url, Archive(settings.archive_folder)))


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender says of its file."""

    billing: str
    kind: str
    name: str
    by: str
    profile: str
    mode: str

    def to_delivery(self) -> Delivery:
        """Errors: `Refused` for a kind that billings do not send."""
        kinds = {kind.value for kind in KINDS}
        if self.kind not in kinds:
            raise Refused(f"kind is one of {', '.join(sorted(kinds))}")
        return Delivery(self.billing, FileKind(self.kind), self.name, self.by, self.profile, self.mode)


async def _write(incoming: Incoming, chunk: bytes) -> None:
    try:
        await asyncio.to_thread(incoming.write, chunk)
    except ValueError as error:
        raise TooLarge from error


async def _gathered(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Small pieces of the network as large ones of the disk."""
    pieces, size = [], 0
    async for piece in content:
        pieces.append(piece)
        size += len(piece)
        if size >= _WRITE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


def _view(file: ReceivedFile) -> FileView:
    told = {name: getattr(file, name) for name in FileView.__struct_fields__}
    return FileView(**told | {"profile": f"{file.profile}@{file.profile_version}"})
