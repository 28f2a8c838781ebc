"""Accruing penalties: examples in roubles by the days of a life, then what must hold whatever the life."""

import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accrual import Accrual, accrue, postings_of
from engine.charge import Kind, LineKey
from engine.commands import (
    AcceptPayment,
    AnyCommand,
    ChargeLine,
    CloseAccount,
    Earmark,
    PlaceHold,
    PostCharges,
    ReleaseHold,
    ReversePayment,
)
from engine.ids import PaymentId, Period, ProviderId, ServiceCode, SourceId, TxnId
from engine.penalty import KeyRate, PenaltyTerms
from engine.policy import PolicyBook
from engine.principal import DebtKey, History
from engine.rates import TERMS
from tests.engine.bills import ACCOUNT, NOW_US, Life, book, command_fields, policy, roubles

DAY_US = 86_400_000_000
AS_OF = datetime.date(2026, 7, 15)
DUE = datetime.date(2026, 4, 15)
PERIOD = Period(202603)
HEAT = DebtKey(ServiceCode("HEAT"), ProviderId("P1"), PERIOD)


def noon(day: datetime.date) -> int:
    """Midday in the region, as an instant."""
    return (day - datetime.date(1970, 1, 1)).days * DAY_US + 9 * 3_600_000_000


class DatedLife(Life):
    """A life whose commands have days of their own."""

    def at(self, day: datetime.date, kind: type[AnyCommand], **content: Any) -> int:
        """Do one command on a day; return the `account_seq` of the event that answers it."""
        self.number += 1
        fields = command_fields(self.number) | {"accepted_at_us": noon(day)} | content
        trail = self.trail(content["payment_id"]) if kind is ReversePayment else ()
        done = self.do(kind(**fields), trail)
        return done.events[done.answer].account_seq

    def bill(self, kopecks: int, *, period: Period = PERIOD, service: str = "HEAT", **more: Any) -> None:
        line = ChargeLine(ServiceCode(service), ProviderId("P1"), kopecks, more.pop("kind", Kind.CHARGE))
        self.at(more.pop("on", DUE), PostCharges, period=period, lines=(line,), **more)

    def pay(self, day: datetime.date, kopecks: int, **more: Any) -> int:
        return self.at(day, AcceptPayment, amount_kopecks=kopecks, **more)

    def history(self, policies: PolicyBook | None = None) -> History:
        found = History(ACCOUNT, policies or self.policies)
        for event in self.events:
            found.take(event)
        return found

    def accruals(self, as_of: datetime.date = AS_OF, terms: PenaltyTerms = TERMS, **terms_of: Any) -> list[Accrual]:
        return list(accrue(self.history(), as_of, terms, policy(**terms_of)))

    def change(self, as_of: datetime.date = AS_OF, terms: PenaltyTerms = TERMS, **terms_of: Any) -> int:
        """What an accrual would post."""
        return sum(accrual.change_kopecks for accrual in self.accruals(as_of, terms, **terms_of))

    def run(self, number: int, as_of: datetime.date = AS_OF, terms: PenaltyTerms = TERMS) -> int:
        """Accrue and post; return what was posted."""
        accruals = self.accruals(as_of, terms)
        for command in postings_of(number, ACCOUNT, accruals, NOW_US):
            self.do(command)
        return sum(accrual.change_kopecks for accrual in accruals)


def one_bill(kopecks: int = roubles("5 000.00")) -> DatedLife:
    life = DatedLife(book())
    life.bill(kopecks, due_on=DUE)
    return life


@pytest.mark.parametrize(
    ("as_of", "kopecks"), [("2026-05-15", 0), ("2026-05-16", 158), ("2026-07-14", 9_500), ("2026-07-15", 9_865)]
)
def test_an_unpaid_bill_costs_what_the_published_vectors_say(as_of: str, kopecks: int) -> None:
    assert one_bill().change(datetime.date.fromisoformat(as_of)) == kopecks


def test_parts_paid_late_are_slices_with_their_own_ends() -> None:
    life = DatedLife(book())
    life.bill(900_000, due_on=DUE)
    life.pay(DUE + datetime.timedelta(45), 300_000)
    life.pay(DUE + datetime.timedelta(117), 200_000)
    assert life.change(DUE + datetime.timedelta(223)) == 55_648


def test_a_payment_after_the_day_of_calculation_is_not_known_yet() -> None:
    life, paid = one_bill(), one_bill()
    paid.pay(AS_OF + datetime.timedelta(1), 500_000)
    assert paid.change() == life.change() == 9_865


