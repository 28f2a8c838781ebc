"""The splitting rule: published vectors, worked examples in roubles, properties."""

import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.advances import divide_advance
from engine.allocation import allocate, share
from engine.charge import Kind, LineKey, OpenItem
from engine.commands import Earmark, EarmarkLine, Origin
from engine.commission import fee_kopecks, withheld_lines
from engine.ids import Period, ProviderId, ServiceCode, parse_period
from engine.netting import net_corrections, pass_claims
from engine.policy import Commission, CommissionMode, PolicyCode
from engine.reversal import reversal_lines
from tests.engine.bills import KINDS, item, key, policy, roubles

_VECTORS = Path(__file__).parents[2] / ".." / "shared" / "domain" / "split-vectors.json"
_ACCOUNT_ADVANCE = LineKey(ServiceCode(""), ProviderId(""), Period(0), Kind.ADVANCE)


def _cases() -> list[dict[str, Any]]:
    return json.loads(_VECTORS.read_text()) if _VECTORS.exists() else []


def _items(case: dict[str, Any]) -> dict[LineKey, OpenItem]:
    made = []
    for i in case["open_items"]:
        place = (i["service"], i["provider"], i["due_kopecks"], i["period"], KINDS[i["kind"]])
        made.append(item(*place, accrued_kopecks=i.get("accrued_kopecks", 0)))
    return {one.key: one for one in made}


def _earmark(asked: dict[str, Any] | None) -> Earmark | None:
    if asked is None:
        return None
    return Earmark(
        period=parse_period(asked["period"]) if "period" in asked else Period(0),
        service=ServiceCode(asked.get("service", "")),
        provider=ProviderId(asked.get("provider", "")),
        kind=KINDS[asked["kind"]] if "kind" in asked else None,
        lines=tuple(
            EarmarkLine(
                ServiceCode(line["service"]),
                line["kopecks"],
                ProviderId(line.get("provider", "")),
                parse_period(line["period"]) if "period" in line else Period(0),
            )
            for line in asked.get("lines", ())
        ),
    )


def _expected(case: dict[str, Any]) -> dict[LineKey, int]:
    return {
        key(i["service"], i["provider"], i["period"], KINDS[i["kind"]]): i["kopecks"]
        for i in case["expected_allocations"]
    }


def _split(case: dict[str, Any]) -> tuple[dict[LineKey, int], int]:
    """Net, redirect and split as `decide` does."""
    params, payment = case.get("params", {}), case["payment"]
    rule = policy(
        case["policy"],
        segregated_services=frozenset(params.get("segregated_services", ())),
        blocked_providers=frozenset(params.get("blocked_providers", ())),
        redirect_providers=params.get("redirect_providers", {}),
        priority=tuple(map(tuple, params.get("priority", ()))),
    )
    items = _items(case)
    for moves in (net_corrections(items.values()), pass_claims(items.values(), rule.redirect_providers)[0]):
        for line, kopecks in moves.items():
            items.setdefault(line, OpenItem(line, 0)).due_kopecks += kopecks
    split = allocate(
        items.values(),
        payment["amount_kopecks"],
        rule,
        doc_period=parse_period(payment["doc_period"]) if "doc_period" in payment else Period(0),
        earmark=_earmark(payment.get("earmark")),
        origin=Origin.ENFORCEMENT if params.get("source") == "enforcement" else Origin.PAYER,
        barred_before=parse_period(params["time_barred_before"]) if "time_barred_before" in params else Period(0),
    )
    return split.paid, split.advance_kopecks


def _take_back(case: dict[str, Any]) -> tuple[dict[LineKey, int], int]:
    advance = case.get("params", {}).get("original_advance_kopecks", 0)
    placed = {k: i.due_kopecks for k, i in _items(case).items()}
    lines = reversal_lines(case["payment"]["amount_kopecks"], {_ACCOUNT_ADVANCE: advance} if advance else {}, placed)
    return lines, lines.pop(_ACCOUNT_ADVANCE, 0)


@pytest.mark.skipif(not _VECTORS.exists(), reason="the shared vectors are not beside this checkout")
@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["name"])
def test_the_published_vector_comes_out(case: dict[str, Any]) -> None:
    paid, advance = _take_back(case) if case["policy"] == "reversal_proportional" else _split(case)
    assert paid == _expected(case)
    assert advance == case["advance_kopecks"]
    if "expected_advance_split" in case:
        last = {(line["service"], line["provider"]): line["kopecks"] for line in case["params"]["last_accruals"]}
        told = [{"service": s, "provider": p, "kopecks": k} for s, p, k in sorted(divide_advance(advance, last))]
        assert told == case["expected_advance_split"]
    if "expected_commission" in case:
        _check_commission(case, paid)


