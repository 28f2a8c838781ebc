"""Advances (авансы): money accepted before there is a debt to put it on.

An advance is kept in lots, one per payment and target. New charges are closed by the lots at once, the oldest lot
first; a lot with a target closes only debts of that provider and service.
"""

from collections.abc import Iterator, Sequence

from engine.account import AccountState, AdvanceLot
from engine.allocation import allocate, share
from engine.charge import Kind, LineKey
from engine.commands import Command, Earmark
from engine.drafting import Draft, draft
from engine.events import EventKind
from engine.ids import Period, ProviderId, ServiceCode
from engine.policy import AdvanceMode, SplitPolicy

Target = tuple[ServiceCode, ProviderId, int]


def keep_by_last_accruals(state: AccountState, advances: Sequence[Target], policy: SplitPolicy) -> Iterator[Target]:
    """Divide an advance kept for the account over what was charged last, where the policy says so.

    Rule: mode `by_last_accruals`: in proportion to the newest period's accruals by (service, provider), to the kopeck;
    so it can be forwarded by the next working day (ПП РФ 28.03.2012 № 253). Mode `hold`: unchanged.
    """
    for service, provider, kopecks in advances:
        last = {} if service or provider else _last_accruals(state, policy)
        if policy.advance_mode is AdvanceMode.HOLD or not last:
            yield service, provider, kopecks
        else:
            yield from divide_advance(kopecks, last)


def divide_advance(kopecks: int, accruals: dict[tuple[ServiceCode, ProviderId], int]) -> Iterator[Target]:
    """Divide an advance in proportion to accruals, to the kopeck; parts of zero are left out."""
    keys = [LineKey(service, provider, Period(0), Kind.ADVANCE) for service, provider in accruals]
    for key, part in zip(keys, share(kopecks, keys, list(accruals.values())), strict=True):
        if part:
            yield key.service, key.provider, part


def _last_accruals(state: AccountState, policy: SplitPolicy) -> dict[tuple[ServiceCode, ProviderId], int]:
    return {
        (item.key.service, item.key.provider): item.accrued_kopecks
        for item in state.items.values()
        if item.key.kind is Kind.CHARGE
        and item.key.period == state.newest_period
        and item.accrued_kopecks > 0
        and item.key.service not in policy.segregated_services
        and item.key.provider not in policy.blocked_providers
    }


def close_with_advances(work: Draft, command: Command, policy: SplitPolicy) -> None:
    """Close open items with the lots, oldest first; one event a lot that closes anything."""
    for lot in list(work.state.lots):
        lines = _close_with(work.state, lot, policy)
        if lines:
            lines[LineKey(lot.service, lot.provider, Period(0), Kind.ADVANCE)] = -sum(lines.values())
            kind = EventKind.ADVANCE_APPLIED
            work.add(draft(work.state, command, kind, lines, policy=policy.label, ref=lot.payment_seq))


def _close_with(state: AccountState, lot: AdvanceLot, policy: SplitPolicy) -> dict[LineKey, int]:
    items = list(state.items.values())
    if not (lot.service or lot.provider):
        return allocate(items, lot.kopecks, policy).paid
    return allocate(items, lot.kopecks, policy, earmark=Earmark(service=lot.service, provider=lot.provider)).paid
