"""A register meets what was taken online: every line ends in one way, and no kopeck is credited twice."""

import datetime

import pytest

from engine.commands import AcceptPayment, ReversePayment, fingerprint
from engine.ids import AccountId, TxnId
from engine.outcomes import Acknowledged, KeyConflict, Outcome
from storage import codec
from tests.registers.stage import ANNA, BORIS, DAY, NOBODY, SOURCE, BankLine, Stage, at, bank_file


async def _late_online(stage: Stage, txn_id: str, account: AccountId, kopecks: int) -> Outcome:
    """The bank repeats a payment online that its register brought already."""
    return await stage.router.submit(
        AcceptPayment(
            source=SOURCE,
            txn_id=TxnId(txn_id),
            request_hash=fingerprint(account, kopecks),
            account=account,
            accepted_at_us=codec.micros(datetime.datetime.now(tz=datetime.UTC)),
            amount_kopecks=kopecks,
            channel="terminal",
        )
    )


async def test_lines_that_came_online_match_and_credit_nothing(stage: Stage) -> None:
    await stage.online("1", ANNA)
    await stage.online("2", BORIS, 50_000)
    done = await stage.take(BankLine(operation="1"), BankLine(operation="2", account=BORIS, kopecks=50_000))
    assert done.state == "done"
    assert await stage.outcomes(done.file) == ["matched", "matched"]
    assert (done.rows_total, done.rows_accepted, done.rows_warned, done.rows_rejected) == (2, 2, 0, 0)
    assert await stage.balance(ANNA) == 150_000
    assert await stage.open_cases() == []
    await stage.audited()


async def test_what_did_not_come_online_is_credited_from_the_register(stage: Stage) -> None:
    done = await stage.take(BankLine(operation="1", kopecks=100_000))
    assert await stage.outcomes(done.file) == ["missing_online"]
    assert await stage.balance(ANNA) == 200_000
    (case,) = await stage.fetch("SELECT kind, state, payment_id FROM cases")
    assert (case["kind"], case["state"]) == ("missing_online", "solved")
    assert case["payment_id"] > 0
    await stage.audited()


async def test_a_late_online_repeat_gets_the_registers_receipt_and_credits_nothing(stage: Stage) -> None:
    await stage.take(BankLine(operation="1", kopecks=100_000))
    again = await _late_online(stage, "1", ANNA, 100_000)
    assert isinstance(again, Acknowledged)
    assert again.replayed
    other = await _late_online(stage, "1", ANNA, 100_001)
    assert isinstance(other, KeyConflict)
    assert await stage.balance(ANNA) == 200_000


async def test_a_bank_that_pays_by_register_alone_makes_no_cases(stage: Stage) -> None:
    await stage.sign(pays_online=False)
    done = await stage.take(BankLine(operation="1"))
    assert await stage.outcomes(done.file) == ["missing_online"]
    assert await stage.fetch("SELECT * FROM cases") == []


async def test_money_for_an_unknown_account_is_kept_as_unidentified(stage: Stage) -> None:
    done = await stage.take(BankLine(operation="1", account=NOBODY, payer="ИВАНОВ И.И.", address="УЛ.МИРА,1"))
    assert await stage.outcomes(done.file) == ["unknown_account"]
    assert await stage.open_cases() == ["unknown_account"]
    (line,) = await stage.fetch("SELECT payer, ours_kopecks FROM register_lines")
    assert (line["payer"], line["ours_kopecks"]) == ("ИВАНОВ И.И.", 150_000)
    (event,) = await stage.fetch("SELECT kind, amount_kopecks FROM events WHERE account = $1", NOBODY)
    assert (event["kind"], event["amount_kopecks"]) == (12, 150_000)
    await stage.audited()


async def test_personal_data_of_lines_that_nobody_must_search_for_is_not_kept(stage: Stage) -> None:
    await stage.online("1")
    lines = (BankLine(operation=operation, payer="ИВАНОВ И.И.", address="УЛ.МИРА,1") for operation in ("1", "2", "1"))
    done = await stage.take(*lines)
    assert await stage.outcomes(done.file) == ["matched", "missing_online", "duplicate"]
    assert [tuple(row) for row in await stage.fetch("SELECT payer, address FROM register_lines")] == [("", "")] * 3


