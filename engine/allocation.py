"""The splitting rule (расщепление): which open items a payment closes, to the kopeck.

1. The payer's own designation (earmark) comes first; only a bare period lets the excess go on to step 2.
2. Without one, money never goes to a segregated service (capital repair has its own document), to a period whose
   limitation has expired, or to a blocked provider.
3. A policy orders the remaining items in tiers. A tier that the money covers is closed; the first one it does not
   cover shares what is left in proportion (principal before penalties, court costs first for enforcement receipts).
4. A share is rounded down; the kopecks left go one each to the largest remainders, then the larger weights, then the
   smaller (service, provider, period, kind). The result does not depend on the order of the input.
5. What no item takes is the advance: allocations + advance = amount, exactly.

Source: rules of the agreement on top of ПП РФ 06.05.2011 № 354 п. 118, ГК РФ ст. 319 and 319.1, Пленум ВС РФ
27.06.2017 № 22 п. 32; tie rule and advances are our decision, ADR-0005.
"""

from collections.abc import Callable, Collection, Sequence

import msgspec

from engine.charge import DEBT_KINDS, Kind, LineKey, OpenItem
from engine.commands import Earmark, EarmarkLine, Origin
from engine.ids import Period, ProviderId, ServiceCode
from engine.policy import PolicyCode, SplitPolicy


class Split(msgspec.Struct, frozen=True):
    """What `allocate` decided. Units: kopecks, all > 0 but `advance_kopecks` >= 0.

    `advances` divides `advance_kopecks` over targets (service, provider); both names empty: the account as a whole.
    """

    paid: dict[LineKey, int]
    advances: tuple[tuple[ServiceCode, ProviderId, int], ...]

    @property
    def advance_kopecks(self) -> int:
        """What no open item took."""
        return sum(kopecks for _, _, kopecks in self.advances)


class _Purse:
    """The money still to be given and what was given: the only thing that changes in a split."""

    __slots__ = ("paid", "rest")

    def __init__(self, amount_kopecks: int) -> None:
        self.rest = amount_kopecks
        self.paid: dict[LineKey, int] = {}

    def give(self, keys: Sequence[LineKey], parts: Sequence[int]) -> None:
        """Pay items; parts of zero leave no line."""
        paid = self.paid
        if not paid and 0 not in parts:
            self.paid = dict(zip(keys, parts, strict=True))
        else:
            for key, part in zip(keys, parts, strict=True):
                if part:
                    paid[key] = paid.get(key, 0) + part
        self.rest -= sum(parts)

    def dues(self, tier: "_Tier") -> list[int]:
        """What the items of a tier may still take."""
        paid = self.paid
        if not paid:
            return [item.due_kopecks for item in tier]
        return [item.due_kopecks - paid.get(item.key, 0) for item in tier]


_Tier = Sequence[OpenItem]


def allocate(
    items: Collection[OpenItem],
    amount_kopecks: int,
    policy: SplitPolicy,
    *,
    doc_period: Period = Period(0),
    earmark: Earmark | None = None,
    origin: Origin = Origin.PAYER,
    barred_before: Period = Period(0),
) -> Split:
    """Split a payment over an account's open items.

    Rule: the module's text. `items` are netted and redirected already (`netting.py`); items with due <= 0 take nothing.
    Units: kopecks; `barred_before` is the first period whose limitation has not expired, 0 for no limit.
    """
    purse = _Purse(amount_kopecks)
    blocked, segregated = policy.blocked_providers, policy.segregated_services
    if earmark is not None:
        payable = [i for i in items if i.due_kopecks > 0 and i.key.provider not in blocked]
        target, spills = _pay_earmarked(purse, payable, earmark, policy)
        if not spills:
            return Split(purse.paid, target)
    open_items = []
    for item in items:
        if item.due_kopecks > 0:
            service, provider, period, _ = item.key
            if period >= barred_before and service not in segregated and provider not in blocked:
                open_items.append(item)
    if origin is Origin.ENFORCEMENT:
        _pay_tier(purse, [item for item in open_items if item.key.kind is Kind.COURT_COST])
    _pay_by_policy(purse, open_items, policy, doc_period)
    return Split(purse.paid, ((ServiceCode(""), ProviderId(""), purse.rest),) if purse.rest else ())


