"""`kopeck penalties …`: the commands and their help."""

import datetime
import sys
from typing import Annotated

from cyclopts import App, Parameter

from cli.console import Exit, fail, out, print_json
from cli.main import Json, Quiet, load_settings, log_to_terminal, run

app = App(name="penalties", help="Penalties (пени): accrue them over the region, list runs, print a calculation.")


@app.command
def accrue(
    *,
    as_of: Annotated[str, Parameter(help="Last day that counts, YYYY-MM-DD: not in the future.")],
    dry_run: Annotated[bool, Parameter(negative=(), help="Only show what would be posted.")] = False,
    account: Annotated[str, Parameter(help="Only this account.")] = "",
    house: Annotated[int | None, Parameter(help="Only the accounts of this house.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Accrue penalties up to a day: the whole penalty of every debt less what was accrued before.

    A run that was interrupted goes on when the same is asked again; nothing is posted twice. Exit code 1 if some
    account could not be accrued; each is named, the others are done.
    """
    from cli import penalties

    log_to_terminal(verbose=False)
    try:
        day = datetime.date.fromisoformat(as_of)
    except ValueError:
        fail(Exit.USAGE, "--as-of is a date: YYYY-MM-DD")
    if day > datetime.datetime.now(tz=datetime.UTC).date() + datetime.timedelta(days=1):
        fail(Exit.USAGE, "--as-of lies in the future: payments until then are not known")
    if account and house is not None:
        fail(Exit.USAGE, "--account and --house exclude each other")
    asked = penalties.asked_of(day, account, house)
    if dry_run:
        done = penalties.preview(load_settings(), asked, quiet=quiet or json)
    else:
        done = run(penalties.accrue(load_settings(), asked, quiet=quiet or json))
    if json:
        print_json(done)
    else:
        penalties.show_accrued(done)
    sys.exit(Exit.WRONG if done.faults_count else Exit.DONE)


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List the newest accrual runs with what they changed."""
    from cli import penalties
    from cli.database import database_for

    with database_for(load_settings()) as url:
        found = run(penalties.read_runs(url))
    if json:
        print_json(found)
    else:
        penalties.show_runs(found)


@app.command
def show(
    account: str, *, run_: Annotated[int | None, Parameter(name="--run", help="Of this run, not the newest.")] = None
) -> None:
    """Print an account's calculation in Russian: days, base, share, rate, sum, debt by debt."""
    from cli import penalties
    from cli.database import database_for

    with database_for(load_settings()) as url:
        text = run(penalties.printable(url, account, run_))
    if text is None:
        fail(Exit.WRONG, f"no calculation of account {account} is kept" + (f" of run {run_}" if run_ else ""))
    out.print(text.decode(), end="", markup=False, soft_wrap=True)
