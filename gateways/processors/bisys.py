"""Bisys (Центральная касса, Ckassa): XML by POST; check, pay and status by number; signed by MD5 with a password.

The signature covers the bytes between `<params>` and `</params>` as sent. They are cut out before anything is parsed,
and only they are parsed: nothing else of the document is read, and no DOCTYPE or comment gets as far as the parser.
"""

import hashlib
import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import Literal

from lxml import etree

from engine.money import format_roubles
from engine.outcomes import Receipt
from gateways.connections import Connection
from gateways.processors.contract import amount, is_txn_id
from gateways.processors.desk import Desk, Fields, Needs, Told
from gateways.processors.dialects import Dialect, terms_of
from gateways.processors.markup import Encoding, elements, headers_of
from gateways.processors.query import require, wrong
from gateways.processors.results import TEXTS, RefusedError, Result
from gateways.processors.terms import Secret, Terms

CODES: Mapping[Result, int] = {
    Result.OK: 0,
    Result.DUPLICATE: 1,
    Result.CONFLICT: 30,
    Result.IN_PROGRESS: 2,
    Result.TEMPORARY: 90,
    Result.UNKNOWN_COMMAND: 12,
    Result.MISSING_PARAM: 11,
    Result.BAD_REQUEST: 12,
    Result.BAD_TXN_ID: 29,
    Result.BAD_ACCOUNT_FORMAT: 20,
    Result.ACCOUNT_NOT_FOUND: 20,
    Result.ACCOUNT_CLOSED: 21,
    Result.SERVICE_STOPPED: 22,
    Result.BAD_AMOUNT: 29,
    Result.AMOUNT_TOO_SMALL: 29,
    Result.AMOUNT_TOO_LARGE: 29,
    Result.BAD_DATE: 29,
    Result.BAD_SIGNATURE: 13,
    Result.FORBIDDEN_SOURCE: 10,
    Result.STATUS_NOT_FOUND: 29,
    Result.CANCELLED: 29,
    Result.CANNOT_CANCEL: 99,
}
_ACTS = {"1": "check", "2": "pay", "4": "status"}
# Possessive quantifiers: an attacker's blanks are passed over once.
_HEAD = re.compile(
    rb"(?:<\?xml\s++version=[\"']1\.[01][\"'](?:\s++encoding=[\"']([A-Za-z0-9-]{1,16})[\"'])?\s*+\?>)?+\s*+<request>\s*+"
)
_TAIL = re.compile(rb"\s*+(?:<sign>\s*+([0-9A-Fa-f]{32})?\s*+</sign>|<sign\s*+/>)?+\s*+</request>")
_ENCODINGS: Mapping[str, Encoding] = {"utf-8": "utf-8", "windows-1251": "windows-1251", "cp1251": "windows-1251"}
_FIELD_CHARS_MAX = 256
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})", re.ASCII)
_KOPECKS = re.compile(r"[0-9]{1,17}", re.ASCII)


class BisysTerms(Terms, frozen=True, kw_only=True):
    """One contract's Bisys.

    `password` ends what is signed; without one nothing is. `unit` is that of every amount. `encoding` is the reply's,
    and that of a request that names none.
    """

    password: Secret = ""
    unit: Literal["kopecks", "roubles"] = "kopecks"
    encoding: Encoding = "windows-1251"


def signature_of(params: bytes, password: str) -> str:
    """Sign the bytes between `<params>` and `</params>`."""
    return hashlib.md5(params + password.encode(), usedforsecurity=False).hexdigest().upper()


