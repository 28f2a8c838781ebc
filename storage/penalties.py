"""Accrual runs: what was asked, how far it is, every calculation, totals. Facts of one run are kept in one transaction.

The plan of a range (calculations, totals, how far) is committed before anything of it is posted. So whoever finds an
unfinished run posts what is planned again, under the same keys, and plans on from there.
"""

import datetime
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from engine.accrual import Accrual
from engine.calendar import WorkCalendar
from engine.ids import AccountId
from engine.penalty import PenaltyTerms
from storage import codec
from storage.database import connected
from storage.errors import StorageError
from storage.histories import Scope

_LOCK = 4096008


class RunRefused(StorageError):
    """A run that may not begin or go on; the text says why."""


class PenaltyRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run; see `storage/migrations/0008_penalty_runs.sql`. `started_at_us` is a UTC instant."""

    run: int
    as_of: datetime.date
    account: str
    house: int | None
    tables_sha256: str
    started_by: str
    started_at_us: int
    planned_through: str
    posted_through: str
    accounts: int
    accounts_changed: int
    accounts_ahead: int
    is_finished: bool
    raised_kopecks: int = 0
    credited_kopecks: int = 0
    faults: int = 0

    @property
    def scope(self) -> Scope:
        """Which accounts it is for."""
        return Scope(self.account, self.house)


class Tables(msgspec.Struct, frozen=True):
    """The dated tables that a run computes by, from its beginning to its end."""

    terms: PenaltyTerms
    calendar: WorkCalendar


class Total(msgspec.Struct, kw_only=True):
    """What changed for one service of one provider. Units: kopecks, credits positive; `debts` counts the lines."""

    service: str
    provider: str
    debts: int = 0
    raised_kopecks: int = 0
    credited_kopecks: int = 0


class Calculation(msgspec.Struct, frozen=True):
    """One account's accruals of one run."""

    account: AccountId
    accruals: tuple[Accrual, ...]


class KeptCalculation(msgspec.Struct, frozen=True, kw_only=True):
    """A calculation as kept, with the run that made it."""

    run: int
    as_of: datetime.date
    made_at: datetime.datetime
    account: AccountId
    accruals: tuple[Accrual, ...]


class Planned(msgspec.Struct, kw_only=True):
    """The plan of one range: its accounts up to `through`, the calculations that change something, and faults."""

    through: str
    accounts: int = 0
    accounts_ahead: int = 0
    calculations: list[Calculation] = []
    faults: dict[str, str] = {}


_accruals_encoder = msgspec.json.Encoder()
_accruals_decoder = msgspec.json.Decoder(tuple[Accrual, ...])

_ONE_RUN = "SELECT * FROM penalty_runs_summed WHERE run = $1"
_NEWEST_RUNS = "SELECT * FROM penalty_runs_summed ORDER BY run DESC LIMIT $1"
_UNFINISHED = "SELECT * FROM penalty_runs_summed WHERE finished_at IS NULL"

_BEGIN = """
    INSERT INTO penalty_runs (as_of, account, house, tables, tables_sha256, started_by)
    VALUES ($1, $2, $3, $4, $5, $6) RETURNING run"""

# Served by the primary key. The condition refuses a second program that plans the same run.
_MOVE_PLAN = """
    UPDATE penalty_runs SET planned_through = $3, accounts = accounts + $4, accounts_changed = accounts_changed + $5,
        accounts_ahead = accounts_ahead + $6
    WHERE run = $1 AND planned_through = $2 AND finished_at IS NULL RETURNING true"""

_ADD_TOTALS = """
    INSERT INTO penalty_totals AS t
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
    ON CONFLICT (run, service, provider) DO UPDATE SET debts = t.debts + excluded.debts,
        raised_kopecks = t.raised_kopecks + excluded.raised_kopecks,
        credited_kopecks = t.credited_kopecks + excluded.credited_kopecks"""

_ADD_CALCULATIONS = """
    INSERT INTO penalty_calculations SELECT $1, * FROM unnest($2::text[], $3::text[])"""
_ADD_FAULTS = """
    INSERT INTO penalty_faults SELECT $1, * FROM unnest($2::text[], $3::text[]) ON CONFLICT DO NOTHING"""

# Served by penalty_calculations_by_run.
_PLANNED = """
    SELECT account, calculation FROM penalty_calculations
    WHERE run = $1 AND account > $2 AND account <= $3 ORDER BY account LIMIT $4"""

# Served by the primary key of penalty_calculations.
_AHEAD = """
    SELECT DISTINCT c.account FROM penalty_calculations c JOIN penalty_runs r ON r.run = c.run
    WHERE c.account = ANY($1::text[]) AND r.as_of > $2"""
_CALCULATION = """
    SELECT c.run, c.account, c.calculation, r.as_of, r.started_at FROM penalty_calculations c
    JOIN penalty_runs r ON r.run = c.run
    WHERE c.account = $1 AND ($2::bigint IS NULL OR c.run = $2) ORDER BY c.run DESC LIMIT 1"""


def _run_of(row: asyncpg.Record) -> PenaltyRun:
    return PenaltyRun(
        run=row["run"],
        as_of=row["as_of"],
        account=row["account"],
        house=row["house"],
        tables_sha256=row["tables_sha256"],
        started_by=row["started_by"],
        started_at_us=codec.micros(row["started_at"]),
        planned_through=row["planned_through"],
        posted_through=row["posted_through"],
        accounts=row["accounts"],
        accounts_changed=row["accounts_changed"],
        accounts_ahead=row["accounts_ahead"],
        is_finished=row["finished_at"] is not None,
        raised_kopecks=row["raised_kopecks"],
        credited_kopecks=row["credited_kopecks"],
        faults=row["faults"],
    )


