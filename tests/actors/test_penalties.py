"""The accrual run on a real ledger: posts the law's kopecks once, whatever is killed, and shows how they came about."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from actors import penalties as runs
from actors.penalties import Accrued, Asked
from engine import limits
from engine.calendar import KNOWN
from engine.charge import Kind
from engine.outcomes import Outcome, OutcomeUnknown
from engine.penalty import KeyRate, PenaltyTerms
from engine.rates import TERMS
from storage import penalties, rates
from storage.audit import audit
from storage.errors import NotDone
from storage.histories import Scope
from storage.penalties import RunRefused, Tables
from tests.actors.postgres_stage import PostgresStage, account, open_postgres_stage

BILLED = datetime.date(2026, 4, 1)
DUE = datetime.date(2026, 4, 15)
AS_OF = datetime.date(2026, 7, 15)
ASKED = Asked(as_of=AS_OF, by="tester")
BILL = [("HEAT", "P1", 500_000), ("KAPREM", "P9", 500_000)]
OF_HEAT, OF_REPAIR = 9_865, 9_658


@pytest.fixture
async def stage(database: str) -> AsyncIterator[PostgresStage]:
    """Three debtors, one who paid in time, one who was never billed."""
    async with open_postgres_stage(database) as opened:
        for number in range(5):
            await opened.open(number, BILLED)
        for number in range(4):
            await opened.bill(number, BILLED, 202603, BILL, due_on=DUE)
        await opened.pay(3, DUE, 1_000_000)
        yield opened


def silent(_: int) -> None:
    """No progress bar."""


async def accrue(stage: PostgresStage, asked: Asked = ASKED) -> Accrued:
    return await runs.run(stage.database_url, stage.router, asked, silent)


async def accrued(stage: PostgresStage) -> dict[str, int]:
    """Penalties in the ledger, by account."""
    connection = await asyncpg.connect(stage.database_url)
    rows = await connection.fetch(
        "SELECT account, sum(amount_kopecks)::bigint AS kopecks FROM events WHERE kind = 5 GROUP BY account"
    )
    await connection.close()
    return {row["account"]: row["kopecks"] for row in rows}


async def by_hand(stage: PostgresStage, sql: str, *values: object) -> None:
    """Do as a superuser what the program never does."""
    connection = await asyncpg.connect(stage.database_url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(sql, *values)
    await connection.close()


async def settle(stage: PostgresStage, number: int) -> None:
    """Let an account live in house 7."""
    await by_hand(stage, "INSERT INTO houses (house, address, oktmo) VALUES (7, 'x', '36701000001')")
    await by_hand(stage, "INSERT INTO account_holders VALUES ($1, 7, '1', 'x', 1)", account(number))


def sums(done: Accrued) -> list[tuple[str, str, int, int, int]]:
    return [(t.service, t.provider, t.debts, t.raised_kopecks, t.credited_kopecks) for t in done.totals]


async def test_a_run_posts_the_penalties_of_all_debtors_and_sums_them(stage: PostgresStage) -> None:
    done = await accrue(stage)
    assert (done.accounts, done.accounts_changed, done.faults) == (5, 3, [])
    assert sums(done) == [("HEAT", "P1", 3, 3 * OF_HEAT, 0), ("KAPREM", "P9", 3, 3 * OF_REPAIR, 0)]
    assert await accrued(stage) == {account(number): OF_HEAT + OF_REPAIR for number in range(3)}
    assert (await audit(stage.database_url)).clean


async def test_a_dry_run_shows_the_same_totals_and_changes_nothing(stage: PostgresStage) -> None:
    told = await runs.preview(stage.database_url, ASKED, silent)
    assert await accrued(stage) == {}
    assert await penalties.runs(stage.database_url, 10) == []
    done = await accrue(stage)
    assert (sums(told), told.accounts, told.accounts_changed) == (sums(done), done.accounts, done.accounts_changed)


async def test_the_same_day_again_posts_nothing(stage: PostgresStage) -> None:
    await accrue(stage)
    before = await accrued(stage)
    again = await accrue(stage)
    assert (again.run, again.accounts_changed, again.totals) == (2, 0, [])
    assert await accrued(stage) == before


async def test_the_calculation_is_kept_with_its_tables(stage: PostgresStage) -> None:
    done = await accrue(stage)
    kept = await penalties.calculation(stage.database_url, account(0))
    assert kept is not None
    assert (kept.run, kept.as_of) == (done.run, AS_OF)
    assert [a.total_kopecks for a in kept.accruals] == [OF_HEAT, OF_REPAIR]
    assert sum(s.exact for a in kept.accruals for s in a.segments) > 0
    assert await penalties.tables_of(stage.database_url, done.run) == Tables(TERMS, KNOWN)
    assert await penalties.calculation(stage.database_url, account(3)) is None


async def test_a_run_for_one_account_or_one_house_leaves_the_others(stage: PostgresStage) -> None:
    await settle(stage, 2)
    await accrue(stage, Asked(as_of=AS_OF, scope=Scope(account(1))))
    assert set(await accrued(stage)) == {account(1)}
    await accrue(stage, Asked(as_of=AS_OF, scope=Scope(house=7)))
    assert set(await accrued(stage)) == {account(1), account(2)}


async def test_a_table_changed_retroactively_is_credited_back(
    stage: PostgresStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def without_cap(_: str) -> PenaltyTerms:
        return PenaltyTerms(TERMS.key_rates)

    with monkeypatch.context() as patched:
        patched.setattr(rates, "penalty_terms", without_cap)
        await accrue(stage)
    charged = await accrued(stage)
    corrected = await accrue(stage)
    assert all(total.credited_kopecks > 0 == total.raised_kopecks for total in corrected.totals)
    assert await accrued(stage) == {account(number): OF_HEAT + OF_REPAIR for number in range(3)} != charged
    assert (await audit(stage.database_url)).clean


async def test_a_moratorium_of_a_territory_spares_its_houses(stage: PostgresStage) -> None:
    await settle(stage, 2)
    await by_hand(
        stage,
        """INSERT INTO moratoria (since, territory, until, scope, regimes, act)
        VALUES ('2026-05-01', '36701', '2026-12-31', 'all', '{}', 'flood')""",
    )
    await accrue(stage)
    assert set(await accrued(stage)) == {account(0), account(1)}


async def test_a_day_off_of_the_installations_calendar_moves_the_last_day_to_pay(stage: PostgresStage) -> None:
    await by_hand(stage, "INSERT INTO calendar_days (day, is_working, act) VALUES ('2026-04-15', false, 'x')")
    assert (await accrue(stage, Asked(as_of=DUE + datetime.timedelta(31)))).accounts_changed == 0
    assert (await accrue(stage, Asked(as_of=DUE + datetime.timedelta(32)))).accounts_changed == 3


async def test_an_earlier_day_takes_back_nothing(stage: PostgresStage) -> None:
    await accrue(stage, Asked(as_of=AS_OF, scope=Scope(account(1))))
    done = await accrue(stage, Asked(as_of=DUE + datetime.timedelta(31)))
    assert done.accounts_ahead == 1
    assert await accrued(stage) == {account(0): 316, account(1): OF_HEAT + OF_REPAIR, account(2): 316}


class Dies(Exception):
    """The program is killed here."""


KILLED = ["before-post", "after-post", "while-posting"]


@pytest.mark.parametrize("where", KILLED)
async def test_a_killed_run_goes_on_and_posts_everything_once(
    stage: PostgresStage, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(runs, "_RANGE_ACCOUNTS", 1)
    submit, mark, calls = runs._submit, penalties.mark_posted, 0

    async def dying_submit(router: Any, commands: Any) -> Any:
        nonlocal calls
        calls += bool(commands)
        if where == "before-post" and calls == 2:
            raise Dies
        if where == "while-posting" and calls == 2:
            await submit(router, commands[:1])
            raise Dies
        return await submit(router, commands)

    async def dying_mark(url: str, run: int, through: str, faults: dict[str, str]) -> None:
        if where == "after-post" and through == account(1):
            raise Dies
        await mark(url, run, through, faults)

    with monkeypatch.context() as patched:
        patched.setattr(runs, "_submit", dying_submit)
        patched.setattr(penalties, "mark_posted", dying_mark)
        with pytest.raises(Dies):
            await accrue(stage)
    with pytest.raises(RunRefused, match="unfinished"):
        await accrue(stage, Asked(as_of=AS_OF + datetime.timedelta(1)))
    done = await accrue(stage)
    assert (done.run, done.accounts, done.accounts_changed) == (1, 5, 3)
    assert sums(done) == [("HEAT", "P1", 3, 3 * OF_HEAT, 0), ("KAPREM", "P9", 3, 3 * OF_REPAIR, 0)]
    assert await accrued(stage) == {account(number): OF_HEAT + OF_REPAIR for number in range(3)}


async def test_a_run_that_goes_on_keeps_the_tables_it_began_with(
    stage: PostgresStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_RANGE_ACCOUNTS", 1)

    async def dying(*_: Any) -> Any:
        raise Dies

    async def doubled(_: str) -> PenaltyTerms:
        return PenaltyTerms((KeyRate(datetime.date(2016, 1, 1), 1_900),))

    with monkeypatch.context() as patched:
        patched.setattr(runs, "_post", dying)
        with pytest.raises(Dies):
            await accrue(stage)
    monkeypatch.setattr(rates, "penalty_terms", doubled)
    assert sums(await accrue(stage))[0] == ("HEAT", "P1", 3, 3 * OF_HEAT, 0)


async def test_two_runs_at_once_are_refused(stage: PostgresStage) -> None:
    async with penalties.alone(stage.database_url):
        with pytest.raises(RunRefused, match="going on"):
            await accrue(stage)
    assert await accrued(stage) == {}


async def test_a_payment_entered_after_a_run_is_credited_by_the_next_one(stage: PostgresStage) -> None:
    await accrue(stage, Asked(as_of=AS_OF, scope=Scope(account(0))))
    await stage.pay(0, DUE, 1_000_000)
    corrected = await accrue(stage)
    assert sums(corrected)[0][4] == OF_HEAT


async def test_one_bad_account_is_named_and_its_neighbours_are_done(stage: PostgresStage) -> None:
    await by_hand(stage, "UPDATE events SET ref = 99 WHERE account = $1 AND kind = 6", account(3))
    await stage.open(6, BILLED, agreement="nobody")
    await stage.bill(6, BILLED, 202603, BILL, due_on=DUE)
    done = await accrue(stage)
    assert [name for name, _ in done.faults] == [account(3), account(6)]
    assert "agreement nobody" in done.faults[1][1]
    assert done.accounts_changed == 3


async def test_a_refused_posting_is_a_fault_of_its_account(
    stage: PostgresStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINE_KOPECKS_MAX", 9_700)
    done = await accrue(stage)
    assert done.faults == [(account(number), "refused: limit_exceeded") for number in range(3)]
    assert await accrued(stage) == {}


async def test_a_shard_that_stays_silent_leaves_the_run_to_be_taken_up(
    stage: PostgresStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(commands: list[Any]) -> list[Outcome]:
        return [OutcomeUnknown()] * len(commands)

    monkeypatch.setattr(runs, "_RETRY_PAUSE_S", 0)
    with monkeypatch.context() as patched:
        patched.setattr(stage.router, "submit_many", nobody)
        with pytest.raises(NotDone, match="accrue again"):
            await accrue(stage)
    assert (await accrue(stage)).accounts_changed == 3


async def test_billings_own_penalties_stay(stage: PostgresStage) -> None:
    await stage.bill(0, DUE, 202603, [("HEAT", "P1", 20_000)], kind=Kind.PENALTY)
    await stage.bill(4, DUE, 202401, [("HEAT", "P1", 7_000)], kind=Kind.PENALTY)
    await accrue(stage)
    assert (await accrued(stage))[account(0)] == 20_000 + OF_REPAIR
    assert (await accrued(stage))[account(4)] == 7_000


async def test_progress_tells_every_account_once(stage: PostgresStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_RANGE_ACCOUNTS", 2)
    told: list[int] = []
    await runs.run(stage.database_url, stage.router, ASKED, told.append)
    assert told == [0, 2, 2, 1]
    assert await runs.count(stage.database_url, Scope()) == 5
    assert await asyncio.wait_for(runs.count(stage.database_url, Scope(account(1))), 5) == 1
