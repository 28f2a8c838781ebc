"""Profiles are data: they travel as JSON, and one that could read nothing is refused before any file comes."""

import datetime
from pathlib import Path

import msgspec
import pytest

from intake import profile as profiles
from intake.columns import verify
from intake.faults import Code, Severity
from intake.guess import settled, suggestions
from intake.presets import BANK_12, CHARGES_CSV, CHARGES_DBF, CHARGES_XLSX, CHARGES_XML, CLIENT_BANK, PRESETS
from intake.profile import Column, DecimalMark, Encoding, FileKind, Form, PeriodFormat, Profile, Rounding, ZipShape
from intake.rows import ChargeRow, RowFault
from tests.intake.files import CANONICAL_HEADER, CANONICAL_ROW, NAMES, changed, items_of, text_items


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_from_json_and_makes_whole_rows(name: str) -> None:
    preset = PRESETS[name]
    verify(preset)
    assert profiles.decode(profiles.encode(preset)) == preset


def test_every_kind_and_every_form_has_a_preset() -> None:
    assert {preset.kind for preset in PRESETS.values()} == set(FileKind)
    assert {preset.form for preset in PRESETS.values()} == set(Form)


def test_an_unknown_word_in_a_profile_is_refused() -> None:
    text = profiles.encode(CHARGES_CSV).replace(b'"form"', b'"forms"')
    with pytest.raises(msgspec.ValidationError):
        profiles.decode(text)


CONTRADICTIONS = [
    (CLIENT_BANK, {"form": Form.CSV}),
    (CHARGES_CSV, {"form": Form.CLIENT_BANK}),
    (CHARGES_CSV, {"encoding": None}),
    (CHARGES_CSV, {"separator": ";;"}),
    (CHARGES_CSV, {"xml": CHARGES_XML.xml}),
    (CHARGES_XML, {"xml": None}),
    (CHARGES_XLSX, {"zip": ZipShape()}),
    (CHARGES_DBF, {"trailer": BANK_12.trailer}),
]


@pytest.mark.parametrize(("profile", "change"), CONTRADICTIONS, ids=[str(n) for n in range(len(CONTRADICTIONS))])
def test_a_profile_that_contradicts_itself_cannot_be(profile: Profile, change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="profile:"):
        changed(profile, **change)


WRONG_COLUMNS = [
    CHARGES_CSV.columns[1:],
    (*CHARGES_CSV.columns, CHARGES_CSV.columns[0]),
    (*CHARGES_CSV.columns, Column(field="colour", names=("COLOUR",))),
    (*CHARGES_CSV.columns, Column(field="row", names=("ROW",))),
    (*(one for one in CHARGES_CSV.columns if one.field != "kind"), Column(field="kind", constant="начисление")),
]


@pytest.mark.parametrize("columns", WRONG_COLUMNS, ids=[str(n) for n in range(len(WRONG_COLUMNS))])
def test_columns_that_do_not_make_a_row_are_the_profiles_mistake(columns: tuple[Column, ...]) -> None:
    with pytest.raises(ValueError, match="profile:"):
        verify(changed(CHARGES_CSV, columns=columns))


def own_profile(**values: object) -> Profile:
    """A billing's own CSV: other names, marks and words."""
    columns = (
        Column(field="account", names=("ЛС",)),
        Column(field="period", names=("МЕС",)),
        Column(field="service", names=("УСЛ",)),
        Column(field="provider", constant="7700000000"),
        Column(field="accrued_kopecks", names=("НАЧ",)),
        Column(field="kind", names=("ВИД",), codes={"Н": "charge", "П": "penalty"}),
        Column(field="due_on", names=("СРОК",), optional=True),
    )
    made = Profile(name="own", kind=FileKind.CHARGES, form=Form.CSV, columns=columns, separator=",")
    return changed(made, decimal_mark=DecimalMark.POINT, **values)


def own_row(cells: str, **values: object) -> ChargeRow | RowFault:
    (item,) = text_items(f"ЛС,МЕС,УСЛ,НАЧ,ВИД,СРОК\n{cells}\n", own_profile(**values))
    assert isinstance(item, ChargeRow | RowFault)
    return item


def test_constants_codes_and_marks_are_the_profiles() -> None:
    row = own_row("7,2026-10,Отопление,1234.5,П,")
    assert isinstance(row, ChargeRow)
    assert (row.provider, row.accrued_kopecks, row.kind.name, row.due_on) == ("7700000000", 123450, "PENALTY", None)


