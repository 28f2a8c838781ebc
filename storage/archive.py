"""The archive: files kept for ever under the hash of their content. A file that is there is whole and never changes."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

_CHUNK_BYTES = 1 << 20


class Kept(NamedTuple):
    """A file in the archive: the SHA-256 of its content in hex, and its size."""

    sha256: str
    size_bytes: int


class Incoming:
    """A file on its way into the archive; nobody sees it before `keep`."""

    def __init__(self, folder: Path, file: BinaryIO, path: Path, size_bytes_max: int) -> None:
        self._folder = folder
        self._file = file
        self._path = path
        self._size_bytes_max = size_bytes_max
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Add a piece. Errors: ValueError when there is more than may be; OSError of the disk."""
        self._size += len(chunk)
        if self._size > self._size_bytes_max:
            raise ValueError(f"the file is larger than {self._size_bytes_max} bytes")
        self._digest.update(chunk)
        self._file.write(chunk)

    def keep(self) -> Kept:
        """Make the file durable under its hash; one with the same content is replaced by its equal."""
        self._file.flush()
        os.fsync(self._file.fileno())
        kept = Kept(self._digest.hexdigest(), self._size)
        target = self._folder / kept.sha256[:2] / kept.sha256
        target.parent.mkdir(exist_ok=True)
        self._path.replace(target)
        _sync_folder(target.parent)
        return kept


class Archive:
    """A folder of content-addressed files, shared by every process that is given it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: BinaryIO, size_bytes_max: int) -> Kept:
        """Keep a stream's content; keeping the same again changes nothing.

        Errors: ValueError when there is more than `size_bytes_max`; OSError of the disk. Either leaves nothing behind.
        """
        with self.incoming(size_bytes_max) as incoming:
            while chunk := content.read(_CHUNK_BYTES):
                incoming.write(chunk)
            return incoming.keep()

    @contextmanager
    def incoming(self, size_bytes_max: int) -> Iterator[Incoming]:
        """Take a file piece by piece; what is not kept at the end of the block leaves nothing behind."""
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix="incoming-")
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield Incoming(self._folder, file, path, size_bytes_max)
        finally:
            path.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the content of a hash is kept."""
        return self._folder / sha256[:2] / sha256


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