def _check_commission(case: dict[str, Any], paid: dict[LineKey, int]) -> None:
    terms, expected = case["params"]["commission"], case["expected_commission"]
    commission = Commission(
        mode=CommissionMode(terms["mode"]), rate_bp=terms["rate_bp"], min_kopecks=terms.get("min_kopecks", 0)
    )
    amount = case["payment"]["amount_kopecks"]
    fee = fee_kopecks(amount, commission)
    assert fee == expected["fee_kopecks"]
    assert expected["payer_total_kopecks"] == amount + (fee if commission.mode is CommissionMode.ON_TOP else 0)
    gross: dict[str, int] = {}
    for line, kopecks in paid.items():
        gross[line.provider] = gross.get(line.provider, 0) + kopecks
    fees = {line.provider: kopecks for line, kopecks in withheld_lines(fee, paid).items()}
    for line in expected["lines"]:
        assert (gross[line["provider"]], fees[line["provider"]]) == (line["gross_kopecks"], line["fee_kopecks"])
        assert gross[line["provider"]] - fees[line["provider"]] == line["net_kopecks"]


HEAT, WASTE, JUL, AUG = "HEAT", "WASTE", "2026-07", "2026-08"
# policy | owed (service, provider, roubles, period) | paid | what each gets | advance
_EXAMPLES = [
    (
        "proportional",
        [(HEAT, "P1", "100", AUG), (WASTE, "P2", "100", AUG)],
        "50",
        {HEAT: "25", WASTE: "25"},
        "0",
    ),
    ("proportional", [(HEAT, "P1", "0.01", AUG), (WASTE, "P2", "0.01", AUG)], "0.01", {HEAT: "0.01"}, "0"),
    ("fifo", [(HEAT, "P1", "100", JUL), (HEAT, "P1", "100", AUG)], "150", {HEAT: "150"}, "0"),
    ("fifo", [(HEAT, "P1", "100", AUG)], "150", {HEAT: "100"}, "50"),
    (
        "current_first",
        [(WASTE, "P2", "30", JUL), (HEAT, "P1", "100", AUG)],
        "110",
        {HEAT: "100", WASTE: "10"},
        "0",
    ),
    (
        "provider_share",
        [(HEAT, "P1", "300", AUG), (WASTE, "P2", "100", AUG)],
        "100",
        {HEAT: "75", WASTE: "25"},
        "0",
    ),
]


@pytest.mark.parametrize(("code", "owed", "paid", "gets", "advance"), _EXAMPLES)
def test_the_worked_example_comes_out(
    code: str, owed: list[tuple[str, str, str, str]], paid: str, gets: dict[str, str], advance: str
) -> None:
    items = [item(service, provider, roubles(due), period) for service, provider, due, period in owed]
    split = allocate(items, roubles(paid), policy(code), doc_period=parse_period("2026-08"))
    by_service: dict[str, int] = {}
    for line, kopecks in split.paid.items():
        by_service[line.service] = by_service.get(line.service, 0) + kopecks
    assert by_service == {service: roubles(text) for service, text in gets.items()}
    assert split.advance_kopecks == roubles(advance)


def test_last_kopeck_goes_to_the_largest_remainder() -> None:
    keys = [key("A", "P"), key("B", "P"), key("C", "P")]
    assert share(100, keys, [1, 1, 4]) == [17, 16, 67]  # equal remainders: the weight decides, then the key
    assert share(10, keys, [3, 3, 4]) == [3, 3, 4]
    assert share(10, keys, [10, 10, 11]) == [3, 3, 4]


def test_of_equal_remainders_the_larger_weight_then_the_smaller_key_gets_the_kopeck() -> None:
    assert share(1, [key("B", "P"), key("A", "P")], [5, 5]) == [0, 1]
    assert share(2, [key("B", "P"), key("A", "P")], [1, 3]) == [0, 2]
    assert share(2, [key("A", "P"), key("B", "P")], [1, 3]) == [0, 2]


def test_a_blocked_provider_gets_nothing_even_by_earmark() -> None:
    items = [item("HEAT", "P1", 1000), item("WASTE", "P2", 1000)]
    rule = policy("fifo", blocked_providers=frozenset({ProviderId("P1")}))
    assert allocate(items, 500, rule, earmark=Earmark(provider=ProviderId("P1"))).paid == {}
    assert set(allocate(items, 1500, rule).paid) == {items[1].key}


