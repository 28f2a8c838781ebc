"""MONETA.Assistant: the published signatures, test mode, and money that cannot be refused any more."""

import hashlib
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from engine.events import EventKind
from gateways.processors.moneta import reply_signature_of, signature_of
from tests.gateways.osmp_stage import CLOSED, OPEN, UNKNOWN, Stage, open_doors
from tests.gateways.processors.drivers import Moneta, Sent
from tests.gateways.processors.sending import Client, ask, send
from tests.gateways.processors.settings import refusal_of

driver = Moneta()
ORDER = {
    "MNT_ID": "54600817",
    "MNT_TRANSACTION_ID": "FF790ABCD",
    "MNT_AMOUNT": "120.25",
    "MNT_CURRENCY_CODE": "RUB",
    "MNT_TEST_MODE": "0",
}
OPERATION, ACCOUNT = {"MNT_OPERATION_ID": "123456"}, {"MNT_SUBSCRIBER_ID": OPEN}
PAY = ORDER | OPERATION | ACCOUNT
CHECK = {"MNT_COMMAND": "CHECK"}


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_doors(stage, driver.connection()) as client:
        yield client


async def said(door: Client, fields: dict[str, str]) -> str:
    """Sign and send fields; return the word or code of the answer."""
    return (await ask(door, driver, driver.signed(fields))).code


@pytest.mark.parametrize(
    ("fields", "signature"),
    [
        (ORDER | CHECK, "ea2d49048bdf11857f1b50270aedbc8d"),
        (PAY | CHECK, "a30db9e8968550cead331fa4ab595ca3"),
        (ORDER | OPERATION, "69bdf9bd91820b8f7b4c4b25d3d22dfa"),
        (PAY, "4f74461ebab01d7264c5e31a9a53e254"),
    ],
    ids=["check of an order", "check", "published payment", "payment"],
)
def test_requests_are_signed_as_published(fields: dict[str, str], signature: str) -> None:
    assert signature_of(fields, "QWERTY") == signature


@pytest.mark.parametrize(
    ("code", "signature"),
    [
        (100, "88c5ac0ee6a4239feb6e9729477962d9"),
        (200, "29807c8e5d82198b5c4360e6ec711cce"),
        (302, "a984c53105833da7ee43bfcc06c3c688"),
        (402, "5ebb58862cf8781b62bcc2cc8d66913e"),
        (500, "373cc5df0d19d0e98eb4ebfceaa9cd38"),
    ],
)
def test_replies_are_signed_as_published(code: int, signature: str) -> None:
    assert reply_signature_of(code, ORDER, "QWERTY") == signature


async def test_the_published_payment_is_taken_over_the_wire(stage: Stage) -> None:
    """It names no subscriber: the order is the account."""
    connection = driver.connection(terms={"account_field": "MNT_TRANSACTION_ID", "account_pattern": ".*"})
    form = ORDER | OPERATION | {"MNT_SIGNATURE": "69bdf9bd91820b8f7b4c4b25d3d22dfa"}
    async with open_doors(stage, connection) as door:
        sent = Sent("GET", f"/moneta?{urlencode(form)}")
        assert await send(door, sent) == (200, b"SUCCESS")
    assert stage.credited() == [("123456", "FF790ABCD", 12_025)]


