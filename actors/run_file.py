"""What a running installation tells other programs on its machine: `home`/run.json, while it runs."""

import os
from pathlib import Path

import msgspec


class RunFile(msgspec.Struct, frozen=True):
    """Where the running system is. Holds secrets: only its owner may read the file."""

    pid: int
    ray_address: str
    database_url: str
    redis_url: str
    url: str


def write(home: Path, run: RunFile) -> None:
    """Tell where the running system is."""
    path = home / "run.json"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(run))


def read(home: Path) -> RunFile | None:
    """Return where the running system is, or None if none runs (a file left by a killed one does not count)."""
    try:
        run = msgspec.json.decode((home / "run.json").read_bytes(), type=RunFile)
        os.kill(run.pid, 0)
    except (FileNotFoundError, ProcessLookupError, msgspec.DecodeError):
        return None
    return run


def remove(home: Path) -> None:
    """The system is down."""
    (home / "run.json").unlink(missing_ok=True)
