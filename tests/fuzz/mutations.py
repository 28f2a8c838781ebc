"""What a faulty sender, a broken line or an attacker makes of a good request. Seeded: the same dice, the same bytes.

A mutation takes dice and bytes and returns other bytes. None knows a protocol; the few that know a form (JSON, markup,
a list of fields) leave what is not of that form alone, and the dice try again.
"""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

BYTES_MAX = 70_000
"""A little more than the doors take, so that the refusal of what is too large is met, and not in every request."""

_FIELD = re.compile(rb"(?<=[&,\n;])|(?=<)")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_NUMBERS = (
    *(b"0", b"-0", b"-1", b"0.00", b"0.001", b"1e3", b"1E400", b"NaN", b"Infinity", b"0x10", b"00", b"+5", b"1_000"),
    *(str(2**bits + delta).encode() for bits in (31, 32, 53, 63, 64, 70) for delta in (-1, 0, 1)),
    *(b"15 000.00", b"100,00", b"1" * 400, b"9" * 5_000, "١٢٣".encode(), "１２".encode(), "½".encode()),
)
_WORDS = (
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\r\n", b"\n", b"\t"),
    *(b"%00", b"%FF", b"%", b"%u0041", b"%D0", b"+", b"&", b"=", b"&&", b"?", b"#", b"/../", b"//", b";"),
    *(b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b"null", b"true", b",", b":", b"[" * 3_000),
    *(
        b"<",
        b">",
        b"</",
        b"<!--",
        b"]]>",
        b"<![CDATA[",
        b"&#0;",
        b"&amp;",
        b"&x;",
        b"<?xml version='9'?>",
        b"<a>" * 900,
    ),
    *(b'<!DOCTYPE a [<!ENTITY x "x"><!ENTITY y "&x;&x;&x;&x;&x;&x;">]>', b'<!DOCTYPE a SYSTEM "file:///etc/passwd">'),
    *(
        b"' OR 1=1--",
        b"$(id)",
        b"{{7*7}}",
        b"%s%n",
        b" " * 2_000,
        "\u202e".encode(),
        "\u200b".encode(),
        "ё".encode("cp1251"),
    ),
)
_ENCODINGS = ("cp1251", "cp866", "koi8-r", "utf-16", "utf-16-le", "utf-8-sig", "utf-7", "utf-32")
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 2**64, -(2**70), 10**400, 0.5, 1e300, "", " ", "\x00", "\ud800", "0", "а" * 70),
    *("x" * 3_000, [], {}, [[]], {"": {}}, [None] * 40, "2026-02-30T25:61:00Z", "9999-12-31T23:59:59Z", "0001-01-01"),
)

Mutation = Callable[[Random, bytes], bytes]


def mutated(dice: Random, text: bytes) -> bytes:
    """Apply one to three mutations; what comes out may be what went in, rarely."""
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        text = dice.choice(MUTATIONS)(dice, text)
    return text[:BYTES_MAX]


def in_a_line(text: bytes) -> bytes:
    """Leave only what HTTP allows in a target: else its parser gives up the connection, good neighbours and all."""
    return bytes(byte for byte in text if 0x20 < byte < 0x7F)[:6_000].lstrip(b"/")


def _span(dice: Random, text: bytes) -> tuple[int, int]:
    """A piece, mostly a short one."""
    begin = dice.randrange(len(text) + 1)
    return begin, min(len(text), begin + dice.choice((1, 1, 2, 4, 8, 32, 500)))


def flip_bit(dice: Random, text: bytes) -> bytes:
    if not text:
        return b"\x80"
    at = dice.randrange(len(text))
    return text[:at] + bytes([text[at] ^ (1 << dice.randrange(8))]) + text[at + 1 :]


def replace_byte(dice: Random, text: bytes) -> bytes:
    at = dice.randrange(len(text) + 1)
    return text[:at] + dice.randbytes(1) + text[at + 1 :]


def truncate(dice: Random, text: bytes) -> bytes:
    return text[: dice.randrange(len(text) + 1)]


def cut_out(dice: Random, text: bytes) -> bytes:
    begin, end = _span(dice, text)
    return text[:begin] + text[end:]


def double_piece(dice: Random, text: bytes) -> bytes:
    begin, end = _span(dice, text)
    return text[:end] + text[begin:end] * dice.choice((1, 1, 2, 200)) + text[end:]


def move_piece(dice: Random, text: bytes) -> bytes:
    begin, end = _span(dice, text)
    rest = text[:begin] + text[end:]
    at = dice.randrange(len(rest) + 1)
    return rest[:at] + text[begin:end] + rest[at:]


def insert_word(dice: Random, text: bytes) -> bytes:
    at = dice.randrange(len(text) + 1)
    return text[:at] + dice.choice(_WORDS) + text[at:]


def replace_number(dice: Random, text: bytes) -> bytes:
    found = list(_NUMBER.finditer(text))
    if not found:
        return insert_word(dice, text)
    chosen = dice.choice(found)
    return text[: chosen.start()] + dice.choice(_NUMBERS) + text[chosen.end() :]


def change_fields(dice: Random, text: bytes) -> bytes:
    """Double, drop or shuffle fields of a form, an object, a table or markup."""
    fields = _FIELD.split(text)
    at = dice.randrange(len(fields))
    match dice.randrange(4):
        case 0:
            fields[at:at] = [fields[at]] * dice.choice((1, 1, 100))
        case 1:
            del fields[at]
        case 2:
            dice.shuffle(fields)
        case _:
            fields[at] = dice.choice(fields)
    return b"".join(fields)


def change_encoding(dice: Random, text: bytes) -> bytes:
    return text.decode("utf-8", "replace").encode(dice.choice(_ENCODINGS), "replace")


def change_value(dice: Random, text: bytes) -> bytes:
    """Put something else in the place of a value, or a field in the place of a value, in JSON."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return change_fields(dice, text)
    document = _changed(dice, document)
    return json.dumps(document, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


def _changed(dice: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and dice.random() < 0.8:
        name = dice.choice(list(value))
        other = {dice.choice((name, name, name.upper(), name + " ", "x")): _changed(dice, value[name])}
        return {key: value[key] for key in value if key != name} | other
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        return [*value[:at], _changed(dice, value[at]), *value[at + 1 :]]
    return dice.choice((*_VALUES, [value], {"x": value}))


def change_markup(dice: Random, text: bytes) -> bytes:
    """Rename, nest or dress a tag, if there are any."""
    tags = list(re.finditer(rb"</?[\w:]+", text))
    if not tags:
        return change_value(dice, text)
    tag = dice.choice(tags)
    other = dice.choice(
        (b"<x", b"</x", tag.group() + b" a='1' a='2'", tag.group() + b" xmlns='urn:x'", b"<x:" + tag.group()[1:])
    )
    return text[: tag.start()] + other + text[tag.end() :]


MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bit, flip_bit, replace_byte, truncate, cut_out, double_piece, move_piece, insert_word, insert_word),
    *(replace_number, replace_number, change_fields, change_fields, change_encoding, change_value, change_value),
    change_markup,
)
