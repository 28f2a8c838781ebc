"""Broken files of every preset: each is read or refused, by its code, and nothing else comes of it.

The readers are pure, so what they refuse can leave no trace. A failure prints its seed and the command that plays it
again. The long run is `make soak`: FILES_MANY broken files of each preset.
"""

import pytest

from intake.presets import PRESETS
from tests.fuzz import files
from tests.fuzz.again import told_how_to_play_again
from tests.fuzz.wire import Broken

FILES_FEW = 150
FILES_MANY = 10_000


def test_every_preset_has_its_good_file() -> None:
    assert set(files.FILES) == set(PRESETS)


@pytest.mark.parametrize("name", files.FILES)
def test_the_file_that_is_broken_is_a_good_one(name: str) -> None:
    assert files.end_of(name, files.FILES[name].good) == "rows"


@pytest.mark.parametrize("name", files.FILES)
def test_a_broken_file_is_read_or_refused(name: str) -> None:
    with told_how_to_play_again(name, 1, FILES_FEW):
        ended = files.play(name, 1, FILES_FEW)
    assert len(ended) > 3, "it was broken in many ways"


@pytest.mark.soak
@pytest.mark.parametrize("name", files.FILES)
def test_ten_thousand_broken_files_are_read_or_refused(name: str) -> None:
    with told_how_to_play_again(name, 2, FILES_MANY):
        files.play(name, 2, FILES_MANY)


def test_a_nameless_member_of_an_archive_is_no_file_of_ours() -> None:
    assert files.end_of("zip-csv", files.zipped({"": b"x"})) == "refused: zip_members"


def test_a_reader_that_falls_over_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def falls_over(*_: object) -> object:
        raise KeyError("a column")

    monkeypatch.setattr("intake.reader.read", falls_over)
    with pytest.raises(Broken, match="KeyError"):
        files.play("charges-csv", 1, 1)


def test_a_reader_that_hangs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*_: object) -> object:
        while True:
            pass

    monkeypatch.setattr(files, "READ_S_MAX", 1)
    monkeypatch.setattr("intake.reader.read", hangs)
    with pytest.raises(Broken, match="not read within"):
        files.play("charges-csv", 1, 1)
