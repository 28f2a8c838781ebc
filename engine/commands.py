"""Commands: what the outside asks of an account. Imperative names; nothing in them is decided yet.

Every command carries its idempotency key `(source, txn_id)` and `request_hash`, a fingerprint of the content that
its door considers identical: the same key with the same fingerprint is a repeat, with another one a conflict.
"""

import datetime
import enum
import hashlib

import msgspec

from engine.charge import Kind
from engine.ids import AccountId, PaymentId, Period, ProviderId, ServiceCode, SourceId, TxnId
from engine.policy import Commission


class Origin(enum.IntEnum):
    """Where the money of a payment comes from; enforcement receipts pay court costs first (ГК РФ ст. 319)."""

    PAYER = 0
    ENFORCEMENT = 1
    SUBSIDY = 2
    CORRECTION = 3


class EarmarkLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of a blank form: this many kopecks for this service, optionally of one provider or period."""

    service: ServiceCode
    kopecks: int
    provider: ProviderId = ProviderId("")
    period: Period = Period(0)


class Earmark(msgspec.Struct, frozen=True, array_like=True):
    """The payer's designation. Empty fields do not restrict; `lines` excludes every other field."""

    period: Period = Period(0)
    service: ServiceCode = ServiceCode("")
    provider: ProviderId = ProviderId("")
    document: str = ""
    kind: Kind | None = None
    lines: tuple[EarmarkLine, ...] = ()


class Command(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What every command has.

    Units: `accepted_at_us` is a UTC instant in microseconds: the legal moment of a payment (103-ФЗ ст. 3).
    """

    source: SourceId
    txn_id: TxnId
    request_hash: bytes
    account: AccountId
    accepted_at_us: int


class AcceptPayment(Command, frozen=True, array_like=True, kw_only=True, tag="pay"):
    """Take a payment and split it. `keep_if_unknown`: the money was already taken, keep it as unidentified.

    `commission`: the terms of the contract that it came under; they replace those of the account's agreement.
    """

    amount_kopecks: int
    channel: str = ""
    doc_period: Period = Period(0)
    earmark: Earmark | None = None
    fee_kopecks: int = 0
    origin: Origin = Origin.PAYER
    keep_if_unknown: bool = False
    commission: Commission | None = None


class ReversePayment(Command, frozen=True, array_like=True, kw_only=True, tag="reverse"):
    """Undo a payment in full (`amount_kopecks == 0`) or in part."""

    payment_id: PaymentId
    amount_kopecks: int = 0
    reason: str = ""


class RefundAdvance(Command, frozen=True, array_like=True, kw_only=True, tag="refund"):
    """Pay an overpayment back to the payer, from the advance only."""

    amount_kopecks: int
    reason: str = ""


class OpenAccount(Command, frozen=True, array_like=True, kw_only=True, tag="open"):
    """Open a personal account under an agreement (which names the splitting policy)."""

    agreement: str


class CloseAccount(Command, frozen=True, array_like=True, kw_only=True, tag="close"):
    """Close an account: its debts stay, new payments are refused."""

    reason: str = ""


class PlaceHold(Command, frozen=True, array_like=True, kw_only=True, tag="hold"):
    """Let no money of this account move to a provider: charges of it wait for somebody (a mapping to be confirmed).

    `hold` names who holds; several may. Payments are accepted, and kept as an advance of the account.
    """

    hold: str
    reason: str = ""


class ReleaseHold(Command, frozen=True, array_like=True, kw_only=True, tag="unhold"):
    """Take a hold away; with the last one the advances that waited meet the debts."""

    hold: str
    reason: str = ""


class ReleaseUnidentified(Command, frozen=True, array_like=True, kw_only=True, tag="release"):
    """Take unidentified money away from the number it was sent for, to be paid where it belongs, or back.

    `receipt_seq` is the `account_seq` of the event that received it. `source` is that event's source: the money goes
    back into its clearing account.
    """

    receipt_seq: int
    amount_kopecks: int
    reason: str = ""


class ChargeLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of a billing document. Units: kopecks; negative is a correction in the payer's favour."""

    service: ServiceCode
    provider: ProviderId
    kopecks: int
    kind: Kind = Kind.CHARGE


class PostCharges(Command, frozen=True, array_like=True, kw_only=True, tag="charge"):
    """Post one document's charges, penalties or court costs of one period. `adjustment` corrects an earlier one."""

    period: Period
    lines: tuple[ChargeLine, ...]
    document: str = ""
    due_on: datetime.date | None = None
    adjustment: bool = False


AnyCommand = (
    AcceptPayment
    | ReversePayment
    | RefundAdvance
    | OpenAccount
    | CloseAccount
    | PostCharges
    | PlaceHold
    | ReleaseHold
    | ReleaseUnidentified
)


def fingerprint(*parts: object) -> bytes:
    """Fingerprint the content that makes two requests "the same".

    Shape: 16 bytes. The parts' count, order and text decide; a separator that no part can contain divides them.
    """
    text = "\x1f".join(map(str, parts))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
