"""Penalties (пени): the pure rule. Principal in, exact penalty and its printable calculation out.

The delay is counted in days from the day after the last day to pay. Principal is cut into slices, one for each part
paid (with the day it was paid, which counts) and one for what is still unpaid (with the day of calculation). A slice
has one rate, that of its end date, and is charged by a scale of denominators that depends on the day of the delay.
Days of a moratorium cost nothing, but the count of days goes on through them. Everything is summed exactly and rounded
once, half a kopeck up.

Source: ЖК РФ ст. 155 ч. 14 and 14.1 (edition in force in 2026), laws on heat, water, electricity and gas supply for
managers' debts to suppliers; ПП РФ 26.03.2022 № 474 for the cap; points where practice differs are our decision.
"""

import datetime
import enum
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from operator import attrgetter

import msgspec

_DAY = datetime.timedelta(days=1)
_HUNDREDTHS_OF_PERCENT = 10_000


class Regime(enum.StrEnum):
    """Who owes to whom, which decides the scale."""

    HOUSING = "housing"
    CAPITAL_REPAIR = "capital_repair"
    MANAGER_TO_SUPPLIER = "manager_to_supplier"
    OTHER_CONSUMER = "other_consumer"


_SCALES: dict[Regime, tuple[tuple[int, int], ...]] = {
    Regime.HOUSING: ((31, 300), (91, 130)),
    Regime.CAPITAL_REPAIR: ((31, 300),),
    Regime.MANAGER_TO_SUPPLIER: ((1, 300), (61, 170), (91, 130)),
    Regime.OTHER_CONSUMER: ((1, 130),),
}
"""(first day of delay, denominator of the rate a day); before the first one nothing is charged."""
_ALL_DENOMINATORS = math.lcm(*(denominator for scale in _SCALES.values() for _, denominator in scale))


def first_charged_day(due_on: datetime.date, regime: Regime) -> datetime.date:
    """Return the first day of delay that costs anything: what is settled before it needs no calculation."""
    return due_on + _SCALES[regime][0][0] * _DAY


class MoratoriumScope(enum.StrEnum):
    """Whether a moratorium spares every debt or only those due before it began."""

    ALL = "all"
    DUE_BEFORE_START = "obligations_due_before_start"


class KeyRate(msgspec.Struct, frozen=True):
    """Key rate in force from a day on. Units: hundredths of a percent a year."""

    since: datetime.date
    rate_bp: int


class RateCap(msgspec.Struct, frozen=True):
    """A cap of the rate, both days included. Units: hundredths of a percent a year."""

    since: datetime.date
    until: datetime.date
    rate_bp: int


class Moratorium(msgspec.Struct, frozen=True):
    """Days that cost nothing, both included. Empty `regimes` mean all; `territory` is how ОКТМО codes of it begin."""

    since: datetime.date
    until: datetime.date
    scope: MoratoriumScope
    regimes: frozenset[Regime] = frozenset()
    territory: str = ""


