"""The only wiring: which servers an installation uses, its Ray, its shards, and the way of a program to them.

`Installation.up` starts whatever is not given by URL. What other programs need to find a running one (`kopeck seed`,
`kopeck status`) stands in `home`/run.json while it runs.
"""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec

from actors import classes
from actors.client import Router, Routes, ShardUnreachable
from actors.settings import Settings
from actors.supervisor import SupervisorProcess
from engine.sharding import SLOTS
from storage import epochs, partitions
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.errors import NotDone
from storage.migrate import migrate

_ROUTES_AGE_S_MIN = 0.3


class Servers(msgspec.Struct, frozen=True):
    """Where the servers of an installation are."""

    database_url: str
    redis_url: str


class RunFile(msgspec.Struct, frozen=True):
    """What a running installation tells programs on the same machine. Holds secrets: only its owner may read it."""

    pid: int
    ray_address: str
    database_url: str
    redis_url: str
    url: str


def start_servers(settings: Settings) -> Servers:
    """Start the embedded servers, or take those that the settings name."""
    return Servers(
        settings.database_url or EmbeddedPostgres(settings.home).start(),
        settings.redis_url or EmbeddedValkey(settings.home).start(),
    )


def stop_servers(settings: Settings) -> None:
    """Stop the embedded servers; servers of the user's own are left alone."""
    if not settings.redis_url:
        EmbeddedValkey(settings.home).stop()
    if not settings.database_url:
        EmbeddedPostgres(settings.home).stop()


async def prepare_database(settings: Settings, servers: Servers) -> None:
    """Bring the schema up to date, make this month's partitions and give every slot an owner."""
    await migrate(servers.database_url)
    await partitions.ensure(servers.database_url)
    await epochs.ensure_shards(servers.database_url, settings.shards)


async def start_shards(settings: Settings, servers: Servers) -> Any:
    """Start the supervisor and through it every shard; return its handle when each shard owns its slots."""
    handle = classes.start_supervisor(SupervisorProcess, settings, servers.database_url, servers.redis_url)
    await classes.call(handle.start.remote(), classes.START_S_MAX)
    return handle


class Routing:
    """Keeps a router's table fresh from Postgres, which alone decides who owns what."""

    def __init__(self, database_url: str, settings: Settings) -> None:
        self._database_url = database_url
        self.router = Router(settings, self.refresh)
        self._next = 0.0

    async def refresh(self) -> None:
        """Read the table again, at most a few times a second; with the database away the old one stays."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        self._next = now + _ROUTES_AGE_S_MIN
        with contextlib.suppress(NotDone, ShardUnreachable):
            table = await epochs.read_slots(self._database_url)
            known = self.router.lanes
            transports = {s: classes.transport_to(s) for s in set(table.shards) if s not in known}
            self.router.update(Routes(table.version, table.shards), transports)

    @property
    def is_known(self) -> bool:
        """Tell whether there is a table yet."""
        return len(self.router.routes.shards) == SLOTS


async def connect(settings: Settings, database_url: str) -> Router:
    """Make a router for a program that has joined Ray. Errors: `ShardUnreachable` when there is no table to be had."""
    routing = Routing(database_url, settings)
    await routing.refresh()
    if not routing.is_known:
        raise ShardUnreachable("no routing table: is the system up?")
    return routing.router


def write_run_file(home: Path, run: RunFile) -> None:
    """Tell other programs of this machine where the running system is."""
    path = home / "run.json"
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(run))


def read_run_file(home: Path) -> RunFile | None:
    """Return where the running system is, or None if none runs (a file left by a killed one does not count)."""
    try:
        run = msgspec.json.decode((home / "run.json").read_bytes(), type=RunFile)
        os.kill(run.pid, 0)
    except (FileNotFoundError, ProcessLookupError, msgspec.DecodeError):
        return None
    return run


def remove_run_file(home: Path) -> None:
    """The system is down."""
    (home / "run.json").unlink(missing_ok=True)

