"""`kopeck register` and `kopeck case` as a program without a terminal runs them, against what a bank's day left."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from cli.main import app
from cli.register_commands import import_register
from tests.registers.stage import BANK, DAY, NOBODY, BankLine, Stage, bank_file

Run = Callable[..., Awaitable[tuple[int, str]]]


@pytest_asyncio.fixture
async def kopeck(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Run]:
    """Runs `kopeck` in a thread: a program has an event loop of its own."""
    monkeypatch.setenv("KOPECK_HOME", str(stage.folder))
    monkeypatch.setenv("KOPECK_DATABASE_URL", stage.url)

    async def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(_code, app, arguments)
        return code, capsys.readouterr().out

    yield run


def _code(program: Callable[[list[str]], object], arguments: tuple[str, ...]) -> int:
    try:
        program(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


async def test_registers_are_listed_and_shown(stage: Stage, kopeck: Run) -> None:
    done = await stage.take(BankLine(operation="1"))
    code, told = await kopeck("register", "list", "--json")
    assert (code, [one["file"] for one in msgspec.json.decode(told)]) == (0, [done.file])
    code, told = await kopeck("register", "show", str(done.file))
    assert code == 0
    assert "онлайн не приходило, принято по реестру" in told
    assert (await kopeck("register", "show", "999999"))[0] == 2


async def test_a_day_is_reconciled_as_table_json_and_csv(stage: Stage, kopeck: Run) -> None:
    await stage.online("1")
    await stage.take(BankLine(operation="1"))
    asked = ("register", "report", "--connection", BANK, "--date", str(DAY))
    code, told = await kopeck(*asked)
    assert code == 0
    assert "сошлось до копейки" in told
    code, told = await kopeck(*asked, "--format", "json")
    assert msgspec.json.decode(told)["theirs_kopecks"] == 150_000
    code, told = await kopeck(*asked, "--format", "csv")
    rows = list(csv.reader(io.StringIO(told), delimiter=";"))
    assert rows[1:] == [
        [BANK, str(DAY), "matched", "1", "1500,00", "1500,00"],
        [BANK, str(DAY), "total", "1", "1500,00", "1500,00"],
    ]


async def test_a_day_that_does_not_agree_ends_with_one(stage: Stage, kopeck: Run) -> None:
    await stage.online("1", kopecks=1)
    await stage.take(BankLine(operation="1"))
    code, told = await kopeck("register", "report", "--connection", BANK, "--date", str(DAY))
    assert code == 1
    assert "расхождение" in told
    assert (await kopeck("register", "report", "--connection", "nobody"))[0] == 2


async def test_open_cases_are_listed_and_a_case_tells_all_that_helps(stage: Stage, kopeck: Run) -> None:
    await stage.take(BankLine(operation="1", account=NOBODY, payer="ИВАНОВ И.И."), BankLine(operation="2"))
    code, told = await kopeck("case", "list", "--json")
    (case,) = msgspec.json.decode(told)
    assert (code, case["kind"]) == (0, "unknown_account")
    assert len(msgspec.json.decode((await kopeck("case", "list", "--all", "--json"))[1])) == 2
    code, told = await kopeck("case", "show", str(case["number"]))
    assert "ИВАНОВ И.И." in told
    assert "возможно, 007001020003 (near_number)" in told
    assert (await kopeck("case", "show", "999999"))[0] == 2


async def test_a_decision_without_what_it_needs_is_refused_before_anything_starts(stage: Stage, kopeck: Run) -> None:
    for given in (("assign",), ("return", "--account", "1")):
        assert (await kopeck("case", "resolve", "1", *given, "--who", "olga", "--reason", "x"))[0] == 2


@pytest.mark.parametrize(("count", "code"), [(None, 0), (7, 1)])
async def test_a_dry_run_tells_what_would_be_and_writes_nothing(
    stage: Stage, kopeck: Run, capsys: pytest.CaptureFixture[str], count: int | None, code: int
) -> None:
    path = Path(stage.folder) / "register.txt"
    path.write_bytes(bank_file(BankLine(operation="1"), count=count))

    def dry_run(_: list[str]) -> None:
        import_register(path, connection=BANK, dry_run=True, json=True)

    assert await asyncio.to_thread(_code, dry_run, ()) == code
    told = msgspec.json.decode(capsys.readouterr().out)
    assert (told["lines"], bool(told["problem"])) == (1, code == 1)
    assert await stage.fetch("SELECT 1 FROM received_files") == []