class BisysDesk(Desk):
    """One connection's Bisys."""

    def __init__(self, connection: Connection, needs: Needs) -> None:
        terms = terms_of(connection)
        assert isinstance(terms, BisysTerms), "a connection's terms are its dialect's"
        super().__init__(connection, terms, needs)
        self._terms = terms
        self._headers = headers_of(terms.encoding)
        self.commands = {"check": self._check, "pay": self._pay, "status": self._status}

    def read(self, text: str) -> Fields:
        """Cut out what is signed, verify it, and read that alone."""
        declared, params, sign = _cut(text.encode("utf-8", "surrogateescape").strip())
        encoding = _ENCODINGS.get(declared.lower() or self._terms.encoding)
        if encoding is None:
            raise RefusedError(Result.BAD_REQUEST, "Неизвестная кодировка")
        if self._terms.password:
            own = signature_of(params, self._terms.password)
            if not compare_digest(sign.upper(), own):
                raise RefusedError(Result.BAD_SIGNATURE)
        return _fields_of(params, encoding)

    def command_of(self, fields: Fields) -> str:
        """The command stands in `act`, as a number."""
        require(fields, "act")
        return _ACTS.get(fields["act"].strip(), "")

    def refused(self, fields: Fields, refusal: RefusedError) -> Told:
        """Print a refusal."""
        return self._told((("err_code", CODES[refusal.result]), ("err_text", refusal.text)))

    def _told(self, pairs: tuple[tuple[str, object], ...]) -> Told:
        return str(pairs[0][1]), _reply(pairs, self._terms.password, self._terms.encoding), self._headers

    async def _check(self, fields: Fields) -> Told:
        require(fields, "account")
        kopecks = self._amount(fields) if fields.get("pay_amount") else 0
        checked = await self.port.check(self.contract.account(fields["account"]), kopecks)
        balance = None if checked.balance_kopecks is None else self._money(checked.balance_kopecks)
        person = ", ".join(filter(None, (checked.name, checked.address))) or None
        found = (("account", checked.account), ("client_name", person), ("balance", balance))
        return self._told((("err_code", 0), ("err_text", "OK"), *found))

    async def _pay(self, fields: Fields) -> Told:
        require(fields, "account", "pay_amount", "pay_id", "pay_date")
        pay_id, kopecks, accepted_at_us = _pay_id_of(fields), self._amount(fields), self._date(fields)
        done = await self.port.pay(self.contract.payment(pay_id, fields["account"], kopecks, accepted_at_us))
        if done.replayed:
            await self.port.expect_standing(done.receipt)
        return self._paid(Result.DUPLICATE if done.replayed else Result.OK, done.receipt)

    async def _status(self, fields: Fields) -> Told:
        require(fields, "pay_id")
        dated_us = self._date(fields) if fields.get("pay_date") else None
        return self._paid(Result.OK, await self.port.status(_pay_id_of(fields), dated_us))

    def _paid(self, result: Result, paid: Receipt) -> Told:
        """A repeat is told the first number and date too."""
        date = f"{self.contract.local(paid.recorded_at_us):%Y-%m-%dT%H:%M:%S}"
        ours = (("reg_id", paid.payment_id), ("reg_date", date))
        return self._told((("err_code", CODES[result]), ("err_text", TEXTS[result]), *ours))

    def _amount(self, fields: Fields) -> int:
        text = fields["pay_amount"].strip()
        if self._terms.unit == "roubles":
            return amount(text)
        if not _KOPECKS.fullmatch(text):
            raise wrong("pay_amount", fields, Result.BAD_AMOUNT)
        return int(text)

    def _money(self, kopecks: int) -> str:
        return format_roubles(kopecks) if self._terms.unit == "roubles" else str(kopecks)

    def _date(self, fields: Fields) -> int:
        found = _DATE.fullmatch(fields["pay_date"].strip())
        try:
            if found is not None:
                return self.contract.instant("".join(found.groups()[:3]), *found.groups()[3:])
        except ValueError:
            pass
        raise wrong("pay_date", fields, Result.BAD_DATE)


def _pay_id_of(fields: Fields) -> str:
    pay_id = fields["pay_id"].strip()
    if not is_txn_id(pay_id):
        raise wrong("pay_id", fields, Result.BAD_TXN_ID)
    return pay_id


def _cut(body: bytes) -> tuple[str, bytes, str]:
    """Cut a document into its declared encoding, the bytes of its parameters and its signature."""
    before, opened, rest = body.partition(b"<params>")
    params, closed, after = rest.rpartition(b"</params>")
    head, tail = _HEAD.fullmatch(before), _TAIL.fullmatch(after)
    if not (opened and closed) or head is None or tail is None or b"<!" in params or b"<?" in params:
        raise RefusedError(Result.BAD_REQUEST)
    return (head[1] or b"").decode(), params, (tail[1] or b"").decode()


def _fields_of(params: bytes, encoding: Encoding) -> Fields:
    """Parse the parameters: flat, each once, of a modest length."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, encoding=encoding
    )
    try:
        root = etree.fromstring(b"<params>" + params + b"</params>", parser)
    except etree.XMLSyntaxError:
        raise RefusedError(Result.BAD_REQUEST) from None
    fields: Fields = {}
    for child in root:
        text = child.text or ""
        if len(child) or child.tag in fields or len(text) > _FIELD_CHARS_MAX:
            raise RefusedError(Result.BAD_REQUEST)
        fields[str(child.tag)] = text
    return fields


def _reply(pairs: tuple[tuple[str, object], ...], password: str, encoding: Encoding) -> bytes:
    """Write a reply and sign its parameters as bytes."""
    params = ("\n" + elements(pairs, "    ") + "  ").encode(encoding, "xmlcharrefreplace")
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n<response>\n  <params>'.encode()
    sign = f"</params>\n  <sign>{signature_of(params, password) if password else ''}</sign>\n</response>\n".encode()
    return head + params + sign


def _foreign() -> tuple[bytes, str]:
    result = Result.FORBIDDEN_SOURCE
    reply = _reply((("err_code", CODES[result]), ("err_text", TEXTS[result])), "", "windows-1251")
    return reply, headers_of("windows-1251")["Content-Type"]


DIALECT = Dialect(
    "bisys",
    BisysTerms,
    BisysDesk,
    methods=("POST",),
    content_types=("text/xml", "application/xml"),
    vouches=lambda terms: bool(terms.password),
    foreign=_foreign(),
)
