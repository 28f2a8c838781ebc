"""The OSMP door's promises: once, to the kopeck, and no fatal code for what may have been credited."""

import asyncio
from collections.abc import AsyncIterator
from xml.etree import ElementTree

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client import REGISTRY

from engine.commands import CloseAccount
from engine.outcomes import NotDone, Outcome, OutcomeUnknown, Reason, Rejected
from gateways.processors.door import processor_routes
from gateways.processors.osmp_terms import OsmpTerms, PeriodForm, read_osmp_terms
from gateways.processors.results import OF_REASON, RETRYABLE, TEXTS, Result
from tests.gateways.osmp_stage import (
    CLOSED,
    LOGIN,
    OPEN,
    PASSWORD,
    UNKNOWN,
    Stage,
    basic,
    contract,
    open_door,
    open_stage,
)

Client = TestClient[web.Request, web.Application]


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage, contract(terms={"cancel": True, "status": True})) as client:
        yield client


async def ask(client: Client, **fields: str) -> dict[str, str]:
    """Send one request and return the reply's elements by name."""
    reply = await client.get("/osmp", params=fields)
    assert reply.status == 200, "business outcomes are HTTP 200"
    content = await reply.read()
    assert content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>'), "strict parsers allow nothing before it"
    return {element.tag: element.text or "" for element in ElementTree.fromstring(content).iter()}


def payment(txn_id: str = "9715351212001", **changed: str) -> dict[str, str]:
    """A good payment's fields."""
    usual = {"account": OPEN, "sum": "1843.17", "txn_date": "20261015120133", "trm_id": "4151200"}
    return {"command": "pay", "txn_id": txn_id, **usual, **changed}


async def test_check_shows_the_debt_and_changes_nothing(stage: Stage, door: Client) -> None:
    before = len(stage.journal.events)
    reply = await ask(door, command="check", txn_id="0", account=OPEN, sum="0.00")
    assert (reply["result"], reply["field1"]) == ("0", "1843.17")
    assert len(stage.journal.events) == before


@pytest.mark.parametrize(("account", "code"), [(UNKNOWN, "5"), (CLOSED, "79"), ("7001020003", "5"), ("a&b", "4")])
async def test_check_refuses_accounts_that_cannot_be_paid(door: Client, account: str, code: str) -> None:
    assert (await ask(door, command="check", txn_id="1", account=account))["result"] == code


async def test_check_and_pay_with_one_id_are_no_repeat(stage: Stage, door: Client) -> None:
    await ask(door, command="check", txn_id="55", account=OPEN, sum="1.00")
    assert (await ask(door, **payment("55")))["result"] == "0"
    assert stage.credited() == [("55", OPEN, 184_317)]


async def test_a_payment_is_credited_and_numbered(stage: Stage, door: Client) -> None:
    reply = await ask(door, **payment())
    assert (reply["osmp_txn_id"], reply["sum"], reply["result"]) == ("9715351212001", "1843.17", "0")
    assert reply["prv_txn"].isdecimal()
    assert len(reply["prv_txn"]) <= 20
    assert stage.credited() == [("9715351212001", OPEN, 184_317)]


async def test_txn_date_is_the_legal_moment_in_the_agents_time_zone(stage: Stage, door: Client) -> None:
    await ask(door, **payment(txn_date="20261015120133"))
    assert stage.journal.events[-1].accepted_at_us == 1_792_054_893_000_000  # 2026-10-15 09:01:33 UTC


async def test_a_repeat_gets_the_first_number_and_credits_nothing(stage: Stage, door: Client) -> None:
    first = await ask(door, **payment())
    assert await ask(door, **payment(trm_id="other", txn_date="20261015120500")) == first
    assert len(stage.credited()) == 1


async def test_a_hundred_equal_payments_at_once_are_one(stage: Stage, door: Client) -> None:
    replies = await asyncio.gather(*(ask(door, **payment()) for _ in range(100)))
    assert {reply["result"] for reply in replies} == {"0"}
    assert len({reply["prv_txn"] for reply in replies}) == 1
    assert len(stage.credited()) == 1


@pytest.mark.parametrize("changed", [{"sum": "1843.16"}, {"account": "7001"}, {"account": CLOSED}])
async def test_an_id_used_again_for_other_content_is_fatal_and_changes_nothing(
    stage: Stage, door: Client, changed: dict[str, str]
) -> None:
    await ask(door, **payment())
    assert (await ask(door, **payment(**changed)))["result"] == "300"
    assert len(stage.credited()) == 1


async def test_a_conflict_raises_its_alarm(door: Client) -> None:
    before = conflicts()
    await ask(door, **payment())
    await ask(door, **payment(sum="1.00"))
    assert conflicts() == before + 1


def conflicts() -> float:
    return REGISTRY.get_sample_value("kopeck_processor_conflicts_total", {"connection": "terminal-demo"}) or 0.0


