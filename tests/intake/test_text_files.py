"""CSV: what is read, what refuses a row, what refuses the file and at which line."""

import datetime
from decimal import Decimal

import pytest

from engine.charge import Kind
from engine.ids import AccountId, Period
from intake.faults import Code
from intake.presets import CHARGES_CSV
from intake.profile import Limits
from intake.rows import ChargeRow, RowFault
from tests.intake.files import (
    CANONICAL_HEADER,
    CANONICAL_ROW,
    changed,
    charge,
    charges,
    code_of,
    items_of,
    refusal,
    text_items,
)

CANONICAL = f"{CANONICAL_HEADER}\n{CANONICAL_ROW}\n"
UNDERSTOOD = ChargeRow(
    row=2,
    account=AccountId("000123456"),
    unified_account="75AA533315",
    period=Period(202610),
    service="HEAT",
    provider="7700000000",
    contract="15/2026",
    kind=Kind.CHARGE,
    tariff=Decimal("2450.18"),
    volume=Decimal("1.0204"),
    unit="Гкал",
    opening_kopecks=0,
    accrued_kopecks=250016,
    stated_due_kopecks=250016,
    document="E-10-000123",
    due_on=datetime.date(2026, 11, 16),
)


def test_the_canonical_example_is_understood_field_by_field() -> None:
    assert text_items(CANONICAL) == [UNDERSTOOD]


@pytest.mark.parametrize(
    "content",
    [
        CANONICAL.encode("utf-8-sig"),
        CANONICAL.replace("\n", "\r\n").encode(),
        f"{CANONICAL_HEADER}\r\n{CANONICAL_ROW}\n".encode(),
        CANONICAL.rstrip("\n").encode(),
        CANONICAL.encode() + b"\x1a",
        f"{CANONICAL_HEADER}\n{CANONICAL_ROW.replace('HEAT', '  HEAT ')}\n".encode(),
        f"{CANONICAL_HEADER}\n{CANONICAL_ROW.replace('HEAT', chr(34) + 'HEAT' + chr(34))}\n".encode(),
    ],
    ids=["BOM", "CRLF", "mixed line ends", "no last line end", "end mark of DOS", "blanks", "quotes"],
)
def test_harmless_differences_of_writing_change_nothing(content: bytes) -> None:
    assert items_of(content, CHARGES_CSV) == [UNDERSTOOD]


def test_columns_stand_in_any_order() -> None:
    (row,) = charges("1,00;HEAT;7700000000;2026-10;7", header="ACCRUED;SERVICE;PROVIDER_INN;PERIOD;ACCOUNT")
    assert isinstance(row, ChargeRow)
    assert (row.account, row.accrued_kopecks) == ("7", 100)


def test_blank_lines_are_left_out_and_lines_keep_their_numbers() -> None:
    rows = charges("1;2026-10;A;7;1,00", "", "2;2026-10;A;7;1,00")
    assert [row.row for row in rows if isinstance(row, ChargeRow)] == [2, 4]


def test_a_cell_over_two_lines_counts_by_its_first() -> None:
    rows = charges('1;2026-10;"A\nB";7;1,00', "2;2026-10;A;7;1,00")
    assert [row.row for row in rows if isinstance(row, ChargeRow)] == [2, 4]


def test_a_bad_row_leaves_its_neighbours_alone() -> None:
    first, bad, last = charges("1;2026-10;A;7;1,00", "2;2026-13;A;7;1,00", "3;2026-10;A;7;1,00")
    assert bad == RowFault(row=3, field="period", code=Code.PERIOD, text="нет такого месяца")
    assert isinstance(first, ChargeRow)
    assert isinstance(last, ChargeRow)


BAD_CELLS = [
    ("accrued_kopecks", Code.MONEY_TOO_PRECISE, "1;2026-10;A;7;1,005"),
    ("accrued_kopecks", Code.MONEY, "1;2026-10;A;7;1.00"),
    ("accrued_kopecks", Code.MONEY, "1;2026-10;A;7;1e3"),
    ("accrued_kopecks", Code.MONEY, "1;2026-10;A;7;NaN"),
    ("accrued_kopecks", Code.MONEY, "1;2026-10;A;7;+5"),
    ("accrued_kopecks", Code.MONEY, "1;2026-10;A;7;--5"),
    ("accrued_kopecks", Code.MONEY, "1;2026-10;A;7;-"),
    ("accrued_kopecks", Code.MONEY, "1;2026-10;A;7;١٢٣"),
    ("accrued_kopecks", Code.MONEY, "1;2026-10;A;7;1 000,00"),
    ("accrued_kopecks", Code.MONEY_TOO_LARGE, "1;2026-10;A;7;99999999999999,99"),
    ("accrued_kopecks", Code.MONEY_TOO_LARGE, f"1;2026-10;A;7;{'9' * 10_000}"),
    ("service", Code.EMPTY, "1;2026-10; ;7;1,00"),
    ("account", Code.EMPTY, ";2026-10;A;7;1,00"),
    ("account", Code.ACCOUNT, "12 34;2026-10;A;7;1,00"),
    ("account", Code.TEXT_TOO_LONG, f"{'1' * 65};2026-10;A;7;1,00"),
    ("account", Code.MIXED_SCRIPT, "A1А;2026-10;A;7;1,00"),
    ("account", Code.ACCOUNT, "1\u200b2;2026-10;A;7;1,00"),
    ("account", Code.ACCOUNT, "\u202e12;2026-10;A;7;1,00"),
    ("account", Code.ACCOUNT, "１２;2026-10;A;7;1,00"),
    ("period", Code.PERIOD, "1;2026-1;A;7;1,00"),
    ("period", Code.PERIOD, "1;10.2026;A;7;1,00"),
    ("period", Code.PERIOD, "1;1999-10;A;7;1,00"),
    ("service", Code.TEXT, "1;2026-10;A\u202eB;7;1,00"),
    ("service", Code.TEXT_TOO_LONG, f"1;2026-10;{'A' * 1025};7;1,00"),
    ("", Code.CELLS, "1;2026-10;A;7"),
    ("", Code.CELLS, "1;2026-10;A;7;1,00;"),
]


