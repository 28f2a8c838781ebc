"""Files as billings and banks would send them, from given rows: the inverse of `intake`, for demonstrations and tests.

A profile read backwards: each column that a row's field is read from is written with the profile's marks and formats.
CSV (trailer included), DBF and XML are written; what a profile computes (`minus`, `constant`) has no cell of its own.
"""

import csv
import datetime
import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from lxml import etree

from engine.charge import Kind
from engine.money import format_roubles
from intake.profile import Column, Encoding, Form, PeriodFormat, Profile
from intake.rows import RegisterTotals, Row

_KINDS = {Kind.CHARGE: "charge", Kind.PENALTY: "penalty", Kind.COURT_COST: "duty"}
_PERIODS = {
    PeriodFormat.ISO: "{year:04d}-{month:02d}",
    PeriodFormat.MONTH_FIRST: "{month:02d}.{year:04d}",
    PeriodFormat.MONTH_FIRST_PLAIN: "{month:02d}{year:04d}",
    PeriodFormat.MONTH_FIRST_SHORT: "{month:02d}{short:02d}",
    PeriodFormat.PLAIN: "{year:04d}{month:02d}",
}
_LANGUAGE_BYTES = {Encoding.CP866: 0x65, Encoding.CP1251: 0xC9}


def write(rows: Iterable[Row], path: Path, profile: Profile, order: RegisterTotals | None = None) -> None:
    """Write rows as a profile's sender would. `order` names the payment order of a register's trailer."""
    if profile.form is Form.CSV:
        _write_csv(rows, path, profile, order or RegisterTotals())
    elif profile.form is Form.DBF:
        _write_dbf(list(rows), path, profile)
    elif profile.form is Form.XML:
        _write_xml(rows, path, profile)
    else:
        raise ValueError(f"no writer for {profile.form.value}")


def cells(row: Row, columns: Sequence[Column], profile: Profile) -> dict[str, str]:
    """A row as the cells of a file, by the names of their columns; of two fields in one column the first is written."""
    found: dict[str, str] = {}
    for column in columns:
        if column.names and not column.minus:
            text = _text(column.field, getattr(row, column.field), column, profile)
            texts = text.split(" ", len(column.names) - 1) if len(column.names) > 1 else [text]
            found = dict(zip(column.names, texts, strict=True)) | found
    return found


def _text(field: str, value: Any, column: Column, profile: Profile) -> str:
    if value is None or value == "":
        return ""
    text = _plain(field, value, column, profile)
    return next((code for code, meaning in column.codes.items() if meaning == text), text)


def _plain(field: str, value: Any, column: Column, profile: Profile) -> str:
    """A value in the profile's marks and formats. The order matters: a kind is a number, a moment is a date."""
    mark = column.decimal_mark or profile.decimal_mark
    if field.endswith("_kopecks"):
        return format_roubles(value).replace(".", mark.value)
    if field == "period":
        return _period(value, column.period_format or profile.period_format) if value else ""
    if isinstance(value, Kind):
        return _KINDS[value]
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime.date):
        return value.strftime((column.date_formats or profile.date_formats)[0])
    if field.endswith("_dm2"):
        return f"{value // 100}{mark.value}{value % 100:02d}"
    return format(value, "f").replace(".", mark.value) if isinstance(value, Decimal) else str(value)


def _period(period: int, form: PeriodFormat) -> str:
    year, month = divmod(period, 100)
    return _PERIODS[form].format(year=year, month=month, short=year % 100)


def _names(profile: Profile) -> list[str]:
    """Names of the columns that are written, in the profile's order; positions in their own."""
    names = list(dict.fromkeys(name for column in profile.columns for name in column.names))
    return names if profile.header else sorted(names, key=int)


def _write_csv(rows: Iterable[Row], path: Path, profile: Profile, order: RegisterTotals) -> None:
    assert profile.encoding is not None
    names = _names(profile)
    with path.open("w", encoding=profile.encoding.value, newline="") as file:
        if profile.quoted:
            writer = csv.writer(file, delimiter=profile.separator)
        else:
            writer = csv.writer(file, delimiter=profile.separator, quoting=csv.QUOTE_NONE, quotechar=None)
        if profile.header:
            writer.writerow(names)
        written = []
        for row in rows:
            row_cells = cells(row, profile.columns, profile)
            writer.writerow([row_cells.get(name, "") for name in names])
            if profile.trailer is not None:
                written.append(row)
        if profile.trailer is not None:
            writer.writerow(_trailer(written, profile, order))