@pytest.mark.parametrize(
    ("query", "command", "code"), [({"account": UNKNOWN}, "pay", "5"), ({"command": "x"}, "other", "300")]
)
async def test_every_refusal_is_counted(door: Client, query: dict[str, str], command: str, code: str) -> None:
    labels = {"dialect": "osmp", "command": command, "code": code}
    before = REGISTRY.get_sample_value("kopeck_processor_results_total", labels) or 0.0
    await ask(door, **payment(**query))
    assert REGISTRY.get_sample_value("kopeck_processor_results_total", labels) == before + 1


async def test_a_connection_lost_after_the_commit_is_resolved_by_the_repeat(stage: Stage, door: Client) -> None:
    stage.journal.hold()
    sent = asyncio.create_task(ask(door, **payment()))
    await stage.journal.appending.wait()
    sent.cancel()
    await asyncio.gather(sent, return_exceptions=True)
    stage.journal.release()
    assert (await ask(door, **payment()))["result"] == "0"
    assert len(stage.credited()) == 1


@pytest.mark.parametrize("command", ["check", "pay", "cancel", "status"])
async def test_no_shard_is_never_a_fatal_code(stage: Stage, door: Client, command: str) -> None:
    stage.router.lanes[stage.router.routes.shards[0]].transport = stage.silence
    reply = await ask(door, **payment() | {"command": command, "cancel_txn_id": "1"})
    assert reply["result"] == "1"


@pytest.mark.parametrize("outcome", [NotDone(), NotDone(overloaded=True), OutcomeUnknown()])
async def test_whatever_is_uncertain_is_code_1(
    stage: Stage, door: Client, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    async def submit(_: object) -> Outcome:
        return outcome

    monkeypatch.setattr(stage.router, "submit", submit)
    assert (await ask(door, **payment()))["result"] == "1"


async def test_a_bug_of_ours_is_code_1_and_not_a_refund(
    stage: Stage, door: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def submit(_: object) -> Outcome:
        raise ZeroDivisionError

    monkeypatch.setattr(stage.router, "submit", submit)
    reply = await ask(door, **payment())
    assert (reply["result"], reply["osmp_txn_id"]) == ("1", "9715351212001")


def test_every_reason_has_a_result_and_every_result_a_text() -> None:
    assert set(OF_REASON) == set(Reason)
    assert set(TEXTS) == set(Result)


def test_troubles_of_ours_are_retryable() -> None:
    assert {OF_REASON[r] for r in (Reason.POLICY_MISSING, Reason.LIMIT_EXCEEDED)} <= RETRYABLE


async def test_a_refusal_by_the_ledger_is_told_with_its_code(
    stage: Stage, door: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def submit(_: object) -> Outcome:
        return Rejected(Reason.PROVIDERS_BLOCKED)

    monkeypatch.setattr(stage.router, "submit", submit)
    assert (await ask(door, **payment()))["result"] == "7"


# Terms of the contract --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "code"), [("0.99", "241"), ("0.00", "241"), ("15000.01", "242")])
async def test_amounts_outside_the_contract_are_refused(stage: Stage, door: Client, amount: str, code: str) -> None:
    assert (await ask(door, **payment(sum=amount)))["result"] == code
    assert stage.credited() == []


async def test_a_credited_payment_stays_credited_when_the_limits_change(stage: Stage) -> None:
    async with open_door(stage, contract()) as before:
        first = await ask(before, **payment())
    async with open_door(stage, contract(amount_kopecks_max=1_000)) as after:
        assert await ask(after, **payment()) == first
        assert (await ask(after, **payment("2")))["result"] == "242"
    assert len(stage.credited()) == 1


async def test_a_credited_payment_stays_credited_when_the_account_is_closed(stage: Stage, door: Client) -> None:
    first = await ask(door, **payment())
    await stage.post(OPEN, CloseAccount)
    assert await ask(door, **payment()) == first
    assert (await ask(door, **payment("2")))["result"] == "79"


async def test_the_account_is_rewritten_by_the_contracts_rule(stage: Stage) -> None:
    rule = {"pattern": r"\d_(\d+)", "account": r"00\1"}
    async with open_door(stage, contract(terms={"account_rules": [rule]})) as door:
        assert (await ask(door, **payment(account="2_7001020003")))["result"] == "0"
    assert stage.credited() == [("9715351212001", OPEN, 184_317)]


async def test_the_contract_names_the_elements_and_codes(stage: Stage) -> None:
    terms = {"txn_element": "ibox_txn_id", "codes": {"5": 2}}
    async with open_door(stage, contract(terms=terms, shown=())) as door:
        assert (await ask(door, **payment()))["ibox_txn_id"] == "9715351212001"
        assert (await ask(door, **payment("2", account=UNKNOWN)))["result"] == "2"
        assert "fields" not in await ask(door, command="check", txn_id="1", account=OPEN)


@pytest.mark.parametrize(
    ("form", "text", "period"),
    [
        (PeriodForm.YYYYMM, "202609", 202609),
        (PeriodForm.MMYYYY, "092026", 202609),
        (PeriodForm.YYYYMM, "сентябрь", 0),
    ],
)
async def test_an_extra_field_can_name_the_month(stage: Stage, form: PeriodForm, text: str, period: int) -> None:
    terms = {"doc_period_field": "data1", "doc_period_form": form}
    async with open_door(stage, contract(terms=terms)) as door:
        await ask(door, **payment(data1=text))
    details = stage.journal.events[-1].details
    assert (details.doc_period if details else 0) == period


async def test_money_for_an_unknown_account_is_kept_where_the_contract_says_so(stage: Stage) -> None:
    async with open_door(stage, contract(keep_if_unknown=True)) as door:
        assert (await ask(door, **payment(account=UNKNOWN)))["result"] == "0"
    assert stage.credited() == [("9715351212001", UNKNOWN, 184_317)]


@pytest.mark.parametrize(
    "terms",
    [
        {"txn_element": "a b"},
        {"result_element": "1"},
        {"codes": {"1": 300}},
        {"codes": {"5": 0}},
        {"preset": "nobody"},
        {"misspelt": True},
        {"account_pattern": "("},
        {"account_rules": [{"pattern": "(a", "account": "1"}]},
        {"account_rules": [{"pattern": "a", "account": "\\1"}]},
        {"account_rules": [{"pattern": "a", "account": "\\g<name>"}]},
    ],
)
def test_terms_that_break_the_protocol_are_refused_when_loaded(terms: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_osmp_terms(terms, OsmpTerms)


# Cancel and status ------------------------------------------------------------------------------------------


def cancellation(txn_id: str = "70", **changed: str) -> dict[str, str]:
    fields = {"command": "cancel", "txn_id": txn_id, "txn_date": "20261015130000"}
    return fields | {"cancel_txn_id": "9715351212001", "account": OPEN, "sum": "1843.17"} | changed


async def test_cancel_undoes_the_payment_once(stage: Stage, door: Client) -> None:
    await ask(door, **payment())
    first = await ask(door, **cancellation())
    assert (first["result"], first["sum"]) == ("0", "1843.17")
    assert await ask(door, **cancellation()) == first
    assert [kopecks for _, _, kopecks in stage.credited()] == [184_317, -184_317]


async def test_a_cancel_may_have_the_number_of_a_payment(stage: Stage, door: Client) -> None:
    await ask(door, **payment())
    await ask(door, **cancellation("70"))
    assert (await ask(door, **payment("70")))["result"] == "0"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"sum": "1843.16"}, "300"),
        ({"account": CLOSED}, "300"),
        ({"cancel_txn_id": "404"}, "90"),
        ({"cancel_txn_id": "404", "cancel_txn_date": "20200101000000"}, "300"),
        ({"cancel_txn_id": "x"}, "300"),
    ],
)
async def test_cancel_of_what_is_not_there(stage: Stage, door: Client, changed: dict[str, str], code: str) -> None:
    await ask(door, **payment())
    assert (await ask(door, **cancellation(**changed)))["result"] == code
    assert len(stage.credited()) == 1


