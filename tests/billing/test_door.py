"""Billings' files over HTTP: kept as sent, told once, seen by their sender alone."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors import import_desk
from actors.import_desk import ImportDesk
from storage import received
from storage.billing import Billing, Terms, put_billing
from tests.billing.stage import Stage, charge, charges
from tests.gateways.json_stage import Client, open_door
from tests.gateways.json_stage import Stage as JsonStage

ANNA, BORIS = "1000000001", "1000000002"
FILE = charges([charge(ANNA, "1", "77", "100,00"), charge(BORIS, "1", "77", "x")])
WHERE = "/v1/imports?kind=charges&name=october.csv"


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    json = JsonStage()
    json.imports = ImportDesk(stage.place)
    async with open_door(json, "biller") as client:
        yield client


async def test_a_file_is_taken_worked_on_and_answered_row_by_row(stage: Stage, door: Client) -> None:
    reply = await door.post(WHERE, data=FILE)
    told = await reply.json()
    assert (reply.status, told["state"], told["sha256"]) == (202, "received", hashlib.sha256(FILE).hexdigest())
    where = reply.headers["Location"]
    unfinished = await door.get(f"{where}/protocol")
    assert (unfinished.status, (await unfinished.json())["code"]) == (409, "import-unfinished")
    await stage.importer().run_all()
    told = await (await door.get(where)).json()
    assert (told["state"], told["rows_total"], told["rows_accepted"], told["rows_rejected"]) == ("done", 2, 1, 1)
    protocol = await door.get(f"{where}/protocol")
    assert (await protocol.text()).splitlines() == await stage.protocol(int(told["id"]))
    page = await (await door.get(f"{where}/rows?limit=1")).json()
    assert [(row["row"], row["status"]) for row in page["items"]] == [(2, "accepted")]
    page = await (await door.get(f"{where}/rows?after={page['next']}")).json()
    assert [(row["row"], row["status"], row["findings"][0]["code"]) for row in page["items"]] == [
        (3, "rejected", "money")
    ]
    assert (page["has_more"], page["next"]) == (False, None)


async def test_the_same_file_again_is_the_first_one(stage: Stage, door: Client) -> None:
    first = await (await door.post(WHERE, data=FILE)).json()
    await stage.importer().run_all()
    again = await door.post(WHERE, data=FILE)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert (await again.json())["id"] == first["id"]


async def test_another_billings_file_is_not_there(stage: Stage, door: Client) -> None:
    await put_billing(stage.database_url, Billing(billing="other", agreement="main", terms=Terms()), "tester")
    file, _ = await stage.receive(FILE)
    await stage.execute("UPDATE received_files SET sender = 'other'")
    for path in ("", "/protocol", "/rows"):
        reply = await door.get(f"/v1/imports/{file.file}{path}")
        assert (reply.status, (await reply.json())["code"]) == (404, "import-unknown")


async def test_what_cannot_be_taken_is_refused_and_leaves_nothing(
    stage: Stage, door: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {
        "/v1/imports?kind=wishes": (422, "import-invalid"),
        "/v1/imports?kind=charges&profile=none": (422, "import-invalid"),
        "/v1/imports?kind=meters&mode=full": (422, "import-invalid"),
        "/v1/imports?kind=charges&name=a%00b": (400, "text-invalid"),
    }
    for path, expected in asked.items():
        reply = await door.post(path, data=FILE)
        assert (reply.status, (await reply.json())["code"]) == expected
    monkeypatch.setattr(import_desk, "FILE_BYTES_MAX", 50)
    reply = await door.post(WHERE, data=_slowly(FILE))
    assert (reply.status, (await reply.json())["code"]) == (413, "body-too-large")
    assert await received.unfinished(stage.database_url) == []
    assert [path for path in (stage.place.archive.path("00").parent.parent).glob("**/*") if path.is_file()] == []


async def _slowly(content: bytes) -> AsyncIterator[bytes]:
    """A body whose length is not told beforehand."""
    for first in range(0, len(content), 40):
        yield content[first : first + 40]
        await asyncio.sleep(0)


async def test_bad_numbers_of_pages_are_refused(stage: Stage, door: Client) -> None:
    file = await stage.take(FILE)
    for query, code in (("after=x", "cursor-invalid"), ("limit=0", "field-invalid"), ("limit=1001", "field-invalid")):
        reply = await door.get(f"/v1/imports/{file.file}/rows?{query}")
        assert (reply.status, (await reply.json())["code"]) == (400, code)
