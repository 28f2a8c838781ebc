"""Text files as lines, and lines as records of cells: CSV with any separator, quoted or not. Bounded memory throughout.

A file is read in chunks of bytes. Each is looked at before it is decoded: control characters (NUL among them) refuse
the file, as does a byte order mark that is not at its beginning, and `encoding.py` judges its words. The end mark of
DOS (0x1A) is taken off the end. Lines end with LF or CRLF, mixed as they may be; a lone CR refuses the file.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from intake.encoding import BOM, Judge
from intake.faults import Code, FileRefused
from intake.profile import Encoding, Profile

Record = tuple[int, Sequence[str]]
"""The line on which a record begins, and its cells."""

_CHUNK_BYTES = 1 << 18
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r") + b"\x7f"
_ALLOWED = bytes(byte for byte in range(256) if byte not in _CONTROLS)
_DOS_END = b"\x1a"


def lines(stream: BinaryIO, encoding: Encoding, line_chars_max: int) -> Iterator[str]:
    """Return the lines of a file with their ends. Errors: `FileRefused`."""
    assert encoding is not Encoding.AUTO
    decoder = codecs.getincrementaldecoder(encoding.value)("strict")
    judge, tail, done = Judge(encoding), "", 0
    for chunk in _chunks(stream, encoding):
        text = tail + _decoded(decoder, judge, chunk, done)
        cut = text.rfind("\n") + 1
        tail = text[cut:]
        yield from io.StringIO(text[:cut], newline="\n")
        done += text.count("\n")
        if len(tail) > line_chars_max:
            raise FileRefused(Code.LINE_TOO_LONG, f"строка длиннее {line_chars_max} знаков", done + 1)
    _finish(decoder, done)
    if tail:
        yield tail


def _chunks(stream: BinaryIO, encoding: Encoding) -> Iterator[bytes]:
    """The file's bytes without the mark at its beginning and the end mark at its end."""
    chunk = stream.read(_CHUNK_BYTES)
    if chunk.startswith(BOM):
        if encoding is not Encoding.UTF_8:
            raise FileRefused(Code.ENCODING, f"файл начинается меткой UTF-8, а профиль говорит {encoding.value}", 1)
        chunk = chunk[len(BOM) :]
    while chunk:
        following = stream.read(_CHUNK_BYTES)
        yield chunk if following else chunk.removesuffix(_DOS_END)
        chunk = following


def _decoded(decoder: codecs.IncrementalDecoder, judge: Judge, chunk: bytes, done: int) -> str:
    """Decode a chunk after looking at it; a refusal names the line."""
    found = chunk.translate(None, _ALLOWED)
    if found:
        line = done + 1 + chunk[: chunk.index(found[:1])].count(b"\n")
        raise FileRefused(Code.CONTROL_CHARACTER, f"управляющий знак 0x{found[0]:02X}", line)
    try:
        judge.look(chunk)
        text = decoder.decode(chunk)
    except UnicodeDecodeError as error:
        line = done + 1 + error.object[: error.start].count(b"\n")
        raise FileRefused(Code.ENCODING, f"байт 0x{error.object[error.start]:02X} не читается", line) from None
    if not text.isascii() and "\ufeff" in text:
        line = done + 1 + text[: text.index("\ufeff")].count("\n")
        raise FileRefused(Code.ENCODING, "метка порядка байтов посреди файла", line)
    return text


def _finish(decoder: codecs.IncrementalDecoder, done: int) -> None:
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise FileRefused(Code.ENCODING, "файл обрывается посреди знака", done + 1) from None


def records(stream: BinaryIO, profile: Profile) -> Iterator[Record]:
    """Return the records of a CSV, blank lines left out. Errors: `FileRefused`."""
    assert profile.encoding is not None
    text = lines(stream, profile.encoding, profile.limits.row_chars_max)
    for _ in range(profile.skip_lines):
        next(text, "")
    if profile.quoted:
        reader = csv.reader(text, delimiter=profile.separator, strict=True)
    else:
        reader = csv.reader(text, delimiter=profile.separator, quoting=csv.QUOTE_NONE, quotechar=None, strict=True)
    at = profile.skip_lines
    try:
        for cells in reader:
            line, at = at + 1, profile.skip_lines + reader.line_num
            if cells and not (profile.comment and cells[0].startswith(profile.comment)):
                yield line, cells
    except csv.Error as error:
        raise _syntax(error, at + 1) from None


def _syntax(error: csv.Error, line: int) -> FileRefused:
    if "new-line" in str(error):
        return FileRefused(Code.LINE_ENDS, "возврат каретки без перевода строки", line)
    if "field larger" in str(error):
        return FileRefused(Code.LINE_TOO_LONG, "ячейка слишком длинна, или кавычка не закрыта", line)
    return FileRefused(Code.QUOTES, "кавычки расставлены неверно", line)
