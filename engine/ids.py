"""Identifiers: one `NewType` each, so that two of them cannot be swapped unnoticed."""

from typing import NewType

AccountId = NewType("AccountId", str)
"""The resident's personal account number (лицевой счёт). Text: leading zeros are significant."""

ServiceCode = NewType("ServiceCode", str)
ProviderId = NewType("ProviderId", str)

SourceId = NewType("SourceId", str)
"""Who sent a command: a processor, a bank, a billing. The first half of every idempotency key."""

TxnId = NewType("TxnId", str)
"""The sender's own number of its operation. The second half of every idempotency key."""

_BILLING = "billing:"


def billing_source(billing: str) -> SourceId:
    """The source of what a billing tells: its charges, and payments that it took by itself.

    Rule: no processor can have such a source, so its payments are known, and never settled with us a second time.
    """
    return SourceId(_BILLING + billing)


def is_of_billing(source: SourceId) -> bool:
    """Tell whether a billing told it: money that it took went to it, and not through us."""
    return source.startswith(_BILLING)


IdempotencyKey = tuple[SourceId, TxnId]

Period = NewType("Period", int)
"""Calendar month of a charge as the integer YYYYMM; 0 where no month applies."""

PaymentId = NewType("PaymentId", int)
"""The number of a journal row, told to the outside: `ids.payment_id(shard, seq)`."""

ShardId = NewType("ShardId", int)
Slot = NewType("Slot", int)
Epoch = NewType("Epoch", int)

SEQ_SPAN = 10**14
"""Room for one shard's sequence inside a `PaymentId`; a shard would fill it in three centuries at 10,000/s."""


def payment_id(shard: ShardId, seq: int) -> PaymentId:
    """Number a journal row for the outside world.

    Rule: shard and sequence in one integer of at most 20 digits (OSMP `prv_txn` allows no more and no letters).
    """
    return PaymentId(shard * SEQ_SPAN + seq)


def journal_position(number: PaymentId) -> tuple[ShardId, int]:
    """Return the (shard, seq) that a `PaymentId` stands for."""
    shard, seq = divmod(number, SEQ_SPAN)
    return ShardId(shard), seq


def period_text(period: Period) -> str:
    """Print a period as `2026-10`."""
    return f"{period // 100:04d}-{period % 100:02d}"


def parse_period(text: str) -> Period:
    """Read a period written as `2026-10`.

    Errors: ValueError for any other form, a month outside 01..12, or a year outside 2000..2099.
    """
    if len(text) != 7 or text[4] != "-" or not (text[:4] + text[5:]).isdecimal() or not text.isascii():
        raise ValueError("a period is written YYYY-MM")
    year, month = int(text[:4]), int(text[5:])
    if not (2000 <= year <= 2099 and 1 <= month <= 12):
        raise ValueError("no such month")
    return Period(year * 100 + month)