class PenaltyTerms(msgspec.Struct, frozen=True):
    """The dated tables that the rule reads; key rates in the order of their days. Errors: ValueError if not."""

    key_rates: tuple[KeyRate, ...]
    caps: tuple[RateCap, ...] = ()
    moratoria: tuple[Moratorium, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a table that cannot be searched."""
        days = [rate.since for rate in self.key_rates]
        if days != sorted(set(days)):
            raise ValueError("key rates come in the order of their days, one a day")


class PaidPart(msgspec.Struct, frozen=True):
    """A payment applied to the principal: the local date it was accepted, and kopecks."""

    on: datetime.date
    kopecks: int


class Segment(msgspec.Struct, frozen=True):
    """A line of the printable calculation: these days, both included, of this base at this rate / denominator."""

    base_kopecks: int
    is_paid: bool
    first: datetime.date
    last: datetime.date
    denominator: int
    rate_bp: int

    @property
    def days(self) -> int:
        """How many days are charged."""
        return (self.last - self.first).days + 1

    @property
    def exact(self) -> Fraction:
        """The segment's penalty in kopecks, exactly."""
        return Fraction(self.base_kopecks * self.rate_bp * self.days, _HUNDREDTHS_OF_PERCENT * self.denominator)


class Penalty(msgspec.Struct, frozen=True):
    """The penalty of one open item, and how it comes about."""

    kopecks: int
    segments: tuple[Segment, ...]

    @property
    def exact(self) -> Fraction:
        """The sum of the segments before rounding, in kopecks."""
        return sum((segment.exact for segment in self.segments), Fraction(0))


def compute_penalty(
    principal_kopecks: int,
    due_on: datetime.date,
    parts: Sequence[PaidPart],
    as_of: datetime.date,
    regime: Regime,
    terms: PenaltyTerms,
    *,
    territory: str = "",
) -> Penalty:
    """Compute the penalty of one open item up to a day.

    Rule: the module's text. `due_on` is the last day to pay, moved off days off already (`calendar.due_date`). What was
    paid beyond the principal is not a slice.
    Units: kopecks; local dates; `as_of` is included. Errors: ValueError when no key rate is known for a slice's end.
    """
    segments: list[Segment] = []
    left = principal_kopecks
    for part in sorted((p for p in parts if p.on <= as_of), key=lambda p: p.on):
        base = min(left, part.kopecks)
        left -= base
        segments += _segments(base, True, due_on, part.on, regime, terms, territory)
    segments += _segments(left, False, due_on, as_of, regime, terms, territory)
    return Penalty(rounded_kopecks(segments), tuple(segments))


def rounded_kopecks(segments: Iterable[Segment]) -> int:
    """Sum segments exactly and round once, half a kopeck up: as their `exact` would, in whole numbers."""
    units = sum(s.base_kopecks * s.rate_bp * s.days * (_ALL_DENOMINATORS // s.denominator) for s in segments)
    one = _HUNDREDTHS_OF_PERCENT * _ALL_DENOMINATORS
    return (2 * units + one) // (2 * one)


def _segments(
    base: int,
    is_paid: bool,
    due_on: datetime.date,
    end: datetime.date,
    regime: Regime,
    terms: PenaltyTerms,
    territory: str,
) -> Iterator[Segment]:
    if base <= 0 or end <= due_on:
        return
    spared = [
        (m.since, m.until)
        for m in terms.moratoria
        if (m.scope is MoratoriumScope.ALL or due_on < m.since)
        and (not m.regimes or regime in m.regimes)
        and territory.startswith(m.territory)
    ]
    for first, last, denominator in _scale_days(regime, due_on, end):
        for rate_first, rate_last, rate_bp in _rate_days(first, last, end, terms):
            for days_first, days_last in _without(rate_first, rate_last, spared):
                yield Segment(base, is_paid, days_first, days_last, denominator, rate_bp)


def _scale_days(
    regime: Regime, due_on: datetime.date, end: datetime.date
) -> Iterator[tuple[datetime.date, datetime.date, int]]:
    """Cut the delay by the scale: (first day, last day, denominator)."""
    scale = _SCALES[regime]
    for index, (first_day, denominator) in enumerate(scale):
        first = due_on + first_day * _DAY
        last = due_on + (scale[index + 1][0] - 1) * _DAY if index + 1 < len(scale) else end
        if first <= min(last, end):
            yield first, min(last, end), denominator


def _rate_days(
    first: datetime.date, last: datetime.date, end: datetime.date, terms: PenaltyTerms
) -> Iterator[tuple[datetime.date, datetime.date, int]]:
    """Cut days by the cap.

    Rule: the rate is that of the slice's end date for the whole delay; a cap regime that had begun by the end date
    holds for all its days but those after it ended.
    """
    rate_bp = _key_rate(end, terms)
    cap = max((c for c in terms.caps if c.since <= end), key=lambda c: c.since, default=None)
    if cap is None or cap.rate_bp >= rate_bp:
        yield first, last, rate_bp
        return
    if first <= cap.until:
        yield first, min(last, cap.until), cap.rate_bp
    if last > cap.until:
        yield max(first, cap.until + _DAY), last, rate_bp


def _key_rate(on: datetime.date, terms: PenaltyTerms) -> int:
    found = bisect_right(terms.key_rates, on, key=_since)
    if not found:
        raise ValueError(f"no key rate is known for {on}")
    return terms.key_rates[found - 1].rate_bp


_since = attrgetter("since")


def _without(
    first: datetime.date, last: datetime.date, spared: Sequence[tuple[datetime.date, datetime.date]]
) -> Iterator[tuple[datetime.date, datetime.date]]:
    """The days from first to last that no moratorium spares, as runs."""
    for since, until in sorted(spared):
        if until < first or since > last:
            continue
        if since > first:
            yield first, since - _DAY
        first = max(first, until + _DAY)
    if first <= last:
        yield first, last