@pytest.mark.parametrize(("field", "code", "line"), BAD_CELLS, ids=[f"{c[1]}-{n}" for n, c in enumerate(BAD_CELLS)])
def test_a_bad_cell_is_named_with_its_code(field: str, code: Code, line: str) -> None:
    fault = charge(line)
    assert isinstance(fault, RowFault)
    assert (fault.row, fault.field, fault.code) == (2, field, code)


MORE_CELLS = [
    ("KIND", "penalty", "kind", Kind.PENALTY),
    ("KIND", "duty", "kind", Kind.COURT_COST),
    ("RECALC", "-12,50", "recalculated_kopecks", -1250),
    ("VOLUME", "0,123456789", "volume", Decimal("0.123456789")),
    ("DUE_DATE", "2026-11-16", "due_on", datetime.date(2026, 11, 16)),
    ("OPENING", "", "opening_kopecks", None),
    ("PENALTY", "", "penalty_kopecks", 0),
    ("RECALC", "-0,05", "recalculated_kopecks", -5),
]


@pytest.mark.parametrize(("column", "cell", "field", "value"), MORE_CELLS)
def test_optional_columns_are_read_when_they_are_there(column: str, cell: str, field: str, value: object) -> None:
    assert getattr(charge(**{column: cell}), field) == value


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("KIND", "начисление", Code.CODE_UNKNOWN),
        ("VOLUME", "1.5", Code.NUMBER),
        ("VOLUME", "1" * 10_000, Code.NUMBER),
        ("DUE_DATE", "16.11.2026", Code.DATE),
        ("DUE_DATE", "2026-11-31", Code.DATE),
        ("DUE_DATE", "2026-1-1", Code.DATE),
    ],
)
def test_optional_columns_are_as_strict_as_others(column: str, cell: str, code: Code) -> None:
    fault = charge(**{column: cell})
    assert isinstance(fault, RowFault)
    assert fault.code is code


WHOLE = CANONICAL.encode()
REFUSED = [
    (Code.EMPTY_FILE, 0, b""),
    (Code.EMPTY_FILE, 0, b"\n\n"),
    (Code.MISSING_COLUMN, 0, WHOLE.replace(b";ACCRUED;", b";RECALC_OLD;", 1)),
    (Code.UNKNOWN_COLUMN, 1, WHOLE.replace(b"RECALC", b"RECALK", 1)),
    (Code.DUPLICATE_COLUMN, 1, WHOLE.replace(b"RECALC", b"ACCRUED", 1)),
    (Code.CONTROL_CHARACTER, 2, WHOLE.replace(b"HEAT", b"HE\0T")),
    (Code.CONTROL_CHARACTER, 2, WHOLE.replace(b"HEAT", b"HE\x1bT")),
    (Code.CONTROL_CHARACTER, 2, WHOLE.replace(b"HEAT", b"HE\x1aT")),
    (Code.ENCODING, 2, WHOLE.replace(b"HEAT", "HE\ufeffT".encode())),
    (Code.ENCODING, 2, WHOLE.replace(b"HEAT", b"HE\xffT")),
    (Code.ENCODING, 3, WHOLE + b"\xd0"),
    (Code.LINE_ENDS, 1, WHOLE.replace(b"\n", b"\r")),
    (Code.QUOTES, 2, WHOLE.replace(b";HEAT;", b';"HE"AT;')),
    (Code.QUOTES, 2, WHOLE.replace(b";HEAT;", b';"HEAT;')),
    (Code.LINE_TOO_LONG, 2, WHOLE.replace(b"HEAT", b"H" * 300_000)),
    (Code.LINE_TOO_LONG, 2, WHOLE.replace(b";HEAT;", b';"HEAT;') + (CANONICAL_ROW + "\n").encode() * 2000),
]


@pytest.mark.parametrize(("code", "row", "content"), REFUSED, ids=[f"{c[0]}-{n}" for n, c in enumerate(REFUSED)])
def test_a_fault_of_the_whole_file_is_named_with_its_line(code: Code, row: int, content: bytes) -> None:
    wrong = CHARGES_CSV if code is not Code.MISSING_COLUMN else changed(CHARGES_CSV, ignored=("*",))
    refused = refusal(content, wrong)
    if code is Code.UNKNOWN_COLUMN or row:
        assert refused.row == row
    assert refused.code is code


def test_more_rows_than_the_limit_refuse_the_file() -> None:
    profile = changed(CHARGES_CSV, limits=Limits(rows_max=2))
    assert code_of((CANONICAL + 2 * (CANONICAL_ROW + "\n")).encode(), profile) is Code.TOO_MANY_ROWS


def test_a_file_without_line_ends_stops_at_the_limit_and_not_at_the_end_of_memory() -> None:
    assert code_of(b"A" * (1 << 20), CHARGES_CSV) is Code.LINE_TOO_LONG


def test_a_refusal_tells_no_cell() -> None:
    secret = "Ёлкин"
    fault = charge(f"{secret} {secret};2026-10;A;7;1,00")
    assert isinstance(fault, RowFault)
    assert secret not in fault.text
