"""MONETA.Assistant (Монета.ру, PayAnyWay): the check and the pay notification, signed by MD5 with a shared code.

When the notification comes the money has been taken: for an account that nobody knows it is kept as an unidentified
receipt, and the contract's limits bound the check only. Whatever is not SUCCESS is notified again for about a day, and
then MONETA ends the operation without us: registers bring those.
"""

import hashlib
import logging
from collections.abc import Mapping
from hmac import compare_digest
from typing import Literal

from engine.ids import AccountId
from engine.money import Grammar, format_roubles
from gateways.connections import Connection
from gateways.processors.contract import amount, is_txn_id
from gateways.processors.desk import Desk, Fields, Needs, Told
from gateways.processors.dialects import Dialect, terms_of
from gateways.processors.markup import document, elements, headers_of
from gateways.processors.port import Checked, sentence_of
from gateways.processors.query import parse_fields, require, wrong
from gateways.processors.results import RETRYABLE, RefusedError, Result
from gateways.processors.terms import Secret, Terms

_SUCCESS, _FAIL = "SUCCESS", "FAIL"
_QUOTED, _PAID, _UNCERTAIN, _READY, _NO = 100, 200, 302, 402, 500
_SIGNED = (
    "MNT_ID",
    "MNT_TRANSACTION_ID",
    "MNT_OPERATION_ID",
    "MNT_AMOUNT",
    "MNT_CURRENCY_CODE",
    "MNT_SUBSCRIBER_ID",
    "MNT_TEST_MODE",
)
_TRANSACTION_CHARS_MAX = 255
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_XML = headers_of("utf-8")
_log = logging.getLogger("kopeck.processors")


class MonetaTerms(Terms, frozen=True, kw_only=True):
    """One contract's MONETA.Assistant.

    `code` is the data integrity code, `mnt_id` our number there (any, if empty). `account_field` carries the personal
    account. `pay_reply`: the notification is answered by a word, or by XML. `currency`: the only one that is taken.
    """

    code: Secret
    mnt_id: str = ""
    account_field: Literal["MNT_SUBSCRIBER_ID", "MNT_TRANSACTION_ID"] = "MNT_SUBSCRIBER_ID"
    pay_reply: Literal["text", "xml"] = "text"
    currency: str = "RUB"
    channel: str = "web"

    def __post_init__(self) -> None:
        """Refuse an empty code: anybody could sign. Errors: ValueError, when the connection is loaded."""
        super().__post_init__()
        if not self.code:
            raise ValueError("code must not be empty")


def signature_of(fields: Mapping[str, str], code: str, test_mode: str | None = None) -> str:
    """Sign a request; of a check its command comes first. `test_mode` stands for a missing one."""
    values = [fields.get(name, "") for name in _SIGNED[:-1]]
    mode = fields.get("MNT_TEST_MODE", "") if test_mode is None else test_mode
    return _md5(fields.get("MNT_COMMAND", ""), *values, mode, code)


def reply_signature_of(result_code: int, fields: Mapping[str, str], code: str) -> str:
    """Sign an XML reply."""
    return _md5(str(result_code), fields.get("MNT_ID", ""), fields.get("MNT_TRANSACTION_ID", ""), code)


def _md5(*parts: str) -> str:
    text = "".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


