"""`kopeck nsi`: master data in and out as files. A file is taken whole or not at all, in somebody's name."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.markup import escape

from actors import bootstrap, run_file
from actors.client import ShardUnreachable
from actors.settings import Settings
from cli.console import Exit, err, fail, out, table
from cli.system import joined
from engine.limits import MASTER_TEXT_CHARS_MAX
from engine.master import KINDS, Provider, Record, Service, key_of
from engine.policy import PolicyBook, SplitPolicy
from engine.rates import cap_ends_within
from intake.master_files import Known, LineFault, MasterFile, read_records, review, write_records
from intake.policy_files import read_policies, review_policies, write_policies
from storage import master, rates, reference
from storage.master import Change, ChangeRow

POLICIES = "policies"
"""The kind that is JSON, and whose records are versions that never change. Its table is `split_policies`."""

ALL_KINDS = (*KINDS, POLICIES)
RATE_KINDS = ("key_rates", "rate_caps")
FILE_BYTES_MAX = 256_000_000
CAP_WARNING_DAYS = 60
_FAULTS_SHOWN_MAX = 50


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a file did, or with `dry_run` would do; with any fault, nothing."""

    kind: str
    dry_run: bool
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    faults: Sequence[LineFault] = ()


def checked_kind(kind: str) -> str:
    """Return a kind that there is, or end with the list of them."""
    if kind not in ALL_KINDS:
        fail(Exit.USAGE, f"there is no kind {escape(kind)}; one of {', '.join(ALL_KINDS)}")
    return kind


def signed(who: str, why: str) -> Change:
    """Return who makes a change and why, or end: each is one line that a history can show."""
    for option, text in (("--who", who), ("--why", why)):
        if not text.strip() or not text.isprintable() or len(text) > MASTER_TEXT_CHARS_MAX:
            fail(Exit.USAGE, f"{option} is one line of at most {MASTER_TEXT_CHARS_MAX} printable characters")
    return Change(who.strip(), why.strip())


