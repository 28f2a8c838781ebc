"""Outcomes: how a command ended. Refusals are values, ordered by precedence; nothing here is an exception."""

import enum

import msgspec

from engine.charge import LineKey
from engine.events import Event, EventKind
from engine.ids import AccountId, PaymentId, SourceId, TxnId


class Reason(enum.IntEnum):
    """Why a command is refused; of several the smallest number is told. Numbers are internal, names are public."""

    TEXT_INVALID = 0
    AMOUNT_NOT_POSITIVE = 1
    AMOUNT_TOO_LARGE = 2
    ACCEPTED_AT_IN_FUTURE = 3
    ACCEPTED_AT_TOO_OLD = 4
    EARMARK_INVALID = 5
    ACCOUNT_UNKNOWN = 6
    ACCOUNT_CLOSED = 7
    ACCOUNT_EXISTS = 8
    EARMARK_NOT_ALLOWED = 9
    EARMARK_UNKNOWN = 10
    PROVIDERS_BLOCKED = 11
    POLICY_MISSING = 12
    PAYMENT_UNKNOWN = 13
    ALREADY_REVERSED = 14
    REVERSAL_TOO_LARGE = 15
    ADVANCE_TOO_SMALL = 16
    NOTHING_TO_POST = 17
    LIMIT_EXCEEDED = 18
    UNIDENTIFIED_TOO_SMALL = 19
    HOLD_UNCHANGED = 20


class Accepted(msgspec.Struct, frozen=True):
    """The decision to do it.

    Shape: `events` in the order of their `account_seq`; `events[answer]` is the one whose receipt answers the command.
    """

    events: tuple[Event, ...]
    answer: int = 0


class Rejected(msgspec.Struct, frozen=True, array_like=True, tag="rejected"):
    """The decision not to. Leaves no trace; the same key may be tried again."""

    reason: Reason


class Receipt(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a caller is told of a durable event; rebuilt from the journal row, so a repeat years later is the same.

    Units: kopecks; `_us` are UTC instants in microseconds.
    """

    payment_id: PaymentId
    kind: EventKind
    account: AccountId
    account_seq: int
    source: SourceId
    txn_id: TxnId
    accepted_at_us: int
    recorded_at_us: int
    amount_kopecks: int
    balance_kopecks: int
    keys: tuple[LineKey, ...]
    amounts: tuple[int, ...]
    policy: str
    channel: str
    ref: int


class Acknowledged(msgspec.Struct, frozen=True, array_like=True, tag="ok"):
    """It is durable. `replayed`: it was already, and this is its first receipt again."""

    receipt: Receipt
    replayed: bool = False


class KeyConflict(msgspec.Struct, frozen=True, array_like=True, tag="conflict"):
    """The key was used before for other content; nothing changed."""

    payment_id: PaymentId
    recorded_at_us: int


class NotDone(msgspec.Struct, frozen=True, array_like=True, tag="busy"):
    """Nothing happened; retry freely, after about this many milliseconds. `overloaded`: a queue was full."""

    retry_after_ms: int = 1000
    overloaded: bool = False


class OutcomeUnknown(msgspec.Struct, frozen=True, array_like=True, tag="unknown"):
    """It may or may not have become durable; a retry with the same key tells, and never doubles."""

    retry_after_ms: int = 1000


Outcome = Acknowledged | Rejected | KeyConflict | NotDone | OutcomeUnknown
