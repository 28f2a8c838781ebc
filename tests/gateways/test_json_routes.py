"""Every route of the gateway, and who may use it. A new route without an entry here fails."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from actors.client import Router
from actors.settings import Settings
from gateways.connections import Connections
from gateways.processors.door import processor_routes
from tests.gateways.json_stage import KEYS, OPEN, SCOPES, Client, Stage, bearer, open_door, open_stage
from tests.gateways.osmp_stage import Doors

PROCESSORS = processor_routes(Doors(Router(Settings(home=Path("unused"))), Connections()))
EVERYBODY, OWN_WAY = "everybody", "its own way"
RIGHTS = {
    ("POST", "/v1/payments"): "pay",
    ("POST", "/v1/payments/batch"): "pay",
    ("GET", "/v1/payments/{id}"): "read",
    ("POST", "/v1/payments/{id}/reversal"): "reverse",
    ("GET", "/v1/accounts/{number}"): "read",
    ("GET", "/v1/accounts/{number}/ledger"): "read",
    ("GET", "/v1/accounts/{number}/events"): "read",
    ("POST", "/v1/registers"): "pay",
    ("GET", "/v1/registers"): "read",
    ("GET", "/v1/registers/report"): "read",
    ("GET", "/v1/registers/{id}"): "read",
    ("GET", "/v1/registers/{id}/cases"): "read",
    ("GET", "/v1/status"): "operate",
    ("POST", "/v1/imports"): "bill",
    ("GET", "/v1/imports/{id}"): "bill",
    ("GET", "/v1/imports/{id}/protocol"): "bill",
    ("GET", "/v1/imports/{id}/rows"): "bill",
    ("GET", "/v1/export/{kind}"): "export",
    ("GET", "/healthz"): EVERYBODY,
    ("GET", "/readyz"): EVERYBODY,
    ("GET", "/metrics"): EVERYBODY,
    ("GET", "/openapi.json"): EVERYBODY,
    ("GET", "/docs"): EVERYBODY,
    ("GET", "/problems/{code}"): EVERYBODY,
    **{(route.method, route.path): OWN_WAY for route in PROCESSORS},
}
GUARDED = {route: scope for route, scope in RIGHTS.items() if scope not in (EVERYBODY, OWN_WAY)}
MATRIX = [(route, scope, name) for route, scope in GUARDED.items() for name in KEYS]


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage, "") as client:
        yield client


def routes_of(app: web.Application | None) -> set[tuple[str, str]]:
    """Every method and path of an application; HEAD goes wherever GET goes."""
    assert app is not None
    resources = [(route.method, route.resource) for route in app.router.routes()]
    return {(method, resource.canonical) for method, resource in resources if resource and method != "HEAD"}


async def ask(door: Client, route: tuple[str, str], headers: dict[str, str]) -> tuple[int, str]:
    """Use a route; return the status and the code of the problem, if it is one."""
    method, path = route
    async with door.request(
        method, path.format(id="100000000000003", number=OPEN, code="busy", kind="payments"), headers=headers
    ) as reply:
        is_problem = reply.content_type == "application/problem+json"
        return reply.status, (await reply.json())["code"] if is_problem else ""


def test_every_route_has_its_right(door: Client) -> None:
    assert routes_of(door.app) == set(RIGHTS)


def test_every_scope_is_tried_with_and_without() -> None:
    for scope in set(GUARDED.values()):
        assert 0 < sum(scope in SCOPES[name] for name in KEYS) < len(KEYS)


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
async def test_without_a_key_nobody_passes(door: Client, route: tuple[str, str]) -> None:
    assert await ask(door, route, {}) == (401, "unauthorized")
    assert await ask(door, route, {"X-Api-Key": "wrong"}) == (401, "unauthorized")


@pytest.mark.parametrize(("route", "scope", "name"), MATRIX)
async def test_a_key_opens_what_its_scopes_name(door: Client, route: tuple[str, str], scope: str, name: str) -> None:
    status, code = await ask(door, route, bearer(name))
    if scope in SCOPES[name]:
        assert status not in (401, 403, 500)
    else:
        assert (status, code) == (403, "forbidden")


@pytest.mark.parametrize("route", [route for route, scope in RIGHTS.items() if scope == EVERYBODY], ids=" ".join)
async def test_what_is_everybodys_needs_no_key(door: Client, route: tuple[str, str]) -> None:
    assert (await ask(door, route, {}))[0] == 200


async def test_a_key_may_come_in_a_header_of_its_own(door: Client) -> None:
    assert (await ask(door, ("GET", f"/v1/accounts/{OPEN}"), {"X-Api-Key": KEYS["reader"]}))[0] == 200
