"""XLSX: exact numbers out of binary ones, dates, formulas, and archives that attack."""

import datetime
import io
import zipfile
from decimal import Decimal

import pytest

from intake.faults import Code
from intake.presets import CHARGES_XLSX
from intake.profile import Limits
from intake.rows import ChargeRow, RowFault
from tests.intake.files import changed, code_of, items_of, repacked, workbook

HEADER = ("Лицевой счёт", "Период", "Услуга", "ИНН поставщика", "Начислено", "Тариф", "Срок оплаты")
ROW = ("000123456", "10.2026", "Отопление", "7700000000", 2500.16, 2450.18, datetime.date(2026, 11, 16))
SHEET = "xl/worksheets/sheet1.xml"


def rows_of(content: bytes) -> list[ChargeRow]:
    return [item for item in items_of(content, CHARGES_XLSX) if isinstance(item, ChargeRow)]


def sheet_text(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(SHEET).decode()


def with_value(value: str) -> bytes:
    """The workbook with another number as Excel would have written it."""
    content = workbook([HEADER, ROW])
    return repacked(content, {SHEET: sheet_text(content).replace("<v>2500.16</v>", f"<v>{value}</v>").encode()})


def test_a_row_is_understood_field_by_field() -> None:
    (row,) = rows_of(workbook([HEADER, ROW]))
    assert (row.row, row.account, row.period, row.service) == (2, "000123456", 202610, "Отопление")
    assert (row.accrued_kopecks, row.tariff, row.due_on) == (250016, Decimal("2450.18"), datetime.date(2026, 11, 16))


@pytest.mark.parametrize(
    ("value", "kopecks"),
    [
        ("2450.1799999999998", 245018),
        ("0.30000000000000004", 30),
        ("1E2", 10000),
        ("1.0000000000000001E-2", 1),
        ("-12.5", -1250),
        ("999999999999.98999", 99_999_999_999_999),
        ("0", 0),
    ],
)
def test_a_number_is_what_excel_shows_and_never_a_float(value: str, kopecks: int) -> None:
    (row,) = rows_of(with_value(value))
    assert row.accrued_kopecks == kopecks


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("2500.165", Code.MONEY_TOO_PRECISE),
        ("1E99", Code.NUMBER),
        ("1E15", Code.NUMBER),
        ("4.0817810000000001E+19", Code.NUMBER),
        ("NaN", Code.NUMBER),
        ("9" * 10_000, Code.NUMBER),
        ("٣", Code.NUMBER),
    ],
)
def test_a_number_that_cannot_be_exact_is_a_fault(value: str, code: Code) -> None:
    (fault,) = items_of(with_value(value), CHARGES_XLSX)
    assert isinstance(fault, RowFault)
    assert (fault.row, fault.code) == (2, code)


def test_amounts_typed_as_text_are_read_with_the_profiles_marks() -> None:
    (row,) = rows_of(workbook([HEADER, (*ROW[:4], "1 234 567,89", *ROW[5:])]))
    assert row.accrued_kopecks == 123456789


@pytest.mark.parametrize("text", ["1 23,00", "12 34 567,00", " 1  000,00 x", "1,000.00", "1 000 00"])
def test_separators_of_thousands_stand_between_groups_of_three(text: str) -> None:
    (fault,) = items_of(workbook([HEADER, (*ROW[:4], text, *ROW[5:])]), CHARGES_XLSX)
    assert isinstance(fault, RowFault)


def test_blank_rows_and_cells_are_nothing() -> None:
    content = workbook([HEADER, (), ROW, (None,) * 20, (*ROW[:5], None, None)])
    assert [(row.row, row.tariff is None) for row in rows_of(content)] == [(3, False), (5, True)]


def test_a_formula_in_a_column_that_is_read_is_a_fault() -> None:
    bad = workbook([HEADER, (*ROW[:4], "=1+1", *ROW[5:]), ROW])
    fault, row = items_of(bad, CHARGES_XLSX)
    assert isinstance(fault, RowFault)
    assert (fault.row, fault.code) == (2, Code.FORMULA)
    assert isinstance(row, ChargeRow)


def test_a_formula_in_a_column_that_nobody_reads_is_none_of_our_business() -> None:
    profile = changed(CHARGES_XLSX, ignored=("Проверка",))
    assert isinstance(items_of(workbook([(*HEADER, "Проверка"), (*ROW, "=1+1")]), profile)[0], ChargeRow)


