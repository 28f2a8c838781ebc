"""Files of master data: CSV with `;`, UTF-8, a header of column names; and what they say that cannot be kept.

A file is taken whole or not at all, so reading goes on after a fault and tells them all, line by line. What is written
is read back as the same records, and written again as the same bytes.
"""

import csv
import datetime
import enum
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from engine.master import KINDS, House, Provider, Record, Service, key_of
from engine.master_checks import faults

FAULTS_MAX = 1_000
"""After so many faults reading ends: the file is of another kind, and nobody reads more."""

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,12}(?:[.,][0-9]{1,8})?")
_DATE = re.compile(
    r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})|(?P<day>[0-9]{2})\.(?P<month>[0-9]{2})\.(?P<year>[0-9]{4})"
)


class LineFault(msgspec.Struct, frozen=True):
    """What is wrong at a line, counted from 1 as an editor shows it; 0: with the file as a whole."""

    line: int
    text: str


class Line(msgspec.Struct, frozen=True):
    """A record and the line that it came from."""

    line: int
    record: Record


class MasterFile(msgspec.Struct, frozen=True):
    """What a file says, and what is wrong with it. With any fault nothing of it may be kept."""

    lines: tuple[Line, ...]
    faults: tuple[LineFault, ...]

    @property
    def records(self) -> list[Record]:
        """The records in the file's order."""
        return [line.record for line in self.lines]


class Known(msgspec.Struct, frozen=True):
    """What a file may refer to, besides itself."""

    services: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    agreements: frozenset[str] = frozenset()


def write_records(kind: str, records: Iterable[Record]) -> bytes:
    """Print records of a kind as a file, in the order given."""
    text = io.StringIO()
    columns = KINDS[kind].__struct_fields__
    writer = csv.writer(text, delimiter=";", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(getattr(record, name)) for name in columns] for record in records)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case Decimal():
            return format(value, "f").replace(".", ",")
        case tuple():
            return ",".join(map(str, value))
    return str(value)


def read_records(kind: str, content: bytes) -> MasterFile:
    """Read a file of a kind: form, requisites, order of dates, the same record twice. References come after."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return MasterFile((), (LineFault(line, "this is not UTF-8: save the file as CSV UTF-8"),))
    lines: list[Line] = []
    wrong: list[LineFault] = []
    for line, found in _rows(KINDS[kind], text):
        if isinstance(found, str):
            wrong.append(LineFault(line, found))
        else:
            wrong += (LineFault(line, fault) for fault in faults(found))
            lines.append(Line(line, found))
        if len(wrong) >= FAULTS_MAX:
            wrong.append(LineFault(0, f"reading ended after {FAULTS_MAX} faults"))
            break
    return MasterFile(tuple(lines), tuple(wrong) or tuple(_repeated(lines)))


def _rows(record: type[Record], text: str) -> Iterator[tuple[int, Record | str]]:
    """Give each line's record, or what is wrong with it; empty lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";", strict=True)
    columns = {field.name: _parser(field.type) for field in msgspec.structs.fields(record)}
    header: list[str] = []
    before = 0
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if header:
                yield from ((line, found) for found in _record(record, columns, header, cells))
                continue
            header = cells
            if sorted(header) != sorted(columns):
                yield line, f"the header is {';'.join(columns)}"
                return
    except csv.Error as error:
        yield before + 1, f"this is not CSV: {error}"
    if not header:
        yield 1, "the file is empty"


def _record(
    record: type[Record], columns: dict[str, Callable[[str], Any]], header: Sequence[str], cells: Sequence[str]
) -> Iterator[Record | str]:
    """Give one line's record, or each thing that is wrong with its cells."""
    if len(cells) != len(header):
        yield f"{len(cells)} columns instead of {len(header)}"
        return
    values, wrong = {}, []
    for name, cell in zip(header, cells, strict=True):
        try:
            values[name] = columns[name](cell)
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        yield from wrong
    else:
        yield record(**values)


