"""CyberPlat: `check`, `payment`, `status`, `cancel`, signed by RSA both ways where the contract says so.

A signature covers the raw query as sent, from `action=` to before `&sign=`: what is not covered is not read. The reply
is signed as bytes of its own encoding, without the signature's element, which then goes in before `</response>`.
"""

import re
from binascii import unhexlify
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from engine.outcomes import Receipt
from gateways.connections import Connection
from gateways.processors.contract import amount, is_txn_id
from gateways.processors.desk import Desk, Fields, Needs, Told
from gateways.processors.dialects import Dialect, terms_of
from gateways.processors.markup import Encoding, document, elements, headers_of
from gateways.processors.port import sentence_of
from gateways.processors.query import parse_fields, require, wrong
from gateways.processors.results import TEXTS, RefusedError, Result
from gateways.processors.terms import Secret, Terms

CODES: Mapping[Result, int] = {
    Result.OK: 0,
    Result.DUPLICATE: 0,
    Result.CONFLICT: 4,
    Result.IN_PROGRESS: -3,
    Result.TEMPORARY: -3,
    Result.UNKNOWN_COMMAND: 1,
    Result.MISSING_PARAM: 1,
    Result.BAD_REQUEST: 1,
    Result.BAD_TXN_ID: 4,
    Result.BAD_ACCOUNT_FORMAT: 2,
    Result.ACCOUNT_NOT_FOUND: 2,
    Result.ACCOUNT_CLOSED: 2,
    Result.SERVICE_STOPPED: 2,
    Result.BAD_AMOUNT: 3,
    Result.AMOUNT_TOO_SMALL: 3,
    Result.AMOUNT_TOO_LARGE: 3,
    Result.BAD_DATE: 5,
    Result.BAD_SIGNATURE: -4,
    Result.FORBIDDEN_SOURCE: 10,
    Result.STATUS_NOT_FOUND: 6,
    Result.CANCELLED: 7,
    Result.CANNOT_CANCEL: 9,
}
_STATE_UNKNOWN = 8
_BAD_TYPE, _BAD_ADDITIONAL, _BAD_MESSAGE = -2, -1, 11
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),  # noqa: S303 - what the contract names.
    "sha1": hashes.SHA1(),  # noqa: S303 - the protocol's default.
    "sha256": hashes.SHA256(),
}
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})", re.ASCII)
_NO_KEY = (ValueError, TypeError, UnsupportedAlgorithm)
_END = b"</response>\n"


class CyberplatTerms(Terms, frozen=True, kw_only=True):
    """One contract's CyberPlat.

    `public_key` is theirs, `private_key` ours (PEM); empty means that this way is not signed. `types` are the values of
    `type` that the contract knows, empty for none given. `additional_pattern` is the form of `additional`, if it has
    one. `temporary_code`: some contracts call a temporary trouble 11.
    """

    public_key: str = ""
    private_key: Secret = ""
    hash: Literal["md5", "sha1", "sha256"] = "sha1"
    encoding: Encoding = "windows-1251"
    types: tuple[str, ...] = ("", "0", "1")
    additional_pattern: str = ""
    cancel: bool = False
    temporary_code: Literal[-3, 11] = -3

    def __post_init__(self) -> None:
        """Refuse keys and patterns that are none. Errors: ValueError, when the connection is loaded."""
        super().__post_init__()
        Seal(self)
        try:
            re.compile(self.additional_pattern)
        except re.error as error:
            raise ValueError(f"additional_pattern: {error}") from None


class Seal:
    """Signs and verifies by the keys of one contract."""

    def __init__(self, terms: CyberplatTerms) -> None:
        self._hash = _HASHES[terms.hash]
        self._theirs = _public_key(terms.public_key) if terms.public_key else None
        self._ours = _private_key(terms.private_key) if terms.private_key else None

    @property
    def verifies(self) -> bool:
        """Whether requests are signed."""
        return self._theirs is not None

    def is_genuine(self, signed: bytes, signature: str) -> bool:
        """Tell whether the hex signature is theirs, of these bytes."""
        assert self._theirs is not None, "asked of signed requests only"
        try:
            self._theirs.verify(unhexlify(signature), signed, PKCS1v15(), self._hash)
        except (InvalidSignature, ValueError):
            return False
        return True

    def seal(self, reply: bytes) -> bytes:
        """Sign a reply: the signature goes in before the end of the document."""
        if self._ours is None:
            return reply
        signature = self._ours.sign(reply, PKCS1v15(), self._hash).hex()
        return reply.removesuffix(_END) + f"  <sign>{signature}</sign>\n".encode() + _END


@lru_cache(maxsize=64)
def _public_key(pem: str) -> RSAPublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except _NO_KEY as error:
        raise ValueError(f"public_key: {error}") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("public_key must be an RSA key")
    return key


