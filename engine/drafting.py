"""Drafting events: one command may make several; each follows the state that the ones before it leave."""

import datetime
from collections.abc import Mapping
from copy import copy
from functools import lru_cache

from engine.account import AccountState
from engine.apply import apply
from engine.charge import Kind, LineKey
from engine.commands import Command
from engine.events import Details, Event, EventKind
from engine.policy import PolicyBook

_CHARGE_LIKE = frozenset(
    (
        EventKind.CHARGE_POSTED,
        EventKind.CHARGE_ADJUSTED,
        EventKind.PENALTY_ACCRUED,
        EventKind.CORRECTION_NETTED,
        EventKind.BALANCE_TRANSFERRED,
    )
)
_UNIX_EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()
_DAY_US = 86_400_000_000


def draft(
    state: AccountState,
    command: Command,
    kind: EventKind,
    lines: Mapping[LineKey, int],
    *,
    amount_kopecks: int = 0,
    balance_kopecks: int | None = None,
    policy: str = "",
    channel: str = "",
    ref: int = 0,
    details: Details | None = None,
) -> Event:
    """Make the event that would follow `state`. `balance_kopecks` spares summing when the caller knows it."""
    if balance_kopecks is None:
        balance_kopecks = state.balance_kopecks() + _balance_change(kind, lines)
    return Event(
        kind=kind,
        account=state.account,
        account_seq=state.seq + 1,
        source=command.source,
        txn_id=command.txn_id,
        accepted_at_us=command.accepted_at_us,
        amount_kopecks=amount_kopecks,
        balance_kopecks=balance_kopecks,
        keys=tuple(lines),
        amounts=tuple(lines.values()),
        policy=policy,
        channel=channel,
        ref=ref,
        details=details,
    )


def _balance_change(kind: EventKind, lines: Mapping[LineKey, int]) -> int:
    """Debts less advances: charges add to debts, payments take from them; advances always count against."""
    sign = 1 if kind in _CHARGE_LIKE else -1
    change = 0
    for key, kopecks in lines.items():
        if key.kind is Kind.ADVANCE:
            change -= kopecks
        elif key.kind is not Kind.FEE:
            change += sign * kopecks
    return change


class Draft:
    """Events of one command over a private copy of the state."""

    def __init__(self, state: AccountState) -> None:
        self.state = AccountState(
            account=state.account,
            status=state.status,
            agreement=state.agreement,
            seq=state.seq,
            items={key: copy(item) for key, item in state.items.items()},
            lots=[copy(lot) for lot in state.lots],
            unidentified=dict(state.unidentified),
            newest_period=state.newest_period,
            holds=state.holds,
        )
        self.events: list[Event] = []

    def add(self, event: Event) -> None:
        """Take an event drafted on `self.state` and fold it in."""
        apply(self.state, event)
        self.events.append(event)


def local_date(accepted_at_us: int, book: PolicyBook) -> datetime.date:
    """Return the region's local date of an instant: the day that a payment belongs to."""
    return _date((accepted_at_us + book.utc_offset_minutes * 60_000_000) // _DAY_US)


@lru_cache(maxsize=64)
def _date(days: int) -> datetime.date:
    """The date so many days after 1 January 1970. Most payments share a day."""
    return datetime.date.fromordinal(_UNIX_EPOCH_ORDINAL + days)
