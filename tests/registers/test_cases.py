"""Cases: what a person decides happens once, whatever interrupts it; who decided what and why is written down."""

import datetime
import itertools

import asyncpg
import pytest

from actors import case_work
from actors.case_suggestions import near_numbers, suggest
from actors.register_intake import Interrupted
from engine.calendar import add_working_days
from engine.commands import CloseAccount
from storage import cases, reference
from tests.registers.crash import killed_at
from tests.registers.stage import ANNA, BORIS, NOBODY, VERA, BankLine, Stage, bank_file
from tests.storage.houses import put_houses

SUM = 150_000


async def _unknown(stage: Stage, operation: str = "1", payer: str = "") -> int:
    """A case of unidentified money."""
    done = await stage.take(BankLine(operation=operation, account=NOBODY, payer=payer))
    (row,) = await stage.fetch("SELECT number FROM cases WHERE file = $1", done.file)
    return int(row["number"])


async def _unidentified(stage: Stage) -> int:
    rows = await stage.fetch(
        "SELECT coalesce(sum(amount_kopecks), 0)::bigint AS left FROM events WHERE kind IN (12, 13)"
    )
    return int(rows[0]["left"])


async def test_unidentified_money_is_given_to_the_account_that_was_meant(stage: Stage) -> None:
    number = await _unknown(stage)
    solved = await case_work.assign(stage.place, number, ANNA, "Olga", "опечатка в номере")
    assert (solved.state, solved.target, solved.decided_by) == ("solved", ANNA, "olga")
    assert await stage.balance(ANNA) == 300_000 - SUM
    assert await _unidentified(stage) == 0
    keys = await stage.fetch("SELECT source, txn_id FROM idempotency_keys WHERE txn_id LIKE 'match-%' ORDER BY txn_id")
    assert [tuple(key) for key in keys] == [("bank", f"match-{number}"), ("bank", f"match-release-{number}")]
    await stage.audited()


async def test_a_case_keeps_who_did_what_and_why(stage: Stage) -> None:
    number = await _unknown(stage)
    await case_work.take(stage.place, number, "Olga", "ищу")
    await case_work.assign(stage.place, number, ANNA, "Olga", "нашла по чеку")
    told = [(one.who, one.action) for one in await cases.history(stage.url, number)]
    assert told == [
        ("kopeck", "opened"),
        ("olga", "taken"),
        ("olga", "assigning"),
        ("olga", "released"),
        ("olga", "solved"),
    ]
    connection = await asyncpg.connect(stage.url)
    with pytest.raises(asyncpg.PostgresError, match="history is never edited"):
        await connection.execute("UPDATE case_history SET who = 'nobody'")
    await connection.close()


@pytest.mark.slow
async def test_an_assignment_killed_at_any_wait_is_carried_to_its_end(stage: Stage) -> None:
    for run in itertools.count(1):
        number = await _unknown(stage, f"op-{run}")
        decided = case_work.assign(stage.place, number, ANNA, "olga", "опечатка")
        was_killed = await killed_at(decided, run * 5, stage.url)
        await case_work.resume(stage.place)
        case = await cases.find(stage.url, number)
        assert case is not None
        if case.state == "open":  # Nothing had been written of the decision.
            await case_work.assign(stage.place, number, ANNA, "olga", "опечатка")
        assert await _unidentified(stage) == 0, f"killed at wait {run * 5}"
        assert await stage.balance(ANNA) == 300_000 - run * SUM
        if not was_killed:
            break
    assert run > 5
    await stage.audited()


async def test_money_that_was_released_stays_in_sight_until_it_has_its_place(stage: Stage) -> None:
    number = await _unknown(stage)
    place = stage.place
    case = await cases.find(stage.url, number)
    assert case is not None
    await case_work.assign(place, number, ANNA, "olga", "опечатка")
    with pytest.raises(case_work.Refused, match="уже закрыто"):
        await case_work.assign(place, number, BORIS, "olga", "передумала")
    assert await stage.balance(BORIS) == 300_000


async def test_an_account_that_is_not_there_is_refused_and_nothing_moves(stage: Stage) -> None:
    number = await _unknown(stage)
    for account in (NOBODY, "007001029999"):
        with pytest.raises(case_work.Refused):
            await case_work.assign(stage.place, number, account, "olga", "наугад")  # type: ignore[arg-type]
    assert await _unidentified(stage) == SUM
    assert await stage.open_cases() == ["unknown_account"]


async def test_a_closed_account_takes_what_was_paid_for_it(stage: Stage) -> None:
    number = await _unknown(stage)
    await stage.post(VERA, CloseAccount)
    await case_work.assign(stage.place, number, VERA, "olga", "счёт закрыт, долг остался")
    assert await stage.balance(VERA) == 300_000 - SUM


@pytest.mark.parametrize(("who", "reason"), [("", "причина"), (" ", "причина"), ("olga", ""), ("olga", "  ")])
async def test_a_decision_has_an_author_and_a_reason(stage: Stage, who: str, reason: str) -> None:
    number = await _unknown(stage)
    for decide in (case_work.give_back, case_work.explain):
        with pytest.raises(case_work.Refused):
            await decide(stage.place, number, who, reason)
    assert await stage.open_cases() == ["unknown_account"]


