"""Double entry: the postings of every event.

Chart of accounts: what a consumer owes a provider (consumer receivable), what is kept for a consumer (consumer
advance), what a processor or bank owes us (source clearing), what we owe a provider (provider payable), what has been
paid out (provider settled), what we earned (agent fee), money whose owner is not known yet (unidentified receipts).
Rounding is never an account.

A charge debits the receivable and credits the provider's payable at once, so payable less receivable is what has been
collected for a provider and must be forwarded; the two are kept per provider for just that.
"""

import enum

import msgspec

from engine.charge import Kind, LineKey
from engine.events import Event, EventKind


class Ledger(enum.StrEnum):
    """Ledger accounts of the chart."""

    CONSUMER_RECEIVABLE = "consumer_receivable"
    CONSUMER_ADVANCE = "consumer_advance"
    SOURCE_CLEARING = "source_clearing"
    PROVIDER_PAYABLE = "provider_payable"
    PROVIDER_SETTLED = "provider_settled"
    AGENT_FEE = "agent_fee"
    UNIDENTIFIED_RECEIPTS = "unidentified_receipts"


class Posting(msgspec.Struct, frozen=True):
    """One balanced leg: `kopecks` > 0 from `credit` to `debit`; `_of` says whose (a provider, a source, or nobody)."""

    debit: Ledger
    debit_of: str
    credit: Ledger
    credit_of: str
    kopecks: int


def postings(event: Event) -> tuple[Posting, ...]:
    """Return an event's postings; debits equal credits because every posting has both.

    Shape: in the order of the event's lines; empty for events that move no money.
    """
    if event.kind in _UNIDENTIFIED:
        return (_posting(Ledger.SOURCE_CLEARING, event.source, Ledger.UNIDENTIFIED_RECEIPTS, "", event.amount_kopecks),)
    legs = [_line(event, key, kopecks) for key, kopecks in zip(event.keys, event.amounts, strict=True)]
    on_top = event.details.fee_on_top_kopecks if event.details is not None else 0
    if on_top:
        legs.append(_posting(Ledger.SOURCE_CLEARING, event.source, Ledger.AGENT_FEE, "", on_top))
    return tuple(leg for leg in legs if leg is not None)


_UNIDENTIFIED = (EventKind.UNIDENTIFIED_RECEIVED, EventKind.UNIDENTIFIED_RELEASED)
_CHARGES = (EventKind.CHARGE_POSTED, EventKind.CHARGE_ADJUSTED, EventKind.PENALTY_ACCRUED)
_INSIDE = (EventKind.CORRECTION_NETTED, EventKind.BALANCE_TRANSFERRED)


def _line(event: Event, key: LineKey, kopecks: int) -> Posting | None:
    provider = key.provider
    if key.kind is Kind.FEE:
        return _posting(Ledger.PROVIDER_PAYABLE, provider, Ledger.AGENT_FEE, "", kopecks)
    if event.kind in _CHARGES or event.kind in _INSIDE:
        return _posting(Ledger.CONSUMER_RECEIVABLE, provider, Ledger.PROVIDER_PAYABLE, provider, kopecks)
    if event.kind is EventKind.ADVANCE_APPLIED:
        if key.kind is Kind.ADVANCE:
            return None  # The other half of the debt lines below.
        return _posting(Ledger.CONSUMER_ADVANCE, "", Ledger.CONSUMER_RECEIVABLE, provider, kopecks)
    if key.kind is Kind.ADVANCE:
        return _posting(Ledger.SOURCE_CLEARING, event.source, Ledger.CONSUMER_ADVANCE, "", kopecks)
    return _posting(Ledger.SOURCE_CLEARING, event.source, Ledger.CONSUMER_RECEIVABLE, provider, kopecks)


def _posting(debit: Ledger, debit_of: str, credit: Ledger, credit_of: str, kopecks: int) -> Posting:
    """A negative amount is the same leg the other way round."""
    if kopecks < 0:
        return Posting(credit, credit_of, debit, debit_of, -kopecks)
    return Posting(debit, debit_of, credit, credit_of, kopecks)
