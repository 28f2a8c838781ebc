"""A sheet of XLSX as a table, numbers exact, formulas refused.

Theory of operation. An XLSX is a ZIP of XML parts, read here with the same guards as any ZIP and any XML. A cell keeps
its number as text, and Excel writes it with up to 17 digits of the binary number that it computed with
("2450.1799999999998"), though it never shows, and never promised, more than 15. So a number is read as the exact
decimal of its text rounded to 15 significant digits, and never passes through float. A whole number of more than 15
digits (a bank account typed as a number) has lost its end in Excel already, and its row is refused. openpyxl is asked
only which number formats are dates: its own reader makes floats of all numbers, which is why it does not read here.

A formula's value may be as old as the last recalculation; a row with one in a column that we read is refused. Dates
come out as YYYY-MM-DD, numbers with the profile's decimal mark. Rows are numbered as Excel numbers them.
"""

import datetime
import re
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, BinaryIO, NamedTuple

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format

from intake.columns import known_columns
from intake.faults import Code, FieldFault, FileRefused
from intake.profile import ANY_COLUMN, Limits, Profile
from intake.rows import RowFault
from intake.text import Record
from intake.xml_guard import events, local_name
from intake.zipped import archive_of, member_of

_WORKBOOK = "xl/workbook.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"
_STRINGS = "xl/sharedStrings.xml"
_STYLES = "xl/styles.xml"
_RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRINGS_CHARS_MAX = 1 << 26
_COLUMNS_MAX = 1024
_DIGITS = 15
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_PLACE = re.compile(r"([A-Z]{1,3})[0-9]+", re.ASCII)
_DAY_ZERO, _DAY_ZERO_1904 = datetime.date(1899, 12, 30), datetime.date(1904, 1, 1)
_DAYS_MAX = 200_000
_ROUNDED = Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN)


class _Book(NamedTuple):
    """What the cells of a sheet need of their workbook."""

    strings: list[str]
    date_styles: frozenset[int]
    day_zero: datetime.date
    mark: str


class _Cell(NamedTuple):
    text: str
    is_formula: bool


def table(stream: BinaryIO, profile: Profile) -> Iterator[Record | RowFault]:
    """Return the rows of the sheet, the header first; blank ones are left out. Errors: `FileRefused`."""
    archive = archive_of(stream, profile.limits)
    names, limits = set(archive.namelist()), profile.limits

    def part(name: str) -> Iterator[tuple[str, Any]]:
        return events(member_of(archive, name), limits)

    sheet, day_zero = _sheet(part(_WORKBOOK), part(_RELATIONS), profile.sheet)
    book = _Book(
        _strings(part(_STRINGS), limits) if _STRINGS in names else [],
        _date_styles(part(_STYLES)) if _STYLES in names else frozenset(),
        day_zero,
        profile.decimal_mark.value,
    )
    return _records(part(sheet), book, profile)


def _sheet(
    workbook: Iterator[tuple[str, Any]], relations: Iterator[tuple[str, Any]], wanted: str
) -> tuple[str, datetime.date]:
    """The part of the wanted sheet (of the first if none is named), and the day that dates are counted from."""
    sheets: dict[str, str] = {}
    day_zero = _DAY_ZERO
    for event, element in workbook:
        if event == "end" and local_name(element) == "sheet":
            sheets[element.get("name", "")] = element.get(_RELATION_ID, "")
        elif event == "end" and local_name(element) == "workbookPr" and element.get("date1904") in ("1", "true"):
            day_zero = _DAY_ZERO_1904
    targets = {element.get("Id"): element.get("Target", "") for event, element in relations if event == "end"}
    relation = sheets.get(wanted) if wanted else next(iter(sheets.values()), None)
    target = targets.get(relation)
    if not target:
        raise FileRefused(Code.BROKEN_FILE, f"в книге нет листа «{wanted}»" if wanted else "в книге нет листов")
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}", day_zero


def _strings(part: Iterator[tuple[str, Any]], limits: Limits) -> list[str]:
    """The texts that cells share; phonetic readings are left out."""
    found: list[str] = []
    chars = 0
    for event, element in part:
        if event == "end" and local_name(element) == "si":
            text = _text_of(element)
            chars += len(text)
            if len(found) >= limits.shared_strings_max or chars > _STRINGS_CHARS_MAX:
                raise FileRefused(Code.TOO_LARGE, "в книге слишком много разных текстов")
            found.append(text)
            element.clear(keep_tail=False)
            _drop_before(element)
    return found


def _text_of(element: Any) -> str:
    return "".join(
        part.text or "" for part in element.iter() if local_name(part) == "t" and local_name(part.getparent()) != "rPh"
    )


def _drop_before(element: Any) -> None:
    before = element.getprevious()
    if before is not None:
        element.getparent().remove(before)


