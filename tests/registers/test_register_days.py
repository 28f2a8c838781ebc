"""By the clock: registers that are due and not here, payments that none has, the bank's money, the day's report."""

import datetime

import pytest

from actors import register_watch, statement_run
from actors.register_desk import RegisterDesk
from engine.ids import SourceId
from engine.registers import Contract, RegisterTerms
from storage import codec, taken
from tests.registers.stage import ANNA, BANK, BORIS, DAY, NOBODY, SIZE_BYTES_MAX, BankLine, Stage, at, bank_file

NEXT = DAY + datetime.timedelta(days=1)
_MSK = datetime.timedelta(hours=3)


def us(moment: datetime.datetime) -> int:
    """A moment by the bank's clock as UTC microseconds."""
    return codec.micros((moment - _MSK).replace(tzinfo=datetime.UTC))


async def test_a_register_that_is_due_and_not_here_is_an_incident_until_it_comes(stage: Stage) -> None:
    await stage.sign(expected_since=DAY.isoformat(), due_minutes=600)
    await stage.online("1")
    await register_watch.close_days(stage.url, us(at(9, 59, NEXT)))
    assert await stage.open_cases() == []
    await register_watch.close_days(stage.url, us(at(10, 0, NEXT)))
    await register_watch.close_days(stage.url, us(at(10, 5, NEXT)))
    assert await stage.open_cases() == ["missing_file"]
    await stage.take(BankLine(operation="1"))
    assert await stage.open_cases() == []
    (note,) = await stage.fetch("SELECT who, reason FROM case_history WHERE step = 2")
    assert (note["who"], note["reason"][:18]) == ("kopeck", "найдено в реестре ")


async def test_an_empty_register_of_an_empty_day_is_no_incident(stage: Stage) -> None:
    yesterday = datetime.datetime.now(tz=datetime.UTC) + _MSK - datetime.timedelta(days=1)
    await stage.sign(expected_since=yesterday.date().isoformat(), due_minutes=0)
    assert (await stage.work(await stage.receive(bank_file()))).state == "done"
    await register_watch.close_days(stage.url)
    assert await stage.open_cases() == []


async def test_online_payments_that_no_register_has_are_cases_and_are_not_touched(stage: Stage) -> None:
    await stage.sign(expected_since=DAY.isoformat())
    await stage.online("1")
    await stage.online("2", BORIS)
    await stage.take(BankLine(operation="1"))
    await register_watch.close_days(stage.url, us(at(23, 0, NEXT)))
    (case,) = await stage.fetch("SELECT kind, subject, ours_kopecks FROM cases")
    assert tuple(case) == ("missing_register", "online/2", 150_000)
    assert await stage.balance(BORIS) == 150_000


async def test_a_payment_that_a_later_register_has_solves_its_case(stage: Stage) -> None:
    await stage.sign(expected_since=DAY.isoformat())
    await stage.online("1")
    await stage.online("2", moment=at(23, 59))
    await stage.take(BankLine(operation="1"))
    await register_watch.close_days(stage.url, us(at(23, 0, NEXT)))
    assert await stage.open_cases() == ["missing_register"]
    done = await stage.take(*(BankLine(operation=operation, moment=at(12, day=NEXT)) for operation in "23"))
    assert await stage.outcomes(done.file) == ["date_shift", "missing_online"]
    assert await stage.open_cases() == []


async def test_a_day_is_looked_at_once_and_not_before_its_register_is_done(stage: Stage) -> None:
    await stage.sign(expected_since=DAY.isoformat())
    await stage.online("1")
    file = await stage.receive(bank_file(BankLine(operation="1"), BankLine(operation="2")))
    await stage.interrupted(file)
    await register_watch.close_days(stage.url, us(at(23, 0, NEXT)))
    assert await stage.fetch("SELECT * FROM register_days WHERE day = $1", DAY) == []
    await stage.work(file)
    await register_watch.close_days(stage.url, us(at(23, 0, NEXT)))
    rows = await stage.fetch("SELECT state FROM register_days WHERE day = $1", DAY)
    assert [row["state"] for row in rows] == ["complete"]


