"""Registers over HTTP: uploaded, followed, paged, reconciled; each connection sees its own."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient

from actors.billing_intake import Place
from actors.import_desk import ImportDesk
from actors.register_run import work_through
from gateways.app import Doors, Readiness, build_app
from gateways.connections import Connection, Connections
from gateways.register_port import RegisterPort
from tests.gateways.json_stage import Client, Gateway, NoWakeups, contract, row
from tests.gateways.json_stage import bearer as bearer_of
from tests.registers.stage import BANK, DAY, NOBODY, SIZE_BYTES_MAX, BankLine, Stage, bank_file

# The bank signs with the terminal's key, a foreign connection with the kiosk's.
OWN, FOREIGN, OPERATOR = bearer_of("terminal"), bearer_of("kiosk"), bearer_of("operator")


def _connections() -> Connections:
    bank = msgspec.structs.replace(contract("terminal"), name=BANK)
    operator = msgspec.structs.replace(contract("operator"), scopes=("pay", "read", "operate"))
    found: list[Connection] = [bank, contract("kiosk"), operator]
    return Connections(row(one) for one in found)


async def _nothing() -> bytes:
    return b""


async def _ready() -> Readiness:
    return Readiness(ready=True)


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    port = RegisterPort(stage.desk())
    doors = Doors(
        stage.router,
        stage.settings,
        _connections(),
        NoWakeups(),
        collect_metrics=_nothing,
        readiness=_ready,
        status=_nothing,
        imports=ImportDesk(Place(stage.url, stage.place.archive)),
        registers=port,
    )
    await stage.sign("kiosk")
    async with TestClient(Gateway(build_app(doors)), headers=OWN) as client:
        yield client


async def test_an_upload_is_kept_at_once_and_worked_on_later(stage: Stage, door: Client) -> None:
    content = bank_file(BankLine(operation="1"))
    reply = await door.post("/v1/registers?name=15.txt", data=content)
    told = await reply.json()
    assert (reply.status, told["state"], told["name"], told["connection"]) == (201, "received", "15.txt", BANK)
    await work_through(stage.place)
    told = await (await door.get(f"/v1/registers/{told['id']}")).json()
    assert (told["state"], told["day"], told["rows_accepted"]) == ("done", DAY.isoformat(), 1)
    expected = {"outcome": "missing_online", "lines": 1, "theirs_kopecks": 150_000, "ours_kopecks": 150_000}
    assert told["outcomes"] == [expected]
    again = await door.post("/v1/registers?name=other.txt", data=content)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert await again.json() == told


async def test_an_upload_in_pieces_of_unknown_length_is_taken(stage: Stage, door: Client) -> None:
    content = bank_file(*(BankLine(operation=str(number)) for number in range(500)))

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 1_000):
            yield content[at : at + 1_000]

    reply = await door.post("/v1/registers", data=pieces())
    assert reply.status == 201
    assert (await reply.json())["size_bytes"] == len(content)


async def test_a_refused_file_tells_its_lines(stage: Stage, door: Client) -> None:
    reply = await door.post("/v1/registers", data=bank_file(BankLine(operation="1", transferred=1), count=7))
    await work_through(stage.place)
    told = await (await door.get(f"/v1/registers/{(await reply.json())['id']}")).json()
    assert told["state"] == "refused"
    assert told["problems"][0].startswith("строка 1: ")


async def test_a_file_that_is_too_large_is_refused_and_not_kept(stage: Stage, door: Client) -> None:
    reply = await door.post("/v1/registers", data=b"x" * (SIZE_BYTES_MAX + 1))
    assert (reply.status, (await reply.json())["code"]) == (413, "body-too-large")
    assert await stage.fetch("SELECT 1 FROM received_files") == []
    assert not list(stage.folder.glob("archive/**/*"))


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("profile=unheard-of", 400, "field-invalid"),
        ("profile=charges-csv", 400, "field-invalid"),
        ("day=2026-02-30", 400, "field-invalid"),
        ("day=20260201", 400, "field-invalid"),
        ("day=2026-1-1", 400, "field-invalid"),
        ("name=" + "x" * 129, 400, "field-invalid"),
        ("name=%00", 400, "field-invalid"),
        ("connection=kiosk", 403, "forbidden"),
    ],
)
async def test_a_query_that_is_wrong_is_refused_and_keeps_nothing(
    stage: Stage, door: Client, query: str, status: int, code: str
) -> None:
    reply = await door.post(f"/v1/registers?{query}", data=bank_file(BankLine(operation="1")))
    assert (reply.status, (await reply.json())["code"]) == (status, code)
    assert await stage.fetch("SELECT 1 FROM received_files") == []


async def test_an_operator_uploads_for_any_connection_that_there_is(stage: Stage, door: Client) -> None:
    content = bank_file(BankLine(operation="1"))
    reply = await door.post("/v1/registers?connection=kiosk", data=content, headers=OPERATOR)
    assert (reply.status, (await reply.json())["connection"]) == (201, "kiosk")
    reply = await door.post("/v1/registers?connection=nobody", data=content, headers=OPERATOR)
    assert (reply.status, (await reply.json())["code"]) == (404, "connection-unknown")


async def test_a_connection_sees_its_own_registers_only(stage: Stage, door: Client) -> None:
    done = await stage.take(BankLine(operation="1", account=NOBODY))
    for path in (f"/v1/registers/{done.file}", f"/v1/registers/{done.file}/cases"):
        assert (await door.get(path)).status == 200
        assert (await door.get(path, headers=OPERATOR)).status == 200
        reply = await door.get(path, headers=FOREIGN)
        assert (reply.status, (await reply.json())["code"]) == (404, "register-unknown")
    assert (await (await door.get("/v1/registers", headers=FOREIGN)).json())["items"] == []
    assert (await door.get(f"/v1/registers?connection={BANK}", headers=FOREIGN)).status == 403
    report = f"/v1/registers/report?date={DAY}&connection={BANK}"
    assert (await door.get(report, headers=FOREIGN)).status == 403
    assert (await door.get(report, headers=OPERATOR)).status == 200


async def test_registers_and_cases_are_paged_to_their_end(stage: Stage, door: Client) -> None:
    files = [await stage.receive(bank_file(BankLine(operation=str(number)))) for number in range(5)]
    seen: list[int] = []
    after = ""
    while True:
        page = await (await door.get(f"/v1/registers?limit=2{after}")).json()
        seen += [int(item["id"]) for item in page["items"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert seen == sorted(files, reverse=True)
    done = await stage.take(*(BankLine(operation=str(number), account=NOBODY) for number in range(10, 13)))
    page = await (await door.get(f"/v1/registers/{done.file}/cases?limit=2")).json()
    assert [item["row"] for item in page["items"]] == [1, 2]
    rest = await (await door.get(f"/v1/registers/{done.file}/cases?limit=2&after={page['next']}")).json()
    assert ([item["row"] for item in rest["items"]], rest["has_more"]) == ([3], False)
    foreign_cursor = await door.get(f"/v1/registers?after={page['next']}")
    assert (foreign_cursor.status, (await foreign_cursor.json())["code"]) == (400, "cursor-invalid")


async def test_what_the_door_tells_of_a_case_names_no_person(stage: Stage, door: Client) -> None:
    done = await stage.take(BankLine(operation="1", account=NOBODY, payer="ИВАНОВ И.И.", address="УЛ.МИРА,1"))
    for path in (f"/v1/registers/{done.file}", f"/v1/registers/{done.file}/cases"):
        text = await (await door.get(path)).text()
        assert "ИВАНОВ" not in text
        assert "МИРА" not in text


@pytest.mark.parametrize("number", ["x", "-1", "9" * 16, "٣"])
async def test_a_number_that_is_none_is_no_register(door: Client, number: str) -> None:
    reply = await door.get(f"/v1/registers/{number}")
    assert (reply.status, (await reply.json())["code"]) == (404, "register-unknown")


async def test_the_report_of_a_day_is_told_as_json(stage: Stage, door: Client) -> None:
    await stage.online("1")
    await stage.take(BankLine(operation="1"))
    told = await (await door.get(f"/v1/registers/report?date={DAY}")).json()
    assert (told["is_equal"], told["theirs_kopecks"], told["ours_kopecks"]) == (True, 150_000, 150_000)
    assert told["rows"] == [{"outcome": "matched", "lines": 1, "theirs_kopecks": 150_000, "ours_kopecks": 150_000}]
    assert (await door.get("/v1/registers/report")).status == 400
