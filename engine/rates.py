"""Dated tables of penalties: key rate, its cap, moratoria. Facts of law, in one place, easy to correct.

General knowledge unless a source is named; verify before go-live. Rates are in hundredths of a percent (9.5 % = 950).
An installation adds later rows, or corrects these, as master data; `terms_with` joins both.
"""

import datetime
from collections.abc import Iterable
from typing import TypeVar

from engine.master import KeyRateRow, MoratoriumRow, RateCapRow
from engine.penalty import KeyRate, Moratorium, MoratoriumScope, PenaltyTerms, RateCap

Rule = TypeVar("Rule", KeyRate, RateCap, Moratorium)


def _rates(text: str) -> tuple[KeyRate, ...]:
    return tuple(
        KeyRate(datetime.date.fromisoformat(day), int(rate)) for day, rate in (row.split() for row in text.split("|"))
    )


KEY_RATES = _rates(
    "2016-01-01 1100|2016-06-14 1050|2016-09-19 1000|2017-03-27 975|2017-05-02 925|2017-06-19 900|2017-09-18 850|"
    "2017-10-30 825|2017-12-18 775|2018-02-12 750|2018-03-26 725|2018-09-17 750|2018-12-17 775|2019-06-17 750|"
    "2019-07-29 725|2019-09-09 700|2019-10-28 650|2019-12-16 625|2020-02-10 600|2020-04-27 550|2020-06-22 450|"
    "2020-07-27 425|2021-03-22 450|2021-04-26 500|2021-06-15 550|2021-07-26 650|2021-09-13 675|2021-10-25 750|"
    "2021-12-20 850|2022-02-14 950|2022-02-28 2000|2022-04-11 1700|2022-05-04 1400|2022-05-27 1100|2022-06-14 950|"
    "2022-07-25 800|2022-09-19 750|2023-07-24 850|2023-08-15 1200|2023-09-18 1300|2023-10-30 1500|2023-12-18 1600|"
    "2024-07-29 1800|2024-09-16 1900|2024-10-28 2100|2025-06-09 2000|2025-07-28 1800|2025-09-15 1700|2025-10-27 1650|"
    "2025-12-22 1600|2026-02-16 1550"
)
"""Key rate of the Bank of Russia by the day it takes effect; later rows are to be added as they are decided."""

RATE_CAPS = (RateCap(datetime.date(2022, 2, 28), datetime.date(2026, 12, 31), 950),)
"""ПП РФ 26.03.2022 № 474, prolonged by № 2382 of 29.12.2023 and № 329 of 18.03.2025 until 1 January 2027."""

MORATORIA = (
    Moratorium(datetime.date(2020, 4, 6), datetime.date(2020, 12, 31), MoratoriumScope.ALL),
    Moratorium(datetime.date(2022, 4, 1), datetime.date(2022, 10, 1), MoratoriumScope.DUE_BEFORE_START),
)
"""ПП РФ 02.04.2020 № 424; ПП РФ 28.03.2022 № 497 with Пленум ВС РФ 24.12.2020 № 44 (current payments not covered)."""

TERMS = PenaltyTerms(KEY_RATES, RATE_CAPS, MORATORIA)


def terms_with(
    key_rates: Iterable[KeyRateRow], caps: Iterable[RateCapRow], moratoria: Iterable[MoratoriumRow]
) -> PenaltyTerms:
    """Join what the program knows with an installation's rows.

    Rule: a row replaces the one that begins on the same day (a moratorium: in the same territory); a void one removes
    it. Shape: each table in order of its first days.
    """
    return PenaltyTerms(
        _joined({(rate.since, ""): rate for rate in KEY_RATES}, [(r.since, "", r.is_void, r.rule) for r in key_rates]),
        _joined({(cap.since, ""): cap for cap in RATE_CAPS}, [(r.since, "", r.is_void, r.rule) for r in caps]),
        _joined(
            {(m.since, m.territory): m for m in MORATORIA},
            [(row.since, row.territory, row.is_void, row.rule) for row in moratoria],
        ),
    )


def _joined(
    known: dict[tuple[datetime.date, str], Rule], rows: Iterable[tuple[datetime.date, str, bool, Rule]]
) -> tuple[Rule, ...]:
    for since, territory, is_void, rule in rows:
        known.pop((since, territory), None)
        if not is_void:
            known[since, territory] = rule
    return tuple(known[key] for key in sorted(known))


def cap_ends_within(days: int, today: datetime.date, terms: PenaltyTerms = TERMS) -> bool:
    """Tell whether the last known cap of the rate ends within so many days: an operator must look for a new act."""
    return not terms.caps or max(cap.until for cap in terms.caps) - today <= datetime.timedelta(days=days)
