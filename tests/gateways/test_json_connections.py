"""Connections: what is refused when they are loaded, what a bad one does to the good ones, from where keys work."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from gateways.connections import Connection, Connections, Row
from tests.gateways.json_stage import KEYS, OPEN, Client, Stage, bearer, contract, counted, open_door, open_stage, row

PATH = f"/v1/accounts/{OPEN}"
UNREADABLE = "kopeck_gateway_connections_unreadable"


def bad(name: str, settings: str = '{"source": "terminal", "allow_networks": ["10.0.0.1/8"]}') -> Row:
    """A stored connection whose settings are not one's."""
    return Row(name, "json", True, settings)


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage) as client:
        yield client


async def asked(door: Client, **headers: str) -> int:
    """Read an account as the terminal; return the status."""
    return (await door.get(PATH, headers=bearer("terminal") | headers)).status


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "localhost", "", "10.0.0.0/8 ", "::/129"])
@pytest.mark.parametrize("field", ["allow_networks", "trusted_proxies"])
def test_a_network_that_is_none_is_refused_when_loaded(field: str, network: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"source": "terminal", field: [network]}, Connection)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param('{"source": "terminal", "allow_networks": ["10.0.0.1/8"]}', id="network"),
        pytest.param('{"source": "terminal", "scopes": ["everything"]}', id="scope"),
        pytest.param('{"source": "terminal", "allow_network": []}', id="misspelt"),
        pytest.param('{"source": "terminal"', id="half"),
        pytest.param('{"source": "\\ud800"}', id="half a character"),
        pytest.param("", id="empty"),
        pytest.param("null", id="null"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_a_bad_connection_does_not_take_the_good_ones_down(settings: str, caplog: pytest.LogCaptureFixture) -> None:
    rows = [row(contract("reader")), bad("broken", settings), row(contract("kiosk"))]
    connections = Connections(rows)
    assert [connection.name for connection in connections] == ["reader", "kiosk"]
    assert connections.by_api_key(KEYS["kiosk"]) is not None
    assert counted(UNREADABLE) == 1
    connections.replace(rows)
    assert [record.levelname for record in caplog.records] == ["ERROR"], "told once, not at every reading"
    assert "connection=broken" in caplog.text
    connections.replace(rows[:1])
    assert counted(UNREADABLE) == 0


def test_a_connection_that_goes_bad_keeps_its_last_good_terms() -> None:
    connections = Connections([row(contract("terminal"))])
    connections.replace([bad("terminal")])
    assert list(connections) == [contract("terminal")]
    connections.replace([msgspec.structs.replace(bad("terminal"), active=False)])
    assert connections.by_api_key(KEYS["terminal"]) is None, "but it can be switched off"


def test_a_revoked_key_is_forgotten() -> None:
    connections = Connections([row(contract("terminal"))])
    version = connections.version
    connections.replace([row(contract("terminal", api_keys_sha256=()))])
    assert connections.by_api_key(KEYS["terminal"]) is None
    assert connections.version == version + 1


@pytest.mark.parametrize(
    ("networks", "status"),
    [((), 200), (("127.0.0.0/8",), 200), (("10.0.0.0/8", "127.0.0.1"), 200), (("10.0.0.0/8",), 403)],
)
async def test_a_key_works_from_its_contracts_addresses(
    stage: Stage, door: Client, networks: tuple[str, ...], status: int
) -> None:
    stage.connections.replace([row(contract("terminal", allow_networks=networks))])
    assert await asked(door) == status


async def test_a_forged_header_does_not_name_the_address(stage: Stage, door: Client) -> None:
    stage.connections.replace([row(contract("terminal", allow_networks=("10.0.0.0/8",)))])
    assert await asked(door, **{"X-Forwarded-For": "10.0.0.1"}) == 403


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [("10.0.0.1", 200), ("8.8.8.8, 10.0.0.1", 200), ("10.0.0.1, 8.8.8.8", 403), ("x", 403), ("", 403)],
)
async def test_a_proxy_of_ours_names_the_address(stage: Stage, door: Client, forwarded: str, status: int) -> None:
    terms = contract("terminal", allow_networks=("10.0.0.0/8",), trusted_proxies=("127.0.0.1",))
    stage.connections.replace([row(terms)])
    assert await asked(door, **{"X-Forwarded-For": forwarded}) == status


async def test_connections_change_under_a_running_gateway(stage: Stage, door: Client) -> None:
    assert await asked(door) == 200
    stage.connections.replace([row(contract("terminal", scopes=("pay",)))])
    assert await asked(door) == 403
    stage.connections.replace([])
    assert await asked(door) == 401
