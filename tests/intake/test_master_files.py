"""Files of master data: what is written is read back; what is wrong is told at its line; nothing is half taken."""

import datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ids import ProviderId, ServiceCode
from engine.master import KINDS, Record, Tariff
from intake.master_files import Known, LineFault, read_records, review, write_records
from tests.engine.test_master import HOUSE, JANUARY, PROVIDER, SERVICE, SOUND, TARIFF

KIND_OF: dict[type, str] = {record: kind for kind, record in KINDS.items()}
KNOWN = Known(frozenset({"HEAT"}), frozenset({"P01"}), frozenset({"main"}))
HEADER = "service;name;unit;okei;service_group;is_segregated;is_restrictable;parent\n"
HEAT = "HEAT;Отопление;Гкал;233;communal;0;0;\n"


@pytest.mark.parametrize("record", SOUND, ids=lambda record: type(record).__name__)
def test_a_record_of_every_kind_is_read_as_it_was_written(record: Record) -> None:
    kind = KIND_OF[type(record)]
    content = write_records(kind, [record])
    file = read_records(kind, content)
    assert (file.records, file.faults) == ([record], ())
    assert write_records(kind, file.records) == content


texts = st.text("аё;\"'\\«,=+-@ 1\u0301", max_size=20).map(str.strip)
tariffs = st.builds(
    Tariff,
    service=st.just(ServiceCode("HEAT")),
    provider=st.just(ProviderId("P01")),
    territory=st.sampled_from(["", "45382000", "45382000101"]),
    category=st.just(""),
    valid_from=st.dates(datetime.date(1992, 1, 1), JANUARY),
    valid_to=st.none() | st.dates(JANUARY, datetime.date(2099, 12, 31)),
    value=st.decimals(0, 10**9, places=5) | st.decimals(0, 100, places=1),
    unit=texts.filter(bool),
    act=texts.filter(bool),
    is_void=st.booleans(),
)


@given(st.lists(tariffs, max_size=5, unique_by=lambda row: (row.territory, row.valid_from)))
def test_any_tariffs_come_back_the_same_to_the_last_digit(rows: list[Tariff]) -> None:
    content = write_records("tariffs", rows)
    file = read_records("tariffs", content)
    assert file.faults == ()
    assert file.records == rows
    assert write_records("tariffs", file.records) == content


def test_a_number_is_written_with_the_zeros_of_its_act() -> None:
    row = msgspec.structs.replace(TARIFF, value=Decimal("12.70"))
    assert b";12,70;" in write_records("tariffs", [row])


def test_what_spreadsheets_do_to_a_file_does_not_matter() -> None:
    text = "\ufeff" + (HEADER + HEAT).replace("\n", "\r\n") + ";;;;;;;\r\n"
    assert read_records("services", text.encode()).records == [SERVICE]
    columns = "act;is_void;since;rate_percent\nБанк России;0;02.11.2026;14.75\n"
    (rate,) = read_records("key_rates", columns.encode()).records
    assert rate in SOUND


UNSEEN = "name has blanks around it or characters that cannot be seen"
UNREADABLE = [
    ("", [LineFault(1, "the file is empty")]),
    ("\n\n", [LineFault(1, "the file is empty")]),
    (HEAT, [LineFault(1, "the header is " + HEADER.strip())]),
    (HEADER.replace("okei", "OKEI") + HEAT, [LineFault(1, "the header is " + HEADER.strip())]),
    (HEADER + "HEAT;Отопление\n", [LineFault(2, "2 columns instead of 8")]),
    (HEADER + '"HEAT;Отопление\n', [LineFault(2, "this is not CSV: unexpected end of data")]),
    (HEADER + HEAT + "\n" + HEAT, [LineFault(4, "HEAT is on line 2 already")]),
    (
        HEADER + HEAT + HEAT.replace("communal;0", "общая;нет").replace("HEAT", "GAS"),
        [
            LineFault(3, "service_group: one of communal, housing, capital_repair, additional"),
            LineFault(3, "is_segregated: 1 or 0 is expected"),
        ],
    ),
    (HEADER + HEAT.replace("Отопление", ""), [LineFault(2, "name is empty")]),
    (
        HEADER + HEAT.replace("Отоп", "Отоп\x00"),
        [LineFault(2, UNSEEN)],
    ),
    (HEADER + HEAT.replace("Отоп", '"Отоп\n"'), [LineFault(2, "this is not CSV: ';' expected after '\"'")]),
]