@lru_cache(maxsize=64)
def _private_key(pem: str) -> RSAPrivateKey:
    """Kept, for loading one checks its primes: tens of milliseconds, in which the gateway answers nobody."""
    try:
        key = load_pem_private_key(pem.encode(), None)
    except _NO_KEY:
        raise ValueError("private_key must be a PEM without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("private_key must be an RSA key")
    return key


class _OwnRefusedError(RefusedError):
    """A refusal by a code that only this protocol has."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(Result.BAD_REQUEST, text)
        self.code = code


class CyberplatDesk(Desk):
    """One connection's CyberPlat."""

    def __init__(self, connection: Connection, needs: Needs) -> None:
        terms = terms_of(connection)
        assert isinstance(terms, CyberplatTerms), "a connection's terms are its dialect's"
        super().__init__(connection, terms, needs)
        self._terms = terms
        self._seal = Seal(terms)
        self._headers = headers_of(terms.encoding)
        self.commands = {
            "check": self._check,
            "payment": self._payment,
            "status": self._status,
            "cancel": self._cancel,
        }

    def read(self, text: str) -> Fields:
        """Read the query: of a signed one only what the signature covers."""
        if not self._seal.verifies:
            return parse_fields(text, "number", self._terms.encoding)
        signed, _, signature = text[max(0, text.find("action=")) :].rpartition("&sign=")
        if not self._seal.is_genuine(signed.encode("utf-8", "surrogateescape"), signature):
            raise RefusedError(Result.BAD_SIGNATURE)
        return parse_fields(signed, "number", self._terms.encoding)

    def command_of(self, fields: Fields) -> str:
        """The command stands in `action`."""
        return fields.get("action", "")

    def refused(self, fields: Fields, refusal: RefusedError) -> Told:
        """Print a refusal. A payment whose state is not known yet has a code of its own for who asks after it."""
        if isinstance(refusal, _OwnRefusedError):
            code = refusal.code
        elif refusal.result is Result.IN_PROGRESS and fields.get("action") == "status":
            code = _STATE_UNKNOWN
        else:
            code = CODES[refusal.result]
            code = self._terms.temporary_code if code == CODES[Result.TEMPORARY] else code
        return self._told(code, refusal.text)

    def _told(self, code: int, message: str, paid: Receipt | None = None) -> Told:
        ours = None if paid is None else paid.payment_id
        date = None if paid is None else f"{self.contract.local(paid.recorded_at_us):%Y-%m-%dT%H:%M:%S}"
        pairs = (("code", code), ("authcode", ours), ("date", date), ("message", message))
        reply = self._seal.seal(document("response", elements(pairs), self._terms.encoding))
        return str(code), reply, self._headers

    async def _check(self, fields: Fields) -> Told:
        """There is no element for what a payer may see: it goes into the message."""
        self._expect_form(fields)
        kopecks = amount(fields["amount"]) if fields.get("amount") else 0
        require(fields, "number")
        checked = await self.port.check(self.contract.account(fields["number"]), kopecks)
        return self._told(0, sentence_of(checked))

    async def _payment(self, fields: Fields) -> Told:
        """In the order in which others of this protocol check: type, amount, receipt, date, number."""
        self._expect_form(fields)
        kopecks = amount(fields.get("amount", ""))
        receipt = _receipt_of(fields)
        accepted_at_us = self._date(fields)
        require(fields, "number")
        done = await self.port.pay(self.contract.payment(receipt, fields["number"], kopecks, accepted_at_us))
        if done.replayed:
            await self.port.expect_standing(done.receipt)
        return self._told(0, "Платёж принят", done.receipt)

    async def _status(self, fields: Fields) -> Told:
        return self._told(0, "Платёж принят", await self.port.status(_receipt_of(fields)))

    async def _cancel(self, fields: Fields) -> Told:
        """Undo a payment by its own number: repeating it is the same cancel."""
        receipt = _receipt_of(fields)
        if not fields.get("mes", "").isdecimal():
            raise _OwnRefusedError(_BAD_MESSAGE, "Неверный параметр mes")
        if not self._terms.cancel:
            raise RefusedError(Result.CANNOT_CANCEL, "Отмена не предусмотрена договором")
        paid = await self.port.find(receipt)
        await self.port.cancel(receipt, paid, self.contract.now_us())
        return self._told(0, "Платёж отменён")

    def _expect_form(self, fields: Fields) -> None:
        if fields.get("type", "") not in self._terms.types:
            raise _OwnRefusedError(_BAD_TYPE, "Неверный параметр type")
        pattern = self._terms.additional_pattern
        if pattern and not re.fullmatch(pattern, fields.get("additional", "")):
            raise _OwnRefusedError(_BAD_ADDITIONAL, "Неверный параметр additional")

    def _date(self, fields: Fields) -> int:
        found = _DATE.fullmatch(fields.get("date", ""))
        try:
            if found is not None:
                return self.contract.instant("".join(found.groups()[:3]), *found.groups()[3:])
        except ValueError:
            pass
        raise wrong("date", fields, Result.BAD_DATE)


def _receipt_of(fields: Fields) -> str:
    receipt = fields.get("receipt", "")
    if not is_txn_id(receipt):
        raise wrong("receipt", fields, Result.BAD_TXN_ID)
    return receipt


def _foreign() -> tuple[bytes, str]:
    result = Result.FORBIDDEN_SOURCE
    pairs = (("code", CODES[result]), ("message", TEXTS[result]))
    return document("response", elements(pairs), "windows-1251"), headers_of("windows-1251")["Content-Type"]


DIALECT = Dialect(
    "cyberplat",
    CyberplatTerms,
    CyberplatDesk,
    methods=("GET",),
    vouches=lambda terms: bool(terms.public_key),
    foreign=_foreign(),
)
