"""Columns into rows: a profile and a header become a plan, and the plan makes a row of each record.

Theory of operation. Billions of cells pass here, so everything that can be decided once is: which cells, in which
order, read by what. A record costs one `map` of C functions over its cells and one msgspec conversion. Most columns of
a billing repeat a few values (periods, services, dates, 0,00), so a reader that is not free remembers the first few
thousand texts it has read (`_Memory`): a dictionary whose misses read. Only when that fails is the record gone through
again, cell by cell, to say which one and why.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

import msgspec

from intake.faults import Code, FieldFault, FileRefused
from intake.fields import Read, reader_of
from intake.profile import ANY_COLUMN, Column, Profile
from intake.rows import (
    AccountRow,
    ChargeRow,
    MeterRow,
    PaidElsewhereRow,
    ReadingRow,
    RegisterRow,
    RegisterTotals,
    Row,
    RowFault,
)

ROW_TYPES: dict[str, type[Row]] = {
    "accounts": AccountRow,
    "charges": ChargeRow,
    "meters": MeterRow,
    "readings": ReadingRow,
    "payments": PaidElsewhereRow,
    "register": RegisterRow,
}
"""The row of each kind of file that is a table."""

_REMEMBERED_MAX = 8192
_BLANK = " "
_UNIT_SEPARATOR = "\x1f"
_UNIQUE = frozenset({"account", "operation", "document", "payer", "holder", "address", "serial", "unified_account"})
"""Fields of which hardly two rows have the same text; remembering them would only cost."""

R = TypeVar("R", bound=msgspec.Struct)


class _Memory(dict[str, Any]):
    """Values by the cell as it stands in the file; a bounded number of them."""

    def __init__(self, read: Read, blank: Read) -> None:
        super().__init__()
        self._read = read
        self._blank = blank

    def __missing__(self, cell: str) -> Any:
        text = cell.strip()
        value = self._read(text) if text else self._blank(text)
        if len(self) < _REMEMBERED_MAX:
            self[cell] = value
        return value


class _Input(NamedTuple):
    """One field that the file says: its column's cells, and what reads them."""

    field: str
    cells: tuple[int, ...]
    read: Read
    joiner: str = _BLANK


class Plan(Generic[R]):
    """Makes rows of records whose cells stand in a fixed order."""

    def __init__(self, row_type: type[R], inputs: Sequence[_Input], width: int) -> None:
        self._row_type = row_type
        self._inputs = inputs
        self.width = width
        self._joined = [(one.joiner, one.cells) for one in inputs if len(one.cells) > 1]
        self._reads = [one.read for one in inputs]
        self._pick, self._arrange = self._pickers()

    def _pickers(self) -> tuple[Callable[[Sequence[str]], Any], Callable[[Sequence[Any]], Any]]:
        """Which cells to read, and how to arrange (row number, defaults, values read) in the order of the struct."""
        at, joined = [], self.width
        for one in self._inputs:
            at.append(one.cells[0] if len(one.cells) == 1 else joined)
            joined += len(one.cells) > 1
        fields = msgspec.structs.fields(self._row_type)
        told = {one.field for one in self._inputs}
        silent = [field for field in fields if field.name not in told and field.name != "row"]
        self._defaults = tuple(field.default for field in silent)
        order = ["row", *(field.name for field in silent), *(one.field for one in self._inputs)]
        return _getter(at), _getter([order.index(field.name) for field in fields])

    def make(self, number: int, cells: Sequence[str]) -> R | RowFault:
        """Make the row of a record, or say what is wrong with its first wrong cell."""
        if len(cells) != self.width:
            return _wrong_width(number, len(cells), self.width)
        if self._joined:
            cells = [*cells, *(joiner.join(cells[at] for at in group) for joiner, group in self._joined)]
        try:
            values = map(operator.call, self._reads, self._pick(cells))
            return msgspec.convert(self._arrange((number, *self._defaults, *values)), self._row_type)
        except FieldFault:
            return self._explain(number, self._pick(cells))

    def _explain(self, number: int, cells: Sequence[str]) -> RowFault:
        for one, cell in zip(self._inputs, cells, strict=True):
            try:
                one.read(cell)
            except FieldFault as fault:
                return RowFault(row=number, field=one.field, code=fault.code, text=fault.text)
        raise AssertionError("a row that failed reads well the second time")


def _getter(places: Sequence[int]) -> Callable[[Sequence[Any]], Any]:
    """`itemgetter` that gives a sequence for a single place too."""
    if len(places) == 1:
        place = places[0]
        return lambda cells: (cells[place],)
    return operator.itemgetter(*places)


def _wrong_width(number: int, width: int, wanted: int) -> RowFault:
    return RowFault(row=number, field="", code=Code.CELLS, text=f"ячеек {width}, а столбцов {wanted}")


def plan_of(profile: Profile, row_type: type[R], columns: Sequence[Column], header: Sequence[str]) -> Plan[R]:
    """Plan how the records under a header become rows.

    Errors: `FileRefused` when a column that is needed is missing; ValueError when the profile itself is wrong.
    """
    fields = {field.name: field for field in msgspec.structs.fields(row_type)}
    at = {name: place for place, name in enumerate(header)}
    _check_columns(columns, fields)
    inputs = [found for column in columns if (found := _input(profile, column, fields[column.field], at)) is not None]
    return Plan(row_type, inputs, len(header))


def _check_columns(columns: Sequence[Column], fields: dict[str, msgspec.structs.FieldInfo]) -> None:
    told = [column.field for column in columns]
    wrong = [name for name in told if name not in fields or name == "row"]
    wrong += sorted({name for name in told if told.count(name) > 1})
    wrong += [name for name, field in fields.items() if field.required and name not in {*told, "row"}]
    if wrong:
        raise ValueError(f"profile: columns do not say, or say twice, or cannot say: {', '.join(wrong)}")


