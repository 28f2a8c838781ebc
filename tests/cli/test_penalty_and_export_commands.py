"""`kopeck penalties` and `kopeck export` as programs use them: exit codes, JSON, files that are whole or not there."""

import asyncio
import csv
import json
from pathlib import Path

import pytest

from tests.actors import test_penalties as ledger
from tests.actors.postgres_stage import PostgresStage, account, open_postgres_stage
from tests.cli.conftest import Run


async def _fill(database_url: str, *, accrue: bool) -> None:
    async with open_postgres_stage(database_url) as stage:
        await _debtor(stage)
        if accrue:
            await ledger.accrue(stage)


async def _debtor(stage: PostgresStage) -> None:
    await stage.open(0, ledger.BILLED)
    await stage.bill(0, ledger.BILLED, 202603, ledger.BILL, due_on=ledger.DUE)


def test_a_dry_run_prints_totals_and_changes_nothing(kopeck: Run, database: str) -> None:
    asyncio.run(_fill(database, accrue=False))
    done = kopeck("penalties", "accrue", "--as-of", "2026-07-15", "--dry-run", "--json")
    assert (done.code, done.json["run"], done.json["accounts_changed"]) == (0, 0, 1)
    assert [total["raised_kopecks"] for total in done.json["totals"]] == [ledger.OF_HEAT, ledger.OF_REPAIR]
    assert kopeck("penalties", "list", "--json").json == []


def test_a_run_is_listed_and_its_calculation_printed(kopeck: Run, database: str) -> None:
    asyncio.run(_fill(database, accrue=True))
    (run,) = kopeck("penalties", "list", "--json").json
    assert (run["as_of"], run["is_finished"], run["started_by"]) == ("2026-07-15", True, "tester")
    assert "finished" in kopeck("penalties", "list").out
    shown = kopeck("penalties", "show", account(0))
    assert shown.code == 0
    assert "РАСЧЁТ ПЕНЕЙ" in shown.out
    assert "98.65" in shown.out
    assert kopeck("penalties", "show", account(0), "--run", "2").code == 1


def test_operators_are_warned_of_the_end_of_the_cap(kopeck: Run) -> None:
    assert "№ 474" not in kopeck("penalties", "accrue", "--as-of", "2026-07-15", "--dry-run").err
    assert "№ 474" in kopeck("penalties", "accrue", "--as-of", "2026-11-15", "--dry-run").err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--as-of", "15.07.2026"),
        ("--as-of", "2999-01-01"),
        ("--as-of", "2026-07-15", "--account", "1", "--house", "2"),
        (),
    ],
)
def test_wrong_arguments_of_an_accrual_are_refused(kopeck: Run, arguments: tuple[str, ...]) -> None:
    assert kopeck("penalties", "accrue", "--dry-run", *arguments).code in (1, 2)


def test_an_export_is_written_whole_and_goes_on_from_its_position(kopeck: Run, database: str, tmp_path: Path) -> None:
    asyncio.run(_fill(database, accrue=True))
    file = tmp_path / "charges.ndjson"
    done = kopeck("export", "charges", str(file))
    assert done.code == 0
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["charge_posted", "penalty_accrued"]
    position = done.err.split()[-1]
    assert kopeck("export", "charges", str(file), "--after", position).code == 0
    assert file.read_text() == ""
    assert list(tmp_path.glob("*.part")) == []


def test_an_export_as_csv_of_one_provider(kopeck: Run, database: str, tmp_path: Path) -> None:
    asyncio.run(_fill(database, accrue=False))
    file = tmp_path / "balances.csv"
    assert kopeck("export", "balances", str(file), "--format", "csv", "--provider", "P9").code == 0
    with file.open(newline="") as rows:
        assert [(row["provider"], row["amount_kopecks"]) for row in csv.DictReader(rows)] == [("P9", "500000")]


@pytest.mark.parametrize(
    "arguments",
    [("people",), ("charges", "--after", "zzz"), ("charges", "--since", "2026-11-01"), ("charges", "--period", "13")],
)
def test_wrong_arguments_of_an_export_leave_no_file(kopeck: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert kopeck("export", arguments[0], str(tmp_path / "x"), *arguments[1:]).code in (1, 2)
    assert list(tmp_path.glob("x*")) == []
