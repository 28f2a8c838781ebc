"""Principal (основной долг) as it came to be: what was charged and when it was due, what paid it and when.

The live state of an account knows what is owed now; a penalty needs to know how it came to that. This is a second fold
of the same events, kept apart from `apply.py` because only penalties ask for it, and rarely.

- A charge adds to its debt (service, provider, period). Each due date is a tranche of its own: what a later document
  adds has its own last day to pay. A correction takes from the tranche of its due date, then from the oldest.
- A payment, direct or through an advance, is a part of the day on which the payment was accepted. What is reversed
  never was.
- A netted correction pays a debt on the day of netting, and takes the same kopecks away from the debt whose credit it
  was: from that debt's credit, else from the parts that came last before it.
- A debt that passed to a successor goes with its whole history, penalties accrued so far included.

Source: ЖК РФ ст. 155 ч. 14; ГК РФ ст. 193, 384; the rest is our decision, ADR-0014.
"""

import datetime
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from engine.account import Status
from engine.calendar import KNOWN, WorkCalendar, due_date, next_working_day
from engine.charge import Kind, LineKey
from engine.drafting import local_date
from engine.events import Event, EventKind
from engine.ids import AccountId, Period, ProviderId, ServiceCode, SourceId
from engine.penalty import PaidPart
from engine.policy import PolicyBook

PENALTY_SOURCE = SourceId("penalty")
"""The source of what accrual runs post; penalties of any other source are a billing's own."""


class DebtKey(NamedTuple):
    """One debt: all its tranches, and the penalty on it, have this service, provider and period."""

    service: ServiceCode
    provider: ProviderId
    period: Period


class Tranche(NamedTuple):
    """A part of a debt with one last day to pay, and what paid it. Units: kopecks > 0; parts never exceed it."""

    due_on: datetime.date
    kopecks: int
    parts: tuple[PaidPart, ...]


class Debt(msgspec.Struct):
    """The history of one debt.

    Units: kopecks. Shape: `charged` by due date as the document said it (None: as the calendar says); `paid` by the
    `account_seq` of the payment or of the netting, negative where a credit was taken away to pay another debt.
    """

    charged: dict[datetime.date | None, int] = {}
    paid: dict[int, int] = {}
    accrued_kopecks: int = 0
    accrued_by_runs_kopecks: int = 0

    def due_kopecks(self) -> int:
        """What is owed now: the same as the live state's open items of this debt."""
        return sum(self.charged.values()) - sum(self.paid.values())

    def absorb(self, other: "Debt") -> None:
        """Take another debt's history into this one."""
        for due_on, kopecks in other.charged.items():
            self.charged[due_on] = self.charged.get(due_on, 0) + kopecks
        for seq, kopecks in other.paid.items():
            self.paid[seq] = self.paid.get(seq, 0) + kopecks
        self.accrued_kopecks += other.accrued_kopecks
        self.accrued_by_runs_kopecks += other.accrued_by_runs_kopecks


class History:
    """What one account's penalties follow from: the fold of its events, oldest first."""

    def __init__(self, account: AccountId, book: PolicyBook, calendar: WorkCalendar = KNOWN) -> None:
        self.account = account
        self.status = Status.UNKNOWN
        self.agreement = ""
        self.holds: frozenset[str] = frozenset()
        self.debts: dict[DebtKey, Debt] = {}
        self._book = book
        self._calendar = calendar
        self._days: dict[int, datetime.date] = {}
        self._passed: dict[DebtKey, DebtKey] = {}

    def take(self, event: Event) -> None:
        """Fold one event in; kinds that concern no debt are passed over."""
        fold = _FOLD.get(event.kind)
        if fold is not None:
            fold(self, event)

    def tranches(self, key: DebtKey) -> list[Tranche]:
        """Cut a debt into its tranches, the first due first, each with its parts in the order of their days.

        Errors: ValueError for a debt of no month without a due date: nobody can say when it was due.
        """
        debt = self.debts[key]
        charged = _charged_by_day(debt, key.period, self._calendar)
        parts, taken = self._parts(debt)
        _take_away(charged, parts, taken)
        return _share_out(charged, parts)

    def _parts(self, debt: Debt) -> tuple[list[PaidPart], list[PaidPart]]:
        """What paid a debt, and what was taken away from it, a sum a day, in the order of the days."""
        paid: dict[datetime.date, int] = {}
        taken: dict[datetime.date, int] = {}
        for seq, kopecks in debt.paid.items():
            day, side = self._days[seq], paid if kopecks > 0 else taken
            side[day] = side.get(day, 0) + abs(kopecks)
        return _dated(paid), _dated(taken)

    def _debt(self, key: LineKey) -> Debt:
        """The debt that a line belongs to now: it may have passed to a successor."""
        found = DebtKey(key.service, key.provider, key.period)
        while found in self._passed:
            found = self._passed[found]
        debt = self.debts.get(found)
        if debt is None:
            debt = self.debts[found] = Debt()
        return debt

    def _remember_day(self, event: Event) -> None:
        self._days[event.account_seq] = local_date(event.accepted_at_us, self._book)

    def _open(self, event: Event) -> None:
        self.status = Status.OPEN
        self.agreement = event.details.agreement if event.details is not None else ""

    def _close(self, event: Event) -> None:
        self.status = Status.CLOSED

    def _hold(self, event: Event) -> None:
        assert event.details is not None, "a hold says whose it is"
        self.holds |= {event.details.hold}

    def _release(self, event: Event) -> None:
        assert event.details is not None, "a hold says whose it is"
        self.holds -= {event.details.hold}

    def _charge(self, event: Event) -> None:
        due_on = event.details.due_on if event.details is not None else None
        for key, kopecks in zip(event.keys, event.amounts, strict=True):
            if key.kind is Kind.CHARGE:
                charged = self._debt(key).charged
                charged[due_on] = charged.get(due_on, 0) + kopecks
            elif key.kind is Kind.PENALTY:
                debt = self._debt(key)
                debt.accrued_kopecks += kopecks
                if event.source == PENALTY_SOURCE:
                    debt.accrued_by_runs_kopecks += kopecks

    def _pay(self, event: Event) -> None:
        """A payment, an advance of it applied later, or a reversal of it: all count on the payment's own day."""
        seq = event.ref or event.account_seq
        if not event.ref:
            self._remember_day(event)
        for key, kopecks in zip(event.keys, event.amounts, strict=True):
            if key.kind is Kind.CHARGE:
                paid = self._debt(key).paid
                paid[seq] = paid.get(seq, 0) + kopecks

    def _net(self, event: Event) -> None:
        self._remember_day(event)
        for key, kopecks in zip(event.keys, event.amounts, strict=True):
            if key.kind is Kind.CHARGE:
                paid = self._debt(key).paid
                paid[event.account_seq] = paid.get(event.account_seq, 0) - kopecks

    def _pass(self, event: Event) -> None:
        """A claim passes with its history. A successor may hand it back later: the chain never closes in a ring."""
        assert event.details is not None, "a transfer names what passed"
        for old_key, new_key in event.details.transferred:
            old, new = DebtKey(*old_key[:3]), DebtKey(*new_key[:3])
            self._passed.pop(new, None)
            passing = self.debts.pop(old, None)
            self._passed[old] = new
            if passing is not None:
                self._debt(new_key).absorb(passing)