def _input(profile: Profile, column: Column, field: msgspec.structs.FieldInfo, at: dict[str, int]) -> _Input | None:
    """What a column gives, or None when an optional column is not there."""
    names = (*column.names, *((column.minus,) if column.minus else ()))
    missing = [name for name in names if name not in at]
    if missing and column.optional:
        return None
    if missing:
        raise FileRefused(Code.MISSING_COLUMN, f"нет столбца {', '.join(missing)}")
    read = reader_of(field, column, profile)
    if column.constant is not None:
        value = read(column.constant)
        return _Input(column.field, (0,), lambda _: value)
    if column.minus:
        return _Input(column.field, tuple(at[name] for name in names), _difference(read), _UNIT_SEPARATOR)
    return _Input(column.field, tuple(at[name] for name in names), _cell_reader(read, column, field))


def _cell_reader(read: Read, column: Column, field: msgspec.structs.FieldInfo) -> Read:
    """Read a cell as it stands: blanks around it, empty, or in the sender's own words."""
    blank = _blank(field)
    if column.codes:
        read = _translating(read, column.codes)
        blank = read if "" in column.codes else blank
    if field.name not in _UNIQUE:
        return _Memory(read, blank).__getitem__

    def read_cell(cell: str) -> Any:
        text = cell.strip()
        return read(text) if text else blank(text)

    return read_cell


def _blank(field: msgspec.structs.FieldInfo) -> Read:
    """What an empty cell means: the field's default, or a fault."""

    def refuse(_: str) -> NoReturn:
        raise FieldFault(Code.EMPTY, "пусто, а значение обязательно")

    default = field.default
    return refuse if field.required else lambda _: default


def _translating(read: Read, codes: dict[str, str]) -> Read:
    """Translate the sender's words before they are read."""

    def read_code(text: str) -> Any:
        meant = codes.get(text)
        if meant is None:
            raise FieldFault(Code.CODE_UNKNOWN, "код, которого нет в профиле")
        return read(meant)

    return read_code


def _difference(read: Read) -> Read:
    """One amount less another; `make` has joined them with a sign that no file may contain."""

    def read_two(cell: str) -> int:
        first, _, second = cell.partition(_UNIT_SEPARATOR)
        if not first.strip() or not second.strip():
            raise FieldFault(Code.EMPTY, "пусто, а значение обязательно")
        return int(read(first.strip())) - int(read(second.strip()))

    return read_two


def check_header(profile: Profile, header: Sequence[str], row: int) -> None:
    """Refuse a header with a column twice, or one that the profile does not know: a misspelt name would lose money."""
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FileRefused(Code.DUPLICATE_COLUMN, f"столбец дважды: {', '.join(twice)}", row)
    if ANY_COLUMN in profile.ignored:
        return
    unknown = sorted(set(header) - known_columns(profile))
    if unknown:
        raise FileRefused(Code.UNKNOWN_COLUMN, f"столбца нет в профиле: {', '.join(unknown)[:200]}", row)


def known_columns(profile: Profile) -> set[str]:
    """Every column that a profile reads or knowingly leaves."""
    known = set(profile.ignored)
    for column in profile.columns:
        known.update(column.names, (column.minus,))
    if profile.unpivot is not None:
        for number in range(1, profile.unpivot.groups + 1):
            for column in group_columns(profile, number):
                known.update(column.names, (column.minus,))
            known.add(profile.unpivot.present.replace("{n}", str(number)))
    return known - {""}


def group_columns(profile: Profile, number: int) -> tuple[Column, ...]:
    """The columns of one group of a wide record."""
    assert profile.unpivot is not None
    return tuple(
        msgspec.structs.replace(column, names=tuple(name.replace("{n}", str(number)) for name in column.names))
        for column in profile.unpivot.columns
    )


def verify(profile: Profile) -> None:
    """Check that a profile's columns make whole rows. Errors: ValueError says what is wrong."""
    row_type = ROW_TYPES.get(profile.kind.value)
    if row_type is None:
        return
    header = sorted(known_columns(profile))
    trailing = {name for column in profile.trailer.columns for name in column.names} if profile.trailer else set()
    unnumbered = [name for name in (trailing if profile.header else trailing | set(header)) if not name.isdecimal()]
    if unnumbered:
        raise ValueError(f"profile: without a header a column is named by its number: {', '.join(sorted(unnumbered))}")
    numbered = range(1, profile.unpivot.groups + 1) if profile.unpivot else (0,)
    for number in numbered:
        columns = (*profile.columns, *group_columns(profile, number)) if number else profile.columns
        _plan_or_mistake(profile, row_type, columns, header)
    if profile.trailer is not None:
        _plan_or_mistake(profile, RegisterTotals, profile.trailer.columns, sorted(trailing))


def _plan_or_mistake(
    profile: Profile, row_type: type[msgspec.Struct], columns: Sequence[Column], header: Sequence[str]
) -> None:
    """A constant that cannot be read is the profile's mistake and nobody else's."""
    try:
        plan_of(profile, row_type, columns, header)
    except FieldFault as fault:
        raise ValueError(f"profile: a constant cannot be read: {fault.text}") from None


def totals_plan(profile: Profile, header: Sequence[str]) -> Plan[RegisterTotals]:
    """Plan how a trailer's cells are read."""
    assert profile.trailer is not None
    return plan_of(profile, RegisterTotals, profile.trailer.columns, header)