async def test_another_amount_is_a_case_and_changes_nothing(stage: Stage) -> None:
    await stage.online("1", kopecks=100_000)
    done = await stage.take(BankLine(operation="1", kopecks=110_000))
    assert await stage.outcomes(done.file) == ["amount_mismatch"]
    (case,) = await stage.fetch("SELECT kind, ours_kopecks, theirs_kopecks FROM cases")
    assert tuple(case) == ("amount_mismatch", 100_000, 110_000)
    assert await stage.balance(ANNA) == 200_000


async def test_another_account_is_a_case_and_changes_nothing(stage: Stage) -> None:
    await stage.online("1", ANNA)
    done = await stage.take(BankLine(operation="1", account=BORIS))
    assert await stage.outcomes(done.file) == ["account_mismatch"]
    assert await stage.balance(BORIS) == 300_000


async def test_an_operation_twice_in_one_register_counts_once(stage: Stage) -> None:
    done = await stage.take(BankLine(operation="1"), BankLine(operation="1"))
    assert await stage.outcomes(done.file) == ["missing_online", "duplicate"]
    assert await stage.balance(ANNA) == 150_000
    assert await stage.open_cases() == ["duplicate"]


async def test_an_operation_of_an_earlier_register_counts_once(stage: Stage) -> None:
    await stage.take(BankLine(operation="1"))
    done = await stage.take(BankLine(operation="1"), BankLine(operation="2"))
    assert await stage.outcomes(done.file) == ["duplicate", "missing_online"]
    assert await stage.balance(ANNA) == 0
    await stage.audited()


@pytest.mark.parametrize(
    ("cut_off", "moment", "outcome"),
    [
        (0, at(23, 59), "matched"),
        (0, at(0, 0, DAY + datetime.timedelta(days=1)), "date_shift"),
        (21, at(20, 59), "matched"),
        (21, at(21, 0), "date_shift"),
        (21, at(21, 0, DAY - datetime.timedelta(days=1)), "matched"),
        (21, at(20, 59, DAY - datetime.timedelta(days=1)), "date_shift"),
    ],
)
async def test_a_day_ends_at_the_cut_off_by_the_agents_clock(
    stage: Stage, cut_off: int, moment: datetime.datetime, outcome: str
) -> None:
    await stage.sign(cut_off=datetime.time(cut_off))
    await stage.online("1", moment=moment)
    await stage.online("2", moment=at(12))
    await stage.online("3", moment=at(12))
    done = await stage.take(*(BankLine(operation=operation, moment=at(12)) for operation in "123"))
    assert await stage.outcomes(done.file) == [outcome, "matched", "matched"]
    assert await stage.open_cases() == []


async def test_a_payment_of_a_far_day_is_a_case(stage: Stage) -> None:
    await stage.online("1", moment=at(12, day=DAY - datetime.timedelta(days=2)))
    done = await stage.take(BankLine(operation="1", moment=at(12)))
    assert await stage.outcomes(done.file) == ["date_shift"]
    assert await stage.open_cases() == ["date_shift"]


async def test_the_registers_numbers_are_translated_by_the_contracts_rule(stage: Stage) -> None:
    rules = [{"pattern": r"1044(\d+)", "text": r"\1"}]
    await stage.sign(operations=rules, accounts=[{"pattern": r"ЛС(\d+)", "text": r"\1"}])
    await stage.online("12345")
    done = await stage.take(BankLine(operation="104412345", account=f"ЛС{ANNA}"))
    assert await stage.outcomes(done.file) == ["matched"]


async def test_a_refund_reverses_the_payment_that_it_names(stage: Stage) -> None:
    await stage.sign(profile="refunds")
    await stage.refunds_profile()
    await stage.online("1")
    file = await stage.take_refunds("R1;1;-50000")
    assert await stage.outcomes(file) == ["reversed"]
    assert await stage.balance(ANNA) == 200_000
    await stage.audited()


async def test_a_refund_of_a_payment_of_the_same_register_reverses_it(stage: Stage) -> None:
    await stage.sign(profile="refunds")
    await stage.refunds_profile()
    file = await stage.take_refunds("R1;1;-150000", "1;;150000")
    assert await stage.outcomes(file) == ["reversed", "missing_online"]
    assert await stage.balance(ANNA) == 300_000


async def test_a_refund_that_was_cancelled_online_already_reverses_nothing_more(stage: Stage) -> None:
    await stage.sign(profile="refunds")
    await stage.refunds_profile()
    paid = await stage.online("1")
    await stage.post(
        ANNA, ReversePayment, source=SOURCE, txn_id=TxnId("cancel-1"), payment_id=paid.payment_id, amount_kopecks=50_000
    )
    file = await stage.take_refunds("1;;150000", "R1;1;-50000", "R2;1;-50000")
    assert await stage.outcomes(file) == ["matched", "matched", "reversed"]
    assert await stage.balance(ANNA) == 250_000
    await stage.audited()