async def test_unidentified_money_goes_back_to_the_agent_once(stage: Stage) -> None:
    number = await _unknown(stage)
    returned = await case_work.give_back(stage.place, number, "olga", "срок истёк")
    assert returned.state == "returned"
    assert await _unidentified(stage) == 0
    with pytest.raises(case_work.Refused):
        await case_work.give_back(stage.place, number, "olga", "ещё раз")
    await stage.audited()


@pytest.mark.parametrize(("theirs", "balance"), [(110_000, 190_000), (90_000, 210_000)])
async def test_the_registers_amount_is_accepted_by_two_people(stage: Stage, theirs: int, balance: int) -> None:
    await stage.online("1", kopecks=100_000)
    done = await stage.take(BankLine(operation="1", kopecks=theirs))
    (row,) = await stage.fetch("SELECT number FROM cases WHERE file = $1", done.file)
    number = row["number"]
    proposed = await case_work.accept_amount(stage.place, number, "olga", "по выписке банка")
    assert proposed.state == "in_work"
    for same in ("olga", "Olga", " OLGA "):
        with pytest.raises(case_work.Refused, match="второй человек"):
            await case_work.accept_amount(stage.place, number, same, "подтверждаю")
    assert await stage.balance(ANNA) == 200_000
    solved = await case_work.accept_amount(stage.place, number, "petr", "подтверждаю")
    assert solved.state == "solved"
    assert await stage.balance(ANNA) == balance
    await stage.audited()


async def test_a_rejected_line_is_taken_once_its_reason_is_mended(stage: Stage) -> None:
    done = await stage.take(BankLine(operation="1", kopecks=1_000))
    connection = await asyncpg.connect(stage.url)
    await connection.execute("UPDATE register_lines SET outcome = 'rejected', txn_id = '2' WHERE file = $1", done.file)
    await connection.execute("UPDATE cases SET kind = 'rejected', state = 'open', closed_at = NULL")
    await connection.close()
    (row,) = await stage.fetch("SELECT number FROM cases")
    await case_work.retry(stage.place, row["number"], "olga", "порядок расщепления задан")
    assert await stage.outcomes(done.file) == ["missing_online"]
    assert await stage.balance(ANNA) == 298_000


async def test_a_case_is_due_after_five_working_days(stage: Stage) -> None:
    number = await _unknown(stage)
    case = await cases.find(stage.url, number)
    assert case is not None
    today = (datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(hours=3)).date()
    assert case.due_on == add_working_days(today, 5)
    assert cases.proposal_of(case, case.due_on) == ""
    assert cases.proposal_of(case, case.due_on + datetime.timedelta(days=1)) == "return"


async def test_two_people_at_once_do_not_both_decide(stage: Stage) -> None:
    number = await _unknown(stage)
    case = await cases.find(stage.url, number)
    assert case is not None
    await cases.move(stage.url, case, action="taken", who="olga", reason="", state="in_work")
    with pytest.raises(cases.Changed):
        await cases.move(stage.url, case, action="returned", who="petr", reason="", state="returned")


async def test_a_decision_waits_for_shards_that_are_away(stage: Stage) -> None:
    number = await _unknown(stage)
    with pytest.raises(Interrupted):
        await case_work.give_back(stage.place_without_shards(), number, "olga", "срок истёк")
    assert [case.number for case in await cases.under_way(stage.url)] == [number]
    (ended,) = await case_work.resume(stage.place)
    assert ended.state == "returned"
    assert await cases.under_way(stage.url) == []


def test_near_numbers_are_one_slip_away() -> None:
    near = near_numbers("1234")
    assert {"1235", "123", "12334", "1324", "01234"} <= near
    assert "1234" not in near
    assert "1243" in near
    assert "1432" not in near


async def test_accounts_of_near_numbers_and_of_the_same_payer_are_suggested(stage: Stage) -> None:
    await put_houses(stage.url, "г. Энск, ул. Мира, 3", "г. Энск, ул. Лесная, 5")
    holders = [
        (BORIS, 1, "7", "Иванова Алёна Петровна", 5000),
        (VERA, 2, "1", "Иванова Анна Павловна", 5000),
        ("007001020099", 1, "8", "Иванова Мария Петровна", 5000),
    ]
    await reference.put_holders(stage.url, holders)
    done = await stage.take(
        BankLine(operation="1", account=NOBODY, payer="ИВАНОВА А.П.", address="Г.ЭНСК,УЛ. МИРА,3,7")
    )
    case = (await cases.page(stage.url, file=done.file, limit=1))[0]
    found = await suggest(stage.url, case, await cases.payer_of(stage.url, case))
    assert [(one.account, one.why) for one in found] == [
        (BORIS, "same_payer"),
        (VERA, "same_payer"),
        (ANNA, "near_number"),
    ]


async def test_what_is_missing_money_cannot_be_explained_away(stage: Stage) -> None:
    number = await _unknown(stage)
    with pytest.raises(case_work.Refused, match="невыясненных"):
        await case_work.explain(stage.place, number, "olga", "пусть лежит")
    done = await stage.work(await stage.receive(bank_file(BankLine(operation="9"), BankLine(operation="9"))))
    duplicate = (await cases.page(stage.url, file=done.file, limit=9, open_only=True))[0]
    explained = await case_work.explain(stage.place, duplicate.number, "olga", "банк подтвердил повтор")
    assert explained.state == "solved"