def _parser(of: Any) -> Callable[[str], Any]:
    """Choose how a cell of a field's type is read. Errors, of what it returns: ValueError with what was expected."""
    of = getattr(of, "__supertype__", of)
    if get_origin(of) in (Union, UnionType):
        inner = _parser(next(part for part in get_args(of) if part is not type(None)))
        return lambda cell: inner(cell) if cell else None
    if get_origin(of) is tuple:
        member = _parser(get_args(of)[0])
        return lambda cell: tuple(member(part.strip()) for part in cell.split(",")) if cell else ()
    if issubclass(of, enum.Enum):
        return lambda cell: _choice(of, cell)
    return _PARSERS[of]


def _choice(of: type[enum.Enum], cell: str) -> enum.Enum:
    try:
        return of(cell)
    except ValueError:
        raise ValueError("one of " + ", ".join(str(member.value) for member in of)) from None


def _whole(cell: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise ValueError("a whole number is expected")
    return int(cell)


def _decimal(cell: str) -> Decimal:
    if not _DECIMAL.fullmatch(cell):
        raise ValueError("a number with at most 8 decimals is expected")
    return Decimal(cell.replace(",", "."))


def _date(cell: str) -> datetime.date:
    """Read `2026-11-25` or `25.11.2026`."""
    found = _DATE.fullmatch(cell)
    if found is None:
        raise ValueError("a date is written YYYY-MM-DD or DD.MM.YYYY")
    try:
        return datetime.date(*(int(found[a] or found[b]) for a, b in (("y", "year"), ("m", "month"), ("d", "day"))))
    except ValueError:
        raise ValueError("there is no such day") from None


def _flag(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise ValueError("1 or 0 is expected")
    return cell == "1"


_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _whole,
    bool: _flag,
    Decimal: _decimal,
    datetime.date: _date,
}


def _repeated(lines: Sequence[Line]) -> Iterator[LineFault]:
    first: dict[str, int] = {}
    for line in lines:
        key = key_of(line.record)
        if first.setdefault(key, line.line) != line.line:
            yield LineFault(line.line, f"{key} is on line {first[key]} already")


_ONE_OF_EACH: dict[type[Record], tuple[tuple[str, ...], ...]] = {
    Provider: (("inn", "kpp"),),
    House: (("guid",), ("cadastral_number",)),
}
"""Fields that, where they are filled, belong to one record only."""


def review(file: MasterFile, present: Sequence[Record], known: Known) -> list[LineFault]:
    """Tell what of a file cannot be kept beside what is there: references to nothing, keys that another record has."""
    own = {record: {key_of(line.record) for line in file.lines if type(line.record) is record} for record in _OWNERS}
    there = Known(known.services | own[Service], known.providers | own[Provider], known.agreements)
    wrong = [LineFault(line.line, text) for line in file.lines for text in _missing(line.record, there)]
    return sorted([*wrong, *_taken(file, present)], key=lambda fault: fault.line)


_OWNERS: dict[type[Record], str] = {Service: "service", Provider: "provider"}
"""Whose key a field is, and so no reference there."""


def _missing(record: Record, there: Known) -> Iterator[str]:
    for name, known in (
        ("service", there.services),
        ("parent", there.services),
        ("provider", there.providers),
        ("agreement", there.agreements),
    ):
        value = getattr(record, name, "")
        if value and value not in known and _OWNERS.get(type(record)) != name:
            yield f"{name} {value!r} is not known here"


def _taken(file: MasterFile, present: Sequence[Record]) -> Iterator[LineFault]:
    if not file.lines:
        return
    after = {key_of(record): Line(0, record) for record in present}
    after |= {key_of(line.record): line for line in file.lines}
    for fields in _ONE_OF_EACH.get(type(file.lines[0].record), ()):
        owners: dict[tuple[str, ...], Line] = {}
        for line in after.values():
            values = tuple(getattr(line.record, name) for name in fields)
            owner = owners.setdefault(values, line) if values[0] else line
            if owner is not line:
                both = f"{key_of(owner.record)} and {key_of(line.record)}"
                yield LineFault(max(line.line, owner.line), f"{both} have the same {'/'.join(fields)}")