@pytest.mark.parametrize("refund", ["R1;;-50000", "R1;unheard-of;-50000", "R1;1;-150001"])
async def test_a_refund_that_is_not_plain_goes_to_a_person(stage: Stage, refund: str) -> None:
    await stage.sign(profile="refunds")
    await stage.refunds_profile()
    await stage.online("1")
    file = await stage.take_refunds(refund)
    assert await stage.outcomes(file) == ["refund"]
    assert await stage.open_cases() == ["refund"]
    assert await stage.balance(ANNA) == 150_000


async def test_a_line_that_the_rules_refuse_is_a_case_and_its_neighbours_are_taken(stage: Stage) -> None:
    ancient = at(12, day=DAY.replace(year=DAY.year - 4, day=1))
    done = await stage.take(BankLine(operation="1", moment=ancient), BankLine(operation="2"))
    assert await stage.outcomes(done.file) == ["rejected", "missing_online"]
    assert await stage.open_cases() == ["rejected"]
    assert (done.rows_accepted, done.rows_rejected) == (1, 1)


# Files ---------------------------------------------------------------------------------------------------------------

GOOD = BankLine(operation="1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bank_file(GOOD, count=2), "строка 2"),
        (bank_file(GOOD).replace(b"=1;1500,00", b"=1;1500,01"), "строка 2"),
        (bank_file(GOOD, BankLine(operation="2", transferred=1)), "строка 2"),
        (bank_file(GOOD)[:-30], "столбца"),
        (bank_file(GOOD).splitlines(keepends=True)[0], "итоговой строки"),
        (bank_file(GOOD).replace(b"1500,00", b"1500,001"), "строк"),
        (bank_file(GOOD, BankLine(operation="2", kopecks=0, fee=0)), "строка 2"),
        (b"", "пуст"),
        (b"\xd0\x98\xff" * 40, ""),
    ],
)
async def test_a_file_that_does_not_agree_with_itself_is_refused_whole(stage: Stage, content: bytes, said: str) -> None:
    file = await stage.receive(content)
    refused = await stage.work(file)
    assert refused.state == "refused"
    assert said in refused.problem
    assert await stage.fetch("SELECT 1 FROM register_lines") == []
    assert await stage.fetch("SELECT 1 FROM events WHERE source = 'bank'") == []


async def test_every_fault_is_named_by_its_line(stage: Stage) -> None:
    bad = [BankLine(operation=str(number), transferred=1) for number in range(60)]
    refused = await stage.work(await stage.receive(bank_file(*bad)))
    told = refused.problem.splitlines()
    assert told[0].startswith("строка 1: сумма платежа 1500.00 не равна")
    assert told[-1].startswith("и ещё ошибок: ")


async def test_the_same_file_again_is_a_no_op_with_the_first_result(stage: Stage) -> None:
    content = bank_file(BankLine(operation="1"))
    first = await stage.work(await stage.receive(content))
    events = await stage.fetch("SELECT count(*) FROM events")
    again = await stage.work(await stage.receive(content, name="renamed.txt"))
    assert again == first
    assert await stage.fetch("SELECT count(*) FROM events") == events


async def test_the_same_file_of_another_bank_is_another_file(stage: Stage) -> None:
    await stage.sign("other")
    content = bank_file(BankLine(operation="1"))
    one, two = await stage.receive(content), await stage.receive(content, connection="other")
    assert one != two
    for file in (one, two):
        await stage.work(file)
        assert await stage.outcomes(file) == ["missing_online"]
    assert await stage.balance(ANNA) == 0


async def test_a_register_without_lines_is_a_good_one(stage: Stage) -> None:
    done = await stage.work(await stage.receive(bank_file()))
    assert (done.state, done.rows_total) == ("done", 0)
    (register,) = await stage.fetch("SELECT day FROM registers")
    assert register["day"] == DAY + datetime.timedelta(days=1)


async def test_a_bank_that_cannot_be_asked_now_leaves_its_lines_for_later(stage: Stage) -> None:
    file = await stage.receive(bank_file(BankLine(operation="1"), BankLine(operation="2", account=BORIS)))
    await stage.interrupted(file)
    assert await stage.outcomes(file) == ["", ""]
    done = await stage.work(file)
    assert await stage.outcomes(done.file) == ["missing_online", "missing_online"]
    await stage.audited()
