"""DBF (dBase III to Visual FoxPro) as a table, by a small reader of our own.

Theory of operation. A DBF is a header, descriptions of fields of fixed width, and records of one width, each opened by
a blank or, when deleted, by an asterisk. Records are read many at a time; a block is decoded once (one byte is one sign
in every encoding of DBF but UTF-8) and cut by places. Why not the `dbf` package: it makes an object of every record
with its own types, among them float for money, and only to iterate takes eight times as long (figures in
`docs/files.md`).

The header's count and widths must agree with the file to the byte: a file cut short or written on is refused. The
language byte tells the encoding unless the profile does. NULs, with which some programs pad text, are blanks.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from intake.encoding import Judge
from intake.faults import Code, FileRefused
from intake.profile import Encoding, Profile
from intake.rows import Skipped
from intake.text import Record

_HEADER = struct.Struct("<B3xIHH17xB2x")
_FIELD = struct.Struct("<11sc4xBB14x")
_FIELDS_END = 0x0D
_FILE_END = b"\x1a"
_FIELDS_MAX = 255
_BLOCK_BYTES = 1 << 18
_KNOWN_VERSIONS = frozenset({0x02, 0x03, 0x04, 0x30, 0x31, 0x32, 0x43, 0x63, 0x83, 0x8B, 0xCB, 0xF5, 0xFB})
_LANGUAGES = {0x26: Encoding.CP866, 0x65: Encoding.CP866, 0xC9: Encoding.CP1251, 0x57: Encoding.CP1251}
_TEXT_TYPES = frozenset("CNFDL")
_LIVE, _DELETED = 0x20, 0x2A
_NO_DATE = "00000000"


class _Field(NamedTuple):
    """A field of the record: where it is cut out. The first byte of a record is its mark."""

    name: str
    type: str
    start: int
    end: int


class _Shape(NamedTuple):
    """What the header says."""

    records: int
    record_bytes: int
    language: int
    fields: list[_Field]


def table(stream: BinaryIO, profile: Profile) -> tuple[list[str], Iterator[Record | Skipped]]:
    """Return the names of the fields and the records; deleted ones are counted at the end. Errors: `FileRefused`."""
    shape = _shape(stream)
    wrong = [
        field.name for field in shape.fields if field.type not in _TEXT_TYPES and field.name not in profile.ignored
    ]
    if wrong:
        raise FileRefused(Code.BROKEN_FILE, f"поле {', '.join(wrong)}: тип не читается (нужны C, N, F, D, L)")
    fields = [field for field in shape.fields if field.type in _TEXT_TYPES]
    return [field.name for field in fields], _records(stream, shape, fields, _encoding(shape, profile))


def _encoding(shape: _Shape, profile: Profile) -> Encoding:
    found = profile.encoding or _LANGUAGES.get(shape.language)
    if found is None:
        text = f"байт языка 0x{shape.language:02X} не говорит кодировки: её должен назвать профиль"
        raise FileRefused(Code.ENCODING, text)
    return found


def _shape(stream: BinaryIO) -> _Shape:
    head = stream.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise FileRefused(Code.TRUNCATED, "файл короче заголовка DBF")
    version, count, header_bytes, record_bytes, language = _HEADER.unpack(head)
    described = stream.read(max(header_bytes - _HEADER.size, 0))
    if version not in _KNOWN_VERSIONS or len(described) != header_bytes - _HEADER.size:
        raise FileRefused(Code.BROKEN_FILE, "это не DBF, или его заголовок оборван")
    fields = list(_fields(described))
    if not fields or fields[-1].end != record_bytes:
        raise FileRefused(Code.BROKEN_FILE, "длина записи в заголовке DBF не равна сумме полей")
    return _Shape(count, record_bytes, language, fields)


def _fields(described: bytes) -> Iterator[_Field]:
    start = 1
    for number in range(_FIELDS_MAX + 1):
        at = number * _FIELD.size
        if at < len(described) and described[at] == _FIELDS_END:
            return
        if at + _FIELD.size > len(described):
            break
        name, kind, width, _ = _FIELD.unpack_from(described, at)
        text = name.partition(b"\0")[0].decode("ascii", "replace").strip().upper()
        yield _Field(text, kind.decode("ascii", "replace").upper(), start, start + width)
        start += width
    raise FileRefused(Code.BROKEN_FILE, "описания полей DBF не закончены")


def _records(
    stream: BinaryIO, shape: _Shape, fields: Sequence[_Field], encoding: Encoding
) -> Iterator[Record | Skipped]:
    judge, number, deleted = Judge(encoding), 0, 0
    per_block = max(_BLOCK_BYTES // shape.record_bytes, 1)
    while number < shape.records:
        wanted = min(per_block, shape.records - number)
        block = stream.read(wanted * shape.record_bytes)
        if len(block) < wanted * shape.record_bytes:
            at = number + len(block) // shape.record_bytes + 1
            raise FileRefused(Code.TRUNCATED, f"файл оборван: в заголовке {shape.records} записей", at)
        judge.look(block)
        cut = _cutter(block, fields, encoding, shape, number)
        for place in range(wanted):
            number += 1
            mark = block[place * shape.record_bytes]
            if mark == _LIVE:
                yield number, cut(place)
            elif mark == _DELETED:
                deleted += 1
            else:
                raise FileRefused(Code.BROKEN_FILE, "запись DBF начата ни пробелом, ни звёздочкой", number)
    if stream.read(2) not in (b"", _FILE_END):
        raise FileRefused(Code.BROKEN_FILE, f"в файле больше записей, чем {shape.records} в заголовке", number)
    if deleted:
        yield Skipped(count=deleted)


def _cutter(
    block: bytes, fields: Sequence[_Field], encoding: Encoding, shape: _Shape, done: int
) -> Callable[[int], list[str]]:
    """Return what cuts the cells of the record at a place of this block."""
    width, spans = shape.record_bytes, [(field.start, field.end) for field in fields]
    dates = [at for at, field in enumerate(fields) if field.type == "D"]
    try:
        text = block.decode(encoding.value).replace("\0", " ") if encoding is not Encoding.UTF_8 else ""
    except UnicodeDecodeError as error:
        text = f"байт 0x{block[error.start]:02X} не читается"
        raise FileRefused(Code.ENCODING, text, done + error.start // width + 1) from None

    def cut(place: int) -> list[str]:
        base = place * width
        if text:
            cells = [text[base + start : base + end] for start, end in spans]
        else:
            cells = [_utf_8(block[base + start : base + end], done + place + 1) for start, end in spans]
        for at in dates:
            if cells[at] == _NO_DATE:
                cells[at] = ""
        return cells

    return cut


def _utf_8(cell: bytes, number: int) -> str:
    try:
        return cell.decode("utf-8").replace("\0", " ")
    except UnicodeDecodeError:
        raise FileRefused(Code.ENCODING, "текст не в UTF-8", number) from None
