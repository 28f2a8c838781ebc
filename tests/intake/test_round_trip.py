"""Rows written as a sender would write them are read back as they were, whatever they are."""

import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.demo_files import write
from engine.charge import Kind
from engine.ids import AccountId, Period
from intake.presets import (
    ACCOUNTS_CSV,
    BANK_12,
    CHARGES_CSV,
    CHARGES_DBF,
    CHARGES_XML,
    METERS_CSV,
    OSMP_TAB,
    PAYMENTS_CSV,
    READINGS_CSV,
)
from intake.profile import Encoding, Profile
from intake.reader import items
from intake.rows import (
    AccountRow,
    ChargeRow,
    MeterRow,
    PaidElsewhereRow,
    ReadingRow,
    RegisterRow,
    RegisterTotals,
    Row,
)
from tests.intake.files import changed

CHARGES_KOPECKS = st.integers(-(10**11), 10**11)
MAYBE_KOPECKS = st.none() | CHARGES_KOPECKS
LETTERS = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
ASCII = "".join(map(chr, range(33, 127)))
TEXTS = st.text(alphabet=LETTERS + ASCII + " ", max_size=30).map(str.strip)
CODES = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", min_size=1, max_size=8)
DATES = st.dates(datetime.date(2000, 1, 1), datetime.date(2099, 12, 31))
PERIODS = st.builds(lambda year, month: Period(year * 100 + month), st.integers(2000, 2099), st.integers(1, 12))
AMOUNTS = st.decimals(0, 10**6, places=5)

charge_rows = st.builds(
    ChargeRow,
    row=st.just(0),
    account=st.text(alphabet="0123456789", min_size=1, max_size=20).map(AccountId),
    period=PERIODS,
    service=CODES,
    provider=CODES,
    contract=TEXTS,
    tariff=st.none() | AMOUNTS,
    volume=st.none() | AMOUNTS,
    unit=TEXTS,
    opening_kopecks=MAYBE_KOPECKS,
    accrued_kopecks=CHARGES_KOPECKS,
    recalculated_kopecks=CHARGES_KOPECKS,
    benefit_kopecks=CHARGES_KOPECKS,
    penalty_kopecks=CHARGES_KOPECKS,
    paid_kopecks=MAYBE_KOPECKS,
    closing_kopecks=MAYBE_KOPECKS,
    document=TEXTS,
    due_on=st.none() | DATES,
)
full_charge_rows = st.builds(
    lambda row, kind, els, duty, due, on, norm: msgspec.structs.replace(
        row, kind=kind, unified_account=els, duty_kopecks=duty, stated_due_kopecks=due, document_on=on, norm=norm
    ),
    charge_rows,
    st.sampled_from((Kind.CHARGE, Kind.PENALTY, Kind.COURT_COST)),
    CODES,
    CHARGES_KOPECKS,
    MAYBE_KOPECKS,
    st.none() | DATES,
    st.none() | AMOUNTS,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round") / "file"


def read_back(rows: list[Row], path: Path, profile: Profile) -> list[object]:
    write(rows, path, profile)
    found = (item for item in items(path, profile) if not isinstance(item, RegisterTotals))
    return [msgspec.structs.replace(item, row=0) for item in found]


@given(rows=st.lists(full_charge_rows, min_size=1, max_size=5))
@settings(max_examples=60)
def test_charges_come_back_from_canonical_csv(path: Path, rows: list[Row]) -> None:
    assert read_back(rows, path, CHARGES_CSV) == rows


@given(rows=st.lists(charge_rows, min_size=1, max_size=5))
@settings(max_examples=60)
def test_charges_come_back_from_dbf(path: Path, rows: list[Row]) -> None:
    assert read_back(rows, path, changed(CHARGES_DBF, encoding=Encoding.UTF_8)) == rows


@given(rows=st.lists(full_charge_rows, min_size=1, max_size=5))
@settings(max_examples=60)
def test_charges_come_back_from_xml(path: Path, rows: list[Row]) -> None:
    of_one_month = [msgspec.structs.replace(row, period=Period(202610)) for row in rows if isinstance(row, ChargeRow)]
    assert read_back([*of_one_month], path, CHARGES_XML) == of_one_month


REGISTER = RegisterRow(
    row=0,
    operation="1",
    account=AccountId("007"),
    operated_at=datetime.datetime.fromisoformat("2026-11-23T10:15:42"),
    paid_kopecks=150000,
    transferred_kopecks=147750,
    fee_kopecks=2250,
    point="8625/00123",
    payer='ООО "Ромашка"',
    period=Period(202610),
)
ACCOUNT = AccountRow(
    row=0,
    account=AccountId("007"),
    unified_account="75AA533315",
    holder="Ёлкин Пётр Иванович",
    address="г. Заречный; ул. Лесная, д. 1",
    area_dm2=4567,
    registered=3,
    is_closed=True,
    closed_on=datetime.date(2026, 10, 31),
    has_consent=True,
)
METER = MeterRow(
    row=0, account=AccountId("7"), service="E", serial="№12", zone=2, factor=Decimal("1.5"), is_removed=True
)
READING = ReadingRow(
    row=0,
    account=AccountId("7"),
    service="E",
    serial="12",
    value=Decimal("123.45"),
    read_on=datetime.date(2026, 11, 20),
    zone=3,
)
PAID = PaidElsewhereRow(
    row=0, account=AccountId("7"), operation="K-1", paid_on=datetime.date(2026, 11, 20), amount_kopecks=12345
)


@pytest.mark.parametrize(
    ("row", "profile"),
    [
        (ACCOUNT, ACCOUNTS_CSV),
        (METER, METERS_CSV),
        (READING, READINGS_CSV),
        (PAID, PAYMENTS_CSV),
        (REGISTER, BANK_12),
        (REGISTER, changed(BANK_12, encoding=Encoding.CP866)),
        (ACCOUNT, changed(ACCOUNTS_CSV, encoding=Encoding.KOI8_R, separator="\t")),
    ],
)
def test_every_kind_of_row_comes_back(path: Path, row: Row, profile: Profile) -> None:
    assert read_back([row], path, profile) == [row]


def test_a_register_written_has_totals_that_agree(path: Path) -> None:
    write([REGISTER] * 3, path, BANK_12, RegisterTotals(order_number="15", order_on=datetime.date(2026, 11, 24)))
    (*_, totals) = items(path, BANK_12)
    assert isinstance(totals, RegisterTotals)
    assert (totals.count, totals.paid_kopecks, totals.order_number) == (3, 450000, "15")
    write([REGISTER] * 2, path, OSMP_TAB)
    assert len(list(items(path, OSMP_TAB))) == 3
