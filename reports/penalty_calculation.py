"""The printable calculation of penalties (расчёт пеней): for the payer, and for a court as an annex to a claim."""

import datetime
from collections.abc import Iterator
from fractions import Fraction

import msgspec

from engine.accrual import Accrual
from engine.ids import period_text
from engine.money import format_roubles
from engine.penalty import Segment

_COLUMNS = ("с", "по", "дней", "база, руб.", "доля", "ставка, %", "пени, руб.", "часть долга")
_WIDTHS = (10, 10, 5, 15, 6, 9, 17, 11)
_TEN_THOUSANDTHS = 10_000


class CalculationView(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed. `services` and `providers` are names by code; a code without one is shown as it is."""

    account: str
    as_of: datetime.date
    run: int
    accruals: tuple[Accrual, ...]
    services: dict[str, str] = {}
    providers: dict[str, str] = {}


def render_penalty_calculation(view: CalculationView) -> bytes:
    """Print a calculation as UTF-8 text, debt by debt, every line of it a run of days with its base and rate.

    Units: a line's penalty is shown to a hundredth of a kopeck; a debt's sum is exact until it is rounded once.
    """
    lines = [
        "РАСЧЁТ ПЕНЕЙ",
        f"Лицевой счёт {view.account}",
        f"По состоянию на {_day(view.as_of)} включительно; начисление № {view.run}",
        "Основание: ЖК РФ ст. 155 ч. 14, 14.1. Доля — часть ставки за день просрочки.",
        "Сумма по долгу складывается точно и округляется до копейки один раз.",
    ]
    for accrual in view.accruals:
        lines += ["", *_debt(accrual, view)]
    total = sum(accrual.total_kopecks for accrual in view.accruals)
    lines += ["", f"ВСЕГО ПЕНЕЙ: {format_roubles(total)} руб."]
    return "\n".join(lines).encode() + b"\n"


def _debt(accrual: Accrual, view: CalculationView) -> Iterator[str]:
    service = view.services.get(accrual.service, accrual.service)
    provider = view.providers.get(accrual.provider, accrual.provider)
    yield f"{service}, {provider}, за {period_text(accrual.period)}"
    if accrual.segments:
        yield _row(_COLUMNS)
        for segment in accrual.segments:
            yield _row(_cells(segment))
    change = accrual.change_kopecks
    changed = f"доначислено {format_roubles(change)}" if change >= 0 else f"снято {format_roubles(-change)}"
    before = f"начислено ранее {format_roubles(accrual.before_kopecks)}"
    yield f"Итого {format_roubles(accrual.total_kopecks)} руб.; {before}; {changed}"


def _row(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


def _cells(segment: Segment) -> tuple[str, ...]:
    return (
        _day(segment.first),
        _day(segment.last),
        str(segment.days),
        format_roubles(segment.base_kopecks),
        f"1/{segment.denominator}",
        format_roubles(segment.rate_bp),
        _exact_roubles(segment.exact),
        "оплачена" if segment.is_paid else "не оплачена",
    )


def _exact_roubles(kopecks: Fraction) -> str:
    """Write kopecks as roubles with four decimals, half up."""
    units = (2 * kopecks * 100 + 1) // 2
    return f"{units // _TEN_THOUSANDTHS}.{units % _TEN_THOUSANDTHS:04d}"


def _day(day: datetime.date) -> str:
    return f"{day:%d.%m.%Y}"
