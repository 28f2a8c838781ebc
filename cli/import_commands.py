"""`kopeck import …`: files that flow in, their protocols, and what waits.

Other kinds of files register their commands on `app` too.
"""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cli.console import Exit, fail, out, print_json
from cli.database import database_for
from cli.main import Json, Quiet, load_settings, run

app = App(
    name="import",
    help="Files that flow in. The same file again is a no-op; a run that was broken off is resumed, never doubled.",
)

Of = Annotated[str, Parameter(name="--billing", help="Whose file it is, as added by `kopeck import billing`.")]
OfAny = Annotated[str, Parameter(name="--billing", help="Only of this billing.")]
ProfileName = Annotated[str, Parameter(name="--profile", help="How it is written; the billing's own if not given.")]
Mode = Annotated[str, Parameter(help="full: the file is the whole truth of its months; delta: it adds. Charges: full.")]
DryRun = Annotated[bool, Parameter(negative=(), help="Only show how it is understood; nothing is kept or posted.")]
Number = Annotated[int, Parameter(name="FILE", help="The file's number, as `list` shows it.")]


@app.command
def charges(
    file: Path,
    *,
    billing: Of,
    profile: ProfileName = "",
    mode: Mode = "",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Import what households owe. Exit code 1 when a row, or the whole file, is rejected."""
    _import("charges", file, billing, (profile, mode), dry_run=dry_run, quiet=quiet, json=json)


@app.command
def accounts(
    file: Path,
    *,
    billing: Of,
    profile: ProfileName = "",
    mode: Mode = "",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Import personal accounts: open, close, who lives there. A full list closes whom it does not name."""
    _import("accounts", file, billing, (profile, mode), dry_run=dry_run, quiet=quiet, json=json)


@app.command
def meters(
    file: Path,
    *,
    billing: Of,
    profile: ProfileName = "",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Import meters; a later file adds to their history."""
    _import("meters", file, billing, (profile, ""), dry_run=dry_run, quiet=quiet, json=json)


@app.command
def readings(
    file: Path,
    *,
    billing: Of,
    profile: ProfileName = "",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Import meter readings; those that cannot be (less than before, too many digits) are rejected."""
    _import("readings", file, billing, (profile, ""), dry_run=dry_run, quiet=quiet, json=json)


@app.command
def payments(
    file: Path,
    *,
    billing: Of,
    profile: ProfileName = "",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Import payments that the billing took by itself: they lower debts, and are never settled with us."""
    _import("payments", file, billing, (profile, ""), dry_run=dry_run, quiet=quiet, json=json)


@app.command(name="billing")
def billing_(
    name: str,
    *,
    agreement: Annotated[str, Parameter(help="Under which its new accounts open: it names the splitting policy.")],
    profile: Annotated[list[str], Parameter(negative=(), help="KIND=PROFILE, as charges=charges-dbf; repeat.")] = [],  # noqa: B006
    opens_accounts: Annotated[bool, Parameter(help="A charge for an unknown account opens it.")] = True,
    median_times: Annotated[int, Parameter(help="A charge above so many times the usual is told.")] = 5,
    accounts_change_percent: Annotated[int, Parameter(help="By how much the number of accounts may change.")] = 20,
    who: Annotated[str, Parameter(help="Who says so.")],
) -> None:
    """Add a billing, or change its terms."""
    from cli import imports

    terms = imports.terms_of(
        profile,
        opens_accounts=opens_accounts,
        median_times=median_times,
        accounts_change_percent=accounts_change_percent,
    )
    with database_for(load_settings()) as url:
        run(imports.put_billing(url, name, agreement, terms, who))
    out.print(f"billing {name}: new accounts open under {agreement}")


@app.command(name="list")
def list_(*, billing: OfAny = "", limit: int = 20, json: Json = False) -> None:
    """Show the newest files and what has become of them."""
    from cli import imports

    with database_for(load_settings()) as url:
        found = run(imports.read_list(url, billing, limit))
    if json:
        print_json(found)
    else:
        imports.show_list(found)


@app.command
def show(number: Number, *, json: Json = False) -> None:
    """Show one file: its state, its counts, its problem."""
    from cli import imports

    with database_for(load_settings()) as url:
        found = run(imports.read_one(url, number))
    if found is None:
        fail(Exit.USAGE, f"there is no file {number}")
    if json:
        print_json(found)
    else:
        imports.show_one(found)


@app.command
def protocol(
    number: Number,
    *,
    version: Annotated[int, Parameter(help="An earlier one; the newest if not given.")] = 0,
    output: Annotated[Path | None, Parameter(help="Write it here instead of to standard output.")] = None,
) -> None:
    """Give a file's protocol again: what has become of every row."""
    from cli import imports

    settings = load_settings()
    with database_for(settings) as url:
        path = run(imports.protocol_path(settings, url, number, version))
    if path is None:
        fail(Exit.USAGE, f"file {number} has no protocol" + (f" {version}" if version else " yet"))
    if output is None:
        sys.stdout.buffer.write(path.read_bytes())
    else:
        output.write_bytes(path.read_bytes())


@app.command
def resume(*, billing: OfAny = "", quiet: Quiet = False) -> None:
    """Go on with whatever was broken off, and post what waited for a mapping that is confirmed now."""
    from cli import imports

    left = run(imports.resume(load_settings(), billing, quiet=quiet))
    out.print(f"unfinished files: {left}")
    sys.exit(Exit.WRONG if left else Exit.DONE)


@app.command
def waiting(*, billing: OfAny = "", json: Json = False) -> None:
    """Show what waits for a mapping, code by code. Exit code 1 when anything does."""
    from cli import imports

    with database_for(load_settings()) as url:
        found = run(imports.read_waiting(url, billing))
    if json:
        print_json(found)
    else:
        imports.show_waiting(found)
    sys.exit(Exit.WRONG if found else Exit.DONE)


def _import(
    kind: str, file: Path, billing: str, how: tuple[str, str], *, dry_run: bool, quiet: bool, json: bool
) -> None:
    from cli import imports

    if not file.is_file():
        fail(Exit.USAGE, f"there is no file {file}")
    settings = load_settings()
    if dry_run:
        with database_for(settings) as url:
            refused = run(imports.try_out(url, kind, file, billing, how[0], json=json))
        sys.exit(Exit.WRONG if refused else Exit.DONE)
    done = run(imports.import_file(settings, imports.delivery_of(kind, file, billing, how), file, quiet=quiet or json))
    if json:
        print_json(done)
    else:
        imports.show_one(done)
    sys.exit(Exit.DONE if done.state == "done" and not done.rows_rejected else Exit.WRONG)


app.command(
    "cli.register_commands:import_register", name="register", help="Take an agent's register or a bank statement."
)
