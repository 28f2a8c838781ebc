"""Sending plans to the shards at a bounded pace, and what their answers change.

Payments come first: an import sends a small burst, waits for it, and rests in proportion to the time that took, so a
busy shard slows the import and not the payers. What was refused for being busy, or whose outcome is unknown, is sent
again under its key until it has an answer, or until nothing has been heard for too long.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

import msgspec

from actors.billing_plan import Step, Wave, posted_lines
from actors.client import Router
from engine.commands import AcceptPayment, AnyCommand, PostCharges
from engine.outcomes import Acknowledged, KeyConflict, NotDone, Outcome, OutcomeUnknown, Reason, Rejected
from intake.faults import Code
from storage.billing import Finding
from storage.billing_work import Lines, Progress

PARKED_AFTER_MS = 10_000
"""A shard that asks to come back later than this has parked the account: a person must look, the import goes on."""
_PAUSE_S = 0.1
_PAUSE_S_MAX = 5.0

_HARMLESS = {
    Wave.OPEN: {Reason.ACCOUNT_EXISTS},
    Wave.HOLD: {Reason.HOLD_UNCHANGED, Reason.ACCOUNT_UNKNOWN},
    Wave.POST: set(),
    Wave.RELEASE: {Reason.HOLD_UNCHANGED, Reason.ACCOUNT_UNKNOWN},
    Wave.CLOSE: {Reason.ACCOUNT_CLOSED},
}
"""Refusals that say: it is as you wish already."""
_EARMARK = {Reason.EARMARK_NOT_ALLOWED, Reason.EARMARK_UNKNOWN, Reason.PROVIDERS_BLOCKED}

_CODES = {Reason.ACCOUNT_UNKNOWN: Code.ACCOUNT_UNKNOWN, Reason.ACCOUNT_CLOSED: Code.ACCOUNT_CLOSED}
_TEXTS = {
    Reason.TEXT_INVALID: "недопустимые знаки или длина номера счёта",
    Reason.AMOUNT_NOT_POSITIVE: "сумма должна быть больше нуля",
    Reason.AMOUNT_TOO_LARGE: "слишком большая сумма",
    Reason.ACCEPTED_AT_IN_FUTURE: "дата в будущем",
    Reason.ACCEPTED_AT_TOO_OLD: "слишком давняя дата",
    Reason.ACCOUNT_UNKNOWN: "лицевой счёт не найден",
    Reason.ACCOUNT_CLOSED: "лицевой счёт закрыт",
    Reason.POLICY_MISSING: "для счёта не задан порядок расщепления",
    Reason.LIMIT_EXCEEDED: "превышен предел строк или суммы",
}


class Stalled(Exception):
    """The shards have not answered for too long; the file can be resumed."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How hard an import may push: it works for `share_percent` of the time at most, and rests for the others."""

    burst_commands: int = 32
    share_percent: int = 30
    silence_s_max: float = 120.0

    def rest_s(self, worked_s: float) -> float:
        """How long to rest after working for so long."""
        return worked_s * (100 - self.share_percent) / self.share_percent


class Poster:
    """Sends commands to the shards, at a pace."""

    def __init__(self, router: Router, pace: Pace) -> None:
        self._router = router
        self._pace = pace

    async def send(self, commands: Sequence[AnyCommand]) -> list[Outcome]:
        """Send commands and return their final outcomes, in order. Errors: `Stalled`."""
        size = self._pace.burst_commands
        outcomes: list[Outcome] = []
        for first in range(0, len(commands), size):
            begun = time.monotonic()
            outcomes += await self._insist(commands[first : first + size])
            await asyncio.sleep(self._pace.rest_s(time.monotonic() - begun))
        return outcomes

    async def _insist(self, commands: Sequence[AnyCommand]) -> list[Outcome]:
        outcomes: list[Outcome] = [OutcomeUnknown()] * len(commands)
        left = list(range(len(commands)))
        pause, heard_at = _PAUSE_S, time.monotonic()
        while left:
            answers = await self._router.submit_many([commands[index] for index in left])
            for index, answer in zip(left, answers, strict=True):
                outcomes[index] = answer
            still = [index for index in left if _is_open(outcomes[index])]
            if len(still) < len(left):
                pause, heard_at = _PAUSE_S, time.monotonic()
            elif time.monotonic() - heard_at > self._pace.silence_s_max:
                raise Stalled(f"{len(still)} commands have no answer for {self._pace.silence_s_max:.0f} s")
            left = still
            if left:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _PAUSE_S_MAX)
        return outcomes