def test_the_day_and_the_hour_by_which_a_register_is_due_are_the_contracts() -> None:
    terms = RegisterTerms(due_days=2, due_minutes=90)
    contract = Contract(source=SourceId("x"), utc_offset_minutes=300, cut_off=datetime.time(21), register=terms)
    day = datetime.date(2026, 3, 1)
    begins, ends = contract.span_us(day)
    assert codec.instant(begins) == datetime.datetime(2026, 2, 28, 16, tzinfo=datetime.UTC)
    assert contract.day_of(begins) == day == contract.day_of(ends - 1)
    assert contract.day_of(begins - 1) == datetime.date(2026, 2, 28)
    assert codec.instant(contract.due_us(day)) == datetime.datetime(2026, 3, 2, 20, 30, tzinfo=datetime.UTC)


# What was taken ------------------------------------------------------------------------------------------------------


async def test_what_was_taken_follows_the_ledger_and_can_be_built_again(stage: Stage) -> None:
    await stage.online("1")
    assert await taken.lag(stage.url) > 0
    assert await taken.follow(stage.url) == 7
    assert (await taken.follow(stage.url), await taken.lag(stage.url)) == (0, 0)
    before = await stage.fetch("SELECT * FROM taken ORDER BY source, txn_id")
    await stage.fetch("WITH a AS (DELETE FROM taken), b AS (DELETE FROM taken_cursors) SELECT 1")
    await taken.follow(stage.url)
    assert await stage.fetch("SELECT * FROM taken ORDER BY source, txn_id") == before
    assert [(row["source"], row["txn_id"], row["kopecks"]) for row in before] == [("bank", "1", 150_000)]


# The bank's money ----------------------------------------------------------------------------------------------------

OURS, THEIRS = "40821810000000000001", "30232810000000000002"
INN = "7707083893"


def statement(*orders: tuple[str, datetime.date, int]) -> bytes:
    """A bank statement with incoming payment orders: number, date, kopecks."""
    documents = [
        f"СекцияДокумент=Платежное поручение\nНомер={number}\nДата={on:%d.%m.%Y}\n"
        f"Сумма={kopecks // 100}.{kopecks % 100:02}\nПлательщикСчет={THEIRS}\nПлательщикИНН={INN}\n"
        f"ПолучательСчет={OURS}\nДатаПоступило={on:%d.%m.%Y}\nНазначениеПлатежа=Реестр\nКонецДокумента\n"
        for number, on, kopecks in orders
    ]
    first, last = min(on for _, on, _ in orders), max(on for _, on, _ in orders)
    text = (
        "1CClientBankExchange\nВерсияФормата=1.03\nКодировка=Windows\nОтправитель=Банк\nПолучатель=\n"
        f"ДатаСоздания={last:%d.%m.%Y}\nДатаНачала={first:%d.%m.%Y}\nДатаКонца={last:%d.%m.%Y}\nРасчСчет={OURS}\n"
        + "".join(documents)
        + "КонецФайла\n"
    )
    return text.replace("\n", "\r\n").encode("cp1251")


async def _state(stage: Stage, content: bytes) -> str:
    """Take a statement and tell what became of the transfers."""
    file = await stage.receive_statement(content)
    done = await stage.work(file)
    assert done.state == "done", done.problem
    rows = await stage.fetch("SELECT transfer_state FROM registers ORDER BY file")
    return " ".join(row["transfer_state"] for row in rows)


async def test_the_sum_of_a_register_arrives_by_the_order_that_it_names(stage: Stage) -> None:
    await stage.sign(payer_inn=INN)
    await stage.take(BankLine(operation="1"))
    assert await _state(stage, statement(("1", DAY, 147_750), ("654321", DAY, 147_750))) == "arrived"
    assert "statement_amount" not in await stage.open_cases()


async def test_a_register_that_comes_after_its_money_finds_it(stage: Stage) -> None:
    await stage.sign(payer_inn=INN)
    assert await _state(stage, statement(("654321", DAY, 147_750))) == ""
    await stage.take(BankLine(operation="1"))
    rows = await stage.fetch("SELECT transfer_state FROM registers")
    assert [row["transfer_state"] for row in rows] == ["arrived"]


async def test_another_sum_is_a_case_until_the_rest_of_the_registers_explains_it(stage: Stage) -> None:
    await stage.sign(payer_inn=INN)
    await stage.take(BankLine(operation="1"))
    assert await _state(stage, statement(("654321", DAY, 295_500))) == "differs"
    (case,) = await stage.fetch("SELECT ours_kopecks, theirs_kopecks FROM cases WHERE kind = 'statement_amount'")
    assert tuple(case) == (295_500, 147_750)
    await stage.take(BankLine(operation="2"))
    rows = await stage.fetch("SELECT transfer_state FROM registers")
    assert [row["transfer_state"] for row in rows] == ["arrived", "arrived"]
    assert "statement_amount" not in await stage.open_cases()


