"""The worker is killed at every single wait of a register's run, and another one goes on: as if nothing had been."""

import datetime
import itertools
from collections import Counter

import pytest

from actors.register_run import work
from tests.registers.crash import killed_at
from tests.registers.stage import ANNA, BORIS, DAY, NOBODY, Stage, at

EXPECTED = {
    "matched": (1, 1_000),
    "amount_mismatch": (1, 1_000),
    "date_shift": (1, 1_000),
    "duplicate": (1, 1_000),
    "missing_online": (2, 2_000),
    "unknown_account": (1, 1_000),
    "reversed": (2, -700),
}
"""How many lines end how, and for how much."""


async def _register(stage: Stage, run: int) -> int:
    """A register with every kind of line; its operations are of this run alone."""
    await stage.online(f"{run}-matched", kopecks=1_000, moment=at(12))
    await stage.online(f"{run}-amount", kopecks=999, moment=at(12))
    await stage.online(f"{run}-shift", kopecks=1_000, moment=at(12, day=DAY - datetime.timedelta(days=1)))
    return await stage.receive_refunds(
        f"{run}-matched;;{ANNA};1000",
        f"{run}-amount;;{ANNA};1000",
        f"{run}-shift;;{ANNA};1000",
        f"{run}-online;;{ANNA};1000",
        f"{run}-online;;{ANNA};1000",
        f"{run}-lost;;{BORIS};1000",
        f"{run}-unknown;;{NOBODY};1000",
        f"{run}-refund;{run}-lost;{BORIS};-300",
        f"{run}-refund-2;{run}-online;{ANNA};-400",
    )


async def _ended(stage: Stage, file: int) -> dict[str, tuple[int, int]]:
    rows = await stage.fetch(
        "SELECT outcome, count(*), sum(paid_kopecks)::bigint FROM register_lines WHERE file = $1 GROUP BY 1", file
    )
    return {row[0]: (row[1], row[2]) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.soak)])
async def test_a_worker_killed_at_any_wait_leaves_nothing_or_a_file_that_resumes(stage: Stage, stride: int) -> None:
    """A run has some 200 waits; every one takes minutes (make soak), every seventh falls into every step."""
    await stage.sign(profile="refunds")
    await stage.refunds_profile()
    states: Counter[str] = Counter()
    for run in itertools.count(1):
        file = await _register(stage, run)
        was_killed = await killed_at(work(stage.place, file), 1 + (run - 1) * stride, stage.url)
        states[(await stage.fetch("SELECT state FROM received_files WHERE file = $1", file))[0]["state"]] += 1
        assert (await stage.work(file)).state == "done"
        assert await _ended(stage, file) == EXPECTED, f"killed at wait {run}"
        if not was_killed:
            break
    assert set(states) == {"received", "staged", "posting", "done"}, "every state was left standing by some death"
    assert await stage.balance(ANNA) == 300_000 - run * (1_000 + 999 + 1_000 + 1_000 - 400)
    assert await stage.balance(BORIS) == 300_000 - run * (1_000 - 300)
    kinds = Counter(await stage.open_cases())
    assert kinds == {"amount_mismatch": run, "duplicate": run, "unknown_account": run}
    await stage.audited()
