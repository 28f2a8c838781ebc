"""Any file at all, of any form, is rows, faults or a refusal; never another error, never a hang.

Each case damages a true file: bytes changed, cut out, doubled, swapped for what attackers and old programs send. A
failure names its seed and case; `make soak` runs ten thousand a form.
"""

import datetime
import io
import random
import time
import zipfile
from pathlib import Path

import pytest

from cli.demo_files import write
from engine.ids import AccountId, Period
from intake.faults import FileRefused
from intake.presets import (
    BANK_12,
    CHARGES_CSV,
    CHARGES_DBF,
    CHARGES_DBF_WIDE,
    CHARGES_XLSX,
    CHARGES_XML,
    CLIENT_BANK,
    OSMP_TAB,
    ZIP_CSV,
)
from intake.profile import Encoding, Profile
from intake.reader import read
from intake.rows import ChargeRow, RegisterRow
from tests.intake.files import CANONICAL_HEADER, CANONICAL_ROW, changed, repacked, workbook, zipped
from tests.intake.test_client_bank import FILE as STATEMENT
from tests.intake.test_registers import HEADER, PAYMENT, REFUND, REGISTER
from tests.intake.test_xlsx import HEADER as SHEET_HEADER
from tests.intake.test_xlsx import ROW as SHEET_ROW

FEW, MANY = 100, 10_000
SECONDS_MAX = 5.0
NASTY = [
    *(
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"\r\n",
        b"\t",
        b";",
        b'"',
        b"=",
        b"<",
        b">",
        b"&",
        b"%",
    ),
    *(
        b"\x1a",
        b"9" * 400,
        b"-",
        b",",
        b".",
        b"1e9",
        b"NaN",
        b"\xc2\x85",
        b"]]>",
        b"<!DOCTYPE x>",
        b"PK\x03\x04",
        b"*" * 8,
    ),
    *("Ё".encode(), "ё".encode("cp1251"), "\u202e".encode(), "\ud800".encode("utf-8", "surrogatepass"), b"{}", b"../"),
]


def _charges(path: Path, profile: Profile) -> bytes:
    row = ChargeRow(
        row=0,
        account=AccountId("007"),
        period=Period(202610),
        service="HEAT",
        provider="7700000000",
        accrued_kopecks=250016,
        unit="Гкал",
        due_on=datetime.date(2026, 11, 16),
    )
    write([row] * 4, path, profile)
    return path.read_bytes()


def _osmp(path: Path) -> bytes:
    at = datetime.datetime.fromisoformat("2026-11-23T10:15:42")
    row = RegisterRow(
        row=0,
        operation="1",
        account=AccountId("007"),
        operated_at=at,
        paid_kopecks=100,
        transferred_kopecks=100,
        fee_kopecks=0,
    )
    write([row] * 3, path, OSMP_TAB)
    return path.read_bytes()


@pytest.fixture(scope="module")
def true_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, Profile]]:
    path = tmp_path_factory.mktemp("true") / "file"
    dbf = _charges(path, CHARGES_DBF)
    wide = dbf.replace(b"USL\0", b"USL1").replace(b"NACH\0", b"SUM1\0").replace(b"POST_INN\0", b"POSTUSL1\0")
    return {
        "csv": (f"{CANONICAL_HEADER}\n{CANONICAL_ROW}\n{CANONICAL_ROW}\n".encode(), CHARGES_CSV),
        "csv in cp1251": (
            f"{CANONICAL_HEADER}\n{CANONICAL_ROW}\n".encode("cp1251"),
            changed(CHARGES_CSV, encoding=Encoding.CP1251),
        ),
        "bank": (REGISTER.encode("cp1251"), BANK_12),
        "osmp": (_osmp(path), OSMP_TAB),
        "zip": (zipped({"r.csv": (HEADER + PAYMENT + REFUND).encode()}), ZIP_CSV),
        "dbf": (dbf, CHARGES_DBF),
        "wide dbf": (wide, changed(CHARGES_DBF_WIDE, ignored=("*",))),
        "xml": (_charges(path, CHARGES_XML), CHARGES_XML),
        "xlsx": (workbook([SHEET_HEADER, SHEET_ROW, SHEET_ROW]), CHARGES_XLSX),
        "statement": (STATEMENT.replace("\n", "\r\n").encode("cp1251"), CLIENT_BANK),
    }


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Damage a file in one to four places."""
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at, end = sorted((chance.randint(0, len(damaged)), chance.randint(0, len(damaged))))
        match chance.randrange(6):
            case 0:
                damaged[at:at] = chance.choice(NASTY)
            case 1:
                damaged[at : at + 1] = chance.choice(NASTY)
            case 2:
                damaged[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                del damaged[at : min(end, at + 40)]
            case 4:
                damaged[at:at] = damaged[at : min(end, at + 200)]
            case _:
                del damaged[end:]
    return bytes(damaged)


def damaged_file(content: bytes, chance: random.Random) -> bytes:
    """Damage a file, or what an archive holds behind checksums that are right again."""
    if content[:2] != b"PK" or chance.random() < 0.3:
        return mutated(content, chance)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = chance.choice([name for name in archive.namelist() if "csv" in name or name.startswith("xl/")])
        return repacked(content, {name: mutated(archive.read(name), chance)})


def outcome(content: bytes, profile: Profile) -> str:
    """How a file ends. Whatever else is raised is a defect, and raised here."""
    try:
        for _ in read(io.BytesIO(content), profile):
            pass
    except FileRefused as refused:
        return refused.code.value
    return "read"


NAMES = ("csv", "csv in cp1251", "bank", "osmp", "zip", "dbf", "wide dbf", "xml", "xlsx", "statement")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_file_is_read_or_refused(name: str, seed: int, true_files: dict[str, tuple[bytes, Profile]]) -> None:
    _run(name, seed, FEW, true_files)


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_ten_thousand_damaged_files_are_read_or_refused(
    name: str, true_files: dict[str, tuple[bytes, Profile]]
) -> None:
    _run(name, random.SystemRandom().randrange(10**9), MANY, true_files)


def _run(name: str, seed: int, cases: int, true_files: dict[str, tuple[bytes, Profile]]) -> None:
    content, profile = true_files[name]
    assert outcome(content, profile) == "read"
    chance, seen = random.Random(f"{name}/{seed}"), set()
    for number in range(cases):
        damaged, began = damaged_file(content, chance), time.monotonic()
        try:
            seen.add(outcome(damaged, profile))
        except Exception as error:
            raise AssertionError(f"{name}, seed {seed}, case {number}: {error!r}") from error
        assert time.monotonic() - began < SECONDS_MAX, f"{name}, seed {seed}, case {number} is slow"
    assert len(seen) > 3, "the damage is too small to try anything"
