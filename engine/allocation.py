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

from collections.abc import Callable, Iterable, Sequence

import msgspec

from engine.charge import Kind, LineKey, OpenItem
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
    """The money still to be given and what each open item may still take: the only thing that changes in a split."""

    __slots__ = ("due", "paid", "rest")

    def __init__(self, items: Iterable[OpenItem], amount_kopecks: int) -> None:
        self.rest = amount_kopecks
        self.due = {item.key: item.due_kopecks for item in items if item.due_kopecks > 0}
        self.paid: dict[LineKey, int] = {}

    def give(self, key: LineKey, kopecks: int) -> None:
        """Pay an item."""
        if kopecks:
            self.due[key] -= kopecks
            self.paid[key] = self.paid.get(key, 0) + kopecks
            self.rest -= kopecks

    def total(self, keys: Iterable[LineKey]) -> int:
        """What these items may still take."""
        due = self.due
        return sum([due[key] for key in keys])


_Tier = Sequence[LineKey]


def allocate(
    items: Sequence[OpenItem],
    amount_kopecks: int,
    policy: SplitPolicy,
    *,
    doc_period: Period = Period(0),
    earmark: Earmark | None = None,
    origin: Origin = Origin.PAYER,
    barred_before: Period = Period(0),
) -> Split:
    """Split a payment over an account's open items.

    Rule: the module's text. `items` are netted (`netting.py`) and redirected already; items with due <= 0 take nothing.
    Units: kopecks; `barred_before` is the first period whose limitation has not expired, 0 for no limit.
    """
    purse = _Purse((i for i in items if i.key.provider not in policy.blocked_providers), amount_kopecks)
    if earmark is not None:
        target, spills = _pay_earmarked(purse, items, earmark, policy)
        if not spills:
            return Split(purse.paid, target)
    segregated = policy.segregated_services
    keys = [k for k in purse.due if k.period >= barred_before and k.service not in segregated]
    if origin is Origin.ENFORCEMENT:
        _pay_tier(purse, [k for k in keys if k.kind is Kind.COURT_COST])
    _pay_by_policy(purse, keys, items, policy, doc_period)
    return Split(purse.paid, ((ServiceCode(""), ProviderId(""), purse.rest),) if purse.rest else ())


def _pay_by_policy(
    purse: _Purse, keys: Sequence[LineKey], items: Sequence[OpenItem], policy: SplitPolicy, doc_period: Period
) -> None:
    """Principal in the policy's order, then penalties; court costs of ordinary payments count as principal's last."""
    charges = [k for k in keys if k.kind is Kind.CHARGE]
    late = [[k for k in keys if k.kind is kind] for kind in (Kind.COURT_COST, Kind.PENALTY)]
    if policy.code is PolicyCode.PROVIDER_SHARE:
        for group in (charges, *late):
            _pay_providers(purse, group)
        return
    if policy.code is PolicyCode.ACCRUED_FIRST:
        accrued = {item.key: item.accrued_kopecks for item in items}
        _pay_accrued(purse, [k for k in charges if k.period == doc_period], accrued)
    for tier in tiers(policy, charges, doc_period):
        if not purse.rest:
            return
        _pay_tier(purse, tier)
    for group in late:
        for tier in _late_tiers(policy, group):
            _pay_tier(purse, tier)


def tiers(policy: SplitPolicy, charges: Sequence[LineKey], doc_period: Period) -> list[_Tier]:
    """Order charges by the policy: each tier is closed before the next one gets anything."""
    if policy.code is PolicyCode.PROPORTIONAL:
        return [charges]
    if policy.code is PolicyCode.PRIORITY:
        return _priority_tiers(policy.priority, charges)
    by_period = _by_period(charges)
    if policy.code is PolicyCode.FIFO or doc_period not in by_period:
        return [by_period[period] for period in sorted(by_period)]
    return [by_period.pop(doc_period), *(by_period[period] for period in sorted(by_period))]


def _late_tiers(policy: SplitPolicy, keys: Sequence[LineKey]) -> list[_Tier]:
    if policy.code in (PolicyCode.PROPORTIONAL, PolicyCode.PRIORITY):
        return [keys]
    by_period = _by_period(keys)
    return [by_period[period] for period in sorted(by_period)]


def _by_period(keys: Sequence[LineKey]) -> dict[Period, list[LineKey]]:
    by_period: dict[Period, list[LineKey]] = {}
    for key in keys:
        by_period.setdefault(key.period, []).append(key)
    return by_period


def _priority_tiers(priority: Sequence[Sequence[str]], charges: Sequence[LineKey]) -> list[_Tier]:
    """Listed groups of services in order; `*` stands for the services that no group names."""
    named = {service for group in priority for service in group if service != "*"}
    order: list[_Tier] = []
    for group in priority:
        rest = "*" in group
        order.append([k for k in charges if k.service in group or (rest and k.service not in named)])
    if not any("*" in group for group in priority):
        order.append([k for k in charges if k.service not in named])
    return order


