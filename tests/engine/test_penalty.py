"""Penalties: every published vector by its name, and the closed form against counting day by day."""

import datetime
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.penalty import (
    KeyRate,
    Moratorium,
    MoratoriumScope,
    PaidPart,
    PenaltyTerms,
    RateCap,
    Regime,
    compute_penalty,
)
from engine.rates import TERMS, cap_ends_within

_VECTORS = Path(__file__).parents[2] / ".." / "shared" / "domain" / "penalty-vectors.json"
_DAY = datetime.timedelta(days=1)


def _cases() -> list[dict[str, Any]]:
    return json.loads(_VECTORS.read_text()) if _VECTORS.exists() else []


def _bp(percent: str) -> int:
    return int(Fraction(percent) * 100)


def _date(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def _terms(case: dict[str, Any]) -> PenaltyTerms:
    cap = case.get("rate_cap")
    return PenaltyTerms(
        tuple(KeyRate(_date(r["from"]), _bp(r["percent"])) for r in case["key_rates"]),
        (RateCap(_date(cap["from"]), _date(cap["to"]), _bp(cap["max_percent"])),) if cap else (),
        tuple(Moratorium(_date(m["from"]), _date(m["to"]), MoratoriumScope(m["applies"])) for m in case["moratoria"]),
    )


@pytest.mark.skipif(not _VECTORS.exists(), reason="the shared vectors are not beside this checkout")
@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["name"])
def test_the_published_vector_comes_out(case: dict[str, Any]) -> None:
    penalty = compute_penalty(
        case["principal_kopecks"],
        _date(case["due_date_effective"]),
        [PaidPart(_date(p["date"]), p["kopecks"]) for p in case["payments"]],
        _date(case["as_of"]),
        Regime(case["regime"]),
        _terms(case),
    )
    assert penalty.kopecks == case["expected_penalty_kopecks"]
    assert penalty.exact == Fraction(case["expected_exact"])
    told = [
        {
            "base_kopecks": s.base_kopecks,
            "slice": "paid" if s.is_paid else "unpaid",
            "from": s.first.isoformat(),
            "to": s.last.isoformat(),
            "days": s.days,
            "denominator": s.denominator,
            "rate_percent": f"{s.rate_bp / 100:g}" if s.rate_bp % 100 else f"{s.rate_bp // 100}.0",
        }
        for s in penalty.segments
    ]
    assert told == case["expected_segments"]


def _day_by_day(
    principal: int, due: datetime.date, parts: list[PaidPart], as_of: datetime.date, terms: PenaltyTerms
) -> Fraction:
    """The housing rule as a clerk would do it: day after day."""
    slices, left = [], principal
    for part in sorted(parts, key=lambda p: p.on):
        if part.on <= as_of:
            slices.append((min(left, part.kopecks), part.on))
            left -= slices[-1][0]
    slices.append((left, as_of))
    total = Fraction(0)
    for base, end in slices:
        rate = [r.rate_bp for r in terms.key_rates if r.since <= end][-1]
        for number in range(1, (end - due).days + 1):
            day = due + number * _DAY
            spared = any(m.since <= day <= m.until and (m.scope == "all" or due < m.since) for m in terms.moratoria)
            if number >= 31 and not spared:
                cap = terms.caps[0]
                capped = cap.since <= end and day <= cap.until
                total += Fraction(
                    base * (min(rate, cap.rate_bp) if capped else rate), 10_000 * (300 if number < 91 else 130)
                )
    return total


@given(
    principal=st.integers(1, 10**8),
    due=st.dates(datetime.date(2019, 6, 1), datetime.date(2026, 6, 1)),
    paid=st.lists(st.tuples(st.integers(-40, 600), st.integers(1, 10**7)), max_size=4),
    days=st.integers(0, 900),
)
def test_closed_form_equals_counting_day_by_day(
    principal: int, due: datetime.date, paid: list[tuple[int, int]], days: int
) -> None:
    parts = [PaidPart(due + after * _DAY, kopecks) for after, kopecks in paid]
    as_of = due + days * _DAY
    penalty = compute_penalty(principal, due, parts, as_of, Regime.HOUSING, TERMS)
    assert penalty.exact == _day_by_day(principal, due, parts, as_of, TERMS)
    assert abs(penalty.exact - penalty.kopecks) <= Fraction(1, 2)


def test_operators_are_warned_while_the_last_cap_ends_within_sixty_days() -> None:
    assert not cap_ends_within(60, datetime.date(2026, 10, 1))
    assert cap_ends_within(60, datetime.date(2026, 11, 24))


def test_a_territory_spares_only_its_own_debts() -> None:
    flood = Moratorium(
        datetime.date(2026, 5, 1), datetime.date(2026, 12, 31), MoratoriumScope.ALL, territory="36701000"
    )
    terms = PenaltyTerms(TERMS.key_rates, TERMS.caps, (flood,))
    due, as_of = datetime.date(2026, 4, 15), datetime.date(2026, 7, 1)
    spared = compute_penalty(500_000, due, [], as_of, Regime.HOUSING, terms, territory="36701000")
    charged = compute_penalty(500_000, due, [], as_of, Regime.HOUSING, terms)
    assert spared.kopecks == 0 < charged.kopecks
