"""Thousands of seeds through the simulated installation; and proof that the auditor sees a broken promise."""

import os
import time
from collections import Counter

import pytest

from actors import shard as shard_module
from actors.shard import Decided, Shard
from engine.outcomes import Acknowledged, Outcome, OutcomeUnknown
from storage import codec
from storage.codec import Position
from storage.memory import MemoryJournal
from tests.simulation.auditor import Broken
from tests.simulation.run import run

_SEEDS = 1_200
_MUST_BE_SEEN = (
    "killed",
    "paused",
    "moved",
    "clock jumped",
    "request lost",
    "reply lost",
    "doubled",
    "lost:before",
    "lost:answer",
    "spoke to a zombie",
    "ended:Fenced",
    "ended:OutcomeUnknown",
    "keys taken",
    "replayed",
    "snapshots",
    "told:Acknowledged",
    "told:Rejected",
    "told:KeyConflict",
)
"""A simulation that never met one of these tests nothing of it."""


def _play(seeds: range) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        try:
            seen += run(seed).seen
        except Broken as broken:
            pytest.fail(f"seed {seed}: {broken}\n  python -m tests.simulation --seed {seed}")
    return seen


def test_every_promise_holds_in_every_seed() -> None:
    seen = _play(range(_SEEDS))
    assert [what for what in _MUST_BE_SEEN if not seen[what]] == []


def test_a_seed_plays_the_same_twice() -> None:
    assert run(11).trace == run(11).trace


@pytest.mark.soak
def test_every_promise_holds_for_hours() -> None:
    ends = time.monotonic() + int(os.environ.get("KOPECK_SOAK_SECONDS", "3600"))
    first = int(os.environ.get("KOPECK_SOAK_SEED", str(time.time_ns() // 1_000_000_000)))
    while time.monotonic() < ends:
        _play(range(first, first + 1_000))
        first += 1_000


def _goes_red(seeds: int = 150) -> bool:
    """Whether the auditor, or the code's own checks, object to at least one seed."""
    for seed in range(seeds):
        try:
            run(seed)
        except (Broken, AssertionError, KeyError):
            return True
    return False


def test_without_the_fence_the_auditor_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryJournal, "_check_fence", lambda self: None)
    assert _goes_red()


def test_acknowledging_before_the_commit_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Shard._decide_one

    def hasty(self: Shard, *arguments: object) -> Decided | None:
        decided = honest(self, *arguments)  # type: ignore[arg-type]
        if decided is not None and not decided.job.batch.outcomes[decided.job.index]:
            position = Position(self.term.shard, 1, 0)
            receipt = codec.receipt(decided.entry.events[decided.entry.answer], position)
            decided.job.answer(Acknowledged(receipt))
            monkeypatch.setattr(decided.job.__class__, "answer", lambda *_: None)
        return decided

    monkeypatch.setattr(Shard, "_decide_one", hasty)
    assert _goes_red()


def test_trusting_answers_of_an_old_term_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """Balances of a paused owner would reach readers: only its lease and the epoch in its answers prevent that."""
    from actors.client import Lane

    monkeypatch.setattr(Lane, "is_current", lambda self, epoch: True)
    monkeypatch.setattr(Shard, "_may_read", lambda self: True)
    assert _goes_red(600)


def test_telling_readers_what_is_not_durable_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Shard, account: str) -> object:
        live = self._accounts.peek(account)  # type: ignore[arg-type]
        return None if live is None else shard_module.view_of(live.state)

    monkeypatch.setattr(Shard, "_view", hasty)
    assert _goes_red(600)


def test_forgetting_the_key_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = MemoryJournal.append

    async def forgetful(self: MemoryJournal, entries: object) -> object:
        ledger = self._ledger
        keys, ledger.keys = ledger.keys, {}
        try:
            return await honest(self, entries)  # type: ignore[arg-type]
        finally:
            ledger.keys = keys | ledger.keys

    monkeypatch.setattr(MemoryJournal, "append", forgetful)
    assert _goes_red()


def test_keeping_accounts_after_a_refused_key_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.cache.AccountCache.drop", lambda self, account: None)
    assert _goes_red(600)


def test_calling_a_doubtful_outcome_refused_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.outcomes import Reason, Rejected

    def certain(outcome: Outcome) -> Outcome:
        return Rejected(Reason.LIMIT_EXCEEDED) if isinstance(outcome, OutcomeUnknown) else outcome

    from actors.client import Router

    honest = Router.submit

    async def submit(self: Router, command: object) -> Outcome:
        self._settings = self._settings
        return certain(await honest(self, command))  # type: ignore[arg-type]

    monkeypatch.setattr("actors.client.Router._insist", lambda self, account, encoded, outcome: _now(outcome))
    monkeypatch.setattr(Router, "submit", submit)
    assert _goes_red()


async def _now(outcome: Outcome) -> Outcome:
    return outcome