@pytest.mark.parametrize("number", ["654322", "654321"])
async def test_money_of_another_order_or_of_another_payer_is_not_the_registers(stage: Stage, number: str) -> None:
    await stage.sign(payer_inn=INN if number == "654322" else "7700000000")
    await stage.take(BankLine(operation="1"))
    assert await _state(stage, statement((number, DAY, 147_750))) == "waiting"


async def test_money_that_is_late_is_a_case_until_it_comes(stage: Stage) -> None:
    long_ago = DAY - datetime.timedelta(days=20)
    await stage.sign(payer_inn=INN)
    file = await stage.receive(bank_file(BankLine(operation="1"), order_on=long_ago))
    await stage.work(file)
    await statement_run.match_transfers(stage.url)
    assert "statement_missing" in await stage.open_cases()
    assert await _state(stage, statement(("654321", long_ago, 147_750))) == "arrived"
    assert "statement_missing" not in await stage.open_cases()


async def test_money_of_the_agent_that_no_register_explains_is_a_case(stage: Stage) -> None:
    await stage.sign(payer_inn=INN)
    await _state(stage, statement(("777", DAY - datetime.timedelta(days=20), 100)))
    await statement_run.match_transfers(stage.url)
    assert await stage.open_cases() == ["statement_stray"]


async def test_overlapping_statements_count_an_entry_once(stage: Stage) -> None:
    one = ("1", DAY, 100)
    await _state(stage, statement(one))
    await _state(stage, statement(one, ("2", DAY, 200)))
    assert len(await stage.fetch("SELECT * FROM statement_entries")) == 2


# The report ----------------------------------------------------------------------------------------------------------


async def test_the_report_explains_every_kopeck_between_theirs_and_ours(stage: Stage) -> None:
    await stage.sign(expected_since=DAY.isoformat())
    for operation, kopecks, moment in (
        ("matched", 1_000, at(12)),
        ("amount", 900, at(12)),
        ("in", 1_000, at(12, day=DAY - datetime.timedelta(days=1))),
        ("out", 700, at(23, 59)),
        ("nowhere", 50, at(12)),
    ):
        await stage.online(operation, kopecks=kopecks, moment=moment)
    operations = ("matched", "amount", "in", "missing", "matched")
    await stage.take(*(BankLine(operation=operation, kopecks=1_000, fee=0) for operation in operations),
                     BankLine(operation="unknown", account=NOBODY, kopecks=1_000, fee=0))  # fmt: skip
    await stage.take(
        BankLine(operation="out", kopecks=700, fee=0, moment=at(1, day=NEXT)),
        BankLine(operation="more", kopecks=1, fee=0, moment=at(1, day=NEXT)),
    )
    await register_watch.close_days(stage.url, us(at(23, 0, NEXT)))
    report = await RegisterDesk(stage.place, SIZE_BYTES_MAX).report(BANK, DAY)
    rows = {row.outcome: (row.lines, row.theirs_kopecks, row.ours_kopecks) for row in report.rows}
    assert rows == {
        "matched": (1, 1_000, 1_000),
        "amount_mismatch": (1, 1_000, 900),
        "date_shift": (1, 1_000, 0),
        "missing_online": (1, 1_000, 1_000),
        "duplicate": (1, 1_000, 0),
        "unknown_account": (1, 1_000, 1_000),
        "shifted_out": (1, 0, 700),
        "missing_register": (1, 0, 50),
    }
    assert (report.theirs_kopecks, report.ours_kopecks) == (6_000, 4_650)
    assert (report.difference_kopecks, report.unexplained_kopecks) == (1_350, 0)
    assert not report.is_equal
    assert report.cases_open == 4


async def test_a_day_that_agrees_to_the_kopeck_says_so(stage: Stage) -> None:
    await stage.online("1")
    await stage.take(BankLine(operation="1"))
    report = await RegisterDesk(stage.place, SIZE_BYTES_MAX).report(BANK, DAY)
    assert report.is_equal
    assert (report.theirs_kopecks, report.ours_kopecks, report.cases_open) == (150_000, 150_000, 0)
    assert [one.transfer_state for one in report.registers] == ["waiting"]
    assert await stage.balance(ANNA) == 150_000
