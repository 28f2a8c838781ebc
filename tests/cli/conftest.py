"""A terminal that runs a command in this process."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from cli.main import app


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def kopeck(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `kopeck` with these arguments against this test's database, as a program without a terminal does."""
    monkeypatch.setenv("KOPECK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KOPECK_DATABASE_URL", database)
    monkeypatch.setenv("SUDO_USER", "anna")

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        return Ended(_code(arguments), *capsys.readouterr())

    return run


def _code(arguments: Sequence[str]) -> int:
    try:
        app(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0
