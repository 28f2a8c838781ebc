"""What the tests of `intake` build files with: bytes in, items out."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import openpyxl
import pytest

from intake.faults import Code, FileRefused
from intake.presets import CHARGES_CSV
from intake.profile import Profile
from intake.reader import read
from intake.rows import ChargeRow, Item, RowFault

CANONICAL_HEADER = (
    "ACCOUNT;ELS;PERIOD;SERVICE;PROVIDER_INN;CONTRACT;KIND;TARIFF;VOLUME;UNIT;OPENING;ACCRUED;RECALC;BENEFIT;DUE;DOC_NO;"
    "DUE_DATE"
)
CANONICAL_ROW = (
    "000123456;75AA533315;2026-10;HEAT;7700000000;15/2026;charge;2450,18;1,0204;Гкал;0,00;2500,16;0,00;0,00;2500,16;"
    "E-10-000123;2026-11-16"
)
NAMES = "Ёлкин Пётр Иванович", "Сосновский Семён Львович", "БЕРЁЗКИН МАТВЕЙ ФЁДОРОВИЧ", "Дубравина Ольга Юрьевна"


def changed(profile: Profile, **values: Any) -> Profile:
    return msgspec.structs.replace(profile, **values)


def items_of(content: bytes, profile: Profile) -> list[Item]:
    return list(read(io.BytesIO(content), profile))


def text_items(text: str, profile: Profile = CHARGES_CSV) -> list[Item]:
    assert profile.encoding is not None
    return items_of(text.encode(profile.encoding.value), profile)


def charges(*lines: str, header: str = "ACCOUNT;PERIOD;SERVICE;PROVIDER_INN;ACCRUED") -> list[Item]:
    return text_items("\n".join((header, *lines)) + "\n")


def charge(line: str = "1;2026-10;HEAT;7700000000;1,00", **more: str) -> ChargeRow | RowFault:
    """One charge row of a CSV; `more` adds columns."""
    header = ";".join(("ACCOUNT;PERIOD;SERVICE;PROVIDER_INN;ACCRUED", *more))
    (item,) = charges(";".join((line, *more.values())), header=header)
    assert isinstance(item, ChargeRow | RowFault)
    return item


def refusal(content: bytes, profile: Profile) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        items_of(content, profile)
    return refused.value


def code_of(content: bytes, profile: Profile) -> Code:
    return refusal(content, profile).code


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def repacked(content: bytes, changes: dict[str, bytes]) -> bytes:
    """The same archive with some members replaced."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(members | changes)


def workbook(rows: Iterable[Sequence[Any]], title: str = "Лист1") -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()
