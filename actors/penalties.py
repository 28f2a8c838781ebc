"""The accrual run: penalties of a region, computed in one snapshot, posted through the shards.

A range of accounts at a time: fold their histories, compute, keep the plan in one transaction, post it, note that it
is posted; while a range is posted, the next one is computed. What fails on the way:
- the program, the machine, the database: `accrue` again with the same options goes on (see `storage/penalties.py`);
- a shard: its commands are sent again under their keys until it answers, or the run stops and is taken up later;
- one account that cannot be computed or is refused: noted as a fault, its neighbours go on.
"""

import asyncio
import datetime
from collections.abc import Callable, Sequence

import msgspec

from actors.client import Router
from engine.accrual import accrue, postings_of
from engine.commands import PostCharges
from engine.ids import AccountId
from engine.outcomes import Acknowledged, KeyConflict, Outcome, Rejected
from engine.penalty import PenaltyTerms
from engine.policy import PolicyBook
from engine.principal import History
from storage import penalties, rates, reference
from storage.errors import NotDone
from storage.histories import Scope, Snapshot, snapshot
from storage.journal import FOLDING_ERRORS
from storage.penalties import Calculation, PenaltyRun, Planned, Tables, Total

_RANGE_ACCOUNTS = 500
_TRIES = 20
_RETRY_PAUSE_S = 0.5


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to accrue: up to which local date, for whom, and who says so."""

    as_of: datetime.date
    scope: Scope = Scope()
    by: str = ""


class Accrued(msgspec.Struct, kw_only=True):
    """What a run did, or (run 0) would do. Units: kopecks, in `totals`."""

    run: int = 0
    as_of: datetime.date
    accounts: int = 0
    accounts_changed: int = 0
    accounts_ahead: int = 0
    totals: list[Total] = []
    faults: list[tuple[str, str]] = []
    faults_count: int = 0


_FAULTS_TOLD_MAX = 100


async def read_tables(database_url: str) -> Tables:
    """Read the dated tables in force: the program's, with this installation's rows. Errors: `NotDone`."""
    return Tables(await rates.penalty_terms(database_url), await rates.read_calendar(database_url))


async def count(database_url: str, scope: Scope) -> int:
    """Count the accounts of a scope, for a progress bar."""
    async with snapshot(database_url) as taken:
        return await taken.count(scope)


async def preview(database_url: str, asked: Asked, progress: Callable[[int], None]) -> Accrued:
    """Compute what a run would post, and change nothing. Errors: `NotDone`."""
    book = await reference.read_policies(database_url)
    tables = await read_tables(database_url)
    told = Accrued(as_of=asked.as_of)
    totals: dict[tuple[str, str], Total] = {}
    async with snapshot(database_url) as taken:
        after = ""
        while accounts := await taken.accounts(asked.scope, after, _RANGE_ACCOUNTS):
            planned = await _plan(database_url, taken, accounts, asked.as_of, tables, book)
            _add(told, totals, planned)
            progress(planned.accounts)
            after = planned.through
    told.totals = [totals[key] for key in sorted(totals)]
    return told


def _add(told: Accrued, totals: dict[tuple[str, str], Total], planned: Planned) -> None:
    told.accounts += planned.accounts
    told.accounts_ahead += planned.accounts_ahead
    told.accounts_changed += len(planned.calculations)
    told.faults_count += len(planned.faults)
    told.faults += list(planned.faults.items())[: _FAULTS_TOLD_MAX - len(told.faults)]
    for key, more in penalties.totals_of(planned.calculations).items():
        total = totals.setdefault(key, Total(service=key[0], provider=key[1]))
        total.debts += more.debts
        total.raised_kopecks += more.raised_kopecks
        total.credited_kopecks += more.credited_kopecks


async def run(database_url: str, router: Router, asked: Asked, progress: Callable[[int], None]) -> Accrued:
    """Accrue and post, or go on with the unfinished run of the same options.

    Errors: `RunRefused` when another run is going on or unfinished; `NotDone` when the database or a shard stays away:
    the run is taken up by the next call.
    """
    book = await reference.read_policies(database_url)
    tables = await read_tables(database_url)
    async with penalties.alone(database_url):
        begun = await penalties.begin(database_url, asked.as_of, asked.scope, tables, asked.by)
        tables = await penalties.tables_of(database_url, begun.run)
        progress(begun.accounts)
        await _post_again(database_url, router, begun)
        await _go_on(database_url, router, begun, tables, book, progress)
        done = await penalties.finish(database_url, begun.run)
    return Accrued(
        run=done.run,
        as_of=done.as_of,
        accounts=done.accounts,
        accounts_changed=done.accounts_changed,
        accounts_ahead=done.accounts_ahead,
        totals=await penalties.totals(database_url, done.run),
        faults=await penalties.faults(database_url, done.run, _FAULTS_TOLD_MAX),
        faults_count=done.faults,
    )


async def _post_again(database_url: str, router: Router, begun: PenaltyRun) -> None:
    """Post what was planned and perhaps not posted; what was, answers with its first receipt."""
    after = begun.posted_through
    while kept := await penalties.planned_between(
        database_url, begun.run, after, begun.planned_through, _RANGE_ACCOUNTS
    ):
        after = kept[-1].account
        await _post(database_url, router, begun, kept, after)


async def _go_on(
    database_url: str,
    router: Router,
    begun: PenaltyRun,
    tables: Tables,
    book: PolicyBook,
    progress: Callable[[int], None],
) -> None:
    """Plan range after range; the one before is posted meanwhile, and has to be done before the next is."""
    after = begun.planned_through
    posting = asyncio.create_task(_post(database_url, router, begun, [], after))
    try:
        async with snapshot(database_url) as taken:
            while accounts := await taken.accounts(begun.scope, after, _RANGE_ACCOUNTS):
                planned = await _plan(database_url, taken, accounts, begun.as_of, tables, book)
                await penalties.keep_plan(database_url, begun.run, after, planned)
                await posting
                after = planned.through
                posting = asyncio.create_task(_post(database_url, router, begun, planned.calculations, after))
                progress(planned.accounts)
        await posting
    finally:
        posting.cancel()


async def _plan(
    database_url: str,
    taken: Snapshot,
    accounts: Sequence[AccountId],
    as_of: datetime.date,
    tables: Tables,
    book: PolicyBook,
) -> Planned:
    """Compute one range of accounts."""
    planned = Planned(through=accounts[-1], accounts=len(accounts))
    later = await penalties.ahead(database_url, accounts, as_of)
    planned.accounts_ahead = len(later)
    accounts = [account for account in accounts if account not in later]
    territories = await taken.territories(accounts)
    async for account, history in taken.histories(accounts, book, tables.calendar):
        territory = territories.get(account, "")
        found = history if isinstance(history, str) else _calculate(history, as_of, tables.terms, book, territory)
        if isinstance(found, str):
            planned.faults[account] = found
        elif found is not None:
            planned.calculations.append(found)
        await asyncio.sleep(0)
    return planned


def _calculate(
    history: History, as_of: datetime.date, terms: PenaltyTerms, book: PolicyBook, territory: str
) -> Calculation | str | None:
    """One account's calculation if it changes anything, or what is wrong with the account."""
    if not history.debts:
        return None
    policy = book.in_force(history.agreement, as_of)
    if policy is None:
        return f"no policy of agreement {history.agreement} is in force on {as_of}"
    try:
        accruals = accrue(history, as_of, terms, policy, territory=territory)
    except FOLDING_ERRORS as error:
        return f"cannot be accrued: {error!r}"
    is_changed = any(accrual.change_kopecks for accrual in accruals)
    return Calculation(history.account, accruals) if is_changed else None


