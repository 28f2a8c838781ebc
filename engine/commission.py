"""The agent's commission (вознаграждение): how much, and from whom it is withheld."""

from collections.abc import Mapping

from engine.allocation import share
from engine.charge import Kind, LineKey
from engine.ids import Period, ProviderId, ServiceCode
from engine.policy import Commission


def fee_kopecks(amount_kopecks: int, commission: Commission) -> int:
    """Compute the fee of one payment.

    Rule: rate in hundredths of a percent, half a kopeck up, then the minimum and the maximum; never above the amount.
    Source: terms of the agreement; rounding is our decision, ADR-0005.
    """
    fee = max((commission.rate_bp * amount_kopecks + 5_000) // 10_000, commission.min_kopecks)
    if commission.max_kopecks is not None:
        fee = min(fee, commission.max_kopecks)
    return min(fee, amount_kopecks)


def withheld_lines(fee: int, given: Mapping[LineKey, int]) -> dict[LineKey, int]:
    """Divide a withheld fee over providers in proportion to what the payment gave each.

    Shape: one FEE line per provider with a part > 0. Money kept for the account as a whole names no provider, so a
    payment that is all such advance has no lines: its fee waits until the advance is assigned.
    """
    gross: dict[ProviderId, int] = {}
    for key, kopecks in given.items():
        if key.provider:
            gross[key.provider] = gross.get(key.provider, 0) + kopecks
    if not gross or not fee:
        return {}
    keys = [LineKey(ServiceCode(""), provider, Period(0), Kind.FEE) for provider in gross]
    parts = share(fee, keys, list(gross.values()))
    return {key: part for key, part in zip(keys, parts, strict=True) if part}
