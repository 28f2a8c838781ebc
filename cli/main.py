"""`kopeck`: the commands and their help. Each command's work is in a module of its own, imported when it is called."""

import sys
from collections.abc import Coroutine
from typing import Annotated, Any

import msgspec
import uvloop
from cyclopts import App, Parameter
from rich.logging import RichHandler

from actors import settings as settings_module
from actors.settings import Settings
from cli import profile_commands
from cli.console import Exit, err, fail, out, print_json, table
from storage.errors import StorageError

app = App(
    name="kopeck",
    help="Real-time payment engine for housing and utilities bills. Settings: KOPECK_* (`kopeck settings`).",
    help_epilogue="Exit codes: 0 done, 1 something is wrong, 2 wrong arguments or settings, 3 the system is not there.",
)
app.command(profile_commands.app)

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for scripts.")]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), negative=(), help="Print nothing but errors and results.")]


def main() -> None:
    """Entry point of the `kopeck` program."""
    if sys.flags.optimize:
        fail(Exit.USAGE, "python -O would remove the checks that guard the ledger; run without it")
    try:
        app()
    except StorageError as error:
        fail(Exit.UNAVAILABLE, str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def load_settings() -> Settings:
    """Read the settings, or end with what is wrong with them."""
    try:
        return settings_module.load()
    except (msgspec.ValidationError, ValueError) as error:
        fail(Exit.USAGE, f"settings: {error}")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a command's work on uvloop."""
    return uvloop.run(work)


def log_to_terminal(*, verbose: bool) -> None:
    """Show warnings (or more) of our own loggers on standard error."""
    import logging

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(name)s %(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )


@app.command
def up(*, verbose: bool = False) -> None:
    """Start the system on this machine and keep it until Ctrl-C or SIGTERM.

    Starts what is not given by URL: PostgreSQL, Valkey, Ray; then the shards and the HTTP doors. At the end every
    accepted payment is answered before its shard goes.
    """
    from cli.up import keep_up

    log_to_terminal(verbose=verbose)
    run(keep_up(load_settings()))


@app.command
def demo(
    *,
    for_: Annotated[str, Parameter(name="--for", help="How long, as 30s, 5m, 1h; until Ctrl-C if not given.")] = "",
    accounts: int = 10_000,
    seed: int = 1,
    rate: Annotated[int, Parameter(help="Payments a second to aim at; 0 is as many as the terminals manage.")] = 400,
    quiet: Quiet = False,
) -> None:
    """Show it all: a region is seeded, terminals and processors pay over HTTP, the screen shows what happens.

    Ends with an audit of the whole ledger; exit code 1 if that is not clean.
    """
    from cli.demo import Plan, parse_duration, play

    log_to_terminal(verbose=False)
    try:
        seconds = parse_duration(for_) if for_ else None
    except ValueError as error:
        fail(Exit.USAGE, f"--for: {error}")
    clean = run(play(load_settings(), Plan(accounts, seed, rate, seconds, quiet)))
    sys.exit(Exit.DONE if clean else Exit.WRONG)


@app.command
def status(*, json: Json = False) -> None:
    """Show shards, epochs, slots, queues and doors of the running system."""
    from cli.status import read_status, show_status

    found = run(read_status(load_settings()))
    if json:
        print_json(found)
    else:
        show_status(found)
    sys.exit(Exit.DONE if found.well else Exit.WRONG if found.running else Exit.UNAVAILABLE)


@app.command
def migrate(*, plan: Annotated[bool, Parameter(negative=(), help="Only show what would be applied.")] = False) -> None:
    """Bring the database's schema up to date. Safe at any time, and when two do it at once."""
    from cli.database import database_for
    from storage import migrate as migrations

    async def work(url: str) -> None:
        done = await (migrations.plan if plan else migrations.migrate)(url)
        for migration in done:
            out.print(f"{migration.name}  " + ("pending" if plan else f"applied in {migration.took_ms} ms"))
        if not done:
            out.print("the schema is up to date")

    with database_for(load_settings()) as url:
        run(work(url))


@app.command
def seed(*, accounts: int = 10_000, seed: int = 1, json: Json = False, quiet: Quiet = False) -> None:
    """Load a deterministic region: houses, accounts, three months of bills, payments, debts, advances.

    Goes through the shards like any billing's charges, into the running system, or one started for it. Writes
    demo.json (keys, sample accounts) into KOPECK_HOME for scripts.
    """
    from cli.seed import seed_region

    log_to_terminal(verbose=False)
    if not 0 < accounts <= 5_000_000:
        fail(Exit.USAGE, "--accounts is 1 to 5,000,000")
    done = run(seed_region(load_settings(), accounts, seed, quiet=quiet or json))
    if json:
        print_json(done)
    elif not quiet:
        rate = done.commands / done.seconds
        out.print(
            f"{done.accounts:,} accounts, {done.commands:,} commands in {done.seconds:.1f} s ({rate:,.0f} a second)"
        )
    sys.exit(Exit.WRONG if done.refused else Exit.DONE)


@app.command
def audit(*, json: Json = False, quiet: Quiet = False) -> None:
    """Refold the whole ledger from nothing: sequences, hashes, double entry, balances, snapshots, keys.

    Exit code 1 if anything does not agree; then shard, sequence and account of each finding are shown.
    """
    from cli.audit import run_audit, show_audit
    from cli.database import database_for

    with database_for(load_settings()) as url:
        report = run(run_audit(url, quiet=quiet or json))
    if json:
        print_json(report)
    else:
        show_audit(report)
    sys.exit(Exit.DONE if report.clean else Exit.WRONG)


bench_app = App(name="bench", help="Measure speed beside yardsticks in the same run.")
app.command(bench_app)


@bench_app.default
def bench(
    *,
    accounts: int = 10_000,
    rounds: int = 3,
    seconds: Annotated[float, Parameter(help="Length of each measurement.")] = 8.0,
    only: Annotated[str, Parameter(help="Comma-separated measurements; all if not given.")] = "",
    output: Annotated[str, Parameter(help="Folder for the JSON and the chart.")] = "bench-results",
) -> None:
    """Measure speed beside yardsticks in the same run: raw COPY, a plain service, constant HTTP, one INSERT."""
    from bench.suite import Plan, measure

    log_to_terminal(verbose=False)
    chosen = tuple(name for name in only.split(",") if name)
    reached = measure(load_settings(), Plan(accounts, rounds, seconds, chosen, output))
    sys.exit(Exit.DONE if reached else Exit.WRONG)


@bench_app.command(name="import")
def bench_import(
    *,
    accounts: Annotated[int, Parameter(help="Accounts in the file, with seven lines each.")] = 30_000,
    seconds: Annotated[float, Parameter(help="How long payments are measured, without the import and under it.")] = 8.0,
    output: Annotated[str, Parameter(help="Folder for the JSON.")] = "bench-results",
) -> None:
    """Measure an import beside the COPY ceiling, and what payers notice of it. Exit code 1 if that is too much."""
    from bench.imports import Plan, measure

    log_to_terminal(verbose=False)
    if not 0 < accounts <= 1_000_000:
        fail(Exit.USAGE, "--accounts is 1 to 1,000,000")
    sys.exit(Exit.DONE if measure(load_settings(), Plan(accounts, seconds, output)) else Exit.WRONG)


@app.command
def settings(*, json: Json = False) -> None:
    """Show every setting with its value and whether the environment gave it. URLs are shown without passwords."""
    from cli.shown_settings import shown

    rows = shown(load_settings())
    if json:
        print_json(rows)
        return
    shown_table = table("settings", "variable", "value", "from")
    for row in rows:
        shown_table.add_row(row.variable, row.value, row.origin)
    out.print(shown_table)


app.command("cli.penalty_commands:app", name="penalties", help="Penalties (пени): accrue them, list runs, print one.")
app.command("cli.export_commands:app", name="export", help="Write accounts, charges, payments, balances, readings.")
app.command("cli.register_commands:app", name="register", help="Registers of agents: list, show, report.")
app.command("cli.register_commands:case_app", name="case", help="What does not agree: list, show, resolve.")
app.command("cli.connection_commands:app", name="connection", help="Contracts with senders: add, list, show, edit, …")
app.command("cli.nsi_commands:app", name="nsi", help="Master data (НСИ): load, export, list, history of changes.")
app.command("cli.import_commands:app", name="import", help="Files that flow in: import, list, resume; protocols.")
app.command(
    "cli.mapping_commands:app", name="mapping", help="What senders' codes mean: list, confirm, reject, replace."
)


if __name__ == "__main__":
    main()