async def test_a_second_cancel_is_refused(stage: Stage, door: Client) -> None:
    await ask(door, **payment())
    await ask(door, **cancellation("70"))
    assert (await ask(door, **cancellation("71")))["result"] == "300"
    assert len(stage.credited()) == 2


async def test_status_tells_the_first_answer_again(door: Client) -> None:
    first = await ask(door, **payment())
    assert await ask(door, command="status", txn_id="9715351212001") == first


async def test_status_of_a_cancelled_payment_is_not_success(door: Client) -> None:
    await ask(door, **payment())
    await ask(door, **cancellation())
    assert (await ask(door, command="status", txn_id="9715351212001"))["result"] == "300"


@pytest.mark.parametrize(("date", "code"), [({}, "90"), ({"txn_date": "20200101000000"}, "300")])
async def test_an_unknown_payment_is_denied_only_when_it_cannot_still_come(
    door: Client, date: dict[str, str], code: str
) -> None:
    assert (await ask(door, command="status", txn_id="404", **date))["result"] == code


@pytest.mark.parametrize("command", ["cancel", "status"])
async def test_cancel_and_status_need_a_contract(stage: Stage, command: str) -> None:
    async with open_door(stage) as door:
        await ask(door, **payment())
        assert (await ask(door, **cancellation() | {"command": command}))["result"] == "7"
    assert len(stage.credited()) == 1


async def test_a_route_answers_no_head(stage: Stage) -> None:
    assert {route.method for route in processor_routes(stage.doors(contract()))} == {"GET", "POST"}


async def test_a_form_pays_like_a_query(stage: Stage, door: Client) -> None:
    reply = await door.post("/osmp", data=payment(), headers={"Authorization": basic(LOGIN, PASSWORD)})
    assert b"<result>0</result>" in await reply.read()
    assert len(stage.credited()) == 1
