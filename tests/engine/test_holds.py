"""Holds, money whose owner is found, and a contract's own commission, command by command."""

import pytest

from engine.account import AccountState
from engine.apply import apply
from engine.charge import ACCOUNT_ADVANCE, Kind
from engine.commands import AcceptPayment, AnyCommand, PlaceHold, ReleaseHold, ReleaseUnidentified, ReversePayment
from engine.decide import decide
from engine.events import Event, EventKind
from engine.ids import PaymentId
from engine.ledger import Ledger, postings
from engine.outcomes import Accepted, Reason, Rejected
from engine.policy import Commission, CommissionMode
from tests.engine.bills import ACCOUNT, NOW_US, Life, book, charges, command_fields

BILL = [("HEAT", "P1", 250_000), ("WATER", "P2", 80_000)]
TEN_PERCENT = Commission(mode=CommissionMode.WITHHELD, rate_bp=1_000)


def pay(number: object, kopecks: int, **more: object) -> AcceptPayment:
    return AcceptPayment(**(command_fields(number) | {"amount_kopecks": kopecks} | more))


def hold(number: object, who: str = "billing") -> PlaceHold:
    return PlaceHold(**command_fields(number), hold=who, reason="услуга не сопоставлена")


def unhold(number: object, who: str = "billing") -> ReleaseHold:
    return ReleaseHold(**command_fields(number), hold=who)


@pytest.fixture
def life() -> Life:
    lived = Life(book("fifo"))
    lived.do(charges("aug", "2026-08", BILL))
    return lived


def refusal(life: Life, command: AnyCommand) -> Reason:
    decision = decide(life.state, command, life.policies, NOW_US)
    assert isinstance(decision, Rejected)
    return decision.reason


def test_money_of_a_held_account_waits_as_an_advance_of_the_account(life: Life) -> None:
    life.do(hold("h"))
    event = life.do(pay(1, 100_000)).events[0]
    assert dict(zip(event.keys, event.amounts, strict=True)) == {ACCOUNT_ADVANCE: 100_000}
    assert life.dues() == {"HEAT": 250_000, "WATER": 80_000}


def test_new_charges_of_a_held_account_take_no_money(life: Life) -> None:
    life.do(hold("h"))
    life.do(pay(1, 100_000))
    life.do(charges("sep", "2026-09", BILL))
    assert life.state.advance_kopecks() == 100_000


def test_money_meets_the_debts_when_the_last_hold_goes(life: Life) -> None:
    life.do(hold("h1", "billing"))
    life.do(hold("h2", "other"))
    life.do(pay(1, 330_000))
    assert len(life.do(unhold("u1", "billing")).events) == 1
    released = life.do(unhold("u2", "other")).events
    assert [event.kind for event in released] == [EventKind.HOLD_RELEASED, EventKind.ADVANCE_APPLIED]
    assert (life.dues(), life.state.advance_kopecks(), life.state.holds) == ({}, 0, ())


def test_placing_a_hold_twice_and_releasing_none_change_nothing(life: Life) -> None:
    assert refusal(life, unhold("u")) is Reason.HOLD_UNCHANGED
    life.do(hold("h"))
    assert refusal(life, hold("again")) is Reason.HOLD_UNCHANGED


def test_unidentified_money_goes_back_to_clearing_once() -> None:
    state = AccountState(ACCOUNT)
    for event in _accepted(state, pay(1, 500, keep_if_unknown=True)):
        apply(state, event)
    release = ReleaseUnidentified(**command_fields("match-1"), receipt_seq=1, amount_kopecks=300)
    (event,) = _accepted(state, release)
    apply(state, event)
    leg = postings(event)[0]
    assert (leg.debit, leg.credit, leg.credit_of, leg.kopecks) == (
        Ledger.UNIDENTIFIED_RECEIPTS,
        Ledger.SOURCE_CLEARING,
        "test",
        300,
    )
    assert state.unidentified == {1: 200}
    again = ReleaseUnidentified(**command_fields("match-2"), receipt_seq=1, amount_kopecks=201)
    assert decide(state, again, book(), NOW_US) == Rejected(Reason.UNIDENTIFIED_TOO_SMALL)


def test_a_contracts_commission_replaces_that_of_the_agreement(life: Life) -> None:
    event = life.do(pay(1, 100_000, commission=TEN_PERCENT)).events[0]
    fees = {k.provider: a for k, a in zip(event.keys, event.amounts, strict=True) if k.kind is Kind.FEE}
    assert sum(fees.values()) == 10_000


def test_a_partial_reversal_gives_back_the_contracts_fee(life: Life) -> None:
    seq = life.do(pay(1, 100_000, commission=TEN_PERCENT)).events[0].account_seq
    undo = ReversePayment(**command_fields("undo"), payment_id=PaymentId(1), amount_kopecks=50_000)
    event = life.do(undo, life.trail(seq)).events[0]
    assert sum(a for k, a in zip(event.keys, event.amounts, strict=True) if k.kind is Kind.FEE) == -5_000


def _accepted(state: AccountState, command: AnyCommand) -> tuple[Event, ...]:
    decision = decide(state, command, book(), NOW_US)
    assert isinstance(decision, Accepted)
    return decision.events
