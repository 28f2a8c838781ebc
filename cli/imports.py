"""The work of `kopeck import`: files handed over and run here, beside whatever else runs; and what is shown of them."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
from rich.markup import escape

from actors import billing_intake, profiles, run_file
from actors.billing_intake import Delivery, Place, Wrong, receive
from actors.billing_posting import Pace, Stalled
from actors.billing_run import Importer, Observer
from actors.client import Router
from actors.profiles import NoSuchProfile
from actors.settings import Settings
from cli.console import Exit, fail, out, progress_bar, table
from cli.dry_run import show_trial, trial
from cli.system import joined, running
from intake.profile import FileKind
from storage import billing, billing_waiting, received
from storage.archive import Archive
from storage.billing import Billing, Terms
from storage.billing_waiting import WaitingCode
from storage.received import ReceivedFile

_TRIAL_ROWS = 20
_BUSY_PAUSE_S = 0.5
_NICENESS = 10
"""Beside payers an import takes only the processor time that nobody else wants."""
UNHINDERED = Pace(burst_commands=1_024, share_percent=100)
"""The pace where nobody pays: a system that was started for the import alone."""


def archive_of(settings: Settings) -> Archive:
    """Where this installation keeps files as received."""
    return Archive(settings.archive_folder)


def terms_of(pairs: Sequence[str], *, opens_accounts: bool, median_times: int, accounts_change_percent: int) -> Terms:
    """Read a billing's terms, or end with what is wrong with them."""
    kinds = {kind.value for kind in billing_intake.KINDS}
    named = dict(pair.partition("=")[::2] for pair in pairs)
    if not named.keys() <= kinds or not all(named.values()):
        fail(Exit.USAGE, f"--profile is KIND=PROFILE, where KIND is one of {', '.join(sorted(kinds))}")
    return Terms(
        profiles=named,
        opens_accounts=opens_accounts,
        median_times=median_times,
        accounts_change_percent=accounts_change_percent,
    )


async def put_billing(database_url: str, name: str, agreement: str, terms: Terms, who: str) -> None:
    """Add a billing or change its terms; ends with what is wrong with a name that is none."""
    if not billing.is_name(name):
        fail(Exit.USAGE, "a billing's name has 1 to 23 small Latin letters, digits, - and _")
    if not who.strip():
        fail(Exit.USAGE, "--who says who")
    await billing.put_billing(database_url, Billing(billing=name, agreement=agreement, terms=terms), who)


def delivery_of(kind: str, file: Path, of: str, how: tuple[str, str]) -> Delivery:
    """The file as this person hands it over; `how` is its profile and its mode."""
    profile, mode = how
    return Delivery(of, FileKind(kind), file.name, f"cli:{getpass.getuser()}", profile, mode)


# Runs ----------------------------------------------------------------------------------------------------------------


async def import_file(settings: Settings, delivery: Delivery, file: Path, *, quiet: bool) -> ReceivedFile:
    """Import a file to its end, in the running system or one started for it; ends with what was wrongly asked."""
    async with _system(settings) as (database_url, router, pace):
        place = Place(database_url, archive_of(settings))
        try:
            with file.open("rb") as content:
                taken, is_new = await receive(place, delivery, content)
        except (Wrong, NoSuchProfile, ValueError) as error:
            fail(Exit.USAGE, str(error))
        if is_new:
            with watched(quiet=quiet) as observer:
                importer = Importer(place, router, pace, observer=observer)
                await _run(importer, delivery.billing, taken.file)
        done = await received.find(database_url, taken.file)
        assert done is not None, "files are never removed"
        return done


async def _run(importer: Importer, name: str, file: int) -> None:
    """Run a billing's files until this one is done, here or by whoever is at it already."""
    try:
        while not await importer.run(name):
            await asyncio.sleep(_BUSY_PAUSE_S)
            done = await received.find(importer.place.database_url, file)
            if done is not None and done.state in ("done", "refused"):
                return
    except Stalled as error:
        fail(Exit.UNAVAILABLE, f"{error}; go on with `kopeck import resume`")


async def resume(settings: Settings, name: str, *, quiet: bool) -> int:
    """Go on with what was broken off, of one billing or of all; return how many files are not done even so."""
    async with _system(settings) as (database_url, router, pace):
        with watched(quiet=quiet) as observer:
            importer = Importer(Place(database_url, archive_of(settings)), router, pace, observer=observer)
            for each in [name] if name else await billing.billings_at_work(database_url):
                try:
                    await importer.run(each)
                except (LookupError, Stalled) as error:
                    fail(Exit.UNAVAILABLE if isinstance(error, Stalled) else Exit.USAGE, str(error))
        left = await received.unfinished(database_url)
        return sum(file.sender == name or not name for file in left if file.kind in billing_intake.KINDS)