_FOLD: dict[EventKind, Callable[[History, Event], None]] = {
    EventKind.ACCOUNT_OPENED: History._open,
    EventKind.ACCOUNT_CLOSED: History._close,
    EventKind.CHARGE_POSTED: History._charge,
    EventKind.CHARGE_ADJUSTED: History._charge,
    EventKind.PENALTY_ACCRUED: History._charge,
    EventKind.PAYMENT_RECEIVED: History._pay,
    EventKind.PAYMENT_REVERSED: History._pay,
    EventKind.ADVANCE_APPLIED: History._pay,
    EventKind.CORRECTION_NETTED: History._net,
    EventKind.BALANCE_TRANSFERRED: History._pass,
    EventKind.HOLD_PLACED: History._hold,
    EventKind.HOLD_RELEASED: History._release,
}
KINDS = tuple(_FOLD)
"""The kinds of events that a history is made of."""


def _dated(kopecks_by_day: dict[datetime.date, int]) -> list[PaidPart]:
    return [PaidPart(day, kopecks) for day, kopecks in sorted(kopecks_by_day.items())]


def _charged_by_day(debt: Debt, period: Period, calendar: WorkCalendar) -> dict[datetime.date, int]:
    """What was charged by its effective last day to pay, corrections already taken off; the first due first."""
    told = [due_on for due_on in debt.charged if due_on is not None]
    if len(debt.charged) == 1:  # Nearly always; what follows is only for debts that were added to or corrected.
        day = next_working_day(told[0], calendar) if told else due_date(period, calendar)
        return dict.fromkeys([day], sum(debt.charged.values()))
    charged: dict[datetime.date, int] = {}
    for due_on, kopecks in debt.charged.items():
        day = next_working_day(due_on or min(told), calendar) if told else due_date(period, calendar)
        charged[day] = charged.get(day, 0) + kopecks
    credit = -sum(kopecks for kopecks in charged.values() if kopecks < 0)
    left: dict[datetime.date, int] = {}
    for day, kopecks in sorted(charged.items()):
        part = min(credit, max(kopecks, 0))
        credit -= part
        left[day] = max(kopecks, 0) - part
    if credit:
        left[min(left)] = -credit
    return left


def _take_away(charged: dict[datetime.date, int], parts: list[PaidPart], taken: list[PaidPart]) -> None:
    """Undo what a used credit claims: the debt's own credit first, then the latest parts, else it is owed again."""
    for credit in taken:
        left = credit.kopecks
        first = min(charged, default=None)
        if first is not None and charged[first] < 0:
            used = min(left, -charged[first])
            charged[first] += used
            left -= used
        for index in range(len(parts) - 1, -1, -1):
            if parts[index].on <= credit.on:
                used = min(left, parts[index].kopecks)
                parts[index] = PaidPart(parts[index].on, parts[index].kopecks - used)
                left -= used
        if left and first is not None:
            charged[first] += left


def _share_out(charged: dict[datetime.date, int], parts: list[PaidPart]) -> list[Tranche]:
    """Give the parts to the tranches: the earliest money to what was due first. Money beyond the debt goes nowhere."""
    waiting = [part for part in reversed(parts) if part.kopecks]
    tranches = []
    for day, kopecks in sorted(charged.items()):
        if kopecks <= 0:
            continue
        left, own = kopecks, []
        while left and waiting:
            part = waiting.pop()
            used = min(left, part.kopecks)
            own.append(PaidPart(part.on, used))
            left -= used
            if used < part.kopecks:
                waiting.append(PaidPart(part.on, part.kopecks - used))
        tranches.append(Tranche(day, kopecks, tuple(own)))
    return tranches