def test_without_a_due_date_the_calendar_says_it() -> None:
    life = DatedLife(book())
    life.bill(500_000, period=Period(202603))
    assert life.change() == 9_865


def test_a_due_date_on_a_day_off_moves_to_the_next_working_day() -> None:
    life = DatedLife(book())
    life.bill(500_000, period=Period(202602), due_on=datetime.date(2026, 3, 15))
    assert life.accruals()[0].segments[0].first == datetime.date(2026, 4, 16)


def test_what_a_later_document_adds_has_its_own_last_day() -> None:
    life = one_bill()
    life.bill(100_000, due_on=datetime.date(2026, 7, 1), adjustment=True)
    assert life.change() == 9_865


def test_a_correction_of_the_bill_takes_back_its_penalty() -> None:
    life = one_bill()
    assert life.run(1) == 9_865
    life.bill(-250_000, on=AS_OF, adjustment=True)
    assert life.run(2) == 4_933 - 9_865


def test_capital_repair_never_steps_up() -> None:
    life = DatedLife(book())
    life.bill(720_000, service="KAPREM", due_on=datetime.date(2026, 3, 16), period=Period(202602))
    assert life.change(datetime.date(2026, 11, 24)) == 50_844


def test_penalties_and_court_costs_bear_no_penalties() -> None:
    life = one_bill()
    alone = life.change()
    life.bill(300_000, kind=Kind.COURT_COST, due_on=DUE)
    life.bill(77, kind=Kind.PENALTY, due_on=DUE)
    assert life.change() == alone - 77


def test_an_advance_paid_before_the_bill_leaves_no_delay() -> None:
    life = DatedLife(book())
    life.pay(datetime.date(2026, 3, 1), 500_000)
    life.bill(500_000, due_on=DUE)
    assert life.change() == 0


def test_a_payment_that_waited_for_a_mapping_counts_from_its_own_day() -> None:
    life = one_bill()
    life.at(DUE, PlaceHold, hold="mapping")
    life.pay(DUE, 500_000)
    assert life.accruals() == []
    life.at(AS_OF, ReleaseHold, hold="mapping")
    assert life.change() == 0


def test_a_reversed_payment_never_was() -> None:
    life = one_bill()
    payment = life.pay(DUE, 500_000)
    assert life.change() == 0
    life.at(AS_OF, ReversePayment, payment_id=PaymentId(payment))
    assert life.change() == 9_865


def test_a_netted_correction_pays_on_its_own_day() -> None:
    netted, paid = one_bill(), one_bill()
    netted.bill(-500_000, period=Period(202605), on=datetime.date(2026, 6, 1), due_on=datetime.date(2026, 6, 15))
    paid.pay(datetime.date(2026, 6, 1), 500_000)
    assert netted.change() == paid.change() > 0


def test_a_credit_that_paid_another_debt_leaves_the_late_part_of_its_own() -> None:
    """5 000.00 paid late in two parts, corrected by 1 000.00 that then paid another month: 4 000.00 were late."""
    life = one_bill()
    life.pay(DUE + datetime.timedelta(50), 300_000)
    life.pay(DUE + datetime.timedelta(80), 200_000)
    life.bill(90_000, period=Period(202605), due_on=datetime.date(2026, 6, 15))
    life.bill(-100_000, on=AS_OF, adjustment=True)
    (tranche,) = life.history().tranches(HEAT)
    assert [(part.on - DUE, part.kopecks) for part in tranche.parts] == [
        (datetime.timedelta(50), 300_000),
        (datetime.timedelta(80), 100_000),
    ]
    assert tranche.kopecks == 400_000


def test_a_used_credit_is_owed_again_when_its_payment_is_reversed() -> None:
    """Of 5 000.00 paid, 1 000.00 were corrected and 900.00 of that paid another month: all but 100.00 is owed again."""
    life = one_bill()
    payment = life.pay(DUE, 500_000)
    life.bill(90_000, period=Period(202605), due_on=datetime.date(2026, 6, 15))
    life.bill(-100_000, on=AS_OF, adjustment=True)
    life.at(AS_OF, ReversePayment, payment_id=PaymentId(payment))
    (tranche,) = life.history().tranches(HEAT)
    assert (tranche.kopecks, tranche.parts) == (490_000, ())
    assert life.state.items[LineKey(*HEAT, Kind.CHARGE)].due_kopecks == 490_000


