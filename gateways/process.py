"""A gateway as a process: the wiring of one door. Stateless; Ray restarts it, clients repeat under the same key."""

import asyncio
import logging

from prometheus_client import REGISTRY

from actors import metrics
from actors.bootstrap import AWAY, Installation
from actors.garbage import collect_seldom
from actors.import_desk import open_desk
from actors.messages import Payer
from actors.notices import NoticeListener
from actors.register_desk import RegisterDesk
from actors.settings import Settings
from engine.ids import AccountId
from gateways.app import Doors, Readiness, build_app, serve
from gateways.connections import Connections, Row
from gateways.processors.entrance import check_exposure
from gateways.register_port import RegisterPort
from storage.archive import Archive

_RELOAD_PAUSE_S = 2.0
_log = logging.getLogger("kopeck.gateway")


class GatewayProcess:
    """One gateway process, from its port to its end."""

    def __init__(self, index: int, settings: Settings, database_url: str, redis_url: str) -> None:
        self._index = index
        self._settings = settings
        self._database_url = database_url
        self._installation = Installation(settings, database_url)
        self._listener = NoticeListener(redis_url)
        desk = RegisterDesk(database_url, Archive(settings.archive_folder), settings.register_bytes_max)
        self._registers = RegisterPort(desk)
        self._connections = Connections()
        self._tasks: list[asyncio.Task[None]] = []
        collect_seldom()
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> int:
        """Learn the routes and the connections, then listen."""
        loop = asyncio.get_running_loop()
        await self._installation.wait_for_routes()
        await self._reload()
        check_exposure(self._settings, self._connections)
        self._tasks = [loop.create_task(self._listener.run()), loop.create_task(self._keep_fresh())]
        doors = Doors(
            self._installation.router,
            self._settings,
            self._connections,
            self._listener,
            collect_metrics=self._collect_metrics,
            readiness=self._readiness,
            status=self._installation.status,
            exports=self._installation.exports,
            payer=self._payer,
            imports=open_desk(self._settings, self._database_url),
            registers=self._registers,
        )
        self._runner, port = await serve(build_app(doors), self._settings.host, self._settings.port)
        return port

    async def start(self) -> int:
        """Return the port once the gateway listens."""
        return await asyncio.shield(self._opening)

    async def _reload(self) -> None:
        rows = await self._installation.connections()
        self._connections.replace(Row(row.connection, row.dialect, row.active, row.settings) for row in rows)

    async def _keep_fresh(self) -> None:
        """Connections and routes change under a running gateway; with the database away the old ones stay."""
        while True:
            await asyncio.sleep(_RELOAD_PAUSE_S)
            try:
                await self._installation.refresh()
                await self._reload()
            except AWAY as error:
                _log.warning("gateway=%s keeps its old connections: %s", self._index, error)

    async def samples(self) -> bytes:
        """Return this gateway's metrics; see `actors.metrics`."""
        return metrics.encode(metrics.of_registry(REGISTRY))

    async def _collect_metrics(self) -> bytes:
        others = await self._installation.samples_of_others(f"gateway-{self._index}")
        return metrics.page([metrics.of_registry(REGISTRY), *map(metrics.decode, others)])

    async def _payer(self, account: AccountId) -> Payer | None:
        """Who lives behind an account, or nobody: a check is answered without a name rather than not at all."""
        try:
            return await self._installation.payer(account)
        except AWAY:
            return None

    async def _readiness(self) -> Readiness:
        problem = await self._installation.problem()
        return Readiness(not problem, problem)

    async def drain(self) -> None:
        """Stop listening, answer what is inside, end the streams."""
        for task in self._tasks:
            task.cancel()
        await self._runner.cleanup()
        await self._installation.close()