def _pay_by_policy(purse: _Purse, items: _Tier, policy: SplitPolicy, doc_period: Period) -> None:
    """Principal in the policy's order, then court costs, then penalties."""
    code, charge = policy.code, Kind.CHARGE
    charges = [item for item in items if item.key[3] is charge]
    if code is PolicyCode.PROVIDER_SHARE:
        _pay_providers(purse, charges)
    elif code is PolicyCode.PROPORTIONAL:
        _pay_tier(purse, charges)
    else:
        if code is PolicyCode.ACCRUED_FIRST:
            _pay_accrued(purse, [item for item in charges if item.key.period == doc_period])
        for tier in tiers(policy, charges, doc_period):
            if not purse.rest:
                return
            _pay_tier(purse, tier)
    if purse.rest and len(charges) < len(items):
        _pay_late(purse, items, policy)


def _pay_late(purse: _Purse, items: _Tier, policy: SplitPolicy) -> None:
    """What comes after principal: court costs of ordinary payments, then penalties, the oldest period first."""
    for kind in (Kind.COURT_COST, Kind.PENALTY):
        late = [item for item in items if item.key.kind is kind]
        if policy.code is PolicyCode.PROVIDER_SHARE:
            _pay_providers(purse, late)
        elif policy.code in (PolicyCode.PROPORTIONAL, PolicyCode.PRIORITY):
            _pay_tier(purse, late)
        else:
            for tier in _by_period(late):
                _pay_tier(purse, tier)


def tiers(policy: SplitPolicy, charges: _Tier, doc_period: Period) -> Sequence[_Tier]:
    """Order charges by the policy: each tier is closed before the next one gets anything."""
    if policy.code is PolicyCode.PRIORITY:
        return _priority_tiers(policy.priority, charges)
    by_period = _by_period(charges)
    if policy.code is not PolicyCode.FIFO and doc_period:
        by_period.sort(key=lambda tier: tier[0].key.period != doc_period)
    return by_period


def _by_period(items: _Tier) -> list[list[OpenItem]]:
    """Group items by period, the oldest first."""
    by_period: dict[Period, list[OpenItem]] = {}
    for item in items:
        period = item.key.period
        tier = by_period.get(period)
        if tier is None:
            by_period[period] = [item]
        else:
            tier.append(item)
    if len(by_period) == 1:
        return list(by_period.values())
    return [by_period[period] for period in sorted(by_period)]


def _priority_tiers(priority: Sequence[Sequence[str]], charges: _Tier) -> list[_Tier]:
    """Listed groups of services in order; `*` stands for the services that no group names."""
    named = {service for group in priority for service in group if service != "*"}
    groups = priority if any("*" in group for group in priority) else (*priority, ("*",))
    return [
        [i for i in charges if i.key.service in group or ("*" in group and i.key.service not in named)]
        for group in groups
    ]


def _pay_tier(purse: _Purse, tier: _Tier) -> None:
    """Close the tier, or share what is left of the money over it by what each item owes."""
    dues = purse.dues(tier)
    rest = purse.rest
    if sum(dues) <= rest:
        purse.give([item.key for item in tier], dues)
    elif rest:
        keys = [item.key for item in tier]
        purse.give(keys, share(rest, keys, dues))


def _pay_accrued(purse: _Purse, tier: _Tier) -> None:
    """Share by what the document accrued, nobody above its due: capped items leave, the rest is shared anew."""
    open_items = list(tier)
    while purse.rest and open_items:
        dues = purse.dues(open_items)
        use = min(purse.rest, sum(dues))
        weights = [item.accrued_kopecks for item in open_items]
        if not any(weights):
            weights = dues
        total = sum(weights)
        capped = [i for i, w, due in zip(open_items, weights, dues, strict=True) if use * w >= due * total]
        if not capped:
            keys = [item.key for item in open_items]
            purse.give(keys, share(use, keys, weights))
            return
        purse.give([item.key for item in capped], purse.dues(capped))
        open_items = [item for item in open_items if item not in capped]