@pytest.mark.parametrize(("text", "faults"), UNREADABLE)
def test_every_fault_is_told_at_its_line(text: str, faults: list[LineFault]) -> None:
    assert list(read_records("services", text.encode()).faults) == faults


NUMBERS = ["1e3", "1 000", "1,2,3", "NaN", "-", "٣", "0x1", "1.123456789", "+5", ""]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_out_of_form_is_refused(number: str) -> None:
    content = write_records("tariffs", [TARIFF]).replace(b"2450,18333", number.encode())
    assert [fault.line for fault in read_records("tariffs", content).faults] == [2]


DATES = ["2026-02-30", "31.04.2026", "2026/01/01", "1.1.2026", "20260101", "2026-01-01T00:00", "", "٢٠٢٦-01-01"]


@pytest.mark.parametrize("day", DATES)
def test_a_date_out_of_form_is_refused(day: str) -> None:
    content = write_records("tariffs", [TARIFF]).replace(b"2026-01-01", day.encode())
    assert [fault.line for fault in read_records("tariffs", content).faults] == [2]


def test_another_encoding_is_told_with_its_line() -> None:
    content = (HEADER + HEAT).encode("cp1251")
    assert read_records("services", content).faults == (LineFault(2, "this is not UTF-8: save the file as CSV UTF-8"),)


def test_a_file_of_another_kind_does_not_fill_the_screen() -> None:
    file = read_records("services", (HEADER + "x\n" * 5_000).encode())
    assert len(file.faults) == 1_001
    assert file.faults[-1] == LineFault(0, "reading ended after 1000 faults")


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode), st.sampled_from(list(KINDS)))
def test_no_bytes_break_the_reading(content: bytes, kind: str) -> None:
    file = read_records(kind, content)
    assert file.faults or read_records(kind, write_records(kind, file.records)).records == file.records


def file_of(kind: str, *records: Record) -> bytes:
    return write_records(kind, records)


REFERRING = [
    ("tariffs", msgspec.structs.replace(TARIFF, service=ServiceCode("GAS")), "service 'GAS' is not known here"),
    ("tariffs", msgspec.structs.replace(TARIFF, provider=ProviderId("P9")), "provider 'P9' is not known here"),
    ("services", msgspec.structs.replace(SERVICE, parent=ServiceCode("GAS")), "parent 'GAS' is not known here"),
]


@pytest.mark.parametrize(("kind", "record", "fault"), REFERRING)
def test_a_reference_to_nothing_is_told_at_its_line(kind: str, record: Record, fault: str) -> None:
    assert review(read_records(kind, file_of(kind, record)), [], KNOWN) == [LineFault(2, fault)]


def test_a_file_may_refer_to_its_own_lines() -> None:
    parts = msgspec.structs.replace(SERVICE, service=ServiceCode("HEAT_ODN"), parent=SERVICE.service)
    assert review(read_records("services", file_of("services", parts, SERVICE)), [], Known()) == []


def test_two_providers_with_the_same_requisites_are_refused() -> None:
    twin = msgspec.structs.replace(PROVIDER, provider=ProviderId("P02"))
    file = read_records("providers", file_of("providers", twin))
    assert review(file, [PROVIDER], KNOWN) == [LineFault(2, "P01 and P02 have the same inn/kpp")]
    branch = msgspec.structs.replace(twin, kpp="770702001")
    assert review(read_records("providers", file_of("providers", branch)), [PROVIDER], KNOWN) == []


def test_requisites_may_move_from_one_record_to_another_in_one_file() -> None:
    other = msgspec.structs.replace(HOUSE, house=2)
    bare = msgspec.structs.replace(HOUSE, guid="", cadastral_number="")
    file = read_records("houses", file_of("houses", other, bare))
    assert review(file, [HOUSE], KNOWN) == []


def test_records_without_a_key_do_not_collide_by_it() -> None:
    bare = msgspec.structs.replace(HOUSE, guid="", cadastral_number="")
    file = read_records("houses", file_of("houses", bare, msgspec.structs.replace(bare, house=2)))
    assert review(file, [], KNOWN) == []
