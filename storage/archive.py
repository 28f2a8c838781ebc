"""The archive: files kept for ever under the hash of their content. A file that is there is whole and never changes."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

_CHUNK_BYTES = 1 << 20


class Kept(NamedTuple):
    """A file in the archive: the SHA-256 of its content in hex, and its size."""

    sha256: str
    size_bytes: int


class Archive:
    """A folder of content-addressed files, shared by every process that is given it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: BinaryIO, size_bytes_max: int) -> Kept:
        """Keep a stream's content; keeping the same again changes nothing.

        Errors: ValueError when there is more than `size_bytes_max`; OSError of the disk. Either leaves nothing behind.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix="incoming-")
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                kept = _copy(content, file, size_bytes_max)
                file.flush()
                os.fsync(file.fileno())
            target = self.path(kept.sha256)
            target.parent.mkdir(exist_ok=True)
            path.replace(target)
            _sync_folder(target.parent)
        finally:
            path.unlink(missing_ok=True)
        return kept

    def path(self, sha256: str) -> Path:
        """Where the content of a hash is kept."""
        return self._folder / sha256[:2] / sha256


def _copy(content: BinaryIO, file: BinaryIO, size_bytes_max: int) -> Kept:
    digest, size = hashlib.sha256(), 0
    while chunk := content.read(_CHUNK_BYTES):
        size += len(chunk)
        if size > size_bytes_max:
            raise ValueError(f"the file is larger than {size_bytes_max} bytes")
        digest.update(chunk)
        file.write(chunk)
    return Kept(digest.hexdigest(), size)


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