def _date_styles(part: Iterator[tuple[str, Any]]) -> frozenset[int]:
    """Numbers of the cell styles that show a number as a date."""
    formats: dict[int, str] = dict(BUILTIN_FORMATS)
    used: list[int] = []
    for event, element in part:
        if event == "end" and local_name(element) == "numFmt":
            formats[_whole(element.get("numFmtId"))] = element.get("formatCode", "")
        elif event == "end" and local_name(element) == "cellXfs":
            used = [_whole(style.get("numFmtId", "0")) for style in element]
    return frozenset(at for at, number in enumerate(used) if is_date_format(formats.get(number)))


def _whole(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise FileRefused(Code.BROKEN_FILE, "книга построена неверно")
    return int(text)


def _records(part: Iterator[tuple[str, Any]], book: _Book, profile: Profile) -> Iterator[Record | RowFault]:
    header: list[str] = []
    read, skip, number = known_columns(profile) - set(profile.ignored), profile.skip_lines, 0
    for event, element in part:
        if event != "end" or local_name(element) != "row":
            continue
        number = _whole(element.get("r")) if element.get("r") else number + 1
        try:
            cells = _cells(element, book, number)
        except FieldFault as fault:
            cells = []
            yield RowFault(row=number, field="", code=fault.code, text=fault.text)
        element.clear(keep_tail=False)
        _drop_before(element)
        if number <= skip or not any(cell.text.strip() for cell in cells):
            continue
        texts = [cell.text for cell in cells]
        if not header and profile.header:
            header = texts
        elif any(cell.is_formula and _is_read(at, header, read) for at, cell in enumerate(cells)):
            yield RowFault(row=number, field="", code=Code.FORMULA, text="в ячейке формула, а не значение")
            continue
        yield number, _fitted(texts, len(header)) if header else texts


def _is_read(at: int, header: Sequence[str], read: set[str]) -> bool:
    name = (header[at].strip() if at < len(header) else "") if header else str(at + 1)
    return name in read or ANY_COLUMN in read


def _fitted(texts: list[str], width: int) -> list[str]:
    """Blank cells at the end of a row are not written, and blank ones beyond the header mean nothing."""
    while len(texts) > width and not texts[-1].strip():
        texts.pop()
    return texts + [""] * (width - len(texts))


def _cells(row: Any, book: _Book, number: int) -> list[_Cell]:
    found: list[_Cell] = []
    for element in row:
        if local_name(element) != "c":
            continue
        at = _column(element.get("r"), len(found))
        if at < len(found) or at >= _COLUMNS_MAX:
            raise FileRefused(Code.BROKEN_FILE, "ячейки стоят не по порядку, или столбцов слишком много", number)
        found += [_Cell("", False)] * (at - len(found))
        found.append(_cell(element, book))
    return found


def _column(place: str | None, following: int) -> int:
    """The number of a column from a cell's place, `C7`; cells without one follow each other."""
    if place is None:
        return following
    found = _PLACE.fullmatch(place)
    if found is None:
        raise FileRefused(Code.BROKEN_FILE, "у ячейки неверное место")
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return column - 1


def _cell(element: Any, book: _Book) -> _Cell:
    children = {local_name(child): child for child in element}
    is_formula = "f" in children
    kind = element.get("t", "n")
    if kind == "inlineStr":
        return _Cell(_text_of(children["is"]) if "is" in children else "", is_formula)
    text = (children["v"].text or "") if "v" in children else ""
    return _Cell(_value(text, kind, _whole(element.get("s", "0")), book) if text else "", is_formula)


def _value(text: str, kind: str, style: int, book: _Book) -> str:
    if kind == "s":
        at = _whole(text)
        if at >= len(book.strings):
            raise FileRefused(Code.BROKEN_FILE, "ячейка называет текст, которого в книге нет")
        return book.strings[at]
    if kind != "n":
        return text
    number = _number(text)
    if style in book.date_styles:
        return _date(number, book.day_zero)
    return format(number, "f").replace(".", book.mark)


def _number(text: str) -> Decimal:
    if _NUMBER.fullmatch(text) is None:
        raise FieldFault(Code.NUMBER, "в ячейке не число")
    exact = Decimal(text)
    if exact == exact.to_integral_value() and exact.adjusted() >= _DIGITS:
        raise FieldFault(Code.NUMBER, f"целое число длиннее {_DIGITS} цифр: Excel его уже округлил, нужен текст")
    return _plain(_ROUNDED.plus(exact))


def _plain(number: Decimal) -> Decimal:
    """Without the zeros that rounding leaves at the end: 2450.18, not 2450.18000000000."""
    short = number.normalize(_ROUNDED)
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


def _date(number: Decimal, day_zero: datetime.date) -> str:
    days, part = divmod(number, 1)
    if not 0 < days < _DAYS_MAX:
        raise FieldFault(Code.DATE, "в ячейке не дата")
    day = day_zero + datetime.timedelta(days=int(days))
    if not part:
        return day.isoformat()
    seconds = int((part * 86400).to_integral_value(ROUND_HALF_EVEN))
    return (datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(seconds=seconds)).isoformat(" ")
