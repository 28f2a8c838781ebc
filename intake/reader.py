"""A file into rows: the one door of `intake`. Streams; its memory does not depend on the file.

Whatever the form, a file becomes a table (a header and records of cells), and the table becomes rows by the plan that
`columns.py` makes of header and profile. A row that cannot be understood is a `RowFault` among the others; what is
wrong with the file as a whole is raised, possibly after many rows were given: whoever reads keeps nothing of a refused
file.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from intake import client_bank, dbf_table, text, xlsx_table, xml_table
from intake.columns import ROW_TYPES, check_header, group_columns, known_columns, plan_of
from intake.faults import Code, FileRefused
from intake.profile import Encoding, Form, Profile
from intake.rows import Item, RegisterRow, Row, RowFault, Skipped
from intake.trailer import Tally
from intake.zipped import archive_of, member_of, only_member

Make = Callable[[int, Sequence[str]], Row | RowFault | None]
"""Makes a row of a record; None when there is none."""


class Table(NamedTuple):
    """A file as a table; records begin with their place in the file."""

    header: Sequence[str]
    records: Iterator[text.Record | RowFault | Skipped]


def items(path: Path, profile: Profile) -> Iterator[Item]:
    """Read a file as its profile says.

    Shape: rows and faults in the order of the file; `RegisterTotals` after them, `Skipped` last.
    Errors: `FileRefused` when the file as a whole cannot be taken; ValueError when the profile is at fault.
    """
    with path.open("rb") as stream:
        yield from read(stream, profile)


def read(stream: BinaryIO, profile: Profile) -> Iterator[Item]:
    """`items` of a stream that is open already and can be sought."""
    if profile.encoding is Encoding.AUTO:
        raise ValueError("profile: `auto` is for dry runs; an encoding is declared")
    if profile.form is Form.CLIENT_BANK:
        yield from client_bank.items(_unzipped(stream, profile), profile)
        return
    table = _table(stream, profile)
    if table is not None:
        yield from _rows(table, profile)


def _table(stream: BinaryIO, profile: Profile) -> Table | None:
    """A file as a table; None for an empty one that may be empty."""
    if profile.empty_is_normal and not stream.read(1):
        return None
    stream.seek(0)
    plain = _unzipped(stream, profile)
    if profile.form is Form.XML:
        return Table(*xml_table.table(plain, profile))
    if profile.form is Form.DBF:
        header, records = dbf_table.table(plain, profile)
        check_header(profile, header, 0)
        return Table(header, records)
    return _headed(
        text.records(plain, profile) if profile.form is Form.CSV else xlsx_table.table(plain, profile), profile
    )


def _unzipped(stream: BinaryIO, profile: Profile) -> BinaryIO:
    if profile.zip is None:
        return stream
    archive = archive_of(stream, profile.limits)
    return member_of(archive, only_member(archive, profile.zip.member))


def _headed(records: Iterator[text.Record | RowFault], profile: Profile) -> Table | None:
    """Take the header from the first record, or name the columns by position."""
    first = next(records, None)
    if first is None and profile.empty_is_normal:
        return None
    if first is None:
        raise FileRefused(Code.EMPTY_FILE, "файл пуст")
    if not profile.header:
        return Table(positions(profile), itertools.chain((first,), records))
    if isinstance(first, RowFault):
        raise FileRefused(Code.NO_HEADER, "строка с названиями столбцов не читается", first.row)
    header = [name.strip() for name in first[1]]
    check_header(profile, header, first[0])
    return Table(header, records)


def positions(profile: Profile) -> list[str]:
    """Names of the columns of a file without a header: "1" to the last that the profile knows."""
    return [str(number + 1) for number in range(max(map(int, known_columns(profile))))]


def _rows(table: Table, profile: Profile) -> Iterator[Item]:
    plans, tally, rows_max = _plans(profile, table.header), Tally(profile), profile.limits.rows_max
    count = 0
    for record in table.records:
        if not isinstance(record, tuple):
            tally.add(record)
            yield record
            continue
        line, cells = record
        count += 1
        if count > rows_max:
            raise FileRefused(Code.TOO_MANY_ROWS, f"строк больше {rows_max}", line)
        if tally.is_trailer(line, cells):
            yield tally.close(line, cells)
            continue
        for make in plans:
            row = make(line, cells)
            if row is not None:
                tally.add(row)
                yield row
    tally.finish()


def _plans(profile: Profile, header: Sequence[str]) -> list[Make]:
    """What makes the rows of one record: one row, or one of each group of a wide record."""
    row_type = ROW_TYPES[profile.kind.value]
    if profile.unpivot is None:
        plan = plan_of(profile, row_type, profile.columns, header)
        return [_signed(plan.make) if profile.refunds_unsigned else plan.make]
    made: list[Make] = []
    for number in range(1, profile.unpivot.groups + 1):
        present = profile.unpivot.present.replace("{n}", str(number))
        if present not in header and made:
            break
        plan = plan_of(profile, row_type, (*profile.columns, *group_columns(profile, number)), header)
        if present not in header:
            raise FileRefused(Code.MISSING_COLUMN, f"нет столбца {present}")
        made.append(_if_present(plan.make, header.index(present)))
    return made


def _if_present(make: Make, at: int) -> Make:
    """A group of a wide record that is blank is no row."""
    return lambda line, cells: make(line, cells) if len(cells) <= at or cells[at].strip() else None


def _signed(make: Make) -> Make:
    """Give refunds their minus."""

    def make_signed(line: int, cells: Sequence[str]) -> Row | RowFault | None:
        row = make(line, cells)
        if not isinstance(row, RegisterRow) or not row.refund_of:
            return row
        amounts = ("paid_kopecks", "transferred_kopecks", "fee_kopecks")
        return msgspec.structs.replace(row, **{name: -abs(getattr(row, name)) for name in amounts})

    return make_signed
