"""`kopeck profile`: a dry run shows what would be understood, and says so to scripts by its exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.profile_commands import app
from intake import profile
from intake.presets import CHARGES_CSV
from intake.profile import Encoding
from tests.intake.files import CANONICAL_HEADER, CANONICAL_ROW, changed

GOOD = f"{CANONICAL_HEADER}\n{CANONICAL_ROW}\n"
BAD_ROW = CANONICAL_ROW.replace("2026-10;", "2026-13;")
FUTURE_ROW = CANONICAL_ROW.replace("2026-10;", "2099-10;")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        app([*words])
    code = ended.value.code
    return code if isinstance(code, int) else 0, capsys.readouterr().out


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "charges.csv"
    path.write_text(f"{GOOD}{BAD_ROW}\n{FUTURE_ROW}\n{CANONICAL_ROW}\n")
    return path


def trial(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code, text = run(capsys, "try", str(path), "--json", *words)
    found: dict[str, Any] = json.loads(text)
    return code, found


def test_a_dry_run_tells_rows_columns_and_faults_of_the_whole_file(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    code, found = trial(capsys, file, "--profile", "charges-csv", "--rows", "1")
    assert (code, found["rows"], found["refusal"]) == (0, 4, "")
    assert found["shown"][0]["accrued_kopecks"] == "250016"
    assert len(found["shown"]) == 1
    assert {read["field"]: read["filled"] for read in found["fields"]}["service"] == 3
    assert [(fault["code"], fault["first_rows"]) for fault in found["faults"]] == [
        ("period", [3]),
        ("future", [4]),
        ("duplicate", [5]),
    ]


def test_a_file_that_would_be_refused_is_told_by_the_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "charges.csv"
    path.write_bytes(GOOD.encode("cp1251"))
    code, found = trial(capsys, path, "--profile", "charges-csv")
    assert code == 1
    assert found["refusal"].startswith("encoding:")


def test_people_see_tables(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, text = run(capsys, "try", str(file), "--profile", "charges-csv")
    assert code == 0
    for expected in ("first rows as understood", "columns as understood", "нет такого месяца", "the file can be taken"):
        assert expected in text


def test_what_looks_like_markup_is_the_senders_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "charges.csv"
    path.write_text(GOOD.replace("HEAT", "[bold]HEAT[/x]"))
    code, text = run(capsys, "try", str(path), "--profile", "charges-csv")
    assert code == 0
    assert "[bold]HEAT" in text


def test_a_profile_may_be_tried_before_it_is_added(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, file: Path
) -> None:
    path = tmp_path / "own.json"
    path.write_bytes(profile.encode(changed(CHARGES_CSV, name="own", encoding=Encoding.AUTO)))
    code, found = trial(capsys, file, "--profile", str(path))
    assert (code, found["profile"], found["encoding"]) == (0, "own@1", "utf-8")


def test_a_guess_is_a_suggestion(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, text = run(capsys, "try", str(file), "--guess", "--json")
    assert code == 0
    assert json.loads(text)[0]["profile"] == "charges-csv"


@pytest.mark.parametrize("words", [("--profile", "charges-csv", "--guess"), (), ("--profile", "missing.json")])
def test_what_is_asked_wrongly_is_told_so(
    capsys: pytest.CaptureFixture[str], file: Path, words: tuple[str, ...]
) -> None:
    assert run(capsys, "try", str(file), *words)[0] == 2


def test_presets_are_shown_and_come_back_from_their_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "presets", "--json")
    assert code == 0
    assert "bank-12" in [one["name"] for one in json.loads(text)]
    code, text = run(capsys, "show", "charges-csv")
    assert profile.decode(text) == CHARGES_CSV
