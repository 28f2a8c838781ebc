"""Registers of agents: totals that must agree, refunds, empty days, archives."""

import datetime

import pytest

from engine.ids import AccountId, Period
from intake.faults import Code
from intake.presets import BANK_12, OSMP_TAB, ZIP_CSV
from intake.profile import Encoding, Limits
from intake.rows import RegisterRow, RegisterTotals, RowFault
from tests.intake.files import changed, code_of, items_of, refusal, text_items, zipped

FIRST = (
    "15-03-2024;10-33-38;8625/00123;000001HH;104412345678901234567;007001020003;ИВАНОВ И.И.;Г.ЭНСК,УЛ.МИРА,1,2;0224;"
    "1500,00;1477,50;22,50"
)
SECOND = (
    "15-03-2024;18-05-11;8625/00907;СБОЛ;104412345678901234568;007001020011;;Г.ЭНСК,УЛ.МИРА,3,7;0224;500,00;492,50;7,50"
)
TRAILER = "=2;2000,00;1970,00;30,00;654321;18-03-2024"
REGISTER = f"{FIRST}\r\n{SECOND}\r\n{TRAILER}\r\n"


def test_the_banks_twelve_columns_are_understood() -> None:
    first, second, totals = text_items(REGISTER, BANK_12)
    assert first == RegisterRow(
        row=1,
        operation="104412345678901234567",
        account=AccountId("007001020003"),
        operated_at=datetime.datetime.fromisoformat("2024-03-15T10:33:38"),
        paid_kopecks=150000,
        transferred_kopecks=147750,
        fee_kopecks=2250,
        point="8625/00123",
        terminal="000001HH",
        payer="ИВАНОВ И.И.",
        address="Г.ЭНСК,УЛ.МИРА,1,2",
        period=Period(202402),
    )
    assert isinstance(second, RegisterRow)
    assert totals == RegisterTotals(
        count=2,
        paid_kopecks=200000,
        transferred_kopecks=197000,
        fee_kopecks=3000,
        order_number="654321",
        order_on=datetime.date(2024, 3, 18),
        row=3,
    )


@pytest.mark.parametrize("encoding", [Encoding.CP866, Encoding.UTF_8, Encoding.KOI8_R])
def test_a_register_is_read_in_the_encoding_of_its_contract(encoding: Encoding) -> None:
    (first, *_) = text_items(REGISTER, changed(BANK_12, encoding=encoding))
    assert isinstance(first, RegisterRow)
    assert first.payer == "ИВАНОВ И.И."


def test_quotes_in_names_are_letters() -> None:
    (first, *_) = text_items(REGISTER.replace("ИВАНОВ И.И.", 'ООО "РОМАШКА'), BANK_12)
    assert isinstance(first, RegisterRow)
    assert first.payer == 'ООО "РОМАШКА'


@pytest.mark.parametrize(
    ("told", "titles"),
    [
        (TRAILER.replace("=2;", "=3;"), ["число строк"]),
        (TRAILER.replace("2000,00", "2000,01"), ["сумма операций"]),
        (TRAILER.replace("1970,00", "1970,10"), ["сумма переводов"]),
        (TRAILER.replace("30,00", "0,00").replace("2000,00", "1,00"), ["сумма операций", "сумма комиссий"]),
    ],
)
def test_totals_that_do_not_agree_refuse_the_whole_file_at_their_line(told: str, titles: list[str]) -> None:
    refused = refusal(REGISTER.replace(TRAILER, told).encode("cp1251"), BANK_12)
    assert (refused.code, refused.row) == (Code.TRAILER_MISMATCH, 3)
    assert [title for title in titles if title not in refused.text] == []


def test_a_lost_line_is_seen_by_the_totals() -> None:
    refused = refusal(REGISTER.replace(f"{SECOND}\r\n", "").encode("cp1251"), BANK_12)
    assert (refused.code, refused.row) == (Code.TRAILER_MISMATCH, 2)


@pytest.mark.parametrize(
    ("text", "code", "row"),
    [
        (f"{FIRST}\n{SECOND}\n", Code.NO_TRAILER, 0),
        (f"{REGISTER}{FIRST}\n", Code.AFTER_TRAILER, 4),
        (f"{REGISTER}{TRAILER}\n", Code.AFTER_TRAILER, 4),
        (REGISTER.replace(TRAILER, "=2;2000,00"), Code.MISSING_COLUMN, 0),
        (REGISTER.replace(TRAILER, TRAILER.replace("2000,00", "2000.00")), Code.TRAILER_MISMATCH, 3),
    ],
)
def test_a_trailer_stands_once_and_last(text: str, code: Code, row: int) -> None:
    refused = refusal(text.encode("cp1251"), BANK_12)
    assert (refused.code, refused.row) == (code, row)


def test_an_unreadable_line_is_told_and_then_refuses_the_register() -> None:
    content = REGISTER.replace("492,50", "492.50").replace("18-05-11", "25-05-11").encode("cp1251")
    refused = refusal(content, BANK_12)
    assert (refused.code, refused.row, refused.text) == (Code.ROWS_UNREADABLE, 2, "не прочитаны строки: 2")


