"""OSMP on the wire, byte for byte: each golden file is a conversation of requests and replies, in order.

`pytest --update-golden` writes the replies anew; the difference is reviewed as code.
"""

import asyncio
from pathlib import Path

import pytest

from tests.gateways.osmp_stage import contract, open_door, open_stage

GOLDEN = Path(__file__).parents[1] / "golden" / "osmp"
REPLY, NEXT = "--- reply\n", "--- next\n"
CONTRACTS: dict[str, dict[str, object]] = {
    "dialect": {"terms": {"preset": "ibox", "codes": {"5": 2}, "cents_exact": True}, "shown": ()},
    "cancel": {"terms": {"cancel": True, "status": True}},
}
VARIABLE_HEADERS = ("Date:", "Server:")


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.http")), ids=lambda file: file.stem)
def test_the_wire_is_as_agreed(file: Path, request: pytest.FixtureRequest) -> None:
    agreed = file.read_text()
    said = asyncio.run(converse(agreed, CONTRACTS.get(file.stem, {})))
    if request.config.getoption("--update-golden", default=False):
        file.write_text(said)
    assert said == agreed


def test_there_are_golden_files() -> None:
    assert len(list(GOLDEN.glob("*.http"))) >= 6


async def converse(conversation: str, terms: dict[str, object]) -> str:
    """Say a file's requests over one connection and return it with the replies that came."""
    requests = [part.partition(REPLY)[0] for part in conversation.split(NEXT)]
    async with open_stage() as stage, open_door(stage, contract(**terms)) as door:
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
    body = (await reader.readexactly(length)).decode()
    return "\n".join(lines) + "\n\n" + body
