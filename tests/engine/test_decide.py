"""Decide and apply together: an account's life, command by command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.account import AccountState, Status
from engine.apply import apply
from engine.charge import Kind
from engine.commands import (
    AcceptPayment,
    AnyCommand,
    CloseAccount,
    Earmark,
    EarmarkLine,
    OpenAccount,
    Origin,
    RefundAdvance,
    ReversePayment,
)
from engine.decide import decide
from engine.events import Event, EventKind
from engine.ids import PaymentId, ProviderId, ServiceCode
from engine.ledger import Ledger, postings
from engine.limits import ACCEPTED_AT_FUTURE_US_MAX, ACCEPTED_AT_PAST_US_MAX, PAYMENT_KOPECKS_MAX
from engine.outcomes import Accepted, Reason, Rejected
from engine.policy import AdvanceMode, Commission, CommissionMode, PolicyBook
from tests.engine.bills import ACCOUNT, NOW_US, Life, book, charges, command_fields

BILL = [("HEAT", "P1", 250_000), ("WATER", "P2", 80_000), ("WASTE", "P3", 20_000)]


def pay(number: object, kopecks: int, **more: object) -> AcceptPayment:
    return AcceptPayment(**(command_fields(number) | {"amount_kopecks": kopecks} | more))


def reverse(number: object, kopecks: int = 0) -> ReversePayment:
    return ReversePayment(**command_fields(number), payment_id=PaymentId(1), amount_kopecks=kopecks)


@pytest.fixture
def life() -> Life:
    lived = Life(book("current_first"))
    lived.do(charges("aug", "2026-08", BILL))
    return lived


def refusal(life: Life, command: AnyCommand, trail: tuple[Event, ...] = ()) -> Reason:
    decision = decide(life.state, command, life.policies, NOW_US, trail)
    assert isinstance(decision, Rejected)
    return decision.reason


def test_a_payment_closes_debts_and_tells_the_balance_it_leaves(life: Life) -> None:
    event = life.do(pay(1, 300_000)).events[0]
    assert event.balance_kopecks == 50_000 == life.state.balance_kopecks()
    assert event.policy == "current_first@1"
    assert sum(event.amounts) == 300_000


def test_deciding_changes_nothing(life: Life) -> None:
    before = {key: item.due_kopecks for key, item in life.state.items.items()}
    decide(life.state, pay(1, 300_000), life.policies, NOW_US)
    assert before == {key: item.due_kopecks for key, item in life.state.items.items()}
    assert life.state.seq == 2


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (pay(1, 0), Reason.AMOUNT_NOT_POSITIVE),
        (pay(1, -5), Reason.AMOUNT_NOT_POSITIVE),
        (pay(1, PAYMENT_KOPECKS_MAX + 1), Reason.AMOUNT_TOO_LARGE),
        (pay(1, 5, accepted_at_us=NOW_US + ACCEPTED_AT_FUTURE_US_MAX + 1), Reason.ACCEPTED_AT_IN_FUTURE),
        (pay(1, 5, accepted_at_us=NOW_US - ACCEPTED_AT_PAST_US_MAX - 1), Reason.ACCEPTED_AT_TOO_OLD),
        (pay("bad\x00id", 5), Reason.TEXT_INVALID),
        (pay("x" * 65, 5), Reason.TEXT_INVALID),
        (pay(1, 5, earmark=Earmark()), Reason.EARMARK_INVALID),
        (pay(1, 5, earmark=Earmark(lines=(EarmarkLine(ServiceCode("HEAT"), 6),))), Reason.EARMARK_INVALID),
        (pay(1, 5, earmark=Earmark(lines=(EarmarkLine(ServiceCode("HEAT"), 0),))), Reason.EARMARK_INVALID),
        (pay(1, 5, earmark=Earmark(service=ServiceCode("LIFT"))), Reason.EARMARK_UNKNOWN),
        (pay(1, 5, earmark=Earmark(provider=ProviderId("P77"))), Reason.EARMARK_UNKNOWN),
        (pay(1, 5, earmark=Earmark(document="E-1")), Reason.EARMARK_UNKNOWN),
        (RefundAdvance(**command_fields(1), amount_kopecks=1), Reason.ADVANCE_TOO_SMALL),
        (reverse(1), Reason.PAYMENT_UNKNOWN),
        (OpenAccount(**command_fields(1), agreement="main"), Reason.ACCOUNT_EXISTS),
        (charges(1, "2026-08", [("HEAT", "P1", 0)]), Reason.NOTHING_TO_POST),
        (charges(1, "2026-08", [("HEAT", "P1", 10**16)]), Reason.LIMIT_EXCEEDED),
    ],
)
def test_a_bad_command_is_refused_with_its_reason(life: Life, command: AnyCommand, reason: Reason) -> None:
    assert refusal(life, command) is reason


def test_an_unknown_account_is_refused_or_its_money_kept_as_unidentified() -> None:
    state = AccountState(ACCOUNT)
    assert decide(state, pay(1, 500), book(), NOW_US) == Rejected(Reason.ACCOUNT_UNKNOWN)
    kept = decide(state, pay(1, 500, keep_if_unknown=True), book(), NOW_US)
    assert isinstance(kept, Accepted)
    apply(state, kept.events[0])
    assert (sum(state.unidentified.values()), state.status, state.seq) == (500, Status.UNKNOWN, 1)
    assert postings(kept.events[0])[0].credit is Ledger.UNIDENTIFIED_RECEIPTS


def test_a_closed_account_refuses_new_payments(life: Life) -> None:
    life.do(CloseAccount(**command_fields("close")))
    assert refusal(life, pay(1, 500)) is Reason.ACCOUNT_CLOSED


def test_without_a_policy_in_force_nothing_is_split(life: Life) -> None:
    life.policies = PolicyBook()
    assert refusal(life, pay(1, 500)) is Reason.POLICY_MISSING


def test_an_advance_is_kept_and_closes_the_next_bill_by_itself(life: Life) -> None:
    life.do(pay(1, 400_000))
    assert life.state.balance_kopecks() == -50_000
    events = life.do(charges("sep", "2026-09", BILL)).events
    assert [e.kind for e in events] == [EventKind.CHARGE_POSTED, EventKind.ADVANCE_APPLIED]
    assert not life.state.lots
    assert life.state.balance_kopecks() == 300_000


def test_an_advance_for_a_service_closes_only_that_service(life: Life) -> None:
    life.do(pay(1, 100_000, earmark=Earmark(service=ServiceCode("WATER"))))
    life.do(charges("sep", "2026-09", BILL))
    assert {(i.key.service, i.key.period): i.due_kopecks for i in life.state.items.values() if i.due_kopecks} == {
        ("HEAT", 202608): 250_000,
        ("WASTE", 202608): 20_000,
        ("HEAT", 202609): 250_000,
        ("WATER", 202609): 60_000,
        ("WASTE", 202609): 20_000,
    }


def test_an_advance_by_last_accruals_is_divided_at_once() -> None:
    life = Life(book("fifo", advance_mode=AdvanceMode.BY_LAST_ACCRUALS))
    life.do(charges("aug", "2026-08", BILL))
    event = life.do(pay(1, 350_000 + 35_000)).events[0]
    kept = {k.service: a for k, a in zip(event.keys, event.amounts, strict=True) if k.kind is Kind.ADVANCE}
    assert kept == {"HEAT": 25_000, "WATER": 8_000, "WASTE": 2_000}


def test_a_correction_is_netted_within_its_provider_and_its_rest_waits(life: Life) -> None:
    events = life.do(charges("fix", "2026-07", [("HEAT", "P1", -300_000)])).events
    assert [e.kind for e in events] == [EventKind.CHARGE_POSTED, EventKind.CORRECTION_NETTED]
    assert life.dues() == {"HEAT": -50_000, "WATER": 80_000, "WASTE": 20_000}
    event = life.do(pay(1, 100_000)).events[0]
    assert {k.service for k in event.keys} == {"WATER", "WASTE"}


def test_claims_pass_to_the_successor_before_the_money_is_split(life: Life) -> None:
    life.policies = book("current_first", redirect_providers={ProviderId("P3"): ProviderId("P9")})
    decision = life.do(pay(1, 350_000))
    assert [e.kind for e in decision.events] == [EventKind.BALANCE_TRANSFERRED, EventKind.PAYMENT_RECEIVED]
    assert decision.answer == 1
    assert {k.provider for k in decision.events[1].keys} == {"P1", "P2", "P9"}
    assert life.state.balance_kopecks() == 0


def test_court_costs_come_first_only_for_enforcement_receipts(life: Life) -> None:
    life.do(charges("court", "2026-08", [("COURT", "P1", 10_000)], Kind.COURT_COST))
    by_force = life.do(pay(1, 10_000, origin=Origin.ENFORCEMENT)).events[0]
    assert [k.kind for k in by_force.keys] == [Kind.COURT_COST]


def test_a_full_reversal_restores_every_line_and_cannot_be_repeated(life: Life) -> None:
    before = life.dues()
    seq = life.do(pay(1, 123_457)).events[0].account_seq
    reversal = life.do(reverse(2), life.trail(seq)).events[0]
    assert life.dues() == before
    assert (reversal.amount_kopecks, reversal.ref) == (-123_457, seq)
    assert refusal(life, reverse(3), life.trail(seq)) is Reason.ALREADY_REVERSED


def test_partial_reversals_never_take_back_more_than_was_paid(life: Life) -> None:
    seq = life.do(pay(1, 100_000)).events[0].account_seq
    life.do(reverse(2, 60_000), life.trail(seq))
    assert refusal(life, reverse(3, 40_001), life.trail(seq)) is Reason.REVERSAL_TOO_LARGE
    life.do(reverse(4, 40_000), life.trail(seq))
    assert life.dues() == {"HEAT": 250_000, "WATER": 80_000, "WASTE": 20_000}


def test_a_reversal_takes_an_applied_advance_back_from_the_charges_it_closed(life: Life) -> None:
    seq = life.do(pay(1, 400_000)).events[0].account_seq
    life.do(charges("sep", "2026-09", BILL))
    life.do(reverse(2), life.trail(seq))
    assert life.state.balance_kopecks() == 700_000
    assert not life.state.lots


def test_a_withheld_fee_is_divided_over_providers_and_comes_back_with_the_money() -> None:
    life = Life(book("fifo", commission=Commission(mode=CommissionMode.WITHHELD, rate_bp=150)))
    life.do(charges("aug", "2026-08", BILL))
    payment = life.do(pay(1, 350_000)).events[0]
    fees = {k.provider: a for k, a in zip(payment.keys, payment.amounts, strict=True) if k.kind is Kind.FEE}
    assert sum(fees.values()) == 5_250
    half = life.do(reverse(2, 175_000), life.trail(payment.account_seq)).events[0]
    assert sum(a for k, a in zip(half.keys, half.amounts, strict=True) if k.kind is Kind.FEE) == -2_625
    rest = life.do(reverse(3), life.trail(payment.account_seq)).events[0]
    assert sum(a for k, a in zip(rest.keys, rest.amounts, strict=True) if k.kind is Kind.FEE) == -2_625


def test_a_fee_on_top_is_written_down_and_touches_no_provider() -> None:
    life = Life(book("fifo", commission=Commission(mode=CommissionMode.ON_TOP, rate_bp=100)))
    life.do(charges("aug", "2026-08", BILL))
    event = life.do(pay(1, 100_000)).events[0]
    assert event.details is not None
    assert event.details.fee_on_top_kopecks == 1_000
    assert all(k.kind is Kind.CHARGE for k in event.keys)


def test_a_refund_comes_from_the_advance_only(life: Life) -> None:
    life.do(pay(1, 400_000))
    life.do(RefundAdvance(**command_fields(2), amount_kopecks=20_000))
    assert life.state.advance_kopecks() == 30_000
    assert refusal(life, RefundAdvance(**command_fields(3), amount_kopecks=30_001)) is Reason.ADVANCE_TOO_SMALL


def test_an_event_out_of_turn_is_not_folded(life: Life) -> None:
    event = life.do(pay(1, 1_000)).events[0]
    with pytest.raises(AssertionError, match="without gaps"):
        apply(life.state, event)


_SERVICES = st.sampled_from([("HEAT", "P1"), ("WATER", "P2"), ("WASTE", "P3"), ("KAPREM", "P9")])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.integers(1, 500_000), st.sampled_from(["", "HEAT", "KAPREM", "period"])),
        st.tuples(
            st.just("charge"),
            st.sampled_from(["2026-06", "2026-07", "2026-08", "2026-09"]),
            st.lists(st.tuples(_SERVICES, st.integers(-90_000, 200_000)), min_size=1, max_size=4),
        ),
        st.tuples(st.just("penalty"), st.integers(1, 9_000)),
        st.tuples(st.just("reverse"), st.integers(0, 10), st.integers(0, 300_000)),
        st.tuples(st.just("refund"), st.integers(1, 100_000)),
    ),
    max_size=25,
)


def _command(life: Life, step: tuple) -> tuple[AnyCommand, tuple[Event, ...]]:  # type: ignore[type-arg]
    life.number += 1
    number = life.number
    if step[0] == "pay":
        earmark = Earmark(service=ServiceCode(step[2])) if step[2] in ("HEAT", "KAPREM") else None
        earmark = Earmark(period=charges(0, "2026-07", []).period) if step[2] == "period" else earmark
        return pay(number, step[1], earmark=earmark), ()
    if step[0] == "charge":
        return charges(number, step[1], [(s, p, k) for (s, p), k in step[2]]), ()
    if step[0] == "penalty":
        return charges(number, "2026-07", [("HEAT", "P1", step[1])], Kind.PENALTY), ()
    if step[0] == "refund":
        return RefundAdvance(**command_fields(number), amount_kopecks=step[1]), ()
    paid = [e.account_seq for e in life.events if e.kind is EventKind.PAYMENT_RECEIVED]
    return reverse(number, step[2]), life.trail(paid[step[1] % len(paid)]) if paid else ()


@given(steps=_steps, code=st.sampled_from(["fifo", "current_first", "proportional", "provider_share", "accrued_first"]))
def test_any_life_balances(steps: list[tuple], code: str) -> None:  # type: ignore[type-arg]
    """Whatever happens to an account: every event tells the balance it leaves, its postings and the fold agree."""
    commission = Commission(mode=CommissionMode.WITHHELD, rate_bp=95)
    life = Life(book(code, segregated_services=frozenset({ServiceCode("KAPREM")}), commission=commission))
    for step in steps:
        command, trail = _command(life, step)
        decision = decide(life.state, command, life.policies, NOW_US, trail)
        for event in decision.events if isinstance(decision, Accepted) else ():
            apply(life.state, event)
            life.events.append(event)
            assert event.balance_kopecks == life.state.balance_kopecks()
    again = AccountState(ACCOUNT)
    ledger: dict[tuple[Ledger, str], int] = {}
    for event in life.events:
        apply(again, event)
        for leg in postings(event):
            assert leg.kopecks > 0
            ledger[leg.debit, leg.debit_of] = ledger.get((leg.debit, leg.debit_of), 0) + leg.kopecks
            ledger[leg.credit, leg.credit_of] = ledger.get((leg.credit, leg.credit_of), 0) - leg.kopecks
    assert again == life.state
    assert sum(ledger.values()) == 0
    owed = sum(k for (account, _), k in ledger.items() if account is Ledger.CONSUMER_RECEIVABLE)
    kept = -sum(k for (account, _), k in ledger.items() if account is Ledger.CONSUMER_ADVANCE)
    assert (owed, kept) == (life.state.due_kopecks(), life.state.advance_kopecks())