def read_file(path: Path) -> bytes:
    """Read a file for loading, or end with why it cannot be."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            fail(Exit.USAGE, f"{escape(str(path))} is larger than {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        fail(Exit.USAGE, f"{escape(str(path))}: {error.strerror}")


async def load(database_url: str, kind: str, content: bytes, change: Change, *, dry_run: bool) -> Loaded:
    """Load a file of a kind. Errors: `NotDone`, and then nothing of it is kept."""
    if kind == POLICIES:
        return await _load_policies(database_url, content, change, dry_run=dry_run)
    file = read_records(kind, content)
    if file.faults:
        return Loaded(kind=kind, dry_run=dry_run, faults=file.faults)
    present = await master.read(database_url, KINDS[kind])
    faults = review(file, present, await _known(database_url))
    if faults:
        return Loaded(kind=kind, dry_run=dry_run, faults=faults)
    if dry_run:
        return _planned(kind, file, present)
    put = await master.put(database_url, file.records, change)
    return Loaded(kind=kind, dry_run=False, added=put.added, changed=put.changed, unchanged=put.unchanged)


def _planned(kind: str, file: MasterFile, present: Sequence[Record]) -> Loaded:
    there = {key_of(record): record for record in present}
    added = sum(key_of(record) not in there for record in file.records)
    unchanged = sum(there.get(key_of(record)) == record for record in file.records)
    changed = len(file.records) - added - unchanged
    return Loaded(kind=kind, dry_run=True, added=added, changed=changed, unchanged=unchanged)


async def _load_policies(database_url: str, content: bytes, change: Change, *, dry_run: bool) -> Loaded:
    file = read_policies(content)
    present = (await reference.read_policies(database_url)).policies
    wrong = file.faults or review_policies(file, present, await _known(database_url))
    if wrong:
        return Loaded(kind=POLICIES, dry_run=dry_run, faults=[LineFault(0, text) for text in wrong])
    there = {(policy.agreement, policy.version) for policy in present}
    new = [policy for policy in file.policies if (policy.agreement, policy.version) not in there]
    if not dry_run:
        await reference.add_policies(database_url, new, change)
    return Loaded(kind=POLICIES, dry_run=dry_run, added=len(new), unchanged=len(file.policies) - len(new))


async def _known(database_url: str) -> Known:
    return Known(
        frozenset(row.service for row in await master.read(database_url, Service)),
        frozenset(row.provider for row in await master.read(database_url, Provider)),
        frozenset(policy.agreement for policy in (await reference.read_policies(database_url)).policies),
    )


async def tell_the_running(settings: Settings) -> None:
    """Let a system that runs here, if any does, take the policies; end with what to do when it does not answer."""
    if run_file.read(settings.home) is None:
        return
    async with joined(settings):
        try:
            await bootstrap.reload_policies()
        except ShardUnreachable as error:
            fail(Exit.UNAVAILABLE, f"the policies are kept, but the running system is away ({error}): load again")


def show_loaded(loaded: Loaded) -> None:
    """Show what a file did; faults, with their lines, on standard error."""
    for fault in loaded.faults[:_FAULTS_SHOWN_MAX]:
        err.print(f"line {fault.line}: {fault.text}" if fault.line else fault.text, markup=False, soft_wrap=True)
    if loaded.faults:
        err.print(f"{len(loaded.faults)} faults, nothing was loaded")
        return
    verb = "would be " if loaded.dry_run else ""
    out.print(f"{loaded.kind}: {verb}added {loaded.added}, changed {loaded.changed}, unchanged {loaded.unchanged}")


async def export(database_url: str, kind: str) -> bytes:
    """Print every record of a kind as a file that `load` takes. Errors: `NotDone`."""
    if kind == POLICIES:
        return write_policies((await reference.read_policies(database_url)).policies)
    return write_records(kind, await master.read(database_url, KINDS[kind]))


async def read_kind(database_url: str, kind: str) -> Sequence[Record | SplitPolicy]:
    """Read every record of a kind. Errors: `NotDone`."""
    if kind == POLICIES:
        return (await reference.read_policies(database_url)).policies
    return await master.read(database_url, KINDS[kind])


def show_kind(kind: str, records: Sequence[Record | SplitPolicy]) -> None:
    """Show records as a table for people."""
    columns = (SplitPolicy if kind == POLICIES else KINDS[kind]).__struct_fields__
    shown = table(kind, *columns)
    for record in records:
        shown.add_row(*(_shown(getattr(record, name)) for name in columns))
    out.print(shown)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, tuple | frozenset):
        return escape(", ".join(map(str, value)))
    return "" if value is None else escape(str(value))


async def history(database_url: str, kind: str, record_id: str) -> list[ChangeRow]:
    """Read what became of a record, oldest first. Errors: `NotDone`."""
    return await master.history(database_url, "split_policies" if kind == POLICIES else kind, record_id)


def show_history(changes: Sequence[ChangeRow]) -> None:
    """Show who changed what, when and why."""
    shown = table("history", "when", "who", "why", "what")
    for change in changes:
        shown.add_row(
            f"{change.changed_at:%Y-%m-%d %H:%M:%S}", *map(escape, (change.who, change.why, _difference(change)))
        )
    out.print(shown)


def _difference(change: ChangeRow) -> str:
    if not change.before:
        return "added"
    names = [name for name, value in change.after.items() if change.before.get(name) != value]
    return "\n".join(f"{name}: {change.before.get(name)} -> {change.after[name]}" for name in names)


async def warnings(database_url: str, today: datetime.date) -> list[str]:
    """Tell what of the dated tables an operator should look at. Errors: `NotDone`."""
    terms = await rates.penalty_terms(database_url)
    if not cap_ends_within(CAP_WARNING_DAYS, today, terms):
        return []
    last = max((cap.until for cap in terms.caps), default=None)
    ends = f"the last cap of the penalty rate ends on {last}" if last else "no cap of the penalty rate is known"
    return [f"{ends}: look for the act that prolongs it, and load it as rate_caps"]


def local_today() -> datetime.date:
    """The date where the region is."""
    zone = datetime.timezone(datetime.timedelta(minutes=PolicyBook().utc_offset_minutes))
    return datetime.datetime.now(tz=zone).date()