def test_the_named_sheet_is_read() -> None:
    content = workbook([HEADER, ROW], title="Начисления")
    assert items_of(content, changed(CHARGES_XLSX, sheet="Начисления"))
    assert code_of(content, changed(CHARGES_XLSX, sheet="Другой")) is Code.BROKEN_FILE


def test_dates_are_counted_from_the_workbooks_own_day() -> None:
    content = workbook([HEADER, ROW])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        book = archive.read("xl/workbook.xml").decode()
    assert "<workbookPr/>" in book or "<workbookPr" in book
    since_1904 = book.replace("<workbookPr", '<workbookPr date1904="1"', 1)
    (row,) = rows_of(repacked(content, {"xl/workbook.xml": since_1904.encode()}))
    assert row.due_on == datetime.date(2030, 11, 17)


def test_a_missing_column_refuses_the_file() -> None:
    assert code_of(workbook([HEADER[1:], ROW[1:]]), CHARGES_XLSX) is Code.MISSING_COLUMN
    assert code_of(workbook([]), CHARGES_XLSX) is Code.EMPTY_FILE


def with_row(cells: str) -> bytes:
    """A workbook whose sheet has one row of these cells."""
    sheet = f"<worksheet><sheetData><row>{cells}</row></sheetData></worksheet>"
    return repacked(workbook([HEADER]), {SHEET: sheet.encode()})


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>'
DAMAGE = {
    "not a ZIP": (Code.ZIP_BROKEN, b"ACCOUNT;PERIOD"),
    "nothing": (Code.ZIP_BROKEN, b""),
    "cut short": (Code.ZIP_BROKEN, workbook([HEADER, ROW])[:-200]),
    "no workbook": (Code.ZIP_MEMBERS, b"PK\x05\x06" + b"\0" * 18),
    "sheet with a DOCTYPE": (
        Code.XML_FORBIDDEN,
        repacked(workbook([HEADER]), {SHEET: (BOMB + sheet_text(workbook([HEADER]))).encode()}),
    ),
    "sheet that is no XML": (Code.XML_SYNTAX, repacked(workbook([HEADER]), {SHEET: b"ACCOUNT"})),
    "a bomb": (Code.ZIP_BOMB, repacked(workbook([HEADER]), {SHEET: b"<a>" + b" " * (64 << 20) + b"</a>"})),
    "a text that is not there": (Code.BROKEN_FILE, with_row('<c t="s"><v>9999</v></c>')),
    "cells that go back": (Code.BROKEN_FILE, with_row('<c r="B1"><v>1</v></c><c r="A1"><v>1</v></c>')),
    "a cell far to the right": (Code.BROKEN_FILE, with_row('<c r="ZZZ1"/>')),
    "a place that is none": (Code.BROKEN_FILE, with_row('<c r="1A"/>')),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_or_hostile_workbook_is_refused(name: str) -> None:
    code, content = DAMAGE[name]
    assert code_of(content, CHARGES_XLSX) is code


def shared(texts: str, cells: str) -> bytes:
    """A workbook whose header is as usual and whose second row has these cells, with shared texts."""
    inline = "".join(f'<c t="inlineStr"><is><t>{title}</t></is></c>' for title in HEADER[:5])
    sheet = f"<worksheet><sheetData><row>{inline}</row><row>{cells}</row></sheetData></worksheet>"
    strings = f"<sst>{texts}</sst>"
    return repacked(workbook([]), {SHEET: sheet.encode(), "xl/sharedStrings.xml": strings.encode()})


TEXTS = """<si><t>000123456</t></si><si><r><t>10.</t></r><r><t>2026</t></r></si><si><t>Свет</t><rPh><t>x</t></rPh></si>
    <si><t>7700000000</t></si>"""
CELLS = "".join(f'<c t="s"><v>{at}</v></c>' for at in range(4)) + "<c><v>1</v></c>"


def test_shared_texts_are_read_with_their_runs_and_without_readings() -> None:
    (row,) = rows_of(shared(TEXTS, CELLS))
    assert (row.account, row.period, row.service, row.provider) == ("000123456", 202610, "Свет", "7700000000")


def test_too_many_shared_texts_are_refused() -> None:
    assert code_of(shared(TEXTS, CELLS), changed(CHARGES_XLSX, limits=Limits(shared_strings_max=3))) is Code.TOO_LARGE
