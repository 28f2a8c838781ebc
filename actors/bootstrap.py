"""The only wiring: which servers an installation uses, its Ray, its shards, and the way of a program to them.

Whatever is not given by URL is started here; what other programs need to find a running installation is in
`run_file.py`.
"""

import asyncio
import contextlib
from typing import Any

import msgspec

from actors import classes
from actors.channel import ShardChannel
from actors.client import Router, Routes, ShardUnreachable
from actors.exports import Exports
from actors.messages import Payer
from actors.settings import Settings
from actors.supervisor import SupervisorProcess
from engine.ids import AccountId, ShardId
from engine.sharding import SLOTS
from storage import connections, epochs, partitions
from storage.connections import ConnectionRow
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.errors import NotDone
from storage.holders import Holders
from storage.migrate import migrate

_ROUTES_AGE_S_MIN = 0.3
_ASK_S_MAX = 2.0


class Servers(msgspec.Struct, frozen=True):
    """Where the servers of an installation are."""

    database_url: str
    redis_url: str


def start_servers(settings: Settings) -> Servers:
    """Start the embedded servers, or take those that the settings name."""
    return Servers(
        settings.database_url or EmbeddedPostgres(settings.home).start(),
        settings.redis_url or EmbeddedValkey(settings.home).start(),
    )


def revive_servers(settings: Settings) -> list[str]:
    """Start embedded servers that have died again, where they were; return their names. Errors: `ServerFailed`."""
    revived = []
    if not settings.database_url and EmbeddedPostgres(settings.home).pid() is None:
        EmbeddedPostgres(settings.home).start()
        revived.append("postgres")
    if not settings.redis_url and EmbeddedValkey(settings.home).pid() is None:
        EmbeddedValkey(settings.home).start()
        revived.append("valkey")
    return revived


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


AWAY = (NotDone, ShardUnreachable)
"""What questions raise while the database or an actor is away."""


class Installation:
    """A running installation as one of its programs sees it: the router with fresh routes, and questions to others."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        self._database_url = database_url
        self._next_refresh = 0.0
        self._channels: dict[ShardId, ShardChannel] = {}
        self._holders = Holders(database_url)
        self.router = Router(settings, self._refresh_for_retry)
        self.exports = Exports(database_url)

    async def refresh(self) -> None:
        """Read from Postgres who owns what, and where the shards listen. Errors: `AWAY`."""
        table = await epochs.read_slots(self._database_url)
        for shard in set(table.shards):
            channel = self._channels.setdefault(shard, ShardChannel(shard))
            channel.point_to(table.doors.get(shard))
        transports = {shard: channel.transport for shard, channel in self._channels.items()}
        self.router.update(Routes(table.version, table.shards), transports)

    async def _refresh_for_retry(self) -> None:
        """Refresh at most a few times a second; with the database away the old table stays."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_refresh:
            self._next_refresh = now + _ROUTES_AGE_S_MIN
            with contextlib.suppress(*AWAY):
                await self.refresh()

    async def wait_for_routes(self) -> None:
        """Return when there is a routing table and every shard's actor is found."""
        while len(self.router.routes.shards) != SLOTS:
            with contextlib.suppress(*AWAY):
                await self.refresh()
                return
            await asyncio.sleep(_ROUTES_AGE_S_MIN)

    async def connections(self) -> list[ConnectionRow]:
        """Read the doors' connections. Errors: `AWAY`."""
        return await connections.read_connections(self._database_url)

    async def payer(self, account: AccountId) -> Payer | None:
        """Tell who lives behind an account, if anybody is known to. Errors: `AWAY`."""
        found = await self._holders.find(account)
        return None if found is None else Payer(*found)

    async def close(self) -> None:
        """Give back what is held open."""
        await self._holders.close()

    async def status(self) -> bytes:
        """Ask the supervisor for the shards' state (JSON). Errors: `AWAY`."""
        status: bytes = await classes.call(classes.find_actor("supervisor").status.remote(), _ASK_S_MAX)
        return status

    async def problem(self) -> str:
        """Say why payments cannot be taken now, or nothing."""
        try:
            rows = await epochs.read_shards(self._database_url)
        except NotDone as error:
            return f"the database: {error}"
        silent = [str(row.shard) for row in rows if row.slots and row.lease_left_ms <= 0]
        return f"shards without a lease: {', '.join(silent)}" if silent else ""

    async def samples_of_others(self, name: str) -> list[bytes]:
        """Ask every shard, every gateway but `name` and the intake for its metrics; the silent are left out."""
        names = [f"shard-{shard}" for shard in self.router.lanes]
        names += [*(f"gateway-{index}" for index in range(1, self._settings.gateways + 1)), "intake"]
        answers = await asyncio.gather(*(self._samples_of(other) for other in names if other != name))
        return [answer for answer in answers if answer is not None]

    async def _samples_of(self, name: str) -> bytes | None:
        try:
            samples: bytes = await classes.call(classes.find_actor(name).samples.remote(), _ASK_S_MAX)
        except ShardUnreachable:
            return None
        return samples


async def connect(settings: Settings, database_url: str) -> Router:
    """Make a router for a program that has joined Ray. Errors: `NotDone`, `ShardUnreachable`."""
    installation = Installation(settings, database_url)
    await installation.refresh()
    return installation.router


async def reload_policies() -> None:
    """Let every shard take new splitting policies. Errors: `ShardUnreachable`."""
    await classes.call(classes.find_actor("supervisor").reload_policies.remote(), _ASK_S_MAX)