def _pay_providers(purse: _Purse, items: _Tier) -> None:
    """Providers share by their whole debt; inside each the oldest period comes first."""
    by_provider: dict[ProviderId, list[OpenItem]] = {}
    for item in sorted(items, key=lambda item: item.key):
        by_provider.setdefault(item.key.provider, []).append(item)
    heads = [group[0].key for group in by_provider.values()]
    totals = [sum(purse.dues(group)) for group in by_provider.values()]
    use = min(purse.rest, sum(totals))
    if not use:
        return
    for group, kopecks in zip(by_provider.values(), share(use, heads, totals), strict=True):
        inner = _Purse(kopecks)
        for tier in _by_period(group):
            _pay_tier(inner, tier)
        purse.give(list(inner.paid), list(inner.paid.values()))


def share(amount_kopecks: int, keys: Sequence[LineKey], weights: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to weights, to the kopeck (largest remainder).

    Rule: floors first; each kopeck left goes to the largest remainder, then the larger weight, then the smaller key.
    Shape: one part per key, in the same order; the sum is the amount.
    """
    total = sum(weights)
    products = [amount_kopecks * weight for weight in weights]
    parts = [product // total for product in products]
    left = amount_kopecks - sum(parts)
    if left:
        remainders = [product % total for product in products]
        order = sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)
        if remainders[order[left - 1]] == remainders[order[left]]:
            order.sort(key=lambda i: (-remainders[i], -weights[i], keys[i]))
        for index in order[:left]:
            parts[index] += 1
    return parts


def _pay_earmarked(
    purse: _Purse, items: _Tier, earmark: Earmark, policy: SplitPolicy
) -> tuple[tuple[tuple[ServiceCode, ProviderId, int], ...], bool]:
    """Pay inside the payer's designation; return the advances it leaves and whether the excess spills over."""
    if earmark.lines:
        return _pay_lines(purse, items, earmark.lines), False
    matches = _matcher(earmark)
    inside = policy
    if policy.code is PolicyCode.ACCRUED_FIRST:
        inside = msgspec.structs.replace(policy, code=PolicyCode.FIFO)
    _pay_by_policy(purse, [item for item in items if matches(item)], inside, earmark.period)
    only_period = not (earmark.service or earmark.provider or earmark.document or earmark.kind)
    if only_period:
        return (), True
    return ((earmark.service, earmark.provider, purse.rest),) if purse.rest else (), False


def _matcher(earmark: Earmark) -> Callable[[OpenItem], bool]:
    def matches(item: OpenItem) -> bool:
        key = item.key
        return (
            (not earmark.period or key.period == earmark.period)
            and (not earmark.service or key.service == earmark.service)
            and (not earmark.provider or key.provider == earmark.provider)
            and (not earmark.document or item.document == earmark.document)
            and (earmark.kind is None or key.kind is earmark.kind)
        )

    return matches


def _pay_lines(
    purse: _Purse, items: _Tier, lines: Sequence[EarmarkLine]
) -> tuple[tuple[ServiceCode, ProviderId, int], ...]:
    """Pay a blank form line by line, oldest period first; what a line has too much stays for its service."""
    advances: dict[tuple[ServiceCode, ProviderId], int] = {}
    unnamed = purse.rest - sum(line.kopecks for line in lines)
    for line in lines:
        purse.rest = line.kopecks
        matches = _matcher(Earmark(period=line.period, service=line.service, provider=line.provider))
        named = [item for item in items if matches(item)]
        for kind in DEBT_KINDS:
            for tier in _by_period([item for item in named if item.key.kind is kind]):
                _pay_tier(purse, tier)
        if purse.rest:
            target = (line.service, line.provider)
            advances[target] = advances.get(target, 0) + purse.rest
    if unnamed:
        whole = (ServiceCode(""), ProviderId(""))
        advances[whole] = advances.get(whole, 0) + unnamed
    purse.rest = 0
    return tuple((service, provider, kopecks) for (service, provider), kopecks in advances.items())
