"""Taking money back: reversals of payments, full and partial, and refunds of advances.

A reversal looks back at the payment's own lines as they were decided, at the advances of that payment applied since,
and at what was reversed before; the split is never run again (rules of the agreement; our decision, ADR-0005).
"""

from collections.abc import Iterable

from engine.account import AccountState
from engine.allocation import share
from engine.charge import Kind, LineKey
from engine.commands import RefundAdvance, ReversePayment
from engine.commission import fee_kopecks
from engine.drafting import draft
from engine.events import Details, Event, EventKind
from engine.ids import Period
from engine.outcomes import Accepted, Reason, Rejected
from engine.policy import Commission, PolicyBook


def decide_reversal(
    state: AccountState, command: ReversePayment, book: PolicyBook, trail: tuple[Event, ...]
) -> Accepted | Rejected:
    """Undo a payment, or a part of it.

    Rule: what is left of the payment's advance goes back first, the rest in proportion to what its lines still hold;
    all reversals together never exceed the payment.
    """
    if not trail or trail[0].kind is not EventKind.PAYMENT_RECEIVED:
        return Rejected(Reason.PAYMENT_UNKNOWN)
    assert trail[-1].account_seq == state.seq, "a reversal looks back at everything up to now"
    payment = trail[0]
    if command.amount_kopecks < 0:
        return Rejected(Reason.AMOUNT_NOT_POSITIVE)
    left = payment.amount_kopecks + sum(e.amount_kopecks for e in _reversals(trail))
    if not left:
        return Rejected(Reason.ALREADY_REVERSED)
    amount = command.amount_kopecks or left
    kept = _kept(state, payment.account_seq)
    placed = _placed(trail)
    if amount > left or amount > sum(kept.values()) + sum(placed.values()):
        return Rejected(Reason.REVERSAL_TOO_LARGE)
    lines = reversal_lines(amount, kept, placed) | _fee_back(amount, amount == left, trail, book, state.agreement)
    event = draft(
        state,
        command,
        EventKind.PAYMENT_REVERSED,
        {key: -kopecks for key, kopecks in lines.items()},
        amount_kopecks=-amount,
        policy=payment.policy,
        channel=payment.channel,
        ref=payment.account_seq,
        details=Details(reason=command.reason) if command.reason else None,
    )
    return Accepted((event,))


def reversal_lines(amount: int, kept: dict[LineKey, int], placed: dict[LineKey, int]) -> dict[LineKey, int]:
    """Choose where an amount is taken back from: advances first, then in proportion to the lines.

    Units: kopecks > 0 by line. Shape: lines of zero are left out; the sum is the amount.
    """
    lines: dict[LineKey, int] = {}
    rest = amount
    for key, kopecks in kept.items():
        part = min(rest, kopecks)
        if part:
            lines[key] = part
            rest -= part
    if rest:
        keys = list(placed)
        parts = share(rest, keys, list(placed.values()))
        lines |= {key: part for key, part in zip(keys, parts, strict=True) if part}
    assert sum(lines.values()) == amount, "a reversal takes back exactly its amount"
    return lines


def _reversals(trail: tuple[Event, ...]) -> Iterable[Event]:
    return (e for e in trail if e.kind is EventKind.PAYMENT_REVERSED and e.ref == trail[0].account_seq)


def _kept(state: AccountState, payment_seq: int) -> dict[LineKey, int]:
    """What is left of the payment's advances, by target."""
    kept: dict[LineKey, int] = {}
    for lot in state.lots:
        if lot.payment_seq == payment_seq:
            key = LineKey(lot.service, lot.provider, Period(0), Kind.ADVANCE)
            kept[key] = kept.get(key, 0) + lot.kopecks
    return kept


def _placed(trail: tuple[Event, ...]) -> dict[LineKey, int]:
    """What debts hold of the payment: its own lines, its advances applied since, less what was reversed before."""
    placed: dict[LineKey, int] = {}
    applied = [e for e in trail if e.kind is EventKind.ADVANCE_APPLIED and e.ref == trail[0].account_seq]
    for event in (trail[0], *applied, *_reversals(trail)):
        for key, kopecks in zip(event.keys, event.amounts, strict=True):
            if key.kind not in (Kind.ADVANCE, Kind.FEE):
                placed[key] = placed.get(key, 0) + kopecks
    assert all(kopecks >= 0 for kopecks in placed.values()), "no line is taken back twice"
    return {key: kopecks for key, kopecks in placed.items() if kopecks}


def _fee_back(
    amount: int, is_all: bool, trail: tuple[Event, ...], book: PolicyBook, agreement: str
) -> dict[LineKey, int]:
    """The withheld fee that goes back: by the formula that took it, never more in all than was taken."""
    taken: dict[LineKey, int] = {}
    for event in (trail[0], *_reversals(trail)):
        for key, kopecks in zip(event.keys, event.amounts, strict=True):
            if key.kind is Kind.FEE:
                taken[key] = taken.get(key, 0) + kopecks
    left = sum(taken.values())
    commission = _commission_of(trail[0], book, agreement)
    fee = left
    if not is_all and commission is not None:
        fee = min(left, fee_kopecks(amount, commission))
    if not fee:
        return {}
    keys = list(taken)
    return {k: part for k, part in zip(keys, share(fee, keys, list(taken.values())), strict=True) if part}


def _commission_of(payment: Event, book: PolicyBook, agreement: str) -> Commission | None:
    """The terms that took the payment's fee: those of its contract, else of the policy that decided it."""
    if payment.details is not None and payment.details.commission is not None:
        return payment.details.commission
    policy = book.named(agreement, payment.policy)
    return policy.commission if policy is not None else None


def decide_refund(state: AccountState, command: RefundAdvance) -> Accepted | Rejected:
    """Pay an overpayment back to the payer: from advances only, the oldest first."""
    if command.amount_kopecks <= 0:
        return Rejected(Reason.AMOUNT_NOT_POSITIVE)
    if command.amount_kopecks > state.advance_kopecks():
        return Rejected(Reason.ADVANCE_TOO_SMALL)
    lines: dict[LineKey, int] = {}
    rest = command.amount_kopecks
    for lot in state.lots:
        part = min(rest, lot.kopecks)
        if part:
            key = LineKey(lot.service, lot.provider, Period(0), Kind.ADVANCE)
            lines[key] = lines.get(key, 0) - part
            rest -= part
    details = Details(reason=command.reason) if command.reason else None
    kind = EventKind.REFUNDED
    return Accepted((draft(state, command, kind, lines, amount_kopecks=-command.amount_kopecks, details=details),))
