"""A run that dies anywhere goes on where it was, and the ledger is as if it had never died."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.client import Router
from engine.commands import AnyCommand
from engine.outcomes import Outcome
from storage import billing, billing_work
from storage.billing import Session
from storage.errors import NotDone
from tests.billing.stage import NAME, Stage, charge, charges

ACCOUNTS = [f"10000000{number:02}" for number in range(12)]
FILE = charges(
    line
    for number, account in enumerate(ACCOUNTS)
    for line in (
        charge(account, "1", "77", f"{1000 + number},10"),
        charge(account, "2" if number % 4 else "waste", "78", f"{200 + number},05", penalty="0,50"),
    )
)
CORRECTED = FILE.replace(b",10;", b",11;")
ADDED = charges(charge(account, "1", "77", "1,00", document="MORE") for account in ACCOUNTS)
TOTAL = """SELECT coalesce(sum(amount_kopecks), 0)::bigint FROM events WHERE kind IN (3, 4, 5)"""
MOVED = 200_000
"""What a terminal pays to every account between the file and its correction."""


class Died(Exception):
    """The process is gone."""


class MortalConnection:
    """A connection of a process that dies at its n-th statement, before or after the database has done it."""

    def __init__(self, connection: asyncpg.Connection, statements: int, *, after: bool) -> None:
        self._connection = connection
        self._left = statements
        self._after = after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in ("execute", "fetch", "fetchval", "fetchrow", "copy_records_to_table"):
            return found

        async def call(*arguments: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left < 0 and not self._after:
                raise Died
            answer = await found(*arguments, **more)
            if self._left < 0:
                raise Died
            return answer

        return call


class MortalRouter:
    """A router of a process that dies with its n-th batch, before it is sent or after it is durable."""

    def __init__(self, router: Router, batches: int, *, after: bool) -> None:
        self._router = router
        self._left = batches
        self._after = after

    async def submit_many(self, commands: Sequence[AnyCommand]) -> list[Outcome]:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Died
        outcomes = await self._router.submit_many(commands)
        if self._left < 0:
            raise Died
        return outcomes


async def run_to_the_end(stage: Stage, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> int:
    """Run again and again, each time living a statement and a batch longer; return how often it died."""
    plain = Session.__init__
    for deaths in range(200):

        def mortal(self: Session, connection: Any, of: Any, statements: int = deaths) -> None:
            plain(self, MortalConnection(connection, statements, after=after), of)

        monkeypatch.setattr(Session, "__init__", mortal)
        try:
            await stage.importer(MortalRouter(stage.router, deaths // 3, after=after)).run(NAME)
        except (Died, NotDone):
            continue
        finally:
            monkeypatch.setattr(Session, "__init__", plain)
        return deaths
    raise AssertionError("it never came to its end")


def expected_total() -> int:
    """What the file says, without the rows that wait."""
    sums = 0
    for number in range(len(ACCOUNTS)):
        sums += (1000 + number) * 100 + 11
        sums += (200 + number) * 100 + 55 if number % 4 else 0
    return sums


@pytest.mark.parametrize("after", [False, True])
async def test_a_run_that_dies_at_every_statement_and_batch_ends_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    file, _ = await stage.receive(FILE)
    assert await run_to_the_end(stage, monkeypatch, after=after) > 10
    await asyncio.gather(*(stage.pay(account, MOVED) for account in ACCOUNTS))
    corrected, _ = await stage.receive(CORRECTED)
    assert await run_to_the_end(stage, monkeypatch, after=after) > 10
    for number in (file.file, corrected.file):
        done = await stage.file(number)
        assert (done.state, done.rows_accepted, done.rows_rejected, done.rows_waiting) == ("done", 21, 0, 3)
    added, _ = await stage.receive(ADDED, mode="delta")
    assert await run_to_the_end(stage, monkeypatch, after=after) > 10
    assert (await stage.file(added.file)).rows_accepted == len(ACCOUNTS)
    assert await stage.count(TOTAL) == expected_total() + 100 * len(ACCOUNTS)
    await stage.take(CORRECTED.replace(b",11;", b",12;"))
    assert await stage.count(TOTAL) == expected_total() + len(ACCOUNTS)
    assert await stage.is_clean()


async def test_a_release_that_dies_anywhere_ends_the_same(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.take(CORRECTED)
    await stage.confirm("service", "waste", "WASTE")
    assert await run_to_the_end(stage, monkeypatch, after=True) > 3
    waited = sum((200 + number) * 100 + 55 for number in range(0, len(ACCOUNTS), 4))
    assert await stage.count(TOTAL) == expected_total() + waited
    assert await stage.count("SELECT count(*) FROM billing_holds") == 0
    assert await stage.is_clean()


async def test_a_code_that_is_confirmed_meanwhile_changes_no_command_of_a_run_that_died(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything was asked and nothing noted; the next run must ask the same, and release afterwards."""
    file, _ = await stage.receive(FILE)

    async def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(billing_work, "save", die)
        with pytest.raises(Died):
            await stage.importer(accounts_a_chunk=len(ACCOUNTS)).run(NAME)
    await stage.confirm("service", "waste", "WASTE")
    await stage.importer().run(NAME)
    assert (await stage.file(file.file)).rows_rejected == 0
    await stage.importer().run(NAME)
    assert (await stage.file(file.file)).rows_waiting == 0
    assert await stage.count("SELECT count(*) FROM events WHERE kind = 4 AND account = $1", ACCOUNTS[0]) > 0
    assert await stage.is_clean()


async def test_nobody_else_works_on_a_billing_meanwhile(stage: Stage) -> None:
    async with billing.exclusive(stage.database_url, NAME) as session:
        assert session is not None
        assert not await stage.importer().run(NAME)
    assert await stage.importer().run(NAME)


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_ends_the_same(database: str, tmp_path: Path) -> None:
    """kill -9 of the importing process, shards and all, at random moments; the next one goes on."""
    chance, deaths = random.Random(7), 0
    command = [sys.executable, "-m", "tests.billing.importing", database, str(tmp_path)]
    while True:
        process = subprocess.Popen(command)
        try:
            code = process.wait(timeout=chance.uniform(0.8, 2.5) + deaths / 2)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            deaths += 1
            continue
        assert code == 0
        break
    assert deaths > 0
