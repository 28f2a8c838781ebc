"""Wire structs of the JSON door: what is parsed, what is told. `/openapi.json` is generated from these very types."""

import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from engine.charge import Kind
from engine.events import EventKind
from engine.ids import period_text
from engine.limits import EARMARK_LINES_MAX
from engine.outcomes import Receipt

KindName = Literal["charge", "court_cost", "penalty"]
PeriodText = Annotated[
    str,
    # The length too: in Python's expressions `$` lets a line end follow.
    Meta(
        pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$",
        max_length=7,
        description="Calendar month, YYYY-MM",
        examples=["2026-10"],
    ),
]
Code = Annotated[str, Meta(min_length=1, max_length=32)]
Kopecks = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="Kopecks; an integer, never a fraction")]
Instant = Annotated[
    datetime.datetime, Meta(tz=True, description="RFC 3339 with offset", examples=["2026-11-24T10:15:42+03:00"])
]


class EarmarkLineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a blank form: this much for this service."""

    service: Code
    amount_kopecks: Annotated[int, Meta(gt=0, le=2**53)]
    provider: Code | None = None
    period: PeriodText | None = None


class EarmarkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payer's designation; `lines` excludes the other fields."""

    period: PeriodText | None = None
    service: Code | None = None
    provider: Code | None = None
    document: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    kind: KindName | None = None
    lines: Annotated[tuple[EarmarkLineRequest, ...], Meta(max_length=EARMARK_LINES_MAX)] = ()


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment that was accepted from a payer. `txn_id` is the sender's own number: its key, for ever."""

    txn_id: Annotated[str, Meta(min_length=1, max_length=64, examples=["T-000123"])]
    account: Annotated[
        str, Meta(min_length=1, max_length=64, description="Personal account; zeros matter", examples=["1100000005"])
    ]
    amount_kopecks: Annotated[Kopecks, Meta(examples=[184317])]
    accepted_at: Instant
    earmark: EarmarkRequest | None = None
    doc_period: PeriodText | None = None
    channel: Annotated[str, Meta(max_length=32)] = ""
    fee_kopecks: Annotated[
        int, Meta(ge=0, le=2**53, description="Fee that the sender took on top, for information")
    ] = 0


class ReversalRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Undo a payment: all that is left of it, or `amount_kopecks` of it."""

    txn_id: Annotated[str, Meta(min_length=1, max_length=64, description="The sender's number of the reversal itself")]
    amount_kopecks: Annotated[int, Meta(gt=0, le=2**53)] | None = None
    reason: Annotated[str, Meta(max_length=256)] = ""


class AllocationView(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the payment, for one open item."""

    service: str
    provider: str
    period: str
    kind: KindName
    amount_kopecks: int


class AdvanceView(msgspec.Struct, frozen=True, kw_only=True):
    """A part kept as an advance: for a service and provider, or for the account (both empty)."""

    service: str
    provider: str
    amount_kopecks: int


class FeeView(msgspec.Struct, frozen=True, kw_only=True):
    """A fee withheld from a provider."""

    provider: str
    amount_kopecks: int


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an account: a payment's receipt, a ledger row, a live event. Allocations + advances = amount."""

    payment_id: Annotated[str, Meta(description="Our number; a string, for it exceeds what JSON numbers hold exactly")]
    kind: str
    account: str
    account_seq: int
    source: str
    txn_id: str
    amount_kopecks: int
    balance_kopecks: Annotated[int, Meta(description="The account's balance after it; positive is debt")]
    allocations: list[AllocationView]
    advances: list[AdvanceView]
    fees: list[FeeView]
    accepted_at: datetime.datetime
    recorded_at: datetime.datetime
    policy: Annotated[str, Meta(description="Splitting policy and version that decided")]
    channel: str


class OpenItemReply(msgspec.Struct, frozen=True, kw_only=True):
    """One open item of an account."""

    service: str
    provider: str
    period: str
    kind: KindName
    due_kopecks: int
    accrued_kopecks: int
    due_on: str | None
    document: str


class AccountReply(msgspec.Struct, frozen=True, kw_only=True):
    """An account's balance and what it is made of."""

    account: str
    status: Literal["open", "closed"]
    account_seq: int
    balance_kopecks: int
    due_kopecks: int
    advance_kopecks: int
    open_items: list[OpenItemReply]


class LedgerPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an account's events, oldest first. `next` is the cursor of the next page."""

    items: list[EventView]
    has_more: bool
    next: str | None


class BatchResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one row of a batch: its receipt, or its problem."""

    row: int
    status: int
    replayed: bool = False
    payment: EventView | None = None
    problem: msgspec.Raw = msgspec.Raw()


def utc(us: int) -> datetime.datetime:
    """Turn UTC microseconds into an aware datetime."""
    return _EPOCH + datetime.timedelta(microseconds=us)


def micros(at: datetime.datetime) -> int:
    """Turn an aware datetime into UTC microseconds."""
    return (at - _EPOCH) // _MICROSECOND


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
KIND_NAMES: dict[int, KindName] = {Kind.CHARGE: "charge", Kind.COURT_COST: "court_cost", Kind.PENALTY: "penalty"}


def event_view(receipt: Receipt) -> EventView:
    """Tell a receipt. The same receipt gives the same view, whenever it is asked for."""
    lines = list(zip(receipt.keys, receipt.amounts, strict=True))
    return EventView(
        payment_id=str(receipt.payment_id),
        kind=EventKind(receipt.kind).name.lower(),
        account=receipt.account,
        account_seq=receipt.account_seq,
        source=receipt.source,
        txn_id=receipt.txn_id,
        amount_kopecks=receipt.amount_kopecks,
        balance_kopecks=receipt.balance_kopecks,
        allocations=[
            AllocationView(
                service=k.service,
                provider=k.provider,
                period=period_text(k.period),
                kind=KIND_NAMES[k.kind],
                amount_kopecks=a,
            )
            for k, a in lines
            if k.kind in KIND_NAMES
        ],
        advances=[
            AdvanceView(service=k.service, provider=k.provider, amount_kopecks=a)
            for k, a in lines
            if k.kind == Kind.ADVANCE
        ],
        fees=[FeeView(provider=k.provider, amount_kopecks=a) for k, a in lines if k.kind == Kind.FEE],
        accepted_at=utc(receipt.accepted_at_us),
        recorded_at=utc(receipt.recorded_at_us),
        policy=receipt.policy,
        channel=receipt.channel,
    )
