"""Splitting policies: versioned, dated data of an agreement. The rule that reads them is `allocation.py`."""

import datetime
import enum
from functools import cached_property

import msgspec

from engine.calendar import barred_before
from engine.ids import Period, ProviderId, ServiceCode


class PolicyCode(enum.StrEnum):
    """The orders in which a payment may meet the open items (rules of the agreement; see `allocation.tiers`)."""

    PROPORTIONAL = "proportional"
    FIFO = "fifo"
    CURRENT_FIRST = "current_first"
    ACCRUED_FIRST = "accrued_first"
    PROVIDER_SHARE = "provider_share"
    PRIORITY = "priority"


class AdvanceMode(enum.StrEnum):
    """`hold`: kept for the account. `by_last_accruals`: divided at once over services, so it can be forwarded."""

    HOLD = "hold"
    BY_LAST_ACCRUALS = "by_last_accruals"


class CommissionMode(enum.StrEnum):
    """`withheld` from what the provider gets; `on_top` of what the payer owes."""

    WITHHELD = "withheld"
    ON_TOP = "on_top"


class Commission(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's fee. Units: `rate_bp` in hundredths of a percent; kopecks."""

    mode: CommissionMode
    rate_bp: int
    min_kopecks: int = 0
    max_kopecks: int | None = None


class SplitPolicy(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One version of an agreement's splitting policy, in force `valid_from` .. `valid_to` (local dates, inclusive).

    `penalty_on_closed`: whether debts of a closed account go on accruing penalties, as the law has it.
    """

    agreement: str
    code: PolicyCode
    version: int
    valid_from: datetime.date
    valid_to: datetime.date | None = None
    segregated_services: frozenset[ServiceCode] = frozenset()
    blocked_providers: frozenset[ProviderId] = frozenset()
    redirect_providers: dict[ProviderId, ProviderId] = {}
    priority: tuple[tuple[str, ...], ...] = ()
    limitation_applies: bool = True
    time_barred_before: Period | None = None
    allow_service_earmark: bool = True
    advance_mode: AdvanceMode = AdvanceMode.HOLD
    commission: Commission | None = None
    penalty_on_closed: bool = True

    def barred_before(self, on: datetime.date) -> Period:
        """Return the first period whose limitation has not expired on a local date; 0 where none ever does."""
        if self.time_barred_before is not None:
            return self.time_barred_before
        return barred_before(on) if self.limitation_applies else Period(0)

    @cached_property
    def label(self) -> str:
        """Name and version, as stored with every event that this policy decided: `fifo@2`."""
        return f"{self.code.value}@{self.version}"


class PolicyBook(msgspec.Struct, frozen=True):
    """All policies, of all agreements and dates; the region's local time decides which day a payment belongs to."""

    policies: tuple[SplitPolicy, ...] = ()
    utc_offset_minutes: int = 180

    _found: dict[tuple[str, datetime.date], SplitPolicy | None] = {}

    def in_force(self, agreement: str, on: datetime.date) -> SplitPolicy | None:
        """Return the newest version of the agreement's policy that is valid on a local date, or None."""
        try:
            return self._found[agreement, on]
        except KeyError:
            found = self._found[agreement, on] = self._newest(agreement, on)
            return found

    def _newest(self, agreement: str, on: datetime.date) -> SplitPolicy | None:
        valid = [
            p
            for p in self.policies
            if p.agreement == agreement and p.valid_from <= on and (p.valid_to is None or on <= p.valid_to)
        ]
        return max(valid, key=lambda p: p.version, default=None)

    def named(self, agreement: str, label: str) -> SplitPolicy | None:
        """Return the version that an event names in its `policy`, or None."""
        return next((p for p in self.policies if p.agreement == agreement and p.label == label), None)
