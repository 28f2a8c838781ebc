"""`kopeck import`: what can be done without a running system, and what is refused with a word why."""

import asyncio
from pathlib import Path

import pytest

from cli import imports
from storage import billing
from tests.cli.conftest import Run

FILE = "ACCOUNT;PERIOD;SERVICE;PROVIDER_INN;ACCRUED\r\n1;2026-10;HEAT;77;100,00\r\n2;2026-10;HEAT;77;x\r\n"


@pytest.fixture
def charges(tmp_path: Path) -> str:
    path = tmp_path / "charges.csv"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def test_a_billing_is_added_and_its_terms_are_kept(kopeck: Run, database: str) -> None:
    added = kopeck(
        *["import", "billing", "erc", "--agreement", "main", "--profile", "charges=charges-dbf", "--who", "anna"]
    )
    assert added.code == 0
    found = asyncio.run(billing.find_billing(database, "erc"))
    assert found is not None
    assert (found.agreement, found.terms.profiles) == ("main", {"charges": "charges-dbf"})


@pytest.mark.parametrize(
    "arguments",
    [
        "import billing ERC! --agreement main --who anna",
        "import billing erc --agreement main --profile wishes=x --who anna",
        "import charges nowhere.csv --billing erc",
        "import show 17",
        "import protocol 17",
    ],
)
def test_what_cannot_be_is_refused_with_a_word_why(kopeck: Run, arguments: str) -> None:
    ended = kopeck(*arguments.split())
    assert ended.code == 2
    assert ended.err


def test_a_dry_run_shows_what_would_be_understood_and_keeps_nothing(kopeck: Run, charges: str) -> None:
    kopeck(*["import", "billing", "erc", "--agreement", "main", "--who", "anna"])
    tried = kopeck("import", "charges", charges, "--billing", "erc", "--dry-run", "--json")
    assert (tried.code, tried.json["rows"]) == (0, 2)
    assert kopeck("import", "list", "--json").json == []


def test_nothing_waits_where_nothing_came(kopeck: Run) -> None:
    assert kopeck("import", "waiting", "--json").json == []


def test_a_billing_of_no_such_name_is_refused_before_anything_is_kept(kopeck: Run, charges: str) -> None:
    tried = kopeck("import", "charges", charges, "--billing", "nobody", "--dry-run")
    assert (tried.code, "nobody" in tried.err) == (2, True)


def test_bars_follow_one_another_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with imports.watched(quiet=True) as observer:
        observer.advance(1)
        observer.begin("staging", 0)
        observer.advance(5)
        observer.begin("posting", 10)
        observer.advance(10)
    assert capsys.readouterr().out == ""
