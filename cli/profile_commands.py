"""`kopeck profile`: how senders write their files, and what a file would be read as."""

import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from cyclopts import App, Parameter

from cli.console import Exit, fail, out, print_json, table
from intake.profile import Profile

T = TypeVar("T")

app = App(name="profile", help="Profiles of files: how each sender writes. `try` reads a file and posts nothing.")

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for scripts.")]


@app.command
def presets(*, json: Json = False) -> None:
    """Show the profiles that come with the program."""
    from intake.presets import PRESETS

    rows = [(one.name, one.kind.value, one.form.value, one.title) for one in PRESETS.values()]
    _show("presets", ("name", "kind", "form", "title"), rows, json=json)


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """Show the profiles of this installation, the newest version of each."""
    from storage import profiles

    found = _in_database(profiles.newest)
    rows = [(one.profile, str(one.version), one.kind, one.added_by) for one in found]
    _show("profiles", ("name", "version", "kind", "added by"), rows, json=json)


@app.command
def show(name: str, *, version: int = 0) -> None:
    """Print a profile as JSON: a preset, or one of this installation (the newest version if none is named)."""
    from intake import profile

    sys.stdout.write(profile.encode(_named(name, version)).decode() + "\n")


@app.command
def add(file: Path, *, who: Annotated[str, Parameter(help="Who adds it; kept for ever.")]) -> None:
    """Add a profile from a JSON file: the first version of its name, or the next. Nothing is ever changed."""
    from actors import profiles

    wanted = _from_file(file)
    if not who.strip():
        fail(Exit.USAGE, "--who says who adds it")
    try:
        version = _in_database(lambda url: profiles.add(url, wanted, who))
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    out.print(f"{wanted.name} version {version}")


@app.command(name="try")
def try_(
    file: Path,
    *,
    profile: Annotated[str, Parameter(help="Name of a profile, or a JSON file with one.")] = "",
    guess: Annotated[bool, Parameter(negative=(), help="Suggest profiles and an encoding instead.")] = False,
    rows: Annotated[int, Parameter(help="How many rows to show.")] = 20,
    json: Json = False,
) -> None:
    """Read a whole file and show what would be understood: rows, columns, faults. Posts nothing.

    Exit code 1 when the file would be refused.
    """
    from cli.dry_run import show_suggestions, show_trial, trial
    from intake.guess import settled, suggestions

    if not file.is_file():
        fail(Exit.USAGE, f"there is no file {file}")
    if guess == bool(profile):
        fail(Exit.USAGE, "give --profile NAME or --guess")
    if guess:
        show_suggestions(suggestions(file), json=json)
        return
    chosen = _from_file(Path(profile)) if profile.endswith(".json") else _named(profile, 0)
    try:
        done = trial(file, settled(chosen, file), rows)
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    show_trial(done, json=json)
    sys.exit(Exit.WRONG if done.refusal else Exit.DONE)


def _show(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, json: bool) -> None:
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    shown = table(title, *columns)
    for row in rows:
        shown.add_row(*row)
    out.print(shown)


def _in_database(work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    """Do something with the installation's database, whose schema is brought up to date first."""
    from cli.database import database_for
    from cli.main import load_settings, run
    from storage.migrate import migrate

    async def migrated(url: str) -> T:
        await migrate(url)
        return await work(url)

    with database_for(load_settings()) as url:
        found: T = run(migrated(url))
    return found


def _named(name: str, version: int) -> Profile:
    """A preset without asking any database, or a profile of the installation."""
    from actors import profiles
    from intake.presets import PRESETS

    if name in PRESETS and version in (0, PRESETS[name].version):
        return PRESETS[name]
    try:
        return _in_database(lambda url: profiles.resolve(url, name, version))
    except profiles.NoSuchProfile as error:
        fail(Exit.USAGE, str(error))


def _from_file(file: Path) -> Profile:
    from intake import profile

    try:
        return profile.decode(file.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        fail(Exit.USAGE, f"{file}: {error}")
