"""Charges and open items: what an account owes, line by line."""

import datetime
import enum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from engine.ids import Period, ProviderId, ServiceCode


class Kind(enum.IntEnum):
    """What a line's kopecks are. The numbers are stored: never renumber; their order is the order of the names."""

    CHARGE = 1
    COURT_COST = 2
    PENALTY = 3
    ADVANCE = 4
    FEE = 5

    # An enum hashes its name in Python; a payment hashes its line keys some thirty times.
    __hash__ = int.__hash__


DEBT_KINDS = (Kind.CHARGE, Kind.COURT_COST, Kind.PENALTY)
"""What a consumer can owe, in the order in which ordinary payments meet it."""


class LineKey(NamedTuple):
    """Whose money and for what; the natural order of these tuples settles every tie of a split."""

    service: ServiceCode
    provider: ProviderId
    period: Period
    kind: Kind


@lru_cache(maxsize=65_536)
def line_key(service: str, provider: str, period: int, kind: int) -> LineKey:
    """Return the one shared `LineKey` of these parts: a region has few, and shared ones compare by identity first."""
    return LineKey(ServiceCode(service), ProviderId(provider), Period(period), Kind(kind))


ACCOUNT_ADVANCE = LineKey(ServiceCode(""), ProviderId(""), Period(0), Kind.ADVANCE)
"""The advance that is kept for the account as a whole and for no provider (mode `hold`)."""


class OpenItem(msgspec.Struct, array_like=True, gc=False):
    """One (service, provider, period, kind) of an account's debt.

    Units: kopecks. `due_kopecks` < 0 is the provider's credit to the consumer (a correction not yet netted).
    `accrued_kopecks` is the amount the payment document printed. `creditor` names the original creditor when
    the claim has passed to a successor, else is empty.
    """

    key: LineKey
    due_kopecks: int
    accrued_kopecks: int = 0
    due_on: datetime.date | None = None
    document: str = ""
    creditor: ProviderId = ProviderId("")