@pytest.mark.parametrize("change", [str.upper, str.lower], ids=["upper", "lower"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_signature_may_be_of_any_case_and_method(
    stage: Stage, door: Client, change: Callable[[str], str], method: str
) -> None:
    form = urlencode(PAY | {"MNT_SIGNATURE": change(signature_of(PAY, "QWERTY"))})
    posted = Sent("POST", "/moneta", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
    assert await send(door, posted if method == "POST" else Sent("GET", f"/moneta?{form}")) == (200, b"SUCCESS")
    assert stage.credited() == [("123456", OPEN, 12_025)]


async def test_a_word_is_the_whole_answer(door: Client) -> None:
    reply = await door.post(
        "/moneta", data=(driver.signed(PAY).body or b"").decode(), headers=driver.signed(PAY).headers
    )
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert await reply.read() == b"SUCCESS"


async def test_a_test_is_answered_and_never_credited(stage: Stage, door: Client) -> None:
    before = len(stage.journal.events)
    assert await said(door, PAY | {"MNT_TEST_MODE": "1"}) == "SUCCESS"
    assert len(stage.journal.events) == before
    assert await said(door, PAY) == "SUCCESS"
    assert stage.credited() == [("123456", OPEN, 12_025)]


@pytest.mark.parametrize("mode", ["2", "-1", "true", "01"])
async def test_no_other_mode_is_taken_for_real_money(stage: Stage, door: Client, mode: str) -> None:
    assert await said(door, PAY | {"MNT_TEST_MODE": mode}) == "FAIL"
    assert stage.credited() == []


@pytest.mark.parametrize("signed_as", ["", "0"])
async def test_a_missing_test_mode_may_be_signed_as_empty_or_zero(stage: Stage, door: Client, signed_as: str) -> None:
    fields = {name: value for name, value in PAY.items() if name != "MNT_TEST_MODE"}
    fields |= {"MNT_SIGNATURE": signature_of(fields | {"MNT_TEST_MODE": signed_as}, "QWERTY")}
    assert await send(door, Sent("GET", f"/moneta?{urlencode(fields)}")) == (200, b"SUCCESS")
    assert len(stage.credited()) == 1


async def test_a_test_cannot_be_passed_off_as_real(stage: Stage, door: Client) -> None:
    sent = driver.signed(PAY | {"MNT_TEST_MODE": "1"})
    forged = sent._replace(body=(sent.body or b"").replace(b"MNT_TEST_MODE=1", b"MNT_TEST_MODE=0"))
    assert (await ask(door, driver, forged)).code == "FAIL"
    dropped = sent._replace(body=(sent.body or b"").replace(b"&MNT_TEST_MODE=1", b""))
    assert (await ask(door, driver, dropped)).code == "FAIL"
    assert stage.credited() == []


async def test_money_for_an_unknown_account_waits_as_unidentified(stage: Stage, door: Client) -> None:
    assert await said(door, PAY | {"MNT_SUBSCRIBER_ID": UNKNOWN}) == "SUCCESS"
    assert stage.journal.events[-1].kind is EventKind.UNIDENTIFIED_RECEIVED


@pytest.mark.parametrize(("account", "amount"), [(CLOSED, "120.25"), (OPEN, "0.01"), (OPEN, "99999.00")])
async def test_money_that_was_taken_is_bound_by_no_term(stage: Stage, door: Client, account: str, amount: str) -> None:
    assert await said(door, PAY | {"MNT_SUBSCRIBER_ID": account, "MNT_AMOUNT": amount}) == "SUCCESS"
    assert len(stage.credited()) == 1


async def test_a_second_operation_of_one_order_is_a_second_payment(stage: Stage, door: Client) -> None:
    await said(door, PAY)
    assert await said(door, PAY | {"MNT_OPERATION_ID": "123457"}) == "SUCCESS"
    assert [txn_id for txn_id, _, _ in stage.credited()] == ["123456", "123457"]


async def test_we_name_the_debt_where_the_check_names_no_amount(stage: Stage, door: Client) -> None:
    fields = {name: value for name, value in (PAY | CHECK).items() if name != "MNT_AMOUNT"}
    body = (await send(door, driver.signed(fields)))[1]
    assert b"<MNT_RESULT_CODE>100</MNT_RESULT_CODE>" in body
    assert b"<MNT_AMOUNT>1843.17</MNT_AMOUNT>" in body
    await said(door, PAY | {"MNT_AMOUNT": "1843.17"})
    assert await said(door, fields) == "402", "there is nothing to name"


async def test_a_debt_that_is_not_shown_is_not_named(stage: Stage) -> None:
    fields = {name: value for name, value in (PAY | CHECK).items() if name != "MNT_AMOUNT"}
    async with open_doors(stage, driver.connection(shown=())) as door:
        body = (await send(door, driver.signed(fields)))[1]
    assert b"<MNT_RESULT_CODE>402</MNT_RESULT_CODE>" in body
    assert b"1843" not in body


async def test_the_order_is_echoed_and_escaped(door: Client) -> None:
    body = (await send(door, driver.signed(PAY | CHECK | {"MNT_TRANSACTION_ID": "<a>&\"'"})))[1]
    assert b"<MNT_TRANSACTION_ID>&lt;a&gt;&amp;\"'</MNT_TRANSACTION_ID>" in body


@pytest.mark.parametrize(
    "changed",
    [
        {"MNT_ID": "11223344"},
        {"MNT_CURRENCY_CODE": "USD"},
        {"MNT_TRANSACTION_ID": ""},
        {"MNT_TRANSACTION_ID": "a\nb"},
        {"MNT_TRANSACTION_ID": "a" * 256},
        {"MNT_OPERATION_ID": ""},
        {"MNT_OPERATION_ID": "-1"},
        {"MNT_AMOUNT": "120.2"},
        {"MNT_SUBSCRIBER_ID": ""},
        {"MNT_SUBSCRIBER_ID": "1" * 65},
        {"MNT_COMMAND": "REFUND"},
    ],
)
async def test_what_is_not_for_us_costs_nothing(stage: Stage, door: Client, changed: dict[str, str]) -> None:
    assert await said(door, PAY | changed) in ("FAIL", "500")
    assert stage.credited() == []


async def test_the_code_is_of_the_contract(stage: Stage, door: Client) -> None:
    form = urlencode(PAY | {"MNT_SIGNATURE": signature_of(PAY, "OTHER")})
    assert await send(door, Sent("GET", f"/moneta?{form}")) == (200, b"FAIL")
    assert stage.credited() == []


def test_a_contract_without_a_code_is_refused() -> None:
    assert "code" in refusal_of(driver.connection(terms={"code": ""}))
    assert hashlib.md5(b"").hexdigest() != signature_of(PAY, "QWERTY")
