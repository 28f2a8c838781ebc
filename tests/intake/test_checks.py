"""Checks: a table of rows that are wrong by a kopeck, a day or a sign, and of the same rows put right."""

import datetime
from decimal import Decimal
from typing import TypeVar

import msgspec
import pytest

from engine.charge import Kind
from engine.ids import AccountId, Period
from intake import checks
from intake.checks import Checker, Duplicates
from intake.faults import Code, Severity
from intake.presets import BANK_12, CHARGES_CSV
from intake.rows import (
    AccountRow,
    ChargeRow,
    MeterRow,
    PaidElsewhereRow,
    ReadingRow,
    RegisterRow,
    Row,
)
from tests.intake.files import changed

R = TypeVar("R", bound=Row)
TODAY = datetime.date(2026, 11, 25)
CHARGE = ChargeRow(
    row=7,
    account=AccountId("1"),
    period=Period(202610),
    service="HEAT",
    provider="7700000000",
    opening_kopecks=10000,
    accrued_kopecks=250016,
    recalculated_kopecks=-1000,
    benefit_kopecks=500,
    paid_kopecks=10000,
    penalty_kopecks=123,
    closing_kopecks=248639,
)
REGISTER = RegisterRow(
    row=3,
    operation="A1",
    account=AccountId("1"),
    operated_at=datetime.datetime.fromisoformat("2026-11-25T10:00:00"),
    paid_kopecks=1000,
    transferred_kopecks=990,
    fee_kopecks=10,
)


def codes(row: Row) -> list[Code]:
    return [found.code for found in Checker(CHARGES_CSV, TODAY).check(row)]


def with_(row: R, /, **values: object) -> R:
    return msgspec.structs.replace(row, **values)


TABLE: list[tuple[Row, dict[str, object], list[Code]]] = [
    (CHARGE, {}, []),
    (CHARGE, {"closing_kopecks": 248640}, [Code.ARITHMETIC]),
    (CHARGE, {"closing_kopecks": 248638}, [Code.ARITHMETIC]),
    (CHARGE, {"opening_kopecks": 10001}, [Code.ARITHMETIC]),
    (CHARGE, {"accrued_kopecks": 250015}, [Code.ARITHMETIC]),
    (CHARGE, {"recalculated_kopecks": -1001}, [Code.ARITHMETIC]),
    (CHARGE, {"benefit_kopecks": 501}, [Code.ARITHMETIC]),
    (CHARGE, {"paid_kopecks": 9999}, [Code.ARITHMETIC]),
    (CHARGE, {"penalty_kopecks": 0}, [Code.ARITHMETIC]),
    (CHARGE, {"duty_kopecks": 1}, [Code.ARITHMETIC]),
    (CHARGE, {"duty_kopecks": 200, "closing_kopecks": 248839}, []),
    (CHARGE, {"closing_kopecks": None}, []),
    (CHARGE, {"opening_kopecks": None, "closing_kopecks": 1}, []),
    (CHARGE, {"stated_due_kopecks": 248516}, []),
    (CHARGE, {"stated_due_kopecks": 248517}, [Code.DUE_MISMATCH]),
    (CHARGE, {"period": 202611}, []),
    (CHARGE, {"period": 202612}, [Code.FUTURE]),
    (CHARGE, {"recalculated_kopecks": -300000, "closing_kopecks": None}, [Code.NEGATIVE]),
    (REGISTER, {}, []),
    (REGISTER, {"fee_kopecks": 11}, [Code.FEE_MISMATCH]),
    (REGISTER, {"paid_kopecks": -1000, "transferred_kopecks": -990, "fee_kopecks": -10}, [Code.REFUND]),
    (
        REGISTER,
        {"paid_kopecks": -1000, "transferred_kopecks": -990, "fee_kopecks": -10, "refund_of": "A0"},
        [],
    ),
    (REGISTER, {"refund_of": "A0"}, [Code.REFUND]),
    (REGISTER, {"paid_kopecks": 0, "transferred_kopecks": 0, "fee_kopecks": 0}, [Code.REFUND]),
    (REGISTER, {"operated_at": datetime.datetime.fromisoformat("2026-11-26T01:00:00")}, []),
    (REGISTER, {"operated_at": datetime.datetime.fromisoformat("2026-11-27T00:00:00")}, [Code.FUTURE]),
]


@pytest.mark.parametrize(("row", "change", "found"), TABLE, ids=[str(n) for n in range(len(TABLE))])
def test_a_row_is_right_or_the_check_says_what_is_not(row: Row, change: dict[str, object], found: list[Code]) -> None:
    assert codes(with_(row, **change)) == found


def test_a_finding_names_row_amounts_and_severity() -> None:
    (found,) = Checker(CHARGES_CSV, TODAY).check(with_(CHARGE, closing_kopecks=248640))
    assert (found.row, found.severity) == (7, Severity.ROW)
    assert found.text == "исходящее сальдо: по строке 2486.39, в файле 2486.40"


