"""Payments at the JSON door: accepted once, told the same for ever, conflicting when they are not the same."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateways.json_stage import ELSEWHERE, OPEN, Client, Stage, bearer, open_door, open_stage, payment

GOLDEN_REPLY = {
    "payment_id": "100000000000006",
    "kind": "payment_received",
    "account": OPEN,
    "account_seq": 3,
    "source": "terminal",
    "txn_id": "T-1",
    "amount_kopecks": 200_000,
    "balance_kopecks": -15_683,
    "allocations": [
        {
            "service": "heating",
            "provider": "teplo",
            "period": "2026-09",
            "kind": "charge",
            "amount_kopecks": 120_000,
        },
        {
            "service": "water",
            "provider": "vodokanal",
            "period": "2026-09",
            "kind": "charge",
            "amount_kopecks": 64_317,
        },
    ],
    "advances": [{"service": "", "provider": "", "amount_kopecks": 15_683}],
    "fees": [],
    "accepted_at": "2026-10-15T11:30:00Z",
    "recorded_at": "2026-10-15T12:00:00Z",
    "policy": "fifo@1",
    "channel": "terminal",
}


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage) as client:
        yield client


async def test_a_payment_is_split_and_told_as_agreed(stage: Stage, door: Client) -> None:
    reply = await door.post("/v1/payments", json=payment(amount_kopecks=200_000, channel="terminal"))
    assert reply.status == 201
    assert reply.content_type == "application/json"
    assert "Idempotent-Replayed" not in reply.headers
    assert await reply.json() == GOLDEN_REPLY
    assert stage.credited() == [("T-1", OPEN, 200_000)]


async def test_a_repeat_gets_the_very_same_bytes(stage: Stage, door: Client) -> None:
    first = await door.post("/v1/payments", json=payment())
    await door.post("/v1/payments", json=payment(txn_id="T-2", amount_kopecks=100))
    again = await door.post("/v1/payments", json=payment())
    assert (first.status, again.status) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await again.read() == await first.read()
    assert [txn_id for txn_id, _, _ in stage.credited()] == ["T-1", "T-2"]


async def test_the_same_moment_in_another_zone_is_the_same_request(door: Client) -> None:
    await door.post("/v1/payments", json=payment(accepted_at="2026-10-15T14:30:00+03:00"))
    again = await door.post("/v1/payments", json=payment(accepted_at="2026-10-15T11:30:00Z"))
    assert again.status == 200


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"amount_kopecks": 184_318}, id="amount"),
        pytest.param({"account": ELSEWHERE}, id="account of another shard"),
        pytest.param({"accepted_at": "2026-10-15T14:30:01+03:00"}, id="date"),
        pytest.param({"earmark": {"service": "water"}}, id="earmark"),
        pytest.param({"doc_period": "2026-09"}, id="period of the document"),
        pytest.param({"channel": "web"}, id="channel"),
        pytest.param({"fee_kopecks": 1}, id="fee"),
    ],
)
async def test_other_content_under_the_same_key_is_a_conflict(
    stage: Stage, door: Client, other: dict[str, object]
) -> None:
    first = await (await door.post("/v1/payments", json=payment())).json()
    reply = await door.post("/v1/payments", json=payment(**other))
    problem = await reply.json()
    assert reply.status == 409
    assert (problem["code"], problem["param"], problem["retry"]) == ("key-conflict", "txn_id", "no")
    assert problem["first"] == {"payment_id": first["payment_id"], "recorded_at": first["recorded_at"]}
    assert stage.credited() == [("T-1", OPEN, 184_317)]


async def test_another_source_may_use_the_same_number(stage: Stage, door: Client) -> None:
    await door.post("/v1/payments", json=payment())
    reply = await door.post("/v1/payments", json=payment(), headers=bearer("kiosk"))
    assert reply.status == 201
    assert (await reply.json())["source"] == "kiosk"
    assert len(stage.credited()) == 2


async def test_a_receipt_can_be_read_again(door: Client) -> None:
    told = await (await door.post("/v1/payments", json=payment())).json()
    found = await door.get(f"/v1/payments/{told['payment_id']}")
    assert (found.status, await found.json()) == (200, told)


@pytest.mark.parametrize("number", ["100000000000999", "1", "0", "-5", "abc", "9" * 19, "9" * 40, "١٢٣"])
async def test_an_unknown_payment_is_not_found(door: Client, number: str) -> None:
    found = await door.get(f"/v1/payments/{number}")
    assert (found.status, (await found.json())["code"]) == (404, "payment-unknown")


async def test_with_no_shard_answering_the_outcome_is_unknown_and_the_same_key_tells(
    stage: Stage, door: Client
) -> None:
    stage.disconnect()
    reply = await door.post("/v1/payments", json=payment())
    problem = await reply.json()
    assert (reply.status, problem["code"], problem["retry"]) == (503, "outcome-unknown", "same-key")
    assert int(reply.headers["Retry-After"]) >= 1
    stage.reconnect()
    assert (await door.post("/v1/payments", json=payment())).status == 201
    assert len(stage.credited()) == 1


async def test_with_no_shard_answering_reads_may_be_repeated(stage: Stage, door: Client) -> None:
    stage.disconnect()
    for path in ("/v1/payments/100000000000003", f"/v1/accounts/{OPEN}"):
        reply = await door.get(path)
        problem = await reply.json()
        assert (reply.status, problem["code"], problem["retry"]) == (503, "unavailable", "yes")
