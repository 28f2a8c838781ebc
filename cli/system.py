"""The running system, as a block of the program that starts it: servers, Ray, shards, gateways; and its orderly end."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from actors import bootstrap, classes, run_file
from actors.bootstrap import Servers
from actors.client import Router, ShardUnreachable
from actors.intake_process import IntakeProcess
from actors.run_file import RunFile
from actors.settings import Settings
from cli.console import Exit, fail
from gateways.process import GatewayProcess
from storage.errors import ServerFailed

_DRAIN_S_MAX = 10.0
_WATCH_PAUSE_S = 1.0
_log = logging.getLogger("kopeck.system")


class System(msgspec.Struct):
    """Handles of what runs."""

    settings: Settings
    servers: Servers
    ray_address: str
    supervisor: Any
    gateways: list[Any]
    url: str
    intake: Any = None

    async def router(self) -> Router:
        """A way to the shards for this program."""
        return await bootstrap.connect(self.settings, self.servers.database_url)


@asynccontextmanager
async def running(settings: Settings, *, gateways: bool = True) -> AsyncIterator[System]:
    """Start everything, keep it for the length of a block, then end it in order: doors, shards, Ray, servers.

    Every payment that was accepted is answered before its shard ends.
    """
    if run_file.read(settings.home) is not None:
        fail(Exit.WRONG, f"a system is already running in {settings.home} (see `kopeck status`)")
    servers = bootstrap.start_servers(settings)
    try:
        await bootstrap.prepare_database(settings, servers)
        async with _in_ray(settings) as address:
            system = System(settings, servers, address, await bootstrap.start_shards(settings, servers), [], "")
            try:
                if gateways:
                    await _open_doors(system)
                _tell(system)
                async with _revival(settings):
                    yield system
            finally:
                await _end(system)
    finally:
        bootstrap.stop_servers(settings)


@asynccontextmanager
async def _revival(settings: Settings) -> AsyncIterator[None]:
    """Watch the embedded servers for the length of a block: one that dies is started again within about a second."""
    watch = asyncio.get_running_loop().create_task(_revive_for_ever(settings))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _revive_for_ever(settings: Settings) -> None:
    while True:
        await asyncio.sleep(_WATCH_PAUSE_S)
        try:
            for server in await asyncio.to_thread(bootstrap.revive_servers, settings):
                _log.error("%s had died and was started again", server)
        except ServerFailed as error:
            _log.error("an embedded server has died and does not start: %s", error)


@asynccontextmanager
async def _in_ray(settings: Settings) -> AsyncIterator[str]:
    """A Ray of our own for the length of a block, or the cluster that the settings name."""
    if settings.ray_address:
        classes.join_ray(settings, settings.ray_address)
    address = settings.ray_address or classes.start_local_ray(settings)
    try:
        yield address
    finally:
        classes.leave_ray()


async def _open_doors(system: System) -> None:
    settings, servers = system.settings, system.servers
    handles = [
        classes.start_gateway(GatewayProcess, index, index, settings, servers.database_url, servers.redis_url)
        for index in range(1, settings.gateways + 1)
    ]
    system.gateways = handles
    ports = await asyncio.gather(*(classes.call(handle.start.remote(), classes.START_S_MAX) for handle in handles))
    system.intake = classes.start_intake(IntakeProcess, settings, servers.database_url)
    await classes.call(system.intake.start.remote(), classes.START_S_MAX)
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - shown, not bound
    system.url = f"http://{host}:{ports[0]}"


def _tell(system: System) -> None:
    servers = system.servers
    run_file.write(
        system.settings.home,
        RunFile(os.getpid(), system.ray_address, servers.database_url, servers.redis_url, system.url),
    )


async def _end(system: System) -> None:
    """Close the doors (what is inside is answered), drain the shards, end the processes."""
    run_file.remove(system.settings.home)
    feeding = [*system.gateways, *([system.intake] if system.intake is not None else [])]
    await asyncio.gather(*(_try(handle.drain.remote()) for handle in feeding))
    await _try(system.supervisor.drain.remote())
    for handle in (*feeding, system.supervisor):
        classes.end_actor(handle)


async def _try(awaited: Any) -> None:
    try:
        await classes.call(awaited, _DRAIN_S_MAX)
    except ShardUnreachable:
        return


@asynccontextmanager
async def joined(settings: Settings) -> AsyncIterator[tuple[RunFile, Router]]:
    """Join the system that runs on this machine, for the length of a block.

    Errors: ends the program with `Exit.UNAVAILABLE` if none runs.
    """
    run = run_file.read(settings.home)
    if run is None:
        fail(Exit.UNAVAILABLE, f"no system is running in {settings.home}; start it with `kopeck up`")
    classes.join_ray(settings, run.ray_address)
    try:
        yield run, await bootstrap.connect(settings, run.database_url)
    finally:
        classes.leave_ray()