@asynccontextmanager
async def _system(settings: Settings) -> AsyncIterator[tuple[str, Router, Pace]]:
    """The running system, where payers go first, or one without doors, started for this."""
    if run_file.read(settings.home) is not None:
        os.nice(_NICENESS)
        async with joined(settings) as (running_file, router):
            yield running_file.database_url, router, Pace()
        return
    async with running(settings, gateways=False) as system:
        yield system.servers.database_url, await system.router(), UNHINDERED


@contextmanager
def watched(*, quiet: bool) -> Iterator[Observer]:
    """A progress bar for each step of a run."""
    with ExitStack() as stack:
        bars = _Bars(stack, quiet=quiet)
        yield Observer(bars.begin, bars.advance)


class _Bars:
    """One bar at a time: the next step's takes the place of the last one's."""

    def __init__(self, stack: ExitStack, *, quiet: bool) -> None:
        self._stack = stack
        self._quiet = quiet
        self._advance: Callable[[int], None] | None = None

    def begin(self, step: str, total: int) -> None:
        """Begin a step; 0 is a total that nobody knows."""
        self._stack.close()
        self._advance = self._stack.enter_context(progress_bar(step, total or None, quiet=self._quiet))

    def advance(self, count: int) -> None:
        """Move the present bar on."""
        if self._advance is not None:
            self._advance(count)


async def try_out(database_url: str, kind: str, file: Path, of: str, profile_name: str, *, json: bool) -> bool:
    """Show how a file would be understood; tell whether it would be refused."""
    found = await billing.find_billing(database_url, of)
    if found is None:
        fail(Exit.USAGE, f"there is no billing {of}; add it with `kopeck import billing`")
    try:
        profile = await profiles.resolve(database_url, billing_intake.profile_for(found, FileKind(kind), profile_name))
        done = trial(file, profile, _TRIAL_ROWS)
    except (NoSuchProfile, ValueError) as error:
        fail(Exit.USAGE, str(error))
    show_trial(done, json=json)
    return bool(done.refusal)


# Shown ---------------------------------------------------------------------------------------------------------------


async def read_list(database_url: str, of: str, limit: int) -> list[ReceivedFile]:
    """Read billings' newest files. Errors: `NotDone`."""
    return await billing.list_files(database_url, of, limit)


def show_list(found: Sequence[ReceivedFile]) -> None:
    """Show files, a line each."""
    shown = table(
        "files", ">file", "billing", "kind", "mode", "name", "state", ">rows", ">warned", ">rejected", ">waiting"
    )
    for file in found:
        counts = (file.rows_total, file.rows_warned, file.rows_rejected, file.rows_waiting)
        about = (str(file.file), file.sender, file.kind, file.mode, escape(file.name), file.state)
        shown.add_row(*about, *(f"{count:,}" for count in counts))
    out.print(shown)


async def read_one(database_url: str, number: int) -> ReceivedFile | None:
    """Read one file. Errors: `NotDone`."""
    return await received.find(database_url, number)


def show_one(file: ReceivedFile) -> None:
    """Show all that is known of a file."""
    for name, value in msgspec.structs.asdict(file).items():
        out.print(f"{name:16} {escape(str(value))}", soft_wrap=True)


async def protocol_path(settings: Settings, database_url: str, number: int, version: int) -> Path | None:
    """Where a file's protocol is, or None. Errors: `NotDone`."""
    kept = await billing.find_protocol(database_url, number, version)
    return None if kept is None else archive_of(settings).path(kept.sha256)


async def read_waiting(database_url: str, of: str) -> list[WaitingCode]:
    """Read what waits, by code. Errors: `NotDone`."""
    return await billing_waiting.list_waiting(database_url, of)


def show_waiting(found: Sequence[WaitingCode]) -> None:
    """Show what waits, a line a code."""
    if not found:
        out.print("nothing waits for a mapping")
        return
    shown = table(
        "codes that nobody has confirmed", "billing", "kind", "code", "period", ">rows", ">accounts", ">kopecks"
    )
    for code in found:
        counts = (f"{code.rows:,}", f"{code.accounts:,}", f"{code.kopecks:,}")
        shown.add_row(code.billing, code.kind, escape(code.code), str(code.period or ""), *counts)
    out.print(shown)
