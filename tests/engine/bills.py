"""Open items, policies and accounts for the engine's tests, written as an accountant would."""

import datetime
import time
from collections.abc import Iterable
from typing import Any

from engine.account import AccountState
from engine.apply import apply
from engine.charge import Kind, LineKey, OpenItem
from engine.commands import AnyCommand, ChargeLine, OpenAccount, PostCharges
from engine.decide import decide
from engine.events import Event
from engine.ids import AccountId, Period, ProviderId, ServiceCode, SourceId, TxnId, parse_period
from engine.outcomes import Accepted
from engine.policy import PolicyBook, PolicyCode, SplitPolicy

NOW_US = 1_790_000_000_000_000
"""21 September 2026, UTC."""

ACCOUNT = AccountId("000123456")
KINDS = {"charge": Kind.CHARGE, "penalty": Kind.PENALTY, "court_cost": Kind.COURT_COST}


def roubles(text: str) -> int:
    """Kopecks of an amount written as 1 234.56."""
    whole, _, decimals = text.replace(" ", "").partition(".")
    return int(whole) * 100 + int((decimals + "00")[:2])


def key(service: str, provider: str, period: str = "2026-08", kind: Kind = Kind.CHARGE) -> LineKey:
    return LineKey(ServiceCode(service), ProviderId(provider), parse_period(period), kind)


def item(
    service: str, provider: str, due: int, period: str = "2026-08", kind: Kind = Kind.CHARGE, **more: Any
) -> OpenItem:
    return OpenItem(key(service, provider, period, kind), due, **more)


def policy(code: str = "fifo", **more: Any) -> SplitPolicy:
    return SplitPolicy(agreement="main", code=PolicyCode(code), version=1, valid_from=datetime.date(2020, 1, 1), **more)


def book(code: str = "fifo", **more: Any) -> PolicyBook:
    return PolicyBook((policy(code, **more),))


def command_fields(number: object) -> dict[str, Any]:
    return {
        "source": SourceId("test"),
        "txn_id": TxnId(str(number)),
        "request_hash": b"\0" * 16,
        "account": ACCOUNT,
        "accepted_at_us": NOW_US,
    }


def charges(
    number: object, period: str, lines: Iterable[tuple[str, str, int]], kind: Kind = Kind.CHARGE
) -> PostCharges:
    return PostCharges(
        **command_fields(number),
        period=parse_period(period),
        lines=tuple(ChargeLine(ServiceCode(s), ProviderId(p), k, kind) for s, p, k in lines),
    )


class Life:
    """One account, lived command by command; keeps every event."""

    def __init__(self, policies: PolicyBook) -> None:
        self.policies = policies
        self.state = AccountState(ACCOUNT)
        self.events: list[Event] = []
        self.number = 0
        self.do(OpenAccount(**command_fields("open"), agreement="main"))

    def do(self, command: AnyCommand, trail: tuple[Event, ...] = ()) -> Accepted:
        """Decide and apply; the command must be accepted."""
        decision = decide(self.state, command, self.policies, NOW_US, trail)
        assert isinstance(decision, Accepted), decision
        for event in decision.events:
            apply(self.state, event)
            self.events.append(event)
        return decision

    def trail(self, payment_seq: int) -> tuple[Event, ...]:
        return tuple(self.events[payment_seq - 1 :])

    def dues(self) -> dict[str, int]:
        return {i.key.service: i.due_kopecks for i in self.state.items.values() if i.due_kopecks}


def period_before(months: int) -> Period:
    """The period so many months before September 2026."""
    year, month = divmod(2026 * 12 + 8 - months, 12)
    return Period(year * 100 + month + 1)


assert time.gmtime(NOW_US // 1_000_000)[:2] == (2026, 9)