def test_a_code_that_the_profile_does_not_translate_is_a_fault() -> None:
    fault = own_row("7,2026-10,Отопление,1,X,")
    assert isinstance(fault, RowFault)
    assert (fault.field, fault.code) == ("kind", Code.CODE_UNKNOWN)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (PeriodFormat.ISO, "2026-10"),
        (PeriodFormat.MONTH_FIRST, "10.2026"),
        (PeriodFormat.MONTH_FIRST_PLAIN, "102026"),
        (PeriodFormat.MONTH_FIRST_SHORT, "1026"),
        (PeriodFormat.PLAIN, "202610"),
        (PeriodFormat.FIRST_DAY, "01.10.2026"),
    ],
)
def test_a_month_is_written_in_one_of_six_ways_and_only_the_named_one_is_read(form: PeriodFormat, text: str) -> None:
    dates = {"date_formats": ("%d.%m.%Y",)}
    row = own_row(f"7,{text},A,1,Н,", period_format=form, **dates)
    assert isinstance(row, ChargeRow)
    assert row.period == 202610
    for other in PeriodFormat:
        if other is not form:
            assert isinstance(own_row(f"7,{text},A,1,Н,", period_format=other, **dates), RowFault)


def test_a_first_day_is_the_first() -> None:
    fault = own_row("7,02.10.2026,A,1,Н,", period_format=PeriodFormat.FIRST_DAY, date_formats=("%d.%m.%Y",))
    assert isinstance(fault, RowFault)
    assert fault.code is Code.PERIOD


@pytest.mark.parametrize(
    ("form", "text"),
    [("%d.%m.%Y", "16.11.2026"), ("%d-%m-%Y", "16-11-2026"), ("%Y-%m-%d", "2026-11-16"), ("%Y%m%d", "20261116")],
)
def test_dates_are_read_as_the_profile_writes_them(form: str, text: str) -> None:
    row = own_row(f"7,2026-10,A,1,Н,{text}", date_formats=(form,))
    assert isinstance(row, ChargeRow)
    assert row.due_on == datetime.date(2026, 11, 16)


ROUNDED = [
    ("1.005", 101),
    ("1.004", 100),
    ("1.0049999", 100),
    ("-1.005", -101),
    ("0.999", 100),
    ("2450.1799999999998", 245018),
    ("1.00", 100),
]


@pytest.mark.parametrize(("text", "kopecks"), ROUNDED)
def test_a_third_decimal_is_rounded_half_up_only_when_the_profile_says_so(text: str, kopecks: int) -> None:
    row = own_row(f"7,2026-10,A,{text},Н,", rounding=Rounding.HALF_UP)
    assert isinstance(row, ChargeRow)
    assert row.accrued_kopecks == kopecks
    if len(text.rpartition(".")[2]) > 2:
        fault = own_row(f"7,2026-10,A,{text},Н,")
        assert isinstance(fault, RowFault)
        assert fault.code is Code.MONEY_TOO_PRECISE


@pytest.mark.parametrize("text", ["1 234.50", "1\u00a0234.50", "1'234.50", "1234.50", "12 345 678.90"])
def test_thousands_are_separated_only_by_what_the_profile_names(text: str) -> None:
    assert isinstance(own_row(f"7,2026-10,A,{text},Н,", thousands=" \u00a0'"), ChargeRow)
    assert isinstance(own_row(f"7,2026-10,A,{text},Н,"), RowFault) == (text != "1234.50")


def test_a_profile_may_skip_lines_and_comments() -> None:
    text = f"Отчёт за октябрь\nвторая строка\n{CANONICAL_HEADER}\n#;\n{CANONICAL_ROW}\n"
    (row,) = text_items(text, changed(CHARGES_CSV, skip_lines=2, comment="#"))
    assert isinstance(row, ChargeRow)
    assert row.row == 5


def test_severities_are_a_part_of_the_profile() -> None:
    profile = changed(CHARGES_CSV, severities={Code.ARITHMETIC: Severity.FILE})
    assert profiles.decode(profiles.encode(profile)).severities == {Code.ARITHMETIC: Severity.FILE}


def test_auto_is_settled_for_a_dry_run_and_never_read_itself(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes("\n".join(NAMES).encode("koi8-r"))
    auto = changed(CHARGES_CSV, encoding=Encoding.AUTO)
    assert settled(auto, path).encoding is Encoding.KOI8_R
    with pytest.raises(ValueError, match="auto"):
        items_of(b"ACCOUNT\n", auto)


def test_the_preset_that_reads_a_file_is_suggested_first(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(f"{CANONICAL_HEADER}\n{CANONICAL_ROW}\n".encode("cp1251"))
    first = suggestions(path)[0]
    assert (first.profile, first.encoding, first.rows, first.problem) == ("charges-csv", Encoding.CP1251, 1, "")
    assert all(one.problem for one in suggestions(path)[1:])
