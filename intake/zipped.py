"""A file that comes zipped, read as a stream, with bounds on what it may unpack to.

What an archive says of itself is checked first: members, sizes, ratio. An archive that lies gains nothing: `zipfile`
lets out no more bytes than the archive has said, and finds by the checksum that it was not all.
"""

import fnmatch
import io
import zipfile
import zlib
from typing import IO, Any, BinaryIO

from intake.faults import Code, FileRefused
from intake.profile import Limits

_SMALL_BYTES = 1 << 20
"""Below this a member may be as compressible as it likes."""
_BUFFER_BYTES = 1 << 16
_ENCRYPTED = 1
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
"""What `zipfile` raises for archives that are cut, damaged, encrypted or packed in a way that it does not know."""


class _Member(io.RawIOBase):
    """What comes out of a member; damage that shows only then is a refusal."""

    def __init__(self, member: IO[bytes]) -> None:
        self._member = member

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._member.read(len(buffer))
        except _BROKEN:
            raise FileRefused(Code.ZIP_BROKEN, "архив повреждён") from None
        buffer[: len(chunk)] = chunk
        return len(chunk)


def archive_of(stream: BinaryIO, limits: Limits) -> zipfile.ZipFile:
    """Open an archive after looking at what it says of itself. Errors: `FileRefused`."""
    try:
        archive = zipfile.ZipFile(stream)
    except _BROKEN:
        raise FileRefused(Code.ZIP_BROKEN, "это не архив ZIP, или он оборван") from None
    members = archive.infolist()
    if len(members) > limits.zip_members_max:
        raise FileRefused(Code.ZIP_BOMB, f"в архиве больше {limits.zip_members_max} файлов")
    if sum(member.file_size for member in members) > limits.unpacked_bytes_max:
        raise FileRefused(Code.ZIP_BOMB, "архив распаковывается в слишком большой файл")
    for member in members:
        packed_max = max(_SMALL_BYTES, member.compress_size * limits.unpacked_ratio_max)
        if member.file_size > packed_max:
            raise FileRefused(Code.ZIP_BOMB, "архив сжат слишком сильно для настоящего файла")
    return archive


def member_of(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    """Open a member for reading. Errors: `FileRefused`, also while it is read."""
    try:
        info = archive.getinfo(name)
        if info.flag_bits & _ENCRYPTED:
            raise FileRefused(Code.ZIP_BROKEN, "архив закрыт паролем")
        opened = archive.open(info)
    except KeyError:
        raise FileRefused(Code.ZIP_MEMBERS, f"в архиве нет {name}") from None
    except _BROKEN:
        raise FileRefused(Code.ZIP_BROKEN, "архив повреждён") from None
    return io.BufferedReader(_Member(opened), _BUFFER_BYTES)


def only_member(archive: zipfile.ZipFile, pattern: str) -> str:
    """Name the one file that a pattern means. Errors: `FileRefused` when there is none or more than one."""
    found = [
        member.filename
        for member in archive.infolist()
        if not member.filename.endswith("/") and fnmatch.fnmatchcase(member.filename.lower(), pattern.lower())
    ]
    if len(found) != 1:
        raise FileRefused(Code.ZIP_MEMBERS, f"в архиве должен быть один файл {pattern}, а их {len(found)}")
    return found[0]
