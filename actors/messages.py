"""What travels between clients and shards: one bytes object a call, never a pickled class of ours.

A batch is a msgpack array of commands; its reply is an array of outcomes in the same order. Both ends encode each
element once and join the pieces, so a batch costs no more than its payments.
"""

from collections.abc import Sequence

import msgspec

from engine.commands import AnyCommand
from engine.events import EventKind
from engine.ids import AccountId, Epoch, PaymentId, SourceId, TxnId
from engine.outcomes import Outcome, Receipt

_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(list[AnyCommand])


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The outcomes of one batch, under the epoch of the shard that answers."""

    epoch: Epoch
    outcomes: list[Outcome]


_replies = msgspec.msgpack.Decoder(Reply)


def encode_command(command: AnyCommand) -> bytes:
    """Encode one command for a batch."""
    return _encoder.encode(command)


def join(pieces: Sequence[bytes]) -> bytes:
    """Make one msgpack array of elements encoded before."""
    return _array_header(len(pieces)) + b"".join(pieces)


def encode_outcome(outcome: Outcome) -> bytes:
    """Encode one outcome for a reply."""
    return _encoder.encode(outcome)


def encode_reply(epoch: Epoch, outcomes: Sequence[bytes]) -> bytes:
    """Encode the reply of one batch from outcomes encoded before."""
    return b"\x92" + _encoder.encode(epoch) + join(outcomes)


def decode_commands(batch: bytes) -> list[AnyCommand]:
    """Decode a batch. Errors: msgspec.ValidationError or DecodeError: a client of another version, refused whole."""
    return _commands.decode(batch)


def decode_reply(reply: bytes) -> Reply:
    """Decode the reply of a batch."""
    return _replies.decode(reply)


def _array_header(count: int) -> bytes:
    return b"\xdc" + count.to_bytes(2) if count < 65536 else b"\xdd" + count.to_bytes(4)


class OpenItemView(msgspec.Struct, frozen=True, array_like=True):
    """One open item as told to a reader. Units: kopecks."""

    service: str
    provider: str
    period: int
    kind: int
    due_kopecks: int
    accrued_kopecks: int
    due_on: str
    document: str


class AccountView(msgspec.Struct, frozen=True, array_like=True):
    """A durable view of one account: nothing in it may still be lost. Units: kopecks.

    `status` is the name of `engine.account.Status`; an account never opened has status UNKNOWN.
    """

    account: AccountId
    status: str
    agreement: str
    account_seq: int
    balance_kopecks: int
    due_kopecks: int
    advance_kopecks: int
    items: tuple[OpenItemView, ...]


class Payer(msgspec.Struct, frozen=True, array_like=True):
    """Who lives behind an account. Personal data: told to a door only, which masks it; never in an event or a log."""

    name: str
    address: str
    flat: str


class ReadAccount(msgspec.Struct, frozen=True, array_like=True, tag="account"):
    """Ask for an account's durable view."""

    account: AccountId


class ReadHistory(msgspec.Struct, frozen=True, array_like=True, tag="history"):
    """Ask for receipts of an account after a sequence number, oldest first."""

    account: AccountId
    after_seq: int
    limit: int


class ReadPayment(msgspec.Struct, frozen=True, array_like=True, tag="payment"):
    """Ask for one journal row's receipt by its number."""

    payment_id: PaymentId


class ReadKey(msgspec.Struct, frozen=True, array_like=True, tag="key"):
    """Ask for the receipt that an idempotency key got."""

    source: SourceId
    txn_id: TxnId


Query = ReadAccount | ReadHistory | ReadPayment | ReadKey


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """A read that cannot be answered now; retry."""

    retry_after_ms: int = 1000


class AccountAnswer(msgspec.Struct, frozen=True, array_like=True, tag="view"):
    """The answer to `ReadAccount`, under the epoch that answers."""

    epoch: Epoch
    view: AccountView


class ReceiptsAnswer(msgspec.Struct, frozen=True, array_like=True, tag="receipts"):
    """The answer to every other query; empty where nothing was found."""

    epoch: Epoch
    receipts: tuple[Receipt, ...]


Answer = AccountAnswer | ReceiptsAnswer | Refusal

query_decoder: msgspec.msgpack.Decoder[Query] = msgspec.msgpack.Decoder(Query)
answer_decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
encode = _encoder.encode


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """One commit, told live. What it lacks a reader takes from the account's history after the last number it saw."""

    account: AccountId
    account_seq: int
    kind: EventKind
    amount_kopecks: int
    balance_kopecks: int
    payment_id: PaymentId


notices_decoder: msgspec.msgpack.Decoder[list[Notice]] = msgspec.msgpack.Decoder(list[Notice])