def test_a_profile_sets_the_severity_or_turns_a_check_off() -> None:
    wrong = with_(CHARGE, closing_kopecks=0)
    for severity in (Severity.FILE, Severity.WARNING):
        profile = changed(CHARGES_CSV, severities={Code.ARITHMETIC: severity})
        assert [one.severity for one in Checker(profile, TODAY).check(wrong)] == [severity]
    assert Checker(changed(CHARGES_CSV, severities={Code.ARITHMETIC: Severity.OFF}), TODAY).check(wrong) == []


def test_a_registers_line_that_does_not_add_up_stops_the_file() -> None:
    (found,) = Checker(BANK_12, TODAY).check(with_(REGISTER, fee_kopecks=11))
    assert found.severity is Severity.FILE


ACCOUNT, SERVICE = AccountId("1"), "HEAT"
ONE_OF_EACH: list[tuple[Row, dict[str, object]]] = [
    (CHARGE, {"service": "WATER"}),
    (CHARGE, {"kind": Kind.PENALTY}),
    (CHARGE, {"document": "2"}),
    (AccountRow(row=1, account=ACCOUNT), {"account": AccountId("2")}),
    (MeterRow(row=1, account=ACCOUNT, service=SERVICE, serial="9"), {"zone": 2}),
    (
        ReadingRow(row=1, account=ACCOUNT, service=SERVICE, serial="9", value=Decimal(1), read_on=TODAY),
        {"read_on": TODAY - datetime.timedelta(days=1)},
    ),
    (
        PaidElsewhereRow(row=1, account=ACCOUNT, operation="7", paid_on=TODAY, amount_kopecks=1),
        {"service": SERVICE},
    ),
    (REGISTER, {"operation": "A2"}),
]


@pytest.mark.parametrize(("row", "difference"), ONE_OF_EACH, ids=[str(n) for n in range(len(ONE_OF_EACH))])
def test_a_row_is_a_duplicate_by_its_natural_key(row: Row, difference: dict[str, object]) -> None:
    seen = Duplicates()
    assert seen.see(row) is None
    assert seen.see(with_(row, **difference)) is None
    again = seen.see(with_(row, row=99))
    assert again is not None
    assert again[0] is Code.DUPLICATE


def test_duplicates_are_remembered_up_to_a_maximum_and_it_says_so() -> None:
    seen = Duplicates(keys_max=2)
    for operation in "ABC":
        seen.see(with_(REGISTER, operation=operation))
    assert seen.is_full
    assert seen.see(with_(REGISTER, operation="A")) is not None
    assert seen.see(with_(REGISTER, operation="C")) is None


def test_the_opening_balance_is_last_months_closing() -> None:
    assert checks.opening(CHARGE, 10000) is None
    assert checks.opening(CHARGE, None) is None
    told = checks.opening(CHARGE, 9999)
    assert told is not None
    assert told[0] is Code.OPENING_MISMATCH


@pytest.mark.parametrize(
    ("history", "is_odd"),
    [
        ([50000] * 12, False),
        ([49000] * 12, True),
        ([49000, 49000], False),
        ([0, 0, 0], False),
        ([10, 10, 300000, 300000, 300000], False),
    ],
)
def test_a_charge_far_above_its_median_is_odd(history: list[int], is_odd: bool) -> None:
    assert (checks.anomaly(with_(CHARGE, accrued_kopecks=251500), history) is not None) == is_odd


def test_zero_for_an_active_service_is_worth_a_look() -> None:
    nothing = ChargeRow(row=1, account=ACCOUNT, period=Period(202610), service=SERVICE, provider="7")
    assert checks.zero(nothing, is_active=True) is not None
    assert checks.zero(nothing, is_active=False) is None
    assert checks.zero(CHARGE, is_active=True) is None


def test_what_a_row_refers_to_must_be_there() -> None:
    told = [
        code for code, _ in checks.references(account_is_known=False, service_is_mapped=False, provider_is_active=False)
    ]
    assert told == [Code.ACCOUNT_UNKNOWN, Code.SERVICE_UNMAPPED, Code.PROVIDER_INACTIVE]
    assert not list(checks.references(account_is_known=True, service_is_mapped=True, provider_is_active=True))


@pytest.mark.parametrize(
    ("now", "before", "is_odd"), [(105, 100, False), (94, 100, True), (106, 100, True), (9, 0, False)]
)
def test_the_number_of_accounts_may_change_by_so_much(now: int, before: int, is_odd: bool) -> None:
    assert (checks.accounts_changed(now, before, 5) is not None) == is_odd


@pytest.mark.parametrize(
    ("name", "is_wrong"),
    [
        ("7701234567_40821810000000000001_001_1126.txt", False),
        ("7701234568_40821810000000000001_001_1126.txt", True),
        ("7701234567_40821810000000000002_001_1126.txt", True),
        ("reestr.txt", False),
    ],
)
def test_the_name_of_a_register_names_us(name: str, is_wrong: bool) -> None:
    told = checks.file_name(name, {"7701234567"}, {"40821810000000000001"})
    assert (told is not None) == is_wrong
