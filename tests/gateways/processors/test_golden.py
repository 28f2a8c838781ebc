"""The wire of every dialect, byte for byte: a golden file is a conversation of requests and replies, in order.

`pytest --update-golden` writes the replies anew; the difference is reviewed as code. Replies stand in their files as
text; their length is that of the bytes.
"""

import asyncio
import re
from pathlib import Path

import pytest

from actors.messages import Payer
from gateways.connections import Connection
from gateways.processors.dialects import all_dialects
from tests.gateways.osmp_stage import LOGIN, OPEN, PASSWORD, basic, contract, open_doors, open_stage
from tests.gateways.processors.drivers import DRIVERS

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = sorted(file for name in all_dialects() for file in (GOLDEN / name).glob("*.http"))
REPLY, NEXT = "--- reply\n", "--- next\n"
CONTRACTS: dict[str, dict[str, object]] = {
    "osmp/dialect": {"terms": {"preset": "ibox", "codes": {"5": 2}, "cents_exact": True}, "shown": ()},
    "osmp/cancel": {"terms": {"cancel": True, "status": True}},
    "osmp/payer": {"shown": ("debt", "name", "address")},
    "moneta/xml": {"terms": {"pay_reply": "xml"}},
    "sber/switches": {
        "terms": {"duplicate_reply": 0, "debt_is_negative": True, "tells_amount": True, "encoding": "windows-1251"}
    },
    "bisys/kopecks": {"terms": {"unit": "kopecks", "encoding": "utf-8"}},
}
VARIABLE_HEADERS = ("Date:", "Server:")


def name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def connection_of(name: str) -> Connection:
    """The contract of a file: OSMP signs in by Basic, the others are known by their address and signature."""
    dialect = name.partition("/")[0]
    terms = CONTRACTS.get(name, {})
    if dialect == "osmp":
        return contract(**terms)
    return DRIVERS[dialect].connection(**({"shown": ("debt", "name", "address")} | terms))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_the_wire_is_as_agreed(file: Path, request: pytest.FixtureRequest) -> None:
    agreed = file.read_text()
    said = asyncio.run(converse(agreed, connection_of(name_of(file))))
    if request.config.getoption("--update-golden"):
        file.write_text(said)
    assert said == agreed


@pytest.mark.parametrize("dialect", all_dialects())
def test_every_dialect_has_golden_files(dialect: str) -> None:
    assert {"check", "pay", "refusals"} <= {file.stem for file in FILES if file.parent.name == dialect}


async def converse(conversation: str, connection: Connection) -> str:
    """Say a file's requests over one HTTP connection and return it with the replies that came."""
    requests = [part.partition(REPLY)[0] for part in conversation.split(NEXT)]
    authorization = basic(LOGIN, PASSWORD)
    async with open_stage() as stage, open_doors(stage, connection, authorization=authorization) as door:
        stage.people[OPEN] = Payer("Иванов Пётр Семёнович", "г. Энск, ул. Мира, д. 1", "2")
        reader, writer = await asyncio.open_connection(door.host, door.port)
        said = []
        for text in requests:
            head, _, body = text.partition("\n\n")
            writer.write((head.replace("\n", "\r\n") + "\r\n\r\n" + body.rstrip("\n")).encode())
            said.append(text + REPLY + await receive(reader))
        writer.close()
    return NEXT.join(said)


async def receive(reader: asyncio.StreamReader) -> str:
    """Read one reply; headers that change from day to day are left out."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = [line for line in head.split("\r\n") if line and not line.startswith(VARIABLE_HEADERS)]
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("Content-Length"))
    charset = re.search(r"charset=([\w-]+)", head)
    body = (await reader.readexactly(length)).decode(charset[1] if charset else "utf-8")
    return "\n".join(lines) + "\n\n" + body + ("" if body.endswith("\n") else "\n")