def test_the_successor_gets_the_rest_of_the_penalty_and_nothing_twice() -> None:
    life = one_bill()
    assert life.run(1) == 9_865
    life.policies = book(redirect_providers={ProviderId("P1"): ProviderId("P2")})
    life.pay(AS_OF, 1)
    assert life.change() == 0
    (accrual,) = life.accruals(AS_OF + datetime.timedelta(10))
    assert (accrual.provider, accrual.before_kopecks) == ("P2", 9_865)
    assert accrual.change_kopecks > 0


def test_a_claim_handed_back_does_not_go_in_a_ring() -> None:
    life = one_bill()
    for old, new in (("P1", "P2"), ("P2", "P1"), ("P1", "P2")):
        life.policies = book(redirect_providers={ProviderId(old): ProviderId(new)})
        life.pay(AS_OF, 1)
    (accrual,) = life.accruals()
    assert accrual.provider == "P2"


def test_barred_periods_are_left_as_they_are() -> None:
    life = one_bill()
    life.run(1)
    assert life.change(AS_OF + datetime.timedelta(60), time_barred_before=Period(202604)) == 0
    assert life.change(AS_OF + datetime.timedelta(60), time_barred_before=Period(202603)) > 0
    assert life.change(datetime.date(2029, 5, 1)) == 0
    assert life.change(datetime.date(2029, 5, 1), limitation_applies=False) > 0


def test_a_closed_account_owes_penalties_unless_its_policy_spares_it() -> None:
    life = one_bill()
    life.at(DUE, CloseAccount)
    assert life.change() == 9_865
    assert life.change(penalty_on_closed=False) == 0


def test_what_a_billing_accrued_counts_and_is_never_taken_back() -> None:
    life = one_bill()
    life.bill(5_000, kind=Kind.PENALTY)
    assert life.change() == 4_865
    life.bill(10_000, kind=Kind.PENALTY)
    assert life.change() == 0


def test_a_table_that_changes_retroactively_is_corrected_by_the_next_run() -> None:
    """January 2025: 21 % was charged until the cap was prolonged retroactively."""
    without_cap = PenaltyTerms(TERMS.key_rates, (), TERMS.moratoria)
    life = DatedLife(book())
    life.bill(500_000, period=Period(202408), due_on=datetime.date(2024, 9, 10))
    as_of = datetime.date(2025, 1, 31)
    charged = life.run(1, as_of, without_cap)
    corrected = life.run(2, as_of, TERMS)
    assert charged > -corrected > 0
    assert life.run(3, as_of, TERMS) == 0
    assert life.history().debts[HEAT._replace(period=Period(202408))].accrued_kopecks == charged + corrected


def test_small_debts_accumulate() -> None:
    life = DatedLife(book())
    life.bill(1_000, due_on=DUE)
    posted = [life.run(day, DUE + datetime.timedelta(30 + day)) for day in range(1, 61)]
    assert sum(posted) == 19
    assert 0 in posted


def test_a_debt_that_nobody_can_date_is_said_to_be_one() -> None:
    life = DatedLife(book())
    life.bill(1_000, period=Period(0))
    with pytest.raises(ValueError, match="year"):
        life.accruals(limitation_applies=False)


def test_keys_of_postings_follow_from_run_period_and_account() -> None:
    accruals = one_bill().accruals()
    (command,) = postings_of(7, ACCOUNT, accruals, NOW_US)
    assert (command.source, command.txn_id) == (SourceId("penalty"), TxnId(f"7-202603-{ACCOUNT}"))
    (long,) = postings_of(7, msgspec.convert("9" * 64, type(ACCOUNT)), accruals, NOW_US)
    assert len(long.txn_id) <= 64


# Properties ----------------------------------------------------------------------------------------------------------

_days = st.integers(-60, 150)
_bills = st.lists(st.tuples(st.sampled_from([202601, 202602, 202603]), st.integers(1, 500_000), _days), max_size=4)
_paid = st.lists(st.tuples(_days, st.integers(1, 400_000)), max_size=6)
CONSTANT = PenaltyTerms((KeyRate(datetime.date(2016, 1, 1), 950),))
"""One rate for ever. With rates that move, the law itself lets an earlier payment cost more: its rate may be higher."""


def lived(bills: list[tuple[int, int, int]], paid: list[tuple[int, int]]) -> DatedLife:
    life = DatedLife(book())
    for period, kopecks, after in bills:
        life.bill(kopecks, period=Period(period), due_on=DUE + datetime.timedelta(after))
    for after, kopecks in paid:
        life.pay(DUE + datetime.timedelta(after), kopecks)
    return life