def _is_open(outcome: Outcome) -> bool:
    if isinstance(outcome, NotDone):
        return outcome.overloaded or outcome.retry_after_ms <= PARKED_AFTER_MS
    return isinstance(outcome, OutcomeUnknown)


class Chunk:
    """The plans of some accounts on their way, and what their answers change."""

    def __init__(self, billed: Iterable[tuple[str, dict[int, Lines]]]) -> None:
        self._billed = {(account, period): dict(lines) for account, of in billed for period, lines in of.items()}
        self._changed: set[tuple[str, int]] = set()
        self.kopecks = 0
        self.findings: list[Finding] = []
        self.done: dict[Wave, list[str]] = {wave: [] for wave in Wave}

    async def post(self, poster: Poster, steps: Sequence[Step]) -> None:
        """Send steps wave by wave, each durable before the next. Errors: `Stalled`."""
        for wave in Wave:
            own = [step for step in steps if step.wave is wave]
            undesignated = await self._send(poster, own)
            for step in undesignated:
                self._say(
                    step, "warning", Code.EARMARK_IGNORED.value, "назначение не принято, деньги расщеплены по договору"
                )
            await self._send(poster, [_without_earmark(step) for step in undesignated])

    async def _send(self, poster: Poster, steps: Sequence[Step]) -> list[Step]:
        """Send steps and take their answers; return the payments whose designation was refused."""
        outcomes = await poster.send([step.command for step in steps])
        undesignated = []
        for step, outcome in zip(steps, outcomes, strict=True):
            if isinstance(outcome, Rejected) and outcome.reason in _EARMARK:
                undesignated.append(step)
            else:
                self.take(step, outcome)
        return undesignated

    def take(self, step: Step, outcome: Outcome) -> None:
        """Take one answer."""
        if isinstance(outcome, Acknowledged) or (
            isinstance(outcome, Rejected) and outcome.reason in _HARMLESS[step.wave]
        ):
            self._accepted(step)
        elif isinstance(outcome, Rejected):
            code = _CODES.get(outcome.reason, Code.NOT_POSTED)
            self._say(step, "row", code.value, _TEXTS.get(outcome.reason, "учётное ядро отказало в проведении"))
        elif isinstance(outcome, KeyConflict):
            self._say(step, "row", Code.KEY_CONFLICT.value, "эта операция уже учтена с другим содержанием")
        else:
            self._say(step, "row", Code.ACCOUNT_PARKED.value, "счёт отложен до разбора, обратитесь к оператору")

    def _accepted(self, step: Step) -> None:
        command = step.command
        self.done[step.wave].append(command.account)
        if isinstance(command, PostCharges):
            key = (command.account, int(command.period))
            lines = self._billed.setdefault(key, {})
            for line, kopecks in posted_lines(command).items():
                lines[line] = lines.get(line, 0) + kopecks
                self.kopecks += kopecks
            self._changed.add(key)
        elif isinstance(command, AcceptPayment):
            self.kopecks -= command.amount_kopecks

    def _say(self, step: Step, severity: str, code: str, text: str) -> None:
        for row in step.rows:
            self.findings.append(Finding(row, severity, code, text))
        if not step.rows:
            self.findings.append(Finding(0, "warning", code, f"счёт {step.command.account}: {text}"))

    def progress(self, cursor: str, accounts: int) -> Progress:
        """What has changed, for the checkpoint."""
        return Progress(
            cursor=cursor,
            accounts=accounts,
            kopecks=self.kopecks,
            billed=[(*key, self._billed[key]) for key in sorted(self._changed)],
            opened=self.done[Wave.OPEN],
            closed=self.done[Wave.CLOSE],
            held=self.done[Wave.HOLD],
            unheld=self.done[Wave.RELEASE],
            findings=self.findings,
        )


def _without_earmark(step: Step) -> Step:
    """The same payment without what it was meant for; nobody has taken its key, for it was refused."""
    assert isinstance(step.command, AcceptPayment), "only payments have an earmark"
    return step._replace(command=msgspec.structs.replace(step.command, earmark=None))
