"""Events: what happened to an account. One record shape for all kinds, as the journal has one row shape for all.

Conventions of `keys` and `amounts` (parallel, one line each):
- ChargePosted, ChargeAdjusted, PenaltyAccrued: what was added to the debt of each key.
- PaymentReceived: what each debt key was paid, what became an advance (kind ADVANCE), what fee was withheld from each
  provider (kind FEE). Debts + advances = `amount_kopecks`, exactly.
- PaymentReversed: the same kinds of lines with minus, `amount_kopecks` negative, `ref` = the payment's `account_seq`.
- AdvanceApplied: what each debt key was paid from the lot of payment `ref`, and the ADVANCE line with minus; sum zero.
- CorrectionNetted, BalanceTransferred: signed changes of debts; sum zero.
- Refunded: ADVANCE lines with minus, `amount_kopecks` negative.
- UnidentifiedReceived, UnidentifiedReleased: no lines; the latter's `amount_kopecks` is negative, `ref` the former's
  `account_seq`.
- HoldPlaced, HoldReleased: no lines, no money; `details.hold` says whose.
"""

import datetime
import enum

import msgspec

from engine.charge import Kind, LineKey
from engine.commands import Earmark, Origin
from engine.ids import AccountId, Period, SourceId, TxnId
from engine.policy import Commission


class EventKind(enum.IntEnum):
    """The numbers are stored for ever: never renumber, never reuse."""

    ACCOUNT_OPENED = 1
    ACCOUNT_CLOSED = 2
    CHARGE_POSTED = 3
    CHARGE_ADJUSTED = 4
    PENALTY_ACCRUED = 5
    PAYMENT_RECEIVED = 6
    PAYMENT_REVERSED = 7
    REFUNDED = 8
    ADVANCE_APPLIED = 9
    CORRECTION_NETTED = 10
    BALANCE_TRANSFERRED = 11
    UNIDENTIFIED_RECEIVED = 12
    UNIDENTIFIED_RELEASED = 13
    HOLD_PLACED = 14
    HOLD_RELEASED = 15


class Details(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What only some events have; stored as JSON, read by field name, so fields may be added but never renamed."""

    agreement: str = ""
    document: str = ""
    due_on: datetime.date | None = None
    doc_period: Period = Period(0)
    earmark: Earmark | None = None
    origin: Origin = Origin.PAYER
    fee_on_top_kopecks: int = 0
    reason: str = ""
    hold: str = ""
    commission: Commission | None = None
    transferred: tuple[tuple[LineKey, LineKey], ...] = ()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact in the life of an account.

    Units: kopecks; `accepted_at_us` is a UTC instant in microseconds. `balance_kopecks` is the account's balance after
    this event (debts less advances). `policy` names the policy and version that decided, as `fifo@2`.
    Shape: `account_seq` counts the account's events from 1 without gaps.
    """

    kind: EventKind
    account: AccountId
    account_seq: int
    source: SourceId
    txn_id: TxnId
    accepted_at_us: int
    amount_kopecks: int = 0
    balance_kopecks: int = 0
    keys: tuple[LineKey, ...] = ()
    amounts: tuple[int, ...] = ()
    policy: str = ""
    channel: str = ""
    ref: int = 0
    details: Details | None = None

    def advance_kopecks(self) -> int:
        """The part of the event's lines that went to, or came from, advances."""
        return sum(a for k, a in zip(self.keys, self.amounts, strict=True) if k.kind is Kind.ADVANCE)
