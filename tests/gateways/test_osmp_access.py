"""Who gets to an OSMP desk: credentials, addresses, and no passwords in the clear beyond this machine."""

import hashlib
import logging
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from actors.settings import Settings
from gateways.connections import Connection, Connections
from gateways.processors.desk import Desk
from gateways.processors.dialects import all_dialects
from gateways.processors.entrance import Entrance, InsecureExposureError, check_exposure
from tests.gateways.osmp_stage import LOGIN, PASSWORD, basic, contract, open_door, open_stage, row

AGENT = "79.142.16.0/20"
CHECK = "/osmp?command=check&txn_id=1&account=007001020003"


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("79.142.16.1", True),
        ("79.142.31.255", True),
        ("::ffff:79.142.16.1", True),
        ("79.142.32.0", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("", False),
        ("79.142.16.1 ", False),
    ],
)
def test_only_the_agents_addresses_are_admitted(address: str, admitted: bool) -> None:
    agent = contract(allow_networks=(AGENT,))
    connections = Connections([row(agent)])
    assert connections.admits(agent, address, "") is admitted
    assert connections.admits(agent, address, "") is admitted, "the remembered answer is the same"


@pytest.mark.parametrize(
    ("remote", "forwarded", "admitted"),
    [
        ("10.0.0.5", "79.142.16.1", True),
        ("10.0.0.5", "8.8.8.8, 79.142.16.1", True),
        ("10.0.0.5", "79.142.16.1, 8.8.8.8", False),
        ("10.0.0.5", "", False),
        ("8.8.8.8", "79.142.16.1", False),
        ("79.142.16.1", "8.8.8.8", True),
    ],
)
def test_only_our_own_proxy_may_name_the_address(remote: str, forwarded: str, admitted: bool) -> None:
    agent = contract(allow_networks=(AGENT,), trusted_proxies=("10.0.0.0/24",))
    assert Connections([row(agent)]).admits(agent, remote, forwarded) is admitted


async def test_a_foreign_address_is_forbidden_even_with_a_forged_header() -> None:
    async with open_stage() as stage, open_door(stage, contract(allow_networks=(AGENT,))) as door:
        assert (await door.get(CHECK, headers={"X-Forwarded-For": "79.142.16.1"})).status == 403


async def test_an_inactive_connection_is_not_let_in() -> None:
    async with open_stage() as stage, open_door(stage, contract(active=False)) as door:
        assert (await door.get(CHECK)).status == 401


async def test_a_replaced_password_is_refused_at_once() -> None:
    async with open_stage() as stage:
        doors = stage.doors(contract())
    entrance, connections = Entrance(all_dialects()["osmp"], doors), doors.connections
    request = make_mocked_request("GET", CHECK, {"Authorization": basic(LOGIN, PASSWORD)})
    assert isinstance(entrance.admit(request), Desk)
    connections.replace([row(contract(basic_password_sha256="0" * 64))])
    refused = entrance.admit(request)
    assert isinstance(refused, web.Response)
    assert refused.status == 401


@pytest.mark.parametrize("old", [hashlib.sha256(PASSWORD.encode()).hexdigest(), ""])
async def test_the_password_before_a_rotation_is_valid_until_that_is_finished(old: str) -> None:
    new = hashlib.sha256(b"a new one").hexdigest()
    terms = contract(basic_password_sha256=new, basic_password_old_sha256=old)
    async with open_stage() as stage, open_door(stage, terms) as door:
        assert (await door.get(CHECK)).status == (200 if old else 401)
        assert (await door.get(CHECK, headers={"Authorization": basic(LOGIN, "a new one")})).status == 200
        assert (await door.get(CHECK, headers={"Authorization": basic(LOGIN, "")})).status == 401


async def test_the_password_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_stage() as stage, open_door(stage) as door:
        await door.get(CHECK)
        await door.get(CHECK, headers={"Authorization": basic(LOGIN, PASSWORD + "x")})
        await door.get("/osmp?command=pay&txn_id=1")
    assert PASSWORD not in caplog.text
    assert basic(LOGIN, PASSWORD)[6:] not in caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.10", "203.0.113.7", "pay.example"])
def test_passwords_in_the_clear_are_refused_at_start(host: str) -> None:
    settings = Settings(home=Path("unused"), host=host)
    with pytest.raises(InsecureExposureError, match="KOPECK_ALLOW_INSECURE"):
        check_exposure(settings, Connections([row(contract())]))


@pytest.mark.parametrize(
    ("settings", "connection"),
    [
        (Settings(home=Path("unused"), host="127.0.0.1"), contract()),
        (Settings(home=Path("unused"), host="::1"), contract()),
        (Settings(home=Path("unused"), host="localhost"), contract()),
        (Settings(home=Path("unused"), host="0.0.0.0", allow_insecure=True), contract()),
        (Settings(home=Path("unused"), host="0.0.0.0"), contract(active=False)),
        (Settings(home=Path("unused"), host="0.0.0.0"), contract(basic_login="", allow_networks=(AGENT,))),
    ],
)
def test_what_exposes_no_password_may_start(settings: Settings, connection: Connection) -> None:
    check_exposure(settings, Connections([row(connection)]))
