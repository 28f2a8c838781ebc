"""Apply: fold one event into an account's live state. The only code that changes a state.

Every function here trusts the event (it was decided once, and is never decided again) and asserts what must hold:
numbers without gaps, no lot below zero, payments that add up.
"""

from collections.abc import Callable

from engine.account import AccountState, AdvanceLot, Status
from engine.charge import Kind, LineKey, OpenItem
from engine.events import Event, EventKind


def apply(state: AccountState, event: Event) -> None:
    """Fold `event` into `state`, in place.

    Errors: AssertionError when the event does not follow the state; the state must be thrown away then.
    """
    assert event.account_seq == state.seq + 1, "an account's events are numbered without gaps"
    _APPLY[event.kind](state, event)
    state.seq = event.account_seq


def _open(state: AccountState, event: Event) -> None:
    assert event.details is not None, "an opening names its agreement"
    state.status = Status.OPEN
    state.agreement = event.details.agreement


def _close(state: AccountState, event: Event) -> None:
    state.status = Status.CLOSED


def _charge(state: AccountState, event: Event) -> None:
    """Add to the debt; a new period closes the book of the older ones: their paid items go."""
    details = event.details
    for key, kopecks in zip(event.keys, event.amounts, strict=True):
        item = state.items.get(key)
        if item is None:
            item = state.items[key] = OpenItem(key, 0)
        item.due_kopecks += kopecks
        if key.kind is Kind.CHARGE:
            item.accrued_kopecks += kopecks
        if details is not None:
            item.due_on, item.document = details.due_on or item.due_on, details.document or item.document
    newest = max([key.period for key in event.keys if key.kind is Kind.CHARGE], default=state.newest_period)
    if newest > state.newest_period:
        state.newest_period = newest
        for key in [k for k, item in state.items.items() if not item.due_kopecks and k.period < newest]:
            del state.items[key]


def _receive(state: AccountState, event: Event) -> None:
    """Pay debts and keep advances."""
    placed = 0
    for key, kopecks in zip(event.keys, event.amounts, strict=True):
        if key.kind is Kind.ADVANCE:
            state.lots.append(AdvanceLot(event.account_seq, key.service, key.provider, kopecks))
        elif key.kind is Kind.FEE:
            continue
        else:
            _pay(state, key, kopecks)
        placed += kopecks
    assert placed == event.amount_kopecks, "allocations + advance = amount"


def _pay(state: AccountState, key: LineKey, kopecks: int) -> None:
    item = state.items[key]
    item.due_kopecks -= kopecks
    assert item.due_kopecks >= 0, "no charge is paid above its due"
    if not item.due_kopecks and key.period < state.newest_period:
        del state.items[key]


def _reverse(state: AccountState, event: Event) -> None:
    """Take back: lines carry minus; what was paid is owed again, what was kept is kept no more."""
    placed = 0
    for key, kopecks in zip(event.keys, event.amounts, strict=True):
        if key.kind is Kind.FEE:
            continue
        placed += kopecks
        if key.kind is Kind.ADVANCE:
            _draw(state, key, -kopecks, event.ref)
        else:
            _owe(state, key, -kopecks)
    assert placed == event.amount_kopecks, "a reversal's lines are its amount"


def _owe(state: AccountState, key: LineKey, kopecks: int) -> None:
    item = state.items.get(key)
    if item is None:
        item = state.items[key] = OpenItem(key, 0)
    item.due_kopecks += kopecks
    if not item.due_kopecks and key.period < state.newest_period:
        del state.items[key]


def _draw(state: AccountState, key: LineKey, kopecks: int, payment_seq: int = 0) -> None:
    """Take from the lots of a target, oldest first; of one payment only if it is named."""
    for lot in state.lots:
        if (lot.service, lot.provider) == key[:2] and payment_seq in (0, lot.payment_seq):
            part = min(kopecks, lot.kopecks)
            lot.kopecks -= part
            kopecks -= part
    assert not kopecks, "no advance is drawn below zero"
    state.lots = [lot for lot in state.lots if lot.kopecks]


def _apply_advance(state: AccountState, event: Event) -> None:
    assert not sum(event.amounts), "an advance only moves to debts"
    for key, kopecks in zip(event.keys, event.amounts, strict=True):
        if key.kind is Kind.ADVANCE:
            _draw(state, key, -kopecks, event.ref)
        else:
            _pay(state, key, kopecks)


def _move(state: AccountState, event: Event) -> None:
    """Move debt between items: corrections netted, claims passed to a successor."""
    assert not sum(event.amounts), "a movement inside an account adds nothing"
    passed = dict(event.details.transferred) if event.details is not None else {}
    for old, new in passed.items():
        if new not in state.items:
            was = state.items[old]
            state.items[new] = OpenItem(new, 0, was.accrued_kopecks, was.due_on, was.document, old.provider)
    for key, kopecks in zip(event.keys, event.amounts, strict=True):
        _owe(state, key, kopecks)
    for old in passed:
        state.items.pop(old, None)


def _refund(state: AccountState, event: Event) -> None:
    assert sum(event.amounts) == event.amount_kopecks, "a refund's lines are its amount"
    for key, kopecks in zip(event.keys, event.amounts, strict=True):
        _draw(state, key, -kopecks)


def _keep_unidentified(state: AccountState, event: Event) -> None:
    state.unidentified[event.account_seq] = event.amount_kopecks


def _release_unidentified(state: AccountState, event: Event) -> None:
    left = state.unidentified.pop(event.ref) + event.amount_kopecks
    assert left >= 0, "no receipt is released beyond what is left of it"
    if left:
        state.unidentified[event.ref] = left


def _place_hold(state: AccountState, event: Event) -> None:
    assert event.details is not None, "a hold says whose it is"
    state.holds = tuple(sorted({*state.holds, event.details.hold}))


def _release_hold(state: AccountState, event: Event) -> None:
    assert event.details is not None, "a hold says whose it is"
    state.holds = tuple(hold for hold in state.holds if hold != event.details.hold)


_APPLY: dict[EventKind, Callable[[AccountState, Event], None]] = {
    EventKind.ACCOUNT_OPENED: _open,
    EventKind.ACCOUNT_CLOSED: _close,
    EventKind.CHARGE_POSTED: _charge,
    EventKind.CHARGE_ADJUSTED: _charge,
    EventKind.PENALTY_ACCRUED: _charge,
    EventKind.PAYMENT_RECEIVED: _receive,
    EventKind.PAYMENT_REVERSED: _reverse,
    EventKind.REFUNDED: _refund,
    EventKind.ADVANCE_APPLIED: _apply_advance,
    EventKind.CORRECTION_NETTED: _move,
    EventKind.BALANCE_TRANSFERRED: _move,
    EventKind.UNIDENTIFIED_RECEIVED: _keep_unidentified,
    EventKind.UNIDENTIFIED_RELEASED: _release_unidentified,
    EventKind.HOLD_PLACED: _place_hold,
    EventKind.HOLD_RELEASED: _release_hold,
}