@asynccontextmanager
async def alone(database_url: str) -> AsyncIterator[None]:
    """Keep other accrual runs out for the length of a block. Errors: `RunRefused` when one is going on."""
    async with connected(database_url) as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            raise RunRefused("another accrual of penalties is going on; wait for its end")
        yield


async def begin(database_url: str, as_of: datetime.date, scope: Scope, tables: Tables, started_by: str) -> PenaltyRun:
    """Begin a run, or take up the unfinished one if it was asked for the same. Errors: `RunRefused` if it was not."""
    text = msgspec.json.encode(tables, order="deterministic").decode()
    digest = hashlib.sha256(text.encode()).hexdigest()
    async with connected(database_url) as connection:
        row = await connection.fetchrow(_UNFINISHED)
        if row is None:
            number = await connection.fetchval(_BEGIN, as_of, scope.account, scope.house, text, digest, started_by)
            return _run_of(await connection.fetchrow(_ONE_RUN, number))
    run = _run_of(row)
    if (run.as_of, run.scope) != (as_of, scope):
        told = f"account {run.account}" if run.account else f"house {run.house}" if run.house is not None else "all"
        raise RunRefused(f"run {run.run} as of {run.as_of} ({told}) is unfinished: accrue with the same options first")
    return run


async def tables_of(database_url: str, run: int) -> Tables:
    """Return the tables that a run began with: it goes on by them."""
    async with connected(database_url) as connection:
        text = await connection.fetchval("SELECT tables FROM penalty_runs WHERE run = $1", run)
    return msgspec.json.decode(text, type=Tables)


def totals_of(calculations: Sequence[Calculation]) -> dict[tuple[str, str], Total]:
    """Sum what calculations change, by service and provider."""
    totals: dict[tuple[str, str], Total] = {}
    for calculation in calculations:
        for accrual in calculation.accruals:
            if accrual.change_kopecks:
                key = (accrual.service, accrual.provider)
                total = totals.setdefault(key, Total(service=key[0], provider=key[1]))
                total.debts += 1
                total.raised_kopecks += max(accrual.change_kopecks, 0)
                total.credited_kopecks += max(-accrual.change_kopecks, 0)
    return totals


async def keep_plan(database_url: str, run: int, after: str, planned: Planned) -> None:
    """Keep the plan of the range after an account, all or nothing.

    Errors: `RunRefused` when somebody else has planned it meanwhile; `NotDone` when the database does not do it.
    """
    changed = planned.calculations
    totals = totals_of(changed).values()
    async with connected(database_url) as connection, connection.transaction():
        moved = await connection.fetchval(
            _MOVE_PLAN, run, after, planned.through, planned.accounts, len(changed), planned.accounts_ahead
        )
        if not moved:
            raise RunRefused(f"run {run} is being planned by another program too")
        await connection.execute(
            _ADD_CALCULATIONS,
            run,
            [calculation.account for calculation in changed],
            [_accruals_encoder.encode(calculation.accruals).decode() for calculation in changed],
        )
        await connection.execute(
            _ADD_TOTALS,
            run,
            *([getattr(total, name) for total in totals] for name in Total.__struct_fields__),
        )
        await connection.execute(_ADD_FAULTS, run, list(planned.faults), list(planned.faults.values()))


async def planned_between(database_url: str, run: int, after: str, through: str, limit: int) -> list[Calculation]:
    """Return calculations of a run after an account, in the order of accounts."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(_PLANNED, run, after, through, limit)
    return [Calculation(row["account"], _accruals_decoder.decode(row["calculation"])) for row in rows]


async def mark_posted(database_url: str, run: int, through: str, faults: dict[str, str]) -> None:
    """Note that everything planned up to an account is in the ledger, but for the faults."""
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("UPDATE penalty_runs SET posted_through = $2 WHERE run = $1", run, through)
        await connection.execute(_ADD_FAULTS, run, list(faults), list(faults.values()))


async def finish(database_url: str, run: int) -> PenaltyRun:
    """End a run and return it with its sums."""
    async with connected(database_url) as connection:
        await connection.execute("UPDATE penalty_runs SET finished_at = now() WHERE run = $1", run)
        return _run_of(await connection.fetchrow(_ONE_RUN, run))


async def ahead(database_url: str, accounts: Sequence[AccountId], as_of: datetime.date) -> frozenset[str]:
    """Return which accounts were accrued to a later day already: going back would take that away again."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(_AHEAD, accounts, as_of)
    return frozenset(row["account"] for row in rows)


async def runs(database_url: str, limit: int) -> list[PenaltyRun]:
    """Return the newest runs, newest first."""
    async with connected(database_url) as connection:
        return [_run_of(row) for row in await connection.fetch(_NEWEST_RUNS, limit)]


async def totals(database_url: str, run: int) -> list[Total]:
    """Return a run's totals, by service and provider."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT service, provider, debts, raised_kopecks, credited_kopecks FROM penalty_totals
            WHERE run = $1 ORDER BY service, provider""",
            run,
        )
    return [Total(**row) for row in rows]


async def faults(database_url: str, run: int, limit: int) -> list[tuple[str, str]]:
    """Return accounts that a run could not accrue or post, and why."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT account, problem FROM penalty_faults WHERE run = $1 ORDER BY account LIMIT $2", run, limit
        )
    return [(row["account"], row["problem"]) for row in rows]


async def calculation(database_url: str, account: str, run: int | None = None) -> KeptCalculation | None:
    """Return an account's newest kept calculation, or that of a run; None if there is none."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow(_CALCULATION, account, run)
    if row is None:
        return None
    return KeptCalculation(
        run=row["run"],
        as_of=row["as_of"],
        made_at=row["started_at"],
        account=row["account"],
        accruals=_accruals_decoder.decode(row["calculation"]),
    )
