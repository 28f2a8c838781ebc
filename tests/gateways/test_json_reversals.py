"""Reversals at the JSON door: whole, in part, only of one's own, and once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateways import terminal
from tests.gateways.json_stage import NOW_US, OPEN, Client, Stage, bearer, open_door, open_stage, payment


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(terminal, "time_ns", lambda: NOW_US * 1000)  # The moment of a reversal is the gateway's.
    async with open_door(stage) as client:
        yield client


@pytest_asyncio.fixture
async def paid(door: Client) -> str:
    """The number of a payment of 1843.17."""
    told = await (await door.post("/v1/payments", json=payment())).json()
    return str(told["payment_id"])


async def undo(
    door: Client, payment_id: str, name: str = "terminal", /, **fields: object
) -> tuple[int, dict[str, Any]]:
    """Ask for a reversal; return the status and what was told."""
    asked = {"txn_id": "R-1"} | fields
    reply = await door.post(f"/v1/payments/{payment_id}/reversal", json=asked, headers=bearer(name))
    return reply.status, await reply.json()


async def due(door: Client) -> int:
    reply = await door.get(f"/v1/accounts/{OPEN}")
    return int((await reply.json())["due_kopecks"])


async def test_a_payment_is_undone_whole(door: Client, paid: str) -> None:
    status, told = await undo(door, paid, reason="ошибка кассира")
    assert (status, told["kind"], told["amount_kopecks"]) == (201, "payment_reversed", -184_317)
    assert sum(part["amount_kopecks"] for part in told["allocations"]) == -184_317
    assert await due(door) == 184_317


async def test_a_payment_is_undone_in_parts(door: Client, paid: str) -> None:
    assert (await undo(door, paid, amount_kopecks=100_000))[0] == 201
    assert await due(door) == 100_000
    status, told = await undo(door, paid, txn_id="R-2", amount_kopecks=84_318)
    assert (status, told["code"], told["param"]) == (422, "reversal-too-large", "amount_kopecks")
    assert (await undo(door, paid, txn_id="R-2"))[1]["amount_kopecks"] == -84_317
    assert await due(door) == 184_317
    status, told = await undo(door, paid, txn_id="R-3")
    assert (status, told["code"]) == (409, "already-reversed")


async def test_a_repeated_reversal_gets_the_first_receipt(stage: Stage, door: Client, paid: str) -> None:
    first, again = await undo(door, paid, amount_kopecks=100), await undo(door, paid, amount_kopecks=100)
    assert (first[0], again[0]) == (201, 200)
    assert first[1] == again[1]
    assert len(stage.credited()) == 2


@pytest.mark.parametrize("other", [{"amount_kopecks": 200}, {}, {"amount_kopecks": 100, "reason": "иная"}])
async def test_another_reversal_under_the_same_key_is_a_conflict(
    stage: Stage, door: Client, paid: str, other: dict[str, object]
) -> None:
    await undo(door, paid, amount_kopecks=100)
    status, told = await undo(door, paid, **other)
    assert (status, told["code"]) == (409, "key-conflict")
    assert len(stage.credited()) == 2


async def test_a_payments_key_is_not_a_reversals(stage: Stage, door: Client, paid: str) -> None:
    status, told = await undo(door, paid, txn_id="T-1")
    assert (status, told["code"]) == (409, "key-conflict")
    assert len(stage.credited()) == 1


async def test_anothers_payment_is_not_found(stage: Stage, door: Client, paid: str) -> None:
    status, told = await undo(door, paid, "kiosk")
    assert (status, told["code"]) == (404, "payment-unknown")
    assert len(stage.credited()) == 1


async def test_an_operator_may_undo_anybodys(door: Client, paid: str) -> None:
    status, told = await undo(door, paid, "operator")
    assert (status, told["source"]) == (201, "operator")


@pytest.mark.parametrize("number", ["100000000000999", "300000000000001", "1", "abc", "9" * 30])
async def test_an_unknown_payment_is_not_undone(stage: Stage, door: Client, number: str) -> None:
    status, told = await undo(door, number)
    assert (status, told["code"], told["param"]) == (404, "payment-unknown", "id")
    assert stage.credited() == []


@pytest.mark.parametrize("name", ["terminal", "operator"])
async def test_a_charge_is_not_a_payment(stage: Stage, door: Client, name: str) -> None:
    charge = next(event for event, _, _ in stage.ledger.rows.values() if event.source == "billing")
    assert charge.account == OPEN
    status, told = await undo(door, "100000000000002", name)
    assert (status, told["code"]) == (404, "payment-unknown")
    assert stage.credited() == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"amount_kopecks": 0}, "amount_kopecks"),
        ({"amount_kopecks": -1}, "amount_kopecks"),
        ({"amount_kopecks": 2**70}, "amount_kopecks"),
        ({"amount_kopecks": 1.5}, "amount_kopecks"),
        ({"txn_id": "\x00"}, "txn_id"),
        ({"reason": "я" * 257}, "reason"),
        ({"payment_id": "1"}, "payment_id"),
    ],
)
async def test_a_bad_reversal_leaves_no_trace(
    stage: Stage, door: Client, paid: str, fields: dict[str, object], param: str
) -> None:
    status, told = await undo(door, paid, **fields)
    assert (status, told["param"]) == (400, param)
    assert len(stage.credited()) == 1
