"""DBF: both layouts, both encodings, deleted records, and headers that lie."""

import datetime
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from cli.demo_files import write_dbf
from engine.ids import AccountId, Period
from intake.faults import Code
from intake.presets import CHARGES_DBF, CHARGES_DBF_WIDE
from intake.profile import Encoding
from intake.rows import ChargeRow, RowFault, Skipped
from tests.intake.files import changed, code_of, items_of, refusal

LONG_FIELDS = [
    ("LS", "C", 20, 0),
    ("FIO", "C", 60, 0),
    ("PERIOD", "C", 6, 0),
    ("USL", "C", 8, 0),
    ("POST_INN", "C", 12, 0),
    ("TARIF", "N", 12, 4),
    ("VOL", "N", 14, 5),
    ("SALDO_N", "N", 14, 2),
    ("NACH", "N", 14, 2),
    ("OPLATA", "N", 14, 2),
    ("SALDO_K", "N", 14, 2),
    ("EDIZM", "C", 10, 0),
    ("DT_OPL", "D", 8, 0),
]
LONG_RECORD = (
    *("000123456", "Ёлкин Пётр Иванович", "202610", "HEAT", "7700000000", "2450.1800", "1.02040"),
    *("0.00", "2500.16", "", "2500.16", "Гкал", "20261116"),
)
OTHERS = ("Сосновский Семён Львович", "Дубравина Ольга Юрьевна", "Берёзкин Матвей Фёдорович")


def long_table(tmp_path: Path, encoding: Encoding = Encoding.CP866, deleted: frozenset[int] = frozenset()) -> bytes:
    records = [LONG_RECORD, *((*LONG_RECORD[:1], name, *LONG_RECORD[2:]) for name in OTHERS)]
    path = tmp_path / "charges.dbf"
    write_dbf(path, LONG_FIELDS, records, encoding, deleted)
    return path.read_bytes()


def test_a_record_is_understood_field_by_field(tmp_path: Path) -> None:
    assert items_of(long_table(tmp_path), CHARGES_DBF)[0] == ChargeRow(
        row=1,
        account=AccountId("000123456"),
        period=Period(202610),
        service="HEAT",
        provider="7700000000",
        tariff=Decimal("2450.1800"),
        volume=Decimal("1.02040"),
        unit="Гкал",
        opening_kopecks=0,
        accrued_kopecks=250016,
        closing_kopecks=250016,
        due_on=datetime.date(2026, 11, 16),
    )


@pytest.mark.parametrize("language", [0x26, 0x65, 0xC9, 0x57])
def test_the_language_byte_tells_the_encoding(tmp_path: Path, language: int) -> None:
    encoding = Encoding.CP866 if language in (0x26, 0x65) else Encoding.CP1251
    content = bytearray(long_table(tmp_path, encoding))
    content[29] = language
    row = items_of(bytes(content), CHARGES_DBF)[0]
    assert isinstance(row, ChargeRow)
    assert row.unit == "Гкал"


def test_the_profile_overrides_the_language_byte(tmp_path: Path) -> None:
    content = bytearray(long_table(tmp_path, Encoding.CP1251))
    content[29] = 0x65
    assert code_of(bytes(content), CHARGES_DBF) is Code.ENCODING
    row = items_of(bytes(content), changed(CHARGES_DBF, encoding=Encoding.CP1251))[0]
    assert isinstance(row, ChargeRow)
    assert row.unit == "Гкал"


def test_a_language_byte_that_says_nothing_needs_a_profile_that_does(tmp_path: Path) -> None:
    content = bytearray(long_table(tmp_path))
    content[29] = 0
    assert code_of(bytes(content), CHARGES_DBF) is Code.ENCODING
    assert items_of(bytes(content), changed(CHARGES_DBF, encoding=Encoding.CP866))


def test_utf_8_in_a_table_is_cut_by_bytes(tmp_path: Path) -> None:
    row = items_of(long_table(tmp_path, Encoding.UTF_8), changed(CHARGES_DBF, encoding=Encoding.UTF_8))[0]
    assert isinstance(row, ChargeRow)
    assert (row.unit, row.accrued_kopecks) == ("Гкал", 250016)


