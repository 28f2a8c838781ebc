"""Calendar, ids, sharding, requisites, fingerprints: small rules that everything leans on."""

import datetime

import pytest

from engine.calendar import add_working_days, barred_before, due_date, is_working_day, next_working_day
from engine.commands import fingerprint
from engine.ids import AccountId, Period, ShardId, journal_position, parse_period, payment_id, period_text
from engine.requisites import bank_account_of, inn_of, is_bank_account, is_inn
from engine.sharding import SLOTS, slot_of


@pytest.mark.parametrize(
    ("period", "due"),
    [
        (202601, "2026-02-10"),
        (202602, "2026-03-16"),
        (202607, "2026-08-17"),
        (202610, "2026-11-16"),
        (202204, "2022-05-11"),
        (202512, "2026-01-12"),
    ],
)
def test_a_due_day_that_is_a_day_off_moves_to_the_next_working_day(period: int, due: str) -> None:
    assert due_date(Period(period)) == datetime.date.fromisoformat(due)


def test_transferred_days_are_known() -> None:
    assert not is_working_day(datetime.date(2022, 5, 10))
    assert is_working_day(datetime.date(2024, 12, 28))
    assert next_working_day(datetime.date(2026, 1, 1)) == datetime.date(2026, 1, 12)
    assert add_working_days(datetime.date(2026, 11, 20), 1) == datetime.date(2026, 11, 23)


def test_a_period_is_barred_three_years_after_its_due_day() -> None:
    due = due_date(Period(202310))
    assert due == datetime.date(2023, 11, 10)
    assert barred_before(datetime.date(2026, 11, 10)) == 202310
    assert barred_before(datetime.date(2026, 11, 11)) == 202311


@pytest.mark.parametrize(
    ("account", "slot"),
    [("123456789", 0x926), ("0", 0xF21), ("1100000005", 772), ("000123456", 145), ("лицевой-1", 3747)],
)
def test_the_slot_of_an_account_never_changes(account: str, slot: int) -> None:
    assert slot_of(AccountId(account)) == slot


def test_every_slot_is_used() -> None:
    assert len({slot_of(AccountId(f"11{n:08d}")) for n in range(60_000)}) == SLOTS


def test_a_payment_number_is_its_place_in_the_journal() -> None:
    number = payment_id(ShardId(12), 3_456_789)
    assert journal_position(number) == (12, 3_456_789)
    assert len(str(payment_id(ShardId(90_000), 10**14 - 1))) <= 20


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "26-10", "2026/10", "2026-1", "١٢٣٤-10", "1999-01", ""])
def test_a_period_out_of_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"period|month"):
        parse_period(text)


def test_a_period_reads_as_it_is_written() -> None:
    assert period_text(parse_period("2026-10")) == "2026-10"


def test_check_digits_of_requisites() -> None:
    assert all(map(is_inn, ("7707083893", "6200098763", "7700000009", "500100732259", "770000000082")))
    assert not any(map(is_inn, ("6200098765", "0000000000", "77070838", "770708389٣", "500100732250")))
    assert inn_of("770708389") == "7707083893"
    assert is_bank_account("40702810138250123017", "044525225")
    assert is_bank_account("30101810400000000225", "044525225")
    assert is_bank_account("40602810700000000025", "049805746")
    assert not is_bank_account("40702810838250123017", "044525225")
    assert bank_account_of("40702810038250123017", "044525225") == "40702810138250123017"


def test_a_fingerprint_tells_where_one_field_ends() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(1, None) == fingerprint("1", "None")
    assert len(fingerprint()) == 16
