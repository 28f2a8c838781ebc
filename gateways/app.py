"""The gateway's application: every route, what the doors need, and how it listens."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from actors.bootstrap import AWAY
from actors.client import Router
from actors.exports import Exports
from actors.import_desk import ImportDesk
from actors.settings import Settings
from gateways import middleware, openapi
from gateways.accounts import Accounts
from gateways.connections import Connections
from gateways.exports import STALLED_S_MAX, export_routes
from gateways.imports import import_routes
from gateways.live import Live, Streams, open_streams
from gateways.problems import Refused
from gateways.processors.door import processor_routes
from gateways.processors.port import PayerOf, nobody
from gateways.register_port import RegisterPort
from gateways.registers import register_routes
from gateways.requests import caller
from gateways.terminal import Terminal

_BODY_BYTES_MAX = 64 * 1024
_BATCH_BYTES_MAX = 8 * 1024 * 1024
BODY_S_MAX = 10.0
_KEEPALIVE_S = 75.0
_UNREAD_S_MAX = 2.0
"""How long the rest of a refused body is read: less, and its sender may miss our reply; more, and it holds us."""
_SHUTDOWN_S = 8.0


class Readiness(msgspec.Struct, frozen=True):
    """Whether payments can be taken now, and if not why (for operators, in English)."""

    ready: bool
    problem: str = ""


class Doors:
    """What the doors need of the process they run in. `exports` is None where there is no database to read."""

    def __init__(
        self,
        router: Router,
        settings: Settings,
        connections: Connections,
        live: Live,
        *,
        collect_metrics: Callable[[], Awaitable[bytes]],
        readiness: Callable[[], Awaitable[Readiness]],
        status: Callable[[], Awaitable[bytes]],
        imports: ImportDesk,
        payer: PayerOf = nobody,
        registers: RegisterPort | None = None,
        exports: Exports | None = None,
    ) -> None:
        self.router = router
        self.settings = settings
        self.connections = connections
        self.live = live
        self.collect_metrics = collect_metrics
        self.readiness = readiness
        self.status = status
        self.exports = exports
        self.payer = payer
        self.imports = imports
        self.registers = registers


def build_app(doors: Doors, *, body_s_max: float = BODY_S_MAX, stalled_s_max: float = STALLED_S_MAX) -> web.Application:
    """Make the application of one gateway.

    A body must have come within `body_s_max` seconds; a reader that takes nothing for `stalled_s_max` is hung up on.
    """
    app = web.Application(client_max_size=_BODY_BYTES_MAX)
    middleware.install(app)
    open_streams(app, Streams(doors.router, doors.live))
    terminal, accounts, health = Terminal(doors), Accounts(doors), _Health(doors)
    app.add_routes(processor_routes(doors))
    app.add_routes(import_routes(doors))
    app.add_routes(register_routes(doors))
    app.add_routes(export_routes(doors, stalled_s_max))
    app.add_routes(
        [
            web.post("/v1/payments", in_time(terminal.pay, body_s_max)),
            web.post("/v1/payments/batch", _large(in_time(terminal.pay_many, body_s_max))),
            web.get("/v1/payments/{id}", terminal.show),
            web.post("/v1/payments/{id}/reversal", in_time(terminal.reverse, body_s_max)),
            web.get("/v1/accounts/{number}", accounts.show),
            web.get("/v1/accounts/{number}/ledger", accounts.ledger),
            web.get("/v1/accounts/{number}/events", accounts.events, allow_head=False),
            web.get("/v1/status", health.status),
            web.get("/healthz", health.alive),
            web.get("/readyz", health.ready),
            web.get("/metrics", health.metrics),
            web.get("/openapi.json", openapi.openapi_json),
            web.get("/docs", openapi.docs),
            web.get("/problems/{code}", openapi.problem),
        ]
    )
    return app


def in_time(handler: middleware.Handler, body_s_max: float) -> middleware.Handler:
    """Read the whole body before the handler, within its time: a sender of one byte a second holds nothing."""

    async def read_first(request: web.Request) -> web.StreamResponse:
        if request.body_exists and not request.content.is_eof():
            try:
                async with asyncio.timeout(body_s_max):
                    await request.read()
            except TimeoutError:
                raise Refused("body-timeout", headers={"Connection": "close"}) from None
        return await handler(request)

    return read_first


def _large(handler: middleware.Handler) -> middleware.Handler:
    """Let a batch's body be larger than everybody else's."""

    async def with_room(request: web.Request) -> web.StreamResponse:
        return await handler(request.clone(client_max_size=_BATCH_BYTES_MAX))

    return with_room


class _Health:
    """What operators and their probes ask."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def alive(self, request: web.Request) -> web.Response:
        """`GET /healthz`: this process answers."""
        return web.Response(text="ok\n")

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /readyz`: payments can be taken now, or 503 with the reason."""
        readiness = await self._doors.readiness()
        if not readiness.ready:
            raise Refused("unavailable", retry_after_s=1, reason=readiness.problem)
        return web.Response(text="ready\n")

    async def metrics(self, request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus text, the sum of all processes."""
        return web.Response(
            body=await self._doors.collect_metrics(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    async def status(self, request: web.Request) -> web.Response:
        """`GET /v1/status`: shards, epochs, slots; for operators."""
        caller(request, self._doors.connections, "operate")
        try:
            status = await self._doors.status()
        except AWAY:
            raise Refused("unavailable", retry_after_s=1) from None
        return web.Response(body=status, content_type="application/json")


def runner_of(app: web.Application) -> web.AppRunner:
    """Make what speaks HTTP for an application."""
    return web.AppRunner(
        app,
        access_log=None,
        logger=middleware.http_log(),
        keepalive_timeout=_KEEPALIVE_S,
        lingering_time=_UNREAD_S_MAX,
        shutdown_timeout=_SHUTDOWN_S,
        handle_signals=False,
    )


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen; several processes may share the port. Returns the runner and the port (0 asks for a free one)."""
    runner = runner_of(app)
    await runner.setup()
    site = web.TCPSite(runner, host, port, reuse_port=True, backlog=1024)
    await site.start()
    return runner, int(runner.addresses[0][1])