class MonetaDesk(Desk):
    """One connection's MONETA.Assistant."""

    def __init__(self, connection: Connection, needs: Needs) -> None:
        terms = terms_of(connection)
        assert isinstance(terms, MonetaTerms), "a connection's terms are its dialect's"
        super().__init__(connection, terms, needs)
        self._terms = terms
        self.commands = {"check": self._check, "pay": self._pay}

    def read(self, text: str) -> Fields:
        """Read a query or a form."""
        return parse_fields(text, self._terms.account_field)

    def command_of(self, fields: Fields) -> str:
        """A notification names no command."""
        return {"CHECK": "check", "": "pay"}.get(fields.get("MNT_COMMAND", ""), "")

    def refused(self, fields: Fields, refusal: RefusedError) -> Told:
        """Print a refusal."""
        code = _UNCERTAIN if refusal.result in RETRYABLE else _NO
        if "MNT_COMMAND" in fields:
            return self._xml(fields, code, refusal.text)
        return self._notified(fields, code, refusal.text)

    def _notified(self, fields: Fields, code: int, text: str) -> Told:
        """Answer a notification as the contract says."""
        if self._terms.pay_reply == "xml":
            return self._xml(fields, code, text)
        word = _SUCCESS if code == _PAID else _FAIL
        return word, word.encode(), _TEXT

    def _xml(
        self, fields: Fields, code: int, text: str, quoted: str | None = None, checked: Checked | None = None
    ) -> Told:
        """Print the reply in XML. An order's number that is none is not echoed."""
        order = _order_of(fields)
        pairs = (
            ("MNT_ID", order["MNT_ID"]),
            ("MNT_TRANSACTION_ID", order["MNT_TRANSACTION_ID"]),
            ("MNT_RESULT_CODE", code),
            ("MNT_DESCRIPTION", text),
            ("MNT_AMOUNT", quoted),
            ("MNT_SIGNATURE", reply_signature_of(code, order, self._terms.code)),
        )
        content = elements(pairs) + (_attributes(checked) if checked is not None else "")
        return str(code), document("MNT_RESPONSE", content, "utf-8"), _XML

    async def _check(self, fields: Fields) -> Told:
        """Where no amount is named we name it: the debt, if there is one and it may be shown."""
        self._expect_genuine(fields)
        named = fields.get("MNT_AMOUNT")
        checked = await self.port.check(self._account_of(fields), self._amount(fields) if named else 0)
        debt = checked.balance_kopecks or 0
        if named or debt <= 0:
            return self._xml(fields, _READY, sentence_of(checked), None, checked)
        return self._xml(fields, _QUOTED, sentence_of(checked), format_roubles(debt), checked)

    def _account_of(self, fields: Fields) -> AccountId:
        require(fields, self._terms.account_field)
        return self.contract.account(fields[self._terms.account_field])

    async def _pay(self, fields: Fields) -> Told:
        """Take a notification. Rule: one in test mode is answered and never credited."""
        is_test = self._expect_genuine(fields)
        operation = fields.get("MNT_OPERATION_ID", "")
        if not is_txn_id(operation):
            raise wrong("MNT_OPERATION_ID", fields, Result.BAD_TXN_ID)
        require(fields, self._terms.account_field)
        account = fields[self._terms.account_field]
        command = self.contract.payment(operation, account, self._amount(fields), self.contract.now_us())
        if is_test:
            _log.info("connection=%s txn_id=%s is a test: not credited", self.connection.name, operation)
        else:
            await self.port.keep(command)
        return self._notified(fields, _PAID, "Платёж принят")

    def _expect_genuine(self, fields: Fields) -> bool:
        """Refuse what is not theirs or not for us; tell whether it is a test."""
        given = fields.get("MNT_SIGNATURE", "").lower().encode("utf-8", "surrogateescape")
        if not any(compare_digest(given, signed.encode()) for signed in self._signatures(fields)):
            raise RefusedError(Result.BAD_SIGNATURE)
        if self._terms.mnt_id and fields.get("MNT_ID") != self._terms.mnt_id:
            raise wrong("MNT_ID", fields, Result.BAD_REQUEST)
        if fields.get("MNT_CURRENCY_CODE", self._terms.currency) != self._terms.currency:
            raise wrong("MNT_CURRENCY_CODE", fields, Result.BAD_REQUEST)
        if _order_of(fields)["MNT_TRANSACTION_ID"] == "":
            raise wrong("MNT_TRANSACTION_ID", fields, Result.BAD_REQUEST)
        mode = fields.get("MNT_TEST_MODE") or "0"
        if mode not in ("0", "1"):
            raise wrong("MNT_TEST_MODE", fields, Result.BAD_REQUEST)
        return mode == "1"

    def _signatures(self, fields: Fields) -> list[str]:
        """Some senders sign a missing test mode as empty, some as zero."""
        missing = ("", "0") if not fields.get("MNT_TEST_MODE") else (None,)
        return [signature_of(fields, self._terms.code, mode) for mode in missing]

    def _amount(self, fields: Fields) -> int:
        return amount(fields.get("MNT_AMOUNT", ""), Grammar.DOT_TWO_DIGITS)


def _order_of(fields: Fields) -> Fields:
    """What of an order is echoed: printable, of a modest length."""
    order = {name: fields.get(name, "") for name in ("MNT_ID", "MNT_TRANSACTION_ID")}
    return {
        name: text if text.isprintable() and len(text) <= _TRANSACTION_CHARS_MAX else "" for name, text in order.items()
    }


def _attributes(checked: Checked) -> str:
    """What the payer may see, as pairs."""
    found = [(key, text) for key, text in (("NAME", checked.name), ("ADDRESS", checked.address)) if text is not None]
    pairs = [
        f"    <ATTRIBUTE>\n{elements((('KEY', key), ('VALUE', text)), '      ')}    </ATTRIBUTE>\n"
        for key, text in found
    ]
    return f"  <MNT_ATTRIBUTES>\n{''.join(pairs)}  </MNT_ATTRIBUTES>\n" if pairs else ""


DIALECT = Dialect("moneta", MonetaTerms, MonetaDesk, vouches=lambda terms: True)