def test_an_empty_register_with_its_trailer_is_a_register() -> None:
    (totals,) = text_items("=0;0,00;0,00;0,00;;\n", BANK_12)
    assert isinstance(totals, RegisterTotals)
    assert totals.count == 0


HEADER = "TRANS_DATE;TRANSACTION_ID;ACCOUNT;SUM;COMMISSION;QRC_ID;PARENT_ID\n"
PAYMENT = "23.11.2026 10:15:42;A1;000123456;403,23;6,05;QR;\n"
REFUND = "23.11.2026 11:15:42;A2;000123456;150,00;2,25;;A1\n"


def test_a_zipped_register_has_refunds_that_point_to_what_they_undo() -> None:
    payment, refund = items_of(zipped({"r.csv": (HEADER + PAYMENT + REFUND).encode()}), ZIP_CSV)
    assert isinstance(payment, RegisterRow)
    assert isinstance(refund, RegisterRow)
    assert (payment.paid_kopecks, payment.transferred_kopecks, payment.fee_kopecks) == (40323, 39718, 605)
    assert (refund.paid_kopecks, refund.transferred_kopecks, refund.fee_kopecks) == (-15000, -14775, -225)
    assert refund.refund_of == "A1"


@pytest.mark.parametrize("content", [b"", zipped({"r.csv": b""}), zipped({"r.csv": HEADER.encode()})])
def test_an_empty_file_is_a_normal_empty_day(content: bytes) -> None:
    assert items_of(content, ZIP_CSV) == []


BOMB = zipped({"r.csv": HEADER.encode() + b"0" * (64 << 20)})
ENCRYPTED = bytearray(zipped({"r.csv": HEADER.encode()}))
ENCRYPTED[6] |= 1
ENCRYPTED[ENCRYPTED.index(b"PK\x01\x02") + 8] |= 1


@pytest.mark.parametrize(
    ("code", "content"),
    [
        (Code.ZIP_MEMBERS, zipped({"r.csv": b"", "s.csv": b""})),
        (Code.ZIP_MEMBERS, zipped({"r.txt": b""})),
        (Code.ZIP_BOMB, BOMB),
        (Code.ZIP_BOMB, zipped({f"{n}.csv": b"" for n in range(101)})),
        (Code.ZIP_BROKEN, zipped({"r.csv": HEADER.encode()})[:-30]),
        (Code.ZIP_BROKEN, b"PK\x03\x04 and nothing else"),
        (Code.ZIP_BROKEN, bytes(ENCRYPTED)),
    ],
    ids=["two files", "another name", "bomb", "many files", "cut", "not a ZIP", "password"],
)
def test_a_hostile_or_damaged_archive_is_refused(code: Code, content: bytes) -> None:
    assert code_of(content, ZIP_CSV) is code


def test_damage_inside_an_archive_is_found_by_its_checksum() -> None:
    content = zipped({"r.csv": (HEADER + PAYMENT).encode()}, compression=0)
    assert code_of(content.replace(b"403,23", b"903,23"), ZIP_CSV) is Code.ZIP_BROKEN


def test_an_archive_that_unpacks_to_too_much_is_refused() -> None:
    profile = changed(ZIP_CSV, limits=Limits(unpacked_bytes_max=100))
    assert code_of(zipped({"r.csv": (HEADER + PAYMENT * 10).encode()}), profile) is Code.ZIP_BOMB


def test_an_archive_that_lies_about_its_size_stops_where_it_said() -> None:
    content = bytearray(zipped({"r.csv": (HEADER + PAYMENT * 1000).encode()}))
    size_at = content.index(b"PK\x01\x02") + 24
    content[size_at : size_at + 4] = (10).to_bytes(4, "little")
    assert refusal(bytes(content), ZIP_CSV).code in (Code.ZIP_BROKEN, Code.MISSING_COLUMN)


def test_the_reconciliation_register_of_osmp_is_understood() -> None:
    text = (
        "9715351212001\t20240315120133\t007001020003\t1843.17\n9715351212002\t20240315120508\t007001020011\t500.00\n"
        "Total:\t2\t2343.17\n"
    )
    first, _, totals = text_items(text, OSMP_TAB)
    assert isinstance(first, RegisterRow)
    assert (first.operation, first.paid_kopecks, first.transferred_kopecks, first.fee_kopecks) == (
        *("9715351212001", 184317),
        *(184317, 0),
    )
    assert isinstance(totals, RegisterTotals)
    assert (totals.count, totals.paid_kopecks) == (2, 234317)


def test_a_row_too_short_is_a_fault_of_its_row() -> None:
    profile = changed(BANK_12, whole=False, trailer=None)
    fault, row = text_items(f"{FIRST[:40]}\n{SECOND}\n", profile)
    assert isinstance(fault, RowFault)
    assert (fault.row, fault.code) == (1, Code.CELLS)
    assert isinstance(row, RegisterRow)
