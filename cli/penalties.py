"""`kopeck penalties`: runs the accrual, shows what it did, prints an account's calculation."""

import asyncio
import datetime
import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors import penalties as accruals
from actors import run_file
from actors.client import Router
from actors.penalties import Accrued, Asked
from actors.settings import Settings
from cli.console import err, out, progress_bar, table
from cli.database import database_for
from cli.system import joined, running
from engine.money import format_roubles_human
from engine.rates import cap_ends_within
from reports.penalty_calculation import CalculationView, render_penalty_calculation
from storage import penalties, rates, reference
from storage.histories import Scope
from storage.penalties import PenaltyRun

_CAP_WARNING_DAYS = 60
_RUNS_SHOWN = 50


def preview(settings: Settings, asked: Asked, *, quiet: bool) -> Accrued:
    """Compute what a run would post, and change nothing."""

    async def work(url: str) -> Accrued:
        await _warn(url, asked.as_of)
        with progress_bar("penalties", await accruals.count(url, asked.scope), quiet=quiet) as advance:
            return await accruals.preview(url, asked, advance)

    with database_for(settings) as url:
        return asyncio.run(work(url))


async def accrue(settings: Settings, asked: Asked, *, quiet: bool) -> Accrued:
    """Accrue and post through the running system, or through one started for it."""
    async with _system(settings) as (url, router):
        await _warn(url, asked.as_of)
        with progress_bar("penalties", await accruals.count(url, asked.scope), quiet=quiet) as advance:
            return await accruals.run(url, router, asked, advance)


@asynccontextmanager
async def _system(settings: Settings) -> AsyncIterator[tuple[str, Router]]:
    if run_file.read(settings.home) is not None:
        async with joined(settings) as (running_file, router):
            yield running_file.database_url, router
    else:
        async with running(settings, gateways=False) as system:
            yield system.servers.database_url, await system.router()


async def _warn(database_url: str, as_of: datetime.date) -> None:
    """Tell operators while the last known cap of the rate is about to end: without a new act the full rate returns."""
    if cap_ends_within(_CAP_WARNING_DAYS, as_of, await rates.penalty_terms(database_url)):
        err.print(
            f"[yellow]The cap of the penalty rate (ПП РФ № 474) ends within {_CAP_WARNING_DAYS} days of {as_of}: "
            "look for an act that prolongs it; without one the full key rate is charged after its end.[/]",
            soft_wrap=True,
        )


def asked_of(as_of: datetime.date, account: str, house: int | None) -> Asked:
    """Make a request in the name of who runs this program."""
    return Asked(as_of=as_of, scope=Scope(account, house), by=getpass.getuser())


def show_accrued(done: Accrued) -> None:
    """Show a run's totals for people."""
    title = f"run {done.run}, as of {done.as_of}" if done.run else f"dry run as of {done.as_of}: nothing was changed"
    shown = table(title, "service", "provider", ">debts", ">raised", ">credited")
    for total in done.totals:
        raised, credited = format_roubles_human(total.raised_kopecks), format_roubles_human(total.credited_kopecks)
        shown.add_row(total.service, total.provider, f"{total.debts:,}", raised, credited)
    out.print(shown)
    out.print(f"{done.accounts:,} accounts, {done.accounts_changed:,} changed")
    if done.accounts_ahead:
        out.print(f"{done.accounts_ahead:,} accounts were accrued to a later day already and are left alone")
    for account, problem in done.faults:
        out.print(f"  account {account}: {problem}")
    if done.faults_count > len(done.faults):
        out.print(f"  and {done.faults_count - len(done.faults):,} more")


async def read_runs(database_url: str) -> list[PenaltyRun]:
    """Return the newest runs."""
    return await penalties.runs(database_url, _RUNS_SHOWN)


def show_runs(runs: list[PenaltyRun]) -> None:
    """Show runs for people."""
    shown = table(
        "penalty runs", ">run", "as of", "for", "by", "state", ">accounts", ">changed", ">raised", ">credited"
    )
    for run in runs:
        scope = run.account or ("all" if run.house is None else f"house {run.house}")
        state = "finished" if run.is_finished else "unfinished"
        state += f", {run.faults:,} faults" if run.faults else ""
        raised, credited = format_roubles_human(run.raised_kopecks), format_roubles_human(run.credited_kopecks)
        counts = (f"{run.accounts:,}", f"{run.accounts_changed:,}")
        shown.add_row(str(run.run), str(run.as_of), scope, run.started_by, state, *counts, raised, credited)
    out.print(shown)


async def printable(database_url: str, account: str, run: int | None) -> bytes | None:
    """Print an account's calculation: that of a run, or the newest one kept; None if there is none."""
    kept = await penalties.calculation(database_url, account, run)
    if kept is None:
        return None
    names = await reference.read_names(database_url)
    view = CalculationView(
        account=kept.account,
        as_of=kept.as_of,
        run=kept.run,
        accruals=kept.accruals,
        services=names.services,
        providers=names.providers,
    )
    return render_penalty_calculation(view)
