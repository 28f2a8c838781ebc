"""A wrong encoding fails loudly: every pair, in short files and long ones, and late in a file too."""

import io
import random
from typing import BinaryIO

import pytest

from cli.region import SERVICES
from intake.encoding import suggest
from intake.faults import Code, FileRefused
from intake.presets import CHARGES_CSV
from intake.profile import Encoding
from intake.rows import ChargeRow
from intake.text import lines
from tests.intake.files import NAMES, changed, code_of, items_of

ENCODINGS = (Encoding.UTF_8, Encoding.CP1251, Encoding.CP866, Encoding.KOI8_R)
PAIRS = [(written, declared) for written in ENCODINGS for declared in ENCODINGS if written is not declared]
HEADER = "ACCOUNT;PERIOD;SERVICE;PROVIDER_INN;ACCRUED;CONTRACT\n"


def file_of(words: list[str]) -> str:
    return HEADER + "".join(f"{n};2026-10;{word};7700000000;1,00;{word}\n" for n, word in enumerate(words))


SHORT = file_of(list(NAMES))
CAPITALS = file_of([name.upper() for name in NAMES])
SERVICE_NAMES = file_of(list(SERVICES.values()))


@pytest.mark.parametrize("text", [SHORT, CAPITALS, SERVICE_NAMES], ids=["names", "capitals", "services"])
@pytest.mark.parametrize(("written", "declared"), PAIRS)
def test_a_file_in_another_encoding_than_declared_is_refused(written: Encoding, declared: Encoding, text: str) -> None:
    assert code_of(text.encode(written.value), changed(CHARGES_CSV, encoding=declared)) is Code.ENCODING


@pytest.mark.parametrize("text", [SHORT, CAPITALS, SERVICE_NAMES], ids=["names", "capitals", "services"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_in_the_declared_encoding_is_read(encoding: Encoding, text: str) -> None:
    rows = items_of(text.encode(encoding.value), changed(CHARGES_CSV, encoding=encoding))
    assert [row.contract for row in rows if isinstance(row, ChargeRow)] == [
        line.rpartition(";")[2] for line in text.splitlines()[1:]
    ]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_mixture_of_true_words_is_refused(encoding: Encoding) -> None:
    """The threshold stands far above what true text ever reaches; 500 random mixtures, from one word to thirty."""
    chance = random.Random(7)
    words = " ".join((*NAMES, *SERVICES.values(), "Гкал куб.м кв.м чел шт ЖЭУ ЦТП ХВС ГВС ТКО СОИ пр-т наб")).split()
    for _ in range(500):
        text = " ".join(chance.choices(words, k=chance.randint(1, 30)))
        text = chance.choice((text, text.upper(), text.lower()))
        assert list(lines(_stream(text.encode(encoding.value)), encoding, 10_000)) == [text]


def _stream(content: bytes) -> BinaryIO:
    return io.BytesIO(content)


@pytest.mark.parametrize("encoding", ENCODINGS[1:])
def test_one_odd_word_a_million_times_is_no_evidence(encoding: Encoding) -> None:
    content = ("шт щп\n" * 200_000).encode(encoding.value)
    assert sum(1 for _ in lines(_stream(content), encoding, 1000)) == 200_000


@pytest.mark.parametrize(("written", "declared"), [(w, d) for w, d in PAIRS if w is not Encoding.UTF_8])
def test_a_file_that_changes_its_encoding_half_way_is_refused(written: Encoding, declared: Encoding) -> None:
    text = "".join(f"{n};{NAMES[n % 4]};начисление за отопление\n" for n in range(20_000))
    content = text.encode(declared.value) + text.encode(written.value)
    with pytest.raises(FileRefused) as refused:
        for _ in lines(_stream(content), declared, 1000):
            pass
    assert refused.value.code is Code.ENCODING


def test_text_converted_wrongly_by_its_sender_is_refused() -> None:
    """UTF-8 taken for windows-1251 and written as UTF-8 once more; "И" has no letter for its second byte there."""
    mangled = SHORT.replace("И", "Ы").encode().decode("cp1251")
    assert code_of(mangled.encode(), CHARGES_CSV) is Code.ENCODING


def test_controls_of_the_second_kind_are_refused() -> None:
    assert code_of(SHORT.replace("Пётр", "П\x85тр").encode(), CHARGES_CSV) is Code.ENCODING


@pytest.mark.parametrize("declared", ENCODINGS[1:])
def test_a_mark_of_utf_8_belies_every_other_encoding(declared: Encoding) -> None:
    assert code_of(b"\xef\xbb\xbf" + HEADER.encode(), changed(CHARGES_CSV, encoding=declared)) is Code.ENCODING


def test_utf_16_is_refused_under_every_declared_encoding() -> None:
    for declared in ENCODINGS:
        assert code_of(SHORT.encode("utf-16"), changed(CHARGES_CSV, encoding=declared)) in (
            Code.ENCODING,
            Code.CONTROL_CHARACTER,
        )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_true_encoding_is_suggested(encoding: Encoding) -> None:
    assert suggest(SHORT.encode(encoding.value)) is encoding
    assert suggest(CAPITALS.encode(encoding.value)) is encoding