def _pay_tier(purse: _Purse, keys: _Tier) -> None:
    """Close the tier, or share what is left of the money over it by what each item owes."""
    due = purse.due
    total = purse.total(keys)
    if total <= purse.rest:
        for key in keys:
            purse.give(key, due[key])
    elif purse.rest:
        for key, kopecks in zip(keys, share(purse.rest, keys, [due[k] for k in keys]), strict=True):
            purse.give(key, kopecks)


def _pay_accrued(purse: _Purse, keys: _Tier, accrued: dict[LineKey, int]) -> None:
    """Share by what the document accrued, nobody above its due: capped items leave, the rest is shared anew."""
    open_keys = [k for k in keys if purse.due[k]]
    while purse.rest and open_keys:
        use = min(purse.rest, purse.total(open_keys))
        weights = [accrued[k] for k in open_keys]
        if not any(weights):
            weights = [purse.due[k] for k in open_keys]
        total = sum(weights)
        capped = [k for k, w in zip(open_keys, weights, strict=True) if use * w >= purse.due[k] * total]
        if not capped:
            for key, kopecks in zip(open_keys, share(use, open_keys, weights), strict=True):
                purse.give(key, kopecks)
            return
        for key in capped:
            purse.give(key, min(purse.due[key], purse.rest))
        open_keys = [k for k in open_keys if purse.due[k] and k not in capped]


def _pay_providers(purse: _Purse, keys: _Tier) -> None:
    """Providers share by their whole debt; inside each the oldest period comes first."""
    by_provider: dict[ProviderId, list[LineKey]] = {}
    for key in sorted(keys):
        by_provider.setdefault(key.provider, []).append(key)
    heads = [group[0] for group in by_provider.values()]
    totals = [purse.total(group) for group in by_provider.values()]
    use = min(purse.rest, sum(totals))
    if not use:
        return
    for group, kopecks in zip(by_provider.values(), share(use, heads, totals), strict=True):
        inner = _Purse((), kopecks)
        inner.due = {key: purse.due[key] for key in group}
        by_period = _by_period(group)
        for period in sorted(by_period):
            _pay_tier(inner, by_period[period])
        for key, part in inner.paid.items():
            purse.give(key, part)


def share(amount_kopecks: int, keys: Sequence[LineKey], weights: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to weights, to the kopeck (largest remainder).

    Rule: floors first; each kopeck left goes to the largest remainder, then the larger weight, then the smaller key.
    Shape: one part per key, in the same order; the sum is the amount.
    """
    total = sum(weights)
    parts = [amount_kopecks * weight // total for weight in weights]
    left = amount_kopecks - sum(parts)
    if left:
        order = sorted(
            range(len(parts)), key=lambda i: (-(amount_kopecks * weights[i] % total), -weights[i], keys[i])
        )
        for i in order[:left]:
            parts[i] += 1
    return parts


def _pay_earmarked(
    purse: _Purse, items: Sequence[OpenItem], earmark: Earmark, policy: SplitPolicy
) -> tuple[tuple[tuple[ServiceCode, ProviderId, int], ...], bool]:
    """Pay inside the payer's designation; return the advances it leaves and whether the excess spills over."""
    if earmark.lines:
        return _pay_lines(purse, earmark.lines), False
    matches = _matcher(earmark)
    keys = [item.key for item in items if item.key in purse.due and matches(item)]
    inside = policy
    if policy.code is PolicyCode.ACCRUED_FIRST:
        inside = msgspec.structs.replace(policy, code=PolicyCode.FIFO)
    _pay_by_policy(purse, keys, items, inside, earmark.period)
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


def _pay_lines(purse: _Purse, lines: Sequence[EarmarkLine]) -> tuple[tuple[ServiceCode, ProviderId, int], ...]:
    """Pay a blank form line by line, oldest period first; what a line has too much stays for its service."""
    advances: dict[tuple[ServiceCode, ProviderId], int] = {}
    budget = purse.rest
    for line in lines:
        keys = [
            key
            for key in purse.due
            if key.service == line.service
            and (not line.provider or key.provider == line.provider)
            and (not line.period or key.period == line.period)
        ]
        purse.rest = line.kopecks
        for kind in (Kind.CHARGE, Kind.COURT_COST, Kind.PENALTY):
            by_period = _by_period([k for k in keys if k.kind is kind])
            for period in sorted(by_period):
                _pay_tier(purse, by_period[period])
        if purse.rest:
            target = (line.service, line.provider)
            advances[target] = advances.get(target, 0) + purse.rest
        budget -= line.kopecks
    if budget:
        whole = (ServiceCode(""), ProviderId(""))
        advances[whole] = advances.get(whole, 0) + budget
    purse.rest = 0
    return tuple((service, provider, kopecks) for (service, provider), kopecks in advances.items())
