"""How commands speak: tables and progress bars for people, JSON or silence for scripts, exit codes for both.

Exit codes: 0 done, 1 something is wrong (an audit that is not clean, a system that is not well), 2 wrong arguments or
settings, 3 what was needed is not there (the system is down, the database cannot be reached).
"""

import enum
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

_PLAIN_WIDTH = 132
"""Columns of tables that go to a file or another program."""

out = Console(highlight=False)
if not out.is_terminal:
    out.width = _PLAIN_WIDTH
err = Console(stderr=True, highlight=False)


class Exit(enum.IntEnum):
    """Exit codes."""

    DONE = 0
    WRONG = 1
    USAGE = 2
    UNAVAILABLE = 3


def fail(code: Exit, text: str) -> NoReturn:
    """Say why on standard error and end."""
    err.print(f"[bold red]kopeck:[/] {text}", soft_wrap=True)
    sys.exit(code)


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


@contextmanager
def progress_bar(title: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error while a block works; plain silence when not at a terminal or told to be quiet.

    `total` is None where nobody knows how much there is.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def table(title: str, *columns: str) -> Table:
    """Make an empty table; columns whose names begin with `>` are aligned right."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    return made
