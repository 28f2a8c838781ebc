"""The printable calculation of penalties: the pages that a court gets, byte for byte."""

import datetime
from pathlib import Path

import pytest

from engine.accrual import Accrual
from engine.ids import Period, ProviderId, ServiceCode
from engine.penalty import PaidPart, Regime, compute_penalty
from engine.rates import TERMS
from reports.penalty_calculation import CalculationView, render_penalty_calculation

GOLDEN = Path(__file__).parents[1] / "golden" / "penalties"
DUE = datetime.date(2026, 4, 15)


def accrual(before: int, change: int) -> Accrual:
    parts = [PaidPart(DUE + datetime.timedelta(45), 300_000), PaidPart(DUE + datetime.timedelta(117), 200_000)]
    penalty = compute_penalty(900_000, DUE, parts, DUE + datetime.timedelta(223), Regime.HOUSING, TERMS)
    key = (ServiceCode("HEAT"), ProviderId("P01"), Period(202603))
    return Accrual(*key, penalty.kopecks, before, change, penalty.segments)


def view(*accruals: Accrual) -> CalculationView:
    return CalculationView(
        account="0070010200",
        as_of=DUE + datetime.timedelta(223),
        run=7,
        accruals=accruals,
        services={"HEAT": "Отопление"},
        providers={"P01": "АО «Заречные тепловые сети»"},
    )


CREDITED = Accrual(ServiceCode("WATER"), ProviderId("P02"), Period(202602), 0, 1_234, -1_234, ())


@pytest.mark.parametrize(
    ("name", "shown"),
    [("two-late-payments", view(accrual(50_000, 5_648))), ("credited", view(accrual(55_648, 0), CREDITED))],
)
def test_the_pages_are_these(name: str, shown: CalculationView) -> None:
    assert render_penalty_calculation(shown).decode() == (GOLDEN / f"{name}.txt").read_text()


def test_the_lines_add_up_to_the_exact_sum() -> None:
    """Each line shows a hundredth of a kopeck, so that whoever adds them up gets the rounded sum."""
    shown = accrual(0, 0)
    printed = sum((2 * segment.exact * 100 + 1) // 2 for segment in shown.segments)
    assert (printed + 50) // 100 == shown.total_kopecks