@given(bills=_bills, paid=_paid, seed=st.randoms(use_true_random=False))
def test_the_order_of_bills_changes_nothing(bills: list[Any], paid: list[Any], seed: Any) -> None:
    shuffled = list(bills)
    seed.shuffle(shuffled)
    assert lived(bills, paid).accruals() == lived(shuffled, paid).accruals()


@given(rest=st.integers(1, 500_000), paid=_paid, seed=st.randoms(use_true_random=False))
def test_the_order_in_which_payments_are_recorded_changes_nothing(rest: int, paid: list[Any], seed: Any) -> None:
    """While nothing is overpaid: which payment became an advance is the ledger's history, and it is never re-split."""
    shuffled = list(paid)
    seed.shuffle(shuffled)
    bill = [(202603, rest + sum(kopecks for _, kopecks in paid), 0)]
    assert lived(bill, paid).accruals() == lived(bill, shuffled).accruals()


@given(bills=_bills, paid=_paid, which=st.integers(0, 5), sooner=st.integers(1, 200))
def test_paying_earlier_never_costs_more(bills: list[Any], paid: list[Any], which: int, sooner: int) -> None:
    earlier = list(paid)
    if which < len(paid):
        earlier[which] = (paid[which][0] - sooner, paid[which][1])
    as_of = DUE + datetime.timedelta(500)
    assert lived(bills, earlier).change(as_of, CONSTANT) <= lived(bills, paid).change(as_of, CONSTANT)


@given(bills=_bills, paid=_paid, after=_days)
def test_an_accrual_repeated_with_the_same_tables_posts_nothing(bills: list[Any], paid: list[Any], after: int) -> None:
    life, as_of = lived(bills, paid), DUE + datetime.timedelta(after)
    life.run(1, as_of)
    assert life.run(2, as_of) == 0


_deeds = st.lists(
    st.one_of(
        st.tuples(st.just("bill"), st.sampled_from([202601, 202602, 202603]), st.integers(-300_000, 500_000)),
        st.tuples(st.just("pay"), _days, st.integers(1, 400_000)),
        st.tuples(st.just("reverse"), st.integers(0, 9), st.integers(0, 100_000)),
        st.tuples(st.just("pass"), st.sampled_from(["P1", "P2"]), st.just(0)),
        st.tuples(st.just("accrue"), st.integers(0, 400), st.just(0)),
    ),
    max_size=12,
)


@given(deeds=_deeds)
def test_a_history_owes_what_the_account_owes(deeds: list[tuple[str, Any, int]]) -> None:
    """The two folds of the same events agree on every debt, and slices make up what is owed and what was paid."""
    life, payments = DatedLife(book()), []
    for deed, first, kopecks in deeds:
        if deed == "bill" and kopecks:
            life.bill(kopecks, period=Period(first))
        elif deed == "pay":
            payments.append(life.pay(DUE + datetime.timedelta(first), kopecks))
        elif deed == "reverse" and first < len(payments):
            life.at(AS_OF, ReversePayment, payment_id=PaymentId(payments.pop(first)))
        elif deed == "pass":
            life.policies = book(redirect_providers={ProviderId(first): ProviderId("P2" if first == "P1" else "P1")})
        elif deed == "accrue":
            life.run(len(life.events), DUE + datetime.timedelta(first))
    history = life.history()
    owed = dict.fromkeys(history.debts, 0)
    for key, item in life.state.items.items():
        if key.kind is Kind.CHARGE:
            debt = history._debt(key)
            name = next(name for name, known in history.debts.items() if known is debt)
            owed[name] = owed.get(name, 0) + item.due_kopecks
    assert {k: d.due_kopecks() for k, d in history.debts.items() if d.due_kopecks()} == {
        k: v for k, v in owed.items() if v
    }
    for name in history.debts:
        unpaid = sum(t.kopecks - sum(part.kopecks for part in t.parts) for t in history.tranches(name))
        assert unpaid == max(0, owed[name])


def test_an_earmarked_payment_pays_only_what_it_names() -> None:
    life = one_bill()
    life.bill(500_000, service="WATER", due_on=DUE)
    life.pay(DUE, 500_000, earmark=Earmark(service=ServiceCode("WATER")))
    assert [accrual.service for accrual in life.accruals()] == ["HEAT"]
