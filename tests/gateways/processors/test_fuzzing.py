"""Whatever comes, a desk answers in its protocol, finds no bug of ours, and the ledger stays as it was."""

import asyncio
import logging
import random
from urllib.parse import quote

import pytest

from gateways.processors.dialects import all_dialects
from tests.gateways.osmp_stage import OPEN, open_stage
from tests.gateways.processors.drivers import DRIVERS, Driver

REQUESTS = 400
PIECES = [
    "",
    "&",
    "=",
    "%",
    "%00",
    "%D1",
    "<",
    ">",
    "<!",
    "]]>",
    "&amp;",
    "\x00",
    "\udcff",
    "٣",
    "ё",
    "-",
    "1e9",
    "+",
    "9" * 400,
]


def requests_of(driver: Driver, chance: random.Random) -> list[str]:
    """Good requests, each broken in a few places."""
    made = []
    for number in range(REQUESTS):
        sent = driver.pay(str(number), OPEN) if number % 2 else driver.check(OPEN, "1.00")
        text = sent.body.decode() if sent.body is not None else sent.target.partition("?")[2]
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text) + 1)
            piece = chance.choice(PIECES)
            text = (
                text[:at]
                + (quote(piece, errors="replace") if chance.random() < 0.2 else piece)
                + text[at + chance.randint(0, 8) :]
            )
        made.append(text)
    return made


@pytest.mark.parametrize("name", [name for name, driver in DRIVERS.items() if driver.is_signed])
def test_broken_requests_find_no_bug_and_pay_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    driver = DRIVERS[name]

    async def answer_all() -> list[tuple[str, str, int]]:
        async with open_stage() as stage:
            connection = driver.connection()
            desk = all_dialects()[name].desk(connection, stage.doors(connection))
            for text in requests_of(driver, random.Random(f"fuzzing/{name}")):
                body, _ = await desk.answer(text)
                driver.read(body)
            return stage.credited()

    caplog.set_level(logging.ERROR)
    credited = asyncio.run(answer_all())
    assert caplog.records == []
    assert all(account == OPEN and kopecks == 184_317 for _, account, kopecks in credited), "only what was left whole"


@pytest.mark.parametrize("name", [name for name, driver in DRIVERS.items() if not driver.is_signed])
def test_unsigned_requests_find_no_bug(name: str, caplog: pytest.LogCaptureFixture) -> None:
    driver = DRIVERS[name]

    async def answer_all() -> None:
        async with open_stage() as stage:
            connection = driver.connection()
            desk = all_dialects()[name].desk(connection, stage.doors(connection))
            for text in requests_of(driver, random.Random(f"fuzzing/{name}")):
                body, _ = await desk.answer(text)
                driver.read(body)

    caplog.set_level(logging.ERROR)
    asyncio.run(answer_all())
    assert caplog.records == []