def test_a_document_earmark_pays_only_that_document() -> None:
    items = [item("HEAT", "P1", 1000, document="A"), item("WASTE", "P2", 1000, document="B")]
    split = allocate(items, 1500, policy("fifo"), earmark=Earmark(document="B"))
    assert split.paid == {items[1].key: 1000}
    assert split.advance_kopecks == 500


_items_strategy = st.lists(
    st.tuples(
        st.sampled_from(["HEAT", "WATER", "WASTE", "KAPREM"]),
        st.sampled_from(["P1", "P2", "P3"]),
        st.sampled_from(["2026-06", "2026-07", "2026-08"]),
        st.sampled_from([Kind.CHARGE, Kind.CHARGE, Kind.PENALTY, Kind.COURT_COST]),
        st.integers(0, 10**7),
        st.integers(0, 10**7),
    ),
    max_size=12,
    unique_by=lambda row: row[:4],
)
_policies = st.sampled_from(list(PolicyCode))


def _made(rows: list[tuple[str, str, str, Kind, int, int]]) -> list[OpenItem]:
    return [item(s, p, due, period, kind, accrued_kopecks=accrued) for s, p, period, kind, due, accrued in rows]


@given(
    rows=_items_strategy, code=_policies, amount=st.integers(1, 3 * 10**7), seed=st.integers(0, 99), doc=st.booleans()
)
def test_a_split_is_exact_bounded_and_blind_to_the_order_of_its_input(
    rows: list[tuple[str, str, str, Kind, int, int]], code: PolicyCode, amount: int, seed: int, doc: bool
) -> None:
    items = _made(rows)
    rule = policy(
        code, priority=(("HEAT",), ("*",), ("WASTE",)), segregated_services=frozenset({ServiceCode("KAPREM")})
    )
    doc_period = parse_period("2026-07") if doc else Period(0)
    split = allocate(items, amount, rule, doc_period=doc_period)
    dues = {i.key: i.due_kopecks for i in items}
    assert sum(split.paid.values()) + split.advance_kopecks == amount
    assert all(0 < kopecks <= dues[line] for line, kopecks in split.paid.items())
    assert all(line.service != "KAPREM" for line in split.paid)
    payable = sum(due for line, due in dues.items() if line.service != "KAPREM")
    assert split.advance_kopecks == max(0, amount - payable)
    shuffled = random.Random(seed).sample(items, len(items))
    assert allocate(shuffled, amount, rule, doc_period=doc_period).paid == split.paid


@given(rows=_items_strategy, code=_policies, amount=st.integers(1, 3 * 10**7))
def test_penalties_get_nothing_while_principal_is_owed(
    rows: list[tuple[str, str, str, Kind, int, int]], code: PolicyCode, amount: int
) -> None:
    items = _made(rows)
    split = allocate(items, amount, policy(code))
    unpaid = any(i.key.kind is Kind.CHARGE and split.paid.get(i.key, 0) < i.due_kopecks for i in items)
    assert not (unpaid and any(line.kind is Kind.PENALTY for line in split.paid))


@given(weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any), amount=st.integers(0, 10**10))
def test_a_proportional_part_is_within_one_kopeck_of_its_exact_share(weights: list[int], amount: int) -> None:
    keys = [key(f"S{index:02d}", "P") for index in range(len(weights))]
    parts = share(amount, keys, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(amount * weight, sum(weights))) < 1
        assert weight or not part


@given(rows=_items_strategy, negative=st.lists(st.integers(-(10**6), -1), max_size=4))
def test_netting_never_leaves_its_provider_and_adds_nothing(
    rows: list[tuple[str, str, str, Kind, int, int]], negative: list[int]
) -> None:
    items = _made(rows)
    for one, due in zip(items, negative, strict=False):
        one.due_kopecks = due
    before: dict[tuple[str, str], int] = {}
    after: dict[tuple[str, str], int] = {}
    moves = net_corrections(items)
    for one in items:
        pair = one.key[:2]
        before[pair] = before.get(pair, 0) + one.due_kopecks
        left = one.due_kopecks + moves.get(one.key, 0)
        after[pair] = after.get(pair, 0) + left
        assert (left >= 0) == (one.due_kopecks >= 0) or left == 0
    assert before == after