def _trailer(rows: Sequence[Row], profile: Profile, order: RegisterTotals) -> list[str]:
    """The last line: totals of these rows behind the profile's prefix, and the payment order they come with."""
    assert profile.trailer is not None
    texts: dict[int, str] = {}
    for column in profile.trailer.columns:
        if column.field == "count":
            value: Any = len(rows)
        elif column.field.endswith("_kopecks"):
            value = sum(getattr(row, column.field) for row in rows)
        else:
            value = getattr(order, column.field)
        texts[int(column.names[0])] = _text(column.field, value, column, profile)
    made = [texts.get(place, "") for place in range(1, max(texts) + 1)]
    return [profile.trailer.prefix + made[0], *made[1:]]


def _write_dbf(rows: Sequence[Row], path: Path, profile: Profile) -> None:
    names = _names(profile)
    table = [cells(row, profile.columns, profile) for row in rows]
    fields = {name: column.field for column in profile.columns for name in column.names}
    encoding = profile.encoding or Encoding.CP866
    widths = {name: max((len(one.get(name, "").encode(encoding.value)) for one in table), default=1) for name in names}
    specs = [(name, *_dbf_type(fields[name], max(widths[name], 1))) for name in names]
    write_dbf(path, specs, [[one.get(name, "") for name in names] for one in table], encoding)


def _dbf_type(field: str, width: int) -> tuple[str, int, int]:
    if field.endswith("_kopecks"):
        return "N", 14, 2
    if field.endswith("_on"):
        return "D", 8, 0
    return ("N", 16, 5) if field in ("tariff", "volume", "norm") else ("C", width, 0)


def write_dbf(
    path: Path,
    fields: Sequence[tuple[str, str, int, int]],
    records: Iterable[Sequence[str]],
    encoding: Encoding,
    deleted: frozenset[int] = frozenset(),
) -> None:
    """Write a dBase III table: fields are (name, type, width, decimals); `deleted` are numbers of records, from 0."""
    made = [_dbf_record(fields, record, encoding, number in deleted) for number, record in enumerate(records)]
    width = 1 + sum(field[2] for field in fields)
    head = struct.pack(
        "<BBBBIHH17xB2x", 3, 126, 11, 25, len(made), 33 + 32 * len(fields), width, _LANGUAGE_BYTES.get(encoding, 0)
    )
    described = b"".join(
        struct.pack("<11sc4xBB14x", name.encode("ascii"), kind.encode("ascii"), size, decimals)
        for name, kind, size, decimals in fields
    )
    path.write_bytes(head + described + b"\r" + b"".join(made) + b"\x1a")


def _dbf_record(
    fields: Sequence[tuple[str, str, int, int]], record: Sequence[str], encoding: Encoding, is_deleted: bool
) -> bytes:
    made = [b"*" if is_deleted else b" "]
    for (_, kind, size, _), cell in zip(fields, record, strict=True):
        encoded = cell.encode(encoding.value)
        assert len(encoded) <= size, "a cell is wider than its field"
        made.append(encoded.rjust(size) if kind in "NF" else encoded.ljust(size))
    return b"".join(made)


def _write_xml(rows: Iterable[Row], path: Path, profile: Profile) -> None:
    """Write nested elements: attributes `../@x` go to the record's parent, `../../@x` to the root."""
    assert profile.xml is not None
    root_name, parent_name, record_name = profile.xml.record.split("/")
    tables = (cells(row, profile.columns, profile) for row in rows)
    with etree.xmlfile(str(path), encoding=(profile.encoding or Encoding.UTF_8).value) as xml:
        xml.write_declaration()
        first = next(tables, {})
        with xml.element(root_name, _attributes(first, "../../@")):
            for outer, group in _grouped(itertools.chain((first,), tables) if first else iter(())):
                with xml.element(parent_name, outer):
                    for one in group:
                        xml.write(etree.Element(record_name, _attributes(one, "@")))


def _grouped(tables: Iterator[dict[str, str]]) -> Iterator[tuple[dict[str, str], Iterator[dict[str, str]]]]:
    for key, group in itertools.groupby(tables, lambda one: sorted(_attributes(one, "../@").items())):
        yield dict(key), group


def _attributes(table: dict[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): text for name, text in table.items() if name.startswith(prefix) and text}
