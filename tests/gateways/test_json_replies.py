"""What every reply of the JSON door carries, and the form of its problems."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from engine.outcomes import Reason
from gateways.problems import OF_REASON, PROBLEMS, wants_english
from tests.gateways.json_stage import OPEN, UNKNOWN, Client, Stage, counted, open_door, open_stage, payment

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage) as client:
        yield client


async def test_a_problem_has_every_member(door: Client) -> None:
    reply = await door.get(f"/v1/accounts/{UNKNOWN}", headers={"Request-Id": "r-1"})
    assert reply.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    assert reply.headers["Content-Language"] == "ru"
    assert await reply.json() == {
        "type": "/problems/account-unknown",
        "code": "account-unknown",
        "title": "There is no such account",
        "status": 404,
        "detail": "Лицевой счёт не найден",
        "param": "number",
        "request_id": "r-1",
        "retry": "no",
    }


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ("en", "There is no such account"),
        ("en-GB, ru;q=0.5", "There is no such account"),
        ("", "Лицевой счёт не найден"),
        ("ru, en;q=0.9", "Лицевой счёт не найден"),
    ],
)
async def test_a_problem_speaks_the_callers_language(door: Client, asked: str, detail: str) -> None:
    reply = await door.get(f"/v1/accounts/{UNKNOWN}", headers={"Accept-Language": asked})
    assert (await reply.json())["detail"] == detail


@pytest.mark.parametrize(
    ("asked", "english"),
    [
        ("*", False),
        ("de", False),
        ("de, en;q=0.1", True),
        ("ru;q=0.8, en", True),
        ("en;q=0", False),
        ("ru;q=0, en;q=0.5", True),
        ("en, ru", True),
        ("ru, en", False),
        ("en;q=x", True),
        ("en;q=" + "9" * 999, True),
        ("," * 9999 + "en", False),
        ("\udcff;q=\udcff", False),
    ],
)
def test_the_preferred_language_is_found(asked: str, english: bool) -> None:
    assert wants_english(asked) is english


@pytest.mark.parametrize("path", [f"/v1/accounts/{OPEN}", "/v1/accounts/0", "/nowhere", "/healthz"])
async def test_every_reply_returns_the_requests_id(door: Client, path: str) -> None:
    reply = await door.get(path, headers={"Request-Id": "terminal-7/42"})
    assert reply.headers["Request-Id"] == "terminal-7/42"


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "идентификатор", "a\tb"])
async def test_an_id_that_is_not_modest_is_replaced(door: Client, given: str) -> None:
    reply = await door.get("/v1/accounts/0", headers={"Request-Id": given})
    ours = reply.headers["Request-Id"]
    assert (await reply.json())["request_id"] == ours
    assert len(ours) == 16
    assert ours != given


async def test_ids_of_ours_are_all_different(door: Client) -> None:
    assert len({(await door.get("/healthz")).headers["Request-Id"] for _ in range(20)}) == 20


async def test_a_trace_is_carried_on(door: Client) -> None:
    assert (await door.get("/healthz", headers={"traceparent": TRACE})).headers["traceparent"] == TRACE


@pytest.mark.parametrize("trace", ["", "x", TRACE.upper(), TRACE + "0", TRACE + "; a=1", "\udcff" * 8])
async def test_what_is_no_trace_is_not_carried_on(door: Client, trace: str) -> None:
    reply = await door.get("/healthz", headers={"traceparent": trace})
    assert reply.status == 200
    assert "traceparent" not in reply.headers


@pytest.mark.parametrize("path", [f"/v1/accounts/{OPEN}", "/nowhere", "/docs"])
async def test_no_reply_is_kept_or_guessed_at(door: Client, path: str) -> None:
    headers = (await door.get(path)).headers
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_every_reason_has_its_problem() -> None:
    assert set(OF_REASON) == set(Reason)


@pytest.mark.parametrize("code", PROBLEMS)
async def test_every_problem_has_a_page_and_texts_in_both_languages(door: Client, code: str) -> None:
    page = await (await door.get(f"/problems/{code}")).json()
    assert page["code"] == code
    assert any("а" <= letter <= "я" for letter in page["title_ru"].lower())
    assert page["title_en"].isascii()
    assert 400 <= page["status"] <= 599
    assert page["retry"] in ("no", "yes", "same-key")


async def test_a_problem_nobody_knows_has_no_page(door: Client) -> None:
    reply = await door.get("/problems/nothing")
    assert (reply.status, (await reply.json())["code"]) == (404, "not-found")


def test_only_what_may_pass_may_be_repeated() -> None:
    assert {problem.code for problem in PROBLEMS.values() if problem.retry != "no"} == {
        "body-timeout",
        "import-unfinished",
        "internal",
        "busy",
        "outcome-unknown",
        "unavailable",
    }


async def test_a_bug_of_ours_asks_for_the_same_key(stage: Stage, door: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stage.router, "submit", fail)
    before = counted("kopeck_http_problems_total", code="internal")
    reply = await door.post("/v1/payments", json=payment())
    problem = await reply.json()
    assert (reply.status, problem["code"], problem["retry"]) == (500, "internal", "same-key")
    assert "ZeroDivisionError" not in str(problem)
    assert counted("kopeck_http_problems_total", code="internal") == before + 1