async def _post(
    database_url: str, router: Router, begun: PenaltyRun, calculations: Sequence[Calculation], through: str
) -> None:
    """Post calculations and note that they are. Errors: `NotDone` when a shard stays away."""
    commands = [
        command
        for calculation in calculations
        for command in postings_of(begun.run, calculation.account, calculation.accruals, begun.started_at_us)
    ]
    faults: dict[str, str] = {}
    for command, outcome in await _submit(router, commands):
        if isinstance(outcome, Rejected):
            faults[command.account] = f"refused: {outcome.reason.name.lower()}"
        elif isinstance(outcome, KeyConflict):
            faults[command.account] = f"the key {command.txn_id} was used for something else"
    await penalties.mark_posted(database_url, begun.run, through, faults)


async def _submit(router: Router, commands: list[PostCharges]) -> list[tuple[PostCharges, Outcome]]:
    """Send commands until the ledger has answered each."""
    answered: list[tuple[PostCharges, Outcome]] = []
    for _ in range(_TRIES):
        outcomes = await router.submit_many(commands)
        pairs = list(zip(commands, outcomes, strict=True))
        answered += [pair for pair in pairs if _is_answer(pair[1])]
        commands = [command for command, outcome in pairs if not _is_answer(outcome)]
        if not commands:
            return answered
        await asyncio.sleep(_RETRY_PAUSE_S)
    raise NotDone(f"{len(commands)} postings stay without an answer; accrue again to go on")


def _is_answer(outcome: Outcome) -> bool:
    return isinstance(outcome, Acknowledged | Rejected | KeyConflict)
