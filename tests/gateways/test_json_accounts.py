"""Reading accounts at the JSON door: the balance and what it is made of, the ledger page by page."""

import base64
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import yarl

from gateways.paging import cursor_of
from tests.gateways.json_stage import (
    CLOSED,
    ELSEWHERE,
    OPEN,
    UNKNOWN,
    Client,
    Stage,
    open_door,
    open_stage,
    payment,
)

LEDGER = f"/v1/accounts/{OPEN}/ledger"


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage) as client:
        yield client


async def test_an_account_tells_its_balance_and_open_items(door: Client) -> None:
    await door.post("/v1/payments", json=payment(amount_kopecks=130_000, earmark={"service": "heating"}))
    reply = await door.get(f"/v1/accounts/{OPEN}")
    assert reply.status == 200
    assert await reply.json() == {
        "account": OPEN,
        "status": "open",
        "account_seq": 3,
        "balance_kopecks": 54_317,
        "due_kopecks": 64_317,
        "advance_kopecks": 10_000,
        "open_items": [
            {
                "service": "water",
                "provider": "vodokanal",
                "period": "2026-09",
                "kind": "charge",
                "due_kopecks": 64_317,
                "accrued_kopecks": 64_317,
                "due_on": None,
                "document": "",
            }
        ],
    }


async def test_a_closed_account_can_be_read(door: Client) -> None:
    told = await (await door.get(f"/v1/accounts/{CLOSED}")).json()
    assert (told["status"], told["due_kopecks"]) == ("closed", 184_317)


@pytest.mark.parametrize("path", ["/v1/accounts/{}", "/v1/accounts/{}/ledger", "/v1/accounts/{}/events"])
@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (UNKNOWN, 404, "account-unknown"),
        ("1" * 65, 400, "text-invalid"),
        ("%00", 400, "text-invalid"),
        ("%FF%FE", 404, "account-unknown"),
        ("%20", 400, "text-invalid"),
        ("A%D0%90", 400, "text-invalid"),
        ("%E2%80%AE1", 400, "text-invalid"),
    ],
)
async def test_what_is_no_account_is_told(door: Client, path: str, number: str, status: int, code: str) -> None:
    reply = await door.get(yarl.URL(path.format(number), encoded=True))
    problem = await reply.json()
    assert (reply.status, problem["code"], problem["param"]) == (status, code, "number")


async def test_the_ledger_is_read_page_by_page_while_it_grows(door: Client) -> None:
    for number in range(4):
        await door.post("/v1/payments", json=payment(txn_id=f"P-{number}", amount_kopecks=100))
    seen, after = [], None
    for size in (2, 3, 200):
        query = {"limit": str(size)} | ({"after": after} if after else {})
        page = await (await door.get(LEDGER, params=query)).json()
        assert len(page["items"]) <= size
        seen += [item["account_seq"] for item in page["items"]]
        after = page["next"]
        assert page["has_more"] is (after is not None)
        if after:
            await door.post("/v1/payments", json=payment(txn_id=f"L-{size}", amount_kopecks=100))
    assert seen == list(range(1, 9))
    assert after is None


async def test_a_page_that_ends_with_the_ledger_is_the_last(door: Client) -> None:
    page = await (await door.get(LEDGER, params={"limit": "2"})).json()
    assert (len(page["items"]), page["has_more"], page["next"]) == (2, False, None)


async def test_the_ledger_tells_receipts_as_they_were_told_first(door: Client) -> None:
    receipt = await (await door.post("/v1/payments", json=payment())).json()
    page = await (await door.get(LEDGER)).json()
    assert page["items"][-1] == receipt


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "garbled",
        "!!!!",
        "===",
        "ж",
        "MA",
        cursor_of(OPEN, 1) + "=",
        "!" + cursor_of(OPEN, 1),
        cursor_of(OPEN, 1)[:-2],
        cursor_of(ELSEWHERE, 1),
        base64.urlsafe_b64encode(f"{OPEN}/-1".encode()).decode(),
        base64.urlsafe_b64encode(f"{OPEN}/{'9' * 40}".encode()).decode(),
        base64.urlsafe_b64encode(f"{OPEN}/١".encode()).decode(),
        base64.urlsafe_b64encode(f"{OPEN}/01".encode()).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(door: Client, cursor: str) -> None:
    reply = await door.get(LEDGER, params={"after": cursor})
    problem = await reply.json()
    assert (reply.status, problem["code"], problem["param"]) == (400, "cursor-invalid", "after")


@pytest.mark.parametrize("limit", ["0", "-1", "201", "", "x", "1.0", "٣", "9" * 50, "0000000011000000", "0" * 5000])
async def test_a_page_has_a_size(door: Client, limit: str) -> None:
    reply = await door.get(LEDGER, params={"limit": limit})
    problem = await reply.json()
    assert (reply.status, problem["param"], problem["limit_max"]) == (400, "limit", 200)
