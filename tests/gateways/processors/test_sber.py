"""Sberbank's protocol "1": its switches and its dates."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.gateways.osmp_stage import OPEN, Stage, open_doors
from tests.gateways.processors.drivers import Sber, Sent, elements
from tests.gateways.processors.sending import Client, ask, send
from tests.gateways.processors.settings import refusal_of

driver = Sber()


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_doors(stage, driver.connection()) as client:
        yield client


async def told(door: Client, sent: Sent) -> dict[str, str]:
    """Send a request; return the reply's elements."""
    return elements((await send(door, sent))[1])


async def test_a_repeat_has_its_own_code_and_the_first_number_and_date(door: Client) -> None:
    first, again = [await told(door, driver.pay("7", OPEN)) for _ in range(2)]
    assert (first["CODE"], again["CODE"]) == ("0", "8")
    assert (first["REG_ID"], first["REG_DATE"]) == (again["REG_ID"], again["REG_DATE"])
    assert first["REG_DATE"] == "15.10.2026_15:00:00", "our moment, by the bank's clock"


async def test_a_contract_may_call_a_repeat_zero(stage: Stage) -> None:
    async with open_doors(stage, driver.connection(terms={"duplicate_reply": 0})) as door:
        first, again = [await told(door, driver.pay("7", OPEN)) for _ in range(2)]
    assert again == first


@pytest.mark.parametrize(("negative", "balance"), [(False, "1843.17"), (True, "-1843.17")])
async def test_the_sign_and_name_of_the_balance_are_the_contracts(stage: Stage, negative: bool, balance: str) -> None:
    terms = {"debt_is_negative": negative, "balance_element": "BALANCE"}
    async with open_doors(stage, driver.connection(terms=terms)) as door:
        assert (await told(door, driver.check(OPEN)))["BALANCE"] == balance


async def test_a_contract_may_call_a_temporary_trouble_one(stage: Stage) -> None:
    async with open_doors(stage, driver.connection(terms={"temporary_code": 1})) as door:
        stage.disconnect()
        assert (await told(door, driver.pay("7", OPEN)))["CODE"] == "1"


async def test_a_point_may_end_the_amount(stage: Stage, door: Client) -> None:
    assert (await ask(door, driver, driver.pay("7", OPEN, "500."))).code == "0"
    assert stage.credited() == [("7", OPEN, 50_000)]


async def test_the_date_is_by_the_banks_clock(stage: Stage) -> None:
    async with open_doors(stage, driver.connection(utc_offset_minutes=420)) as door:
        await told(door, driver.pay("7", OPEN))
    assert stage.journal.events[-1].accepted_at_us == 1_792_040_493_000_000  # 2026-10-15 05:01:33 UTC


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("15.10.2026", "2026-10-15", "6"),
        ("15.10.2026", "31.02.2026", "6"),
        ("15.10.2026", "15.10.2036", "6"),
        ("12:01:33", "24:01:33", "6"),
        ("PAY_ID=7", "PAY_ID=x", "5"),
        ("PAY_ID=7&", "", "5"),
        ("ACTION=payment", "ACTION=PAYMENT", "2"),
        (f"ACCOUNT={OPEN}", "ACCOUNT=", "2"),
        (f"ACCOUNT={OPEN}", "ACCOUNT=" + quote("счёт", encoding="cp1251"), "3"),
        ("AMOUNT=1843.17", "AMOUNT=.", "4"),
        ("AMOUNT=1843.17", "AMOUNT=1843.17&AMOUNT=1.00", "2"),
    ],
)
async def test_each_fault_has_its_code(stage: Stage, door: Client, old: str, new: str, code: str) -> None:
    sent = driver.pay("7", OPEN)
    assert old in sent.target
    answer = await ask(door, driver, sent._replace(target=sent.target.replace(old, new)))
    assert (answer.kind, answer.code) == ("no", code)
    assert stage.credited() == []


def test_a_balance_is_named_by_a_name() -> None:
    assert "balance_element" in refusal_of(driver.connection(terms={"balance_element": "a b"}))
