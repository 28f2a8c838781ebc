"""`kopeck nsi …`: the commands of master data (НСИ) and their help."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.markup import escape

from cli.console import Exit, err, fail, out, print_json
from cli.database import database_for
from cli.main import Json, load_settings, run
from storage import migrate

app = App(
    name="nsi",
    help="Master data (НСИ): services, providers, contracts, houses, tariffs, norms, calendar, rates, policies.",
)

Kind = Annotated[str, Parameter(help="What: services, providers, houses, tariffs, policies … (`kopeck nsi kinds`).")]


@contextmanager
def ready_database() -> Iterator[str]:
    """Give a block the database's URL, if its schema is this program's."""
    with database_for(load_settings()) as url:
        if run(migrate.plan(url)):
            fail(Exit.UNAVAILABLE, "the database's schema is not up to date; run `kopeck migrate`")
        yield url


@app.command
def kinds() -> None:
    """List the kinds, in the order in which a new installation loads them."""
    from cli.nsi import ALL_KINDS

    for kind in ALL_KINDS:
        out.print(kind)


@app.command
def load(
    kind: Kind,
    file: Path,
    *,
    who: Annotated[str, Parameter(help="Who answers for the change.")],
    why: Annotated[str, Parameter(help="Why: the act, the letter, the request.")],
    dry_run: Annotated[bool, Parameter(negative=(), help="Only check, and say what would change.")] = False,
    json: Json = False,
) -> None:
    """Load a file: CSV with `;` and a header, UTF-8 (policies: a JSON array). Whole, or with any fault not at all.

    Records that are there with the same key are changed, none is removed. Every change keeps who, when, why, before and
    after. A running system takes new splitting policies at once. Exit code 1 when the file has faults.
    """
    from cli import nsi

    nsi.checked_kind(kind)
    change, content = nsi.signed(who, why), nsi.read_file(file)
    with ready_database() as url:
        loaded = run(nsi.load(url, kind, content, change, dry_run=dry_run))
        if kind == nsi.POLICIES and not loaded.faults and not dry_run:
            run(nsi.tell_the_running(load_settings()))
        warnings = run(nsi.warnings(url, nsi.local_today())) if kind in nsi.RATE_KINDS else []
    if json:
        print_json(loaded)
    else:
        nsi.show_loaded(loaded)
    for warning in warnings:
        err.print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    sys.exit(Exit.WRONG if loaded.faults else Exit.DONE)


@app.command
def export(kind: Kind, file: Path | None = None) -> None:
    """Write every record of a kind as a file that `load` takes; to standard output if no file is named."""
    from cli import nsi

    nsi.checked_kind(kind)
    with ready_database() as url:
        content: bytes = run(nsi.export(url, kind))
    if file is None:
        sys.stdout.buffer.write(content)
        return
    try:
        file.write_bytes(content)
    except OSError as error:
        fail(Exit.USAGE, f"{escape(str(file))}: {error.strerror}")


@app.command(name="list")
def list_(kind: Kind, *, json: Json = False) -> None:
    """Show every record of a kind as it is now."""
    from cli import nsi

    nsi.checked_kind(kind)
    with ready_database() as url:
        records = run(nsi.read_kind(url, kind))
    if json:
        print_json(records)
    else:
        nsi.show_kind(kind, records)


@app.command
def history(
    kind: Kind,
    id_: Annotated[str, Parameter(name="ID", help="The record's key; of several fields joined by /.")],
    *,
    json: Json = False,
) -> None:
    """Show who changed a record, when, why and how. Exit code 1 when there is no such record."""
    from cli import nsi

    nsi.checked_kind(kind)
    with ready_database() as url:
        changes = run(nsi.history(url, kind, id_))
    if json:
        print_json(changes)
    else:
        nsi.show_history(changes)
    sys.exit(Exit.DONE if changes else Exit.WRONG)


@app.command
def check() -> None:
    """Look at the dated tables: does the last cap of the penalty rate end soon? Exit code 1 if it does."""
    from cli import nsi

    with ready_database() as url:
        found = run(nsi.warnings(url, nsi.local_today()))
    for warning in found:
        out.print(warning, soft_wrap=True)
    sys.exit(Exit.WRONG if found else Exit.DONE)
