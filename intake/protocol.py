"""The protocol: what has become of each row of a file, as a file that goes back to its sender.

CSV for people (their spreadsheets open it), XML for programs. In CSV, a text that a spreadsheet would take for a
formula (it begins with = + - @ or a tab) therefore gets an apostrophe before it; XML is exact.

Rows without a fault are counted in the totals and not listed, unless `all_rows` is asked for: a sender looks for what
to mend.
"""

import csv
import enum
import io
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import quoteattr

import msgspec

from intake.faults import Code
from intake.profile import Encoding

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
TITLES = {
    "accepted": "принято",
    "warned": "принято с замечанием",
    "waiting": "ждёт сопоставления",
    "rejected": "отклонено",
}


class Result(enum.StrEnum):
    """What has become of a row."""

    ACCEPTED = "accepted"
    WARNED = "warned"
    WAITING = "waiting"
    REJECTED = "rejected"


class RowResult(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One row's result; `code` and `text` say why it is not simply accepted. `account` helps to find it again."""

    row: int
    result: Result
    code: Code | None = None
    field: str = ""
    text: str = ""
    account: str = ""


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the file as a whole. `refusal`: why none of it counts, with the row that shows it. `notes`: what
    else is to be said of the whole file.
    """

    file_name: str
    sha256: str
    kind: str
    profile: str
    received_at: str
    refusal_code: Code | None = None
    refusal_text: str = ""
    refusal_row: int = 0
    notes: tuple[str, ...] = ()


def csv_lines(
    protocol: Protocol, results: Iterable[RowResult], encoding: Encoding = Encoding.UTF_8, *, all_rows: bool = False
) -> Iterator[bytes]:
    """Return the protocol as a CSV, line by line.

    Shape: `;`, CRLF; UTF-8 with a byte order mark or windows-1251 (signs that it lacks become "?"). Rows in the order
    given, then totals.
    """
    if encoding is Encoding.UTF_8:
        yield b"\xef\xbb\xbf"
    totals = dict.fromkeys(Result, 0)
    for cells in _head(protocol):
        yield _csv_line(cells, encoding)
    yield _csv_line(("строка", "счёт", "результат", "код", "поле", "пояснение"), encoding)
    for one in results:
        totals[one.result] += 1
        if all_rows or one.result is not Result.ACCEPTED:
            yield _csv_line(_cells(one), encoding)
    yield _csv_line(("итого", *(f"{TITLES[result]}: {count}" for result, count in totals.items())), encoding)


def _head(protocol: Protocol) -> Iterator[tuple[str, ...]]:
    yield "файл", protocol.file_name
    yield "sha256", protocol.sha256
    yield "вид", protocol.kind
    yield "профиль", protocol.profile
    yield "получен", protocol.received_at
    if protocol.refusal_code is not None:
        place = f"строка {protocol.refusal_row}" if protocol.refusal_row else ""
        yield "файл отклонён", protocol.refusal_code.value, place, protocol.refusal_text
    for note in protocol.notes:
        yield "замечание", note


def _cells(one: RowResult) -> tuple[str, ...]:
    code = one.code.value if one.code is not None else ""
    return str(one.row), one.account, TITLES[one.result.value], code, one.field, one.text


def _csv_line(cells: Iterable[str], encoding: Encoding) -> bytes:
    line = io.StringIO()
    csv.writer(line, delimiter=";", lineterminator="\r\n").writerow([safe_for_people(cell) for cell in cells])
    return line.getvalue().encode(encoding.value, "replace")


def safe_for_people(cell: str) -> str:
    """Keep a spreadsheet from running a text as a formula. Source: OWASP, CSV injection."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_DANGEROUS) else cell


def xml_lines(protocol: Protocol, results: Iterable[RowResult], *, all_rows: bool = False) -> Iterator[bytes]:
    """Return the protocol as XML in UTF-8, an element a row, totals last."""
    totals = dict.fromkeys(Result, 0)
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    yield _element("Protocol", msgspec.to_builtins(protocol), is_open=True)
    for one in results:
        totals[one.result] += 1
        if all_rows or one.result is not Result.ACCEPTED:
            named = {name: getattr(one, name) for name in RowResult.__struct_fields__}
            yield _element("Row", named)
    yield _element("Totals", {result.value: count for result, count in totals.items()})
    yield b"</Protocol>\n"


def _element(name: str, values: dict[str, object], *, is_open: bool = False) -> bytes:
    told = {key: str(value) for key, value in values.items() if value not in (None, "")}
    attributes = "".join(f" {key}={quoteattr(_xml_text(value))}" for key, value in told.items())
    return f"<{name}{attributes}{'>' if is_open else '/>'}\n".encode()


def _xml_text(text: str) -> str:
    """Without the signs that no XML may contain."""
    return "".join(sign for sign in text if sign >= " " or sign in "\t\n\r")