def test_deleted_records_are_left_out_and_counted(tmp_path: Path) -> None:
    found = items_of(long_table(tmp_path, deleted=frozenset({0, 2})), CHARGES_DBF)
    assert [item.row for item in found if isinstance(item, ChargeRow)] == [2, 4]
    assert found[-1] == Skipped(count=2)


def test_nuls_that_pad_text_are_blanks(tmp_path: Path) -> None:
    content = long_table(tmp_path).replace(b"HEAT    ", b"HEAT\0\0\0\0")
    row = items_of(content, CHARGES_DBF)[0]
    assert isinstance(row, ChargeRow)
    assert row.service == "HEAT"


def test_a_number_that_did_not_fit_is_a_fault_of_its_row(tmp_path: Path) -> None:
    content = long_table(tmp_path).replace(b"       2500.16", b"*" * 14)
    assert {item.code for item in items_of(content, CHARGES_DBF) if isinstance(item, RowFault)} == {Code.MONEY}


def test_a_wide_record_is_a_row_for_each_service_that_it_has(tmp_path: Path) -> None:
    fields = [("LS", "C", 20, 0), ("PERIOD", "C", 6, 0)]
    for number in range(1, 11):
        fields += [(f"USL{number}", "C", 8, 0), (f"POSTUSL{number}", "C", 12, 0)]
        fields += [(f"TARIF{number}", "N", 12, 4), (f"FAKT{number}", "N", 14, 5), (f"SUM{number}", "N", 14, 2)]
    blank = ("", "", "", "", "")
    heat, water = ("HEAT", "7700000000", "2450.18", "1", "2450.18"), ("WATER", "7700000001", "", "", "-12.00")
    path = tmp_path / "wide.dbf"
    write_dbf(path, fields, [("1", "202610", *heat, *blank, *water, *blank * 7)], Encoding.CP866)
    rows = items_of(path.read_bytes(), CHARGES_DBF_WIDE)
    told = [(row.row, row.service, row.accrued_kopecks) for row in rows if isinstance(row, ChargeRow)]
    assert told == [(1, "HEAT", 245018), (1, "WATER", -1200)]


def _count(content: bytes, count: int) -> bytes:
    return content[:4] + struct.pack("<I", count) + content[8:]


@pytest.mark.parametrize("cut", [1, 100, 200])
def test_a_table_cut_short_is_refused_with_its_first_missing_record(tmp_path: Path, cut: int) -> None:
    refused = refusal(long_table(tmp_path)[: -cut - 1], CHARGES_DBF)
    assert (refused.code, refused.row) == (Code.TRUNCATED, 4)


def test_a_header_that_lies_about_the_count_is_refused(tmp_path: Path) -> None:
    content = long_table(tmp_path)
    assert code_of(_count(content, 5), CHARGES_DBF) is Code.TRUNCATED
    assert code_of(_count(content, 2**32 - 1), CHARGES_DBF) is Code.TRUNCATED
    assert code_of(_count(content, 3), CHARGES_DBF) is Code.BROKEN_FILE


BROKEN: list[Callable[[bytes], bytes]] = [
    lambda content: b"",
    lambda content: content[:20],
    lambda content: content[:100],
    lambda content: b"PK\x03\x04" + content[4:],
    lambda content: content[:8] + struct.pack("<H", 33) + content[10:],
    lambda content: content[:8] + struct.pack("<H", 0) + content[10:],
    lambda content: content[:10] + struct.pack("<H", 7) + content[12:],
    lambda content: content[:10] + struct.pack("<H", 0) + content[12:],
    lambda content: content.replace(b" 000123456", b"?000123456", 1),
    lambda content: content.replace(b"NACH\0\0\0\0\0\0\0N", b"NACH\0\0\0\0\0\0\0B"),
]


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_what_is_no_table_is_refused(tmp_path: Path, number: int) -> None:
    assert code_of(BROKEN[number](long_table(tmp_path)), CHARGES_DBF) in (Code.BROKEN_FILE, Code.TRUNCATED)


def test_an_unknown_column_is_refused_unless_the_profile_leaves_it(tmp_path: Path) -> None:
    content = long_table(tmp_path).replace(b"FIO\0", b"FIX\0")
    assert code_of(content, CHARGES_DBF) is Code.UNKNOWN_COLUMN
    assert items_of(content, changed(CHARGES_DBF, ignored=("FIX",)))
