"""Many payments in one request: a result for each row, in the rows' order, none harmed by another."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from tests.gateways.json_stage import ELSEWHERE, OPEN, Client, Stage, bearer, open_door, open_stage, payment

LINES = {"Content-Type": "application/x-ndjson"}


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage) as client:
        yield client


def numbered(number: int, **fields: object) -> dict[str, object]:
    """A small payment of its own number."""
    return payment(**({"txn_id": f"B-{number}", "amount_kopecks": 100} | fields))


async def send(door: Client, *rows: dict[str, object] | bytes, **headers: str) -> list[dict[str, Any]]:
    """Send rows; return their results."""
    body = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    reply = await door.post("/v1/payments/batch", data=body, headers=LINES | headers)
    assert (reply.status, reply.content_type) == (200, "application/x-ndjson")
    return [json.loads(line) for line in (await reply.text()).splitlines()]


async def test_each_row_has_its_result_in_order(stage: Stage, door: Client) -> None:
    results = await send(
        door, numbered(1), b"{", numbered(2, account=ELSEWHERE), numbered(3, amount_kopecks=0), numbered(4)
    )
    assert [(result["row"], result["status"]) for result in results] == [
        (1, 201),
        (2, 400),
        (3, 201),
        (4, 422),
        (5, 201),
    ]
    assert [result["payment"]["txn_id"] for result in results if "payment" in result] == ["B-1", "B-2", "B-4"]
    assert [result["problem"]["code"] for result in results if "problem" in result] == [
        "malformed-json",
        "amount-not-positive",
    ]
    assert sorted(stage.credited()) == [("B-1", OPEN, 100), ("B-2", ELSEWHERE, 100), ("B-4", OPEN, 100)]


async def test_a_row_is_told_as_a_single_payment_is(door: Client) -> None:
    [row] = await send(door, numbered(1))
    again = await door.post("/v1/payments", json=numbered(1))
    assert (again.status, await again.json()) == (200, row["payment"])


async def test_a_repeated_batch_gets_the_first_receipts(stage: Stage, door: Client) -> None:
    rows = [numbered(number) for number in range(3)]
    first, again = await send(door, *rows), await send(door, *rows)
    assert [result["payment"] for result in again] == [result["payment"] for result in first]
    assert [(result["status"], result["replayed"]) for result in again] == [(200, True)] * 3
    assert len(stage.credited()) == 3


async def test_the_same_key_twice_in_a_batch_counts_once(stage: Stage, door: Client) -> None:
    first, repeat, conflict = await send(door, numbered(1), numbered(1), numbered(1, amount_kopecks=200))
    assert (first["status"], repeat["status"], conflict["status"]) == (201, 200, 409)
    assert repeat["payment"] == first["payment"]
    assert stage.credited() == [("B-1", OPEN, 100)]


async def test_one_key_for_accounts_of_two_shards_counts_once(stage: Stage, door: Client) -> None:
    results = await send(door, numbered(1), numbered(1, account=ELSEWHERE))
    assert sorted(result["status"] for result in results) == [201, 409]
    assert len(stage.credited()) == 1


async def test_more_rows_than_one_window_and_more_bytes_than_one_payment_may_have(stage: Stage, door: Client) -> None:
    results = await send(door, *(numbered(number) for number in range(1200)))
    assert [result["row"] for result in results] == list(range(1, 1201))
    assert {result["status"] for result in results} == {201}
    assert len(stage.credited()) == 1200


async def test_a_large_batch_may_come_in_pieces(stage: Stage, door: Client) -> None:
    body = b"\n".join(json.dumps(numbered(number)).encode() for number in range(1000))

    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, len(body), 40_000):
            yield body[first : first + 40_000]
            await door.get("/healthz")  # So that the gateway has read the piece, and waits for the next one.

    reply = await door.post("/v1/payments/batch", data=pieces(), headers=LINES)
    assert (reply.status, len((await reply.text()).splitlines())) == (200, 1000)
    assert len(stage.credited()) == 1000


async def test_blank_lines_are_no_rows(door: Client) -> None:
    assert [result["row"] for result in await send(door, b"", numbered(1), b"  ", numbered(2), b"\r", b"")] == [1, 2]
    assert await send(door, b"\n\n") == []


async def test_too_many_rows_are_refused_whole(stage: Stage, door: Client) -> None:
    reply = await door.post("/v1/payments/batch", data=b"{}\n" * 10_001, headers=LINES)
    problem = await reply.json()
    assert (reply.status, problem["code"], problem["rows_max"]) == (422, "limit-exceeded", 10_000)


async def test_a_batch_has_a_type_of_its_own(door: Client) -> None:
    reply = await door.post("/v1/payments/batch", json=[payment()])
    assert (reply.status, reply.headers["Accept"]) == (415, "application/x-ndjson")


async def test_rows_are_told_in_the_callers_language_under_the_requests_id(door: Client) -> None:
    [row] = await send(door, b"{", **{"Accept-Language": "en", "Request-Id": "r-1"})
    assert (row["problem"]["detail"], row["problem"]["request_id"]) == ("The body is not JSON", "r-1")


async def test_who_may_not_pay_may_not_pay_many(stage: Stage, door: Client) -> None:
    reply = await door.post("/v1/payments/batch", data=json.dumps(payment()), headers=LINES | bearer("reader"))
    assert (reply.status, stage.credited()) == (403, [])
