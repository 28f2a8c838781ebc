"""`kopeck connection`: the contracts with senders of payments and readers, as people see and change them."""

import getpass
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich import prompt
from rich.markup import escape

from cli.connection_changes import Person, Proposal, activity, addition, edition, rotation, stored
from cli.connection_settings import Unfit, settings_from, settings_of, with_values
from cli.connection_views import (
    listed,
    looked_at,
    show_connection,
    show_history,
    show_list,
    show_proposal,
    written,
)
from cli.console import Exit, err, fail, print_json
from cli.database import database_for
from cli.main import Json, load_settings, run
from gateways.connections import Connections, Row
from gateways.processors.entrance import InsecureExposureError, check_exposure
from storage import connections, migrate
from storage.connections import ConnectionRow
from storage.errors import ChangedMeanwhile

app = App(
    name="connection",
    help="Contracts with senders and readers: keys, addresses, limits, terms. Gateways take a change within 2 seconds.",
)

Who = Annotated[str, Parameter(help="Who changes it; the user of the operating system if not given.")]
Why = Annotated[str, Parameter(help="Why; the trail keeps it.")]
Set = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set", help="A setting as name=value or terms.name=value; the value is JSON, or text.", negative=()
    ),
]
From = Annotated[Path | None, Parameter(name="--from", help="A JSON file of settings; --set comes on top of it.")]
Yes = Annotated[bool, Parameter(name=("--yes", "-y"), negative=(), help="Do not ask before a dangerous change.")]
DryRun = Annotated[bool, Parameter(negative=(), help="Only show what would change.")]
HISTORY_MAX = 1_000


@app.command
def add(
    name: str,
    *,
    dialect: str,
    set_: Set = (),
    from_: From = None,
    who: Who = "",
    why: Why = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Add a connection. What its sender signs in with is made here and shown once; only digests are kept."""

    def make(rows: Sequence[ConnectionRow]) -> Proposal:
        given = with_values(settings_from(from_), set_)
        return addition(rows, name, dialect, given, _person(who, why))

    _carry_out(make, yes=yes, dry_run=dry_run, json=json)


@app.command
def edit(
    name: str,
    *,
    why: Why,
    set_: Set = (),
    from_: From = None,
    who: Who = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Change settings of a connection. What is not named stays as it is."""

    def make(rows: Sequence[ConnectionRow]) -> Proposal:
        settings = with_values(settings_of(stored(rows, name)) | settings_from(from_), set_)
        return edition(rows, name, settings, _person(who, why))

    _carry_out(make, yes=yes, dry_run=dry_run, json=json)


@app.command
def rotate_key(
    name: str,
    *,
    why: Why,
    finish: Annotated[bool, Parameter(negative=(), help="Drop the old one: the sender uses the new one now.")] = False,
    who: Who = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make a new key (or password), valid beside the old one until --finish. It is shown once."""

    def make(rows: Sequence[ConnectionRow]) -> Proposal:
        return rotation(rows, name, _person(who, why), finish=finish)

    _carry_out(make, yes=yes, dry_run=dry_run, json=json)


@app.command
def disable(
    name: str, *, why: Why, who: Who = "", yes: Yes = False, dry_run: DryRun = False, json: Json = False
) -> None:
    """Take a connection out of use: its requests are refused. Nothing of it is lost."""

    def make(rows: Sequence[ConnectionRow]) -> Proposal:
        return activity(rows, name, _person(who, why), active=False)

    _carry_out(make, yes=yes, dry_run=dry_run, json=json)


@app.command
def enable(
    name: str, *, why: Why = "", who: Who = "", yes: Yes = False, dry_run: DryRun = False, json: Json = False
) -> None:
    """Take a disabled connection into use again, as it was."""

    def make(rows: Sequence[ConnectionRow]) -> Proposal:
        return activity(rows, name, _person(who, why), active=True)

    _carry_out(make, yes=yes, dry_run=dry_run, json=json)


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List connections: dialect, source, limits, addresses, who changed it last. Secrets are never shown."""
    with _database() as url:
        rows = listed(run(connections.read_connections(url)), run(connections.last_changes(url)))
    if json:
        print_json(rows)
    else:
        show_list(rows)


@app.command
def show(name: str, *, json: Json = False) -> None:
    """Show every setting of a connection that is not its default. Secrets are never shown."""
    with _database() as url:
        try:
            row = stored(run(connections.read_connections(url)), name)
        except Unfit as error:
            fail(Exit.USAGE, str(error))
        found = looked_at(row, run(connections.past_changes(url, name, 1))[0])
    if json:
        print_json(found)
    else:
        show_connection(found)


@app.command
def history(
    name: Annotated[str, Parameter(help="A connection; all if not given.")] = "",
    *,
    limit: Annotated[int, Parameter(help="How many changes at most, the newest first.")] = 20,
    json: Json = False,
) -> None:
    """Show who changed what, when and why."""
    if not 0 < limit <= HISTORY_MAX:
        fail(Exit.USAGE, f"--limit is 1 to {HISTORY_MAX}")
    with _database() as url:
        changes = run(connections.past_changes(url, name, limit))
    if json:
        print_json(changes)
    else:
        show_history(changes)


def _person(who: str, why: str) -> Person:
    return Person(who=who or os.environ.get("SUDO_USER") or getpass.getuser(), why=why)


@contextmanager
def _database() -> Iterator[str]:
    """The database's URL for the length of a block, if its schema is this program's."""
    with database_for(load_settings()) as url:
        if run(migrate.plan(url)):
            fail(Exit.UNAVAILABLE, "the database's schema is not up to date; run `kopeck migrate`")
        yield url


def _carry_out(make: Callable[[Sequence[ConnectionRow]], Proposal], *, yes: bool, dry_run: bool, json: bool) -> None:
    """Make a proposal from what is in force, ask where it is dangerous, write it, say what was done."""
    with _database() as url:
        try:
            proposal = make(run(connections.read_connections(url)))
            row = proposal.change.row
            in_force = Connections([Row(row.connection, row.dialect, row.active, row.settings)])
            check_exposure(load_settings(), in_force)  # Else the gateways would refuse to start next time.
        except (Unfit, InsecureExposureError) as error:
            fail(Exit.USAGE, f"{error}. Nothing was changed")
        is_written = bool(proposal.differences) and not dry_run
        if is_written:
            _ask(proposal, yes=yes)
            try:
                run(connections.change_connections(url, [proposal.change]))
            except ChangedMeanwhile as error:
                fail(Exit.WRONG, f"{error}. Nothing was changed")
    if json:
        print_json(written(proposal, is_written=is_written))
    else:
        show_proposal(proposal, is_written=is_written)


def _ask(proposal: Proposal, *, yes: bool) -> None:
    """Get a person's yes to what is dangerous, or end."""
    if yes or not proposal.dangers:
        return
    name = proposal.change.row.connection
    for danger in proposal.dangers:
        err.print(f"[bold red]{escape(name)}:[/] {escape(danger)}", soft_wrap=True)
    if not sys.stdin.isatty():
        fail(Exit.USAGE, "this wants a yes: --yes. Nothing was changed")
    if not prompt.Confirm.ask("Do it?", console=err, default=False):
        fail(Exit.WRONG, "nothing was changed")
