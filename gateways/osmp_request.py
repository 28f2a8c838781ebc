"""From the text of an OSMP request to a command: only the protocol's own grammar, nothing is guessed."""

import datetime
import re
from functools import lru_cache
from typing import NoReturn
from urllib.parse import unquote

from engine.commands import AcceptPayment, ReversePayment, fingerprint
from engine.ids import AccountId, PaymentId, Period, SourceId, TxnId, parse_period
from engine.limits import PAYMENT_KOPECKS_MAX
from engine.money import Grammar, MoneyError, MoneyFault, parse_roubles
from gateways.osmp_dialect import (
    FIELDS_MAX,
    TXN_ID_DIGITS_MAX,
    Code,
    OsmpDialect,
    PeriodForm,
)
from gateways.problems import Refused
from gateways.text_rules import account_number

Fields = dict[str, str]

_CANCEL_KEY_PREFIX = "cancel-"
_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_DAY_US = 24 * 60 * _MINUTE_US
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()


class RefusedError(Exception):
    """The request breaks the protocol's grammar: no attempt like it was ever taken, none will be."""

    def __init__(self, code: Code, comment: str = "") -> None:
        super().__init__(code, comment)
        self.code = code
        self.comment = comment


def parse_fields(text: str) -> Fields:
    """Split a query string or form body.

    Shape: one value a name. Errors: `RefusedError` for a name given twice, too many fields, or bytes that
    are not UTF-8 (in `account`: a bad account format; agents send cp1251 there).
    """
    fields: Fields = {}
    pairs = text.split("&", FIELDS_MAX)
    if len(pairs) > FIELDS_MAX:
        raise RefusedError(Code.OTHER, "Слишком много параметров")
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name in fields:
            raise RefusedError(Code.OTHER, "Параметр повторяется")
        fields[name] = _decoded(name, value) if "%" in value or "+" in value else value
    return fields


def _decoded(name: str, value: str) -> str:
    try:
        return unquote(value.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        code = Code.ACCOUNT_FORMAT if name == "account" else Code.OTHER
        raise RefusedError(code, "Параметр не в кодировке UTF-8") from None


def txn_id_of(fields: Fields, name: str = "txn_id") -> str:
    """Return the agent's number of an operation: 1 to 20 digits, kept as text."""
    txn_id = fields.get(name, "")
    if not (txn_id.isdecimal() and txn_id.isascii() and len(txn_id) <= TXN_ID_DIGITS_MAX):
        _refuse(name, fields)
    return txn_id


def _refuse(name: str, fields: Fields) -> NoReturn:
    raise RefusedError(Code.OTHER, f"{'Неверный' if fields.get(name) else 'Не указан'} параметр {name}")


class OsmpReader:
    """Reads the requests of one connection by the terms of its contract. Amount limits in kopecks."""

    def __init__(
        self, source: SourceId, dialect: OsmpDialect, *, amount_kopecks_min: int, amount_kopecks_max: int
    ) -> None:
        self._source = source
        self._dialect = dialect
        self._kopecks_min = amount_kopecks_min
        self._kopecks_max = min(amount_kopecks_max, PAYMENT_KOPECKS_MAX)
        self._offset_us = dialect.utc_offset_minutes * _MINUTE_US
        self._grammar = Grammar.DOT_TWO_DIGITS if dialect.cents_exact else Grammar.DOT
        self._account = re.compile(dialect.account_pattern)
        self._rules = [(re.compile(rule.pattern), rule.account) for rule in dialect.account_rules]

    def payment(self, fields: Fields) -> AcceptPayment:
        """Read `pay`. Rule: amount and account, as sent, decide whether a repeat is "the same"."""
        txn_id = txn_id_of(fields)
        accepted_at_us = self.instant(fields, "txn_date")
        kopecks = self.amount(fields)
        return AcceptPayment(
            source=self._source,
            txn_id=TxnId(txn_id),
            request_hash=fingerprint(fields.get("account", "").strip(), kopecks),
            account=self.account(fields),
            accepted_at_us=accepted_at_us,
            amount_kopecks=kopecks,
            channel=self._dialect.channel,
            doc_period=self._doc_period(fields) if self._dialect.doc_period_field else Period(0),
            keep_if_unknown=self._dialect.keep_if_unknown,
        )

    def reversal(self, fields: Fields, payment: PaymentId, account: AccountId) -> ReversePayment:
        """Read `cancel` of a payment that was found. Cancels are numbered apart from payments."""
        txn_id = txn_id_of(fields)
        return ReversePayment(
            source=self._source,
            txn_id=TxnId(_CANCEL_KEY_PREFIX + txn_id),
            request_hash=fingerprint("cancel", payment),
            account=account,
            accepted_at_us=self.instant(fields, "txn_date"),
            payment_id=payment,
            reason="отмена агентом",
        )

    def account(self, fields: Fields) -> AccountId:
        """Read the account: trimmed, rewritten by the first rule that matches, never treated as a number."""
        text = fields.get("account", "").strip()
        if not text:
            _refuse("account", fields)
        for pattern, account in self._rules:
            if found := pattern.fullmatch(text):
                text = found.expand(account)
                break
        try:
            return account_number(text)
        except Refused:
            raise RefusedError(Code.ACCOUNT_FORMAT) from None

    def amount(self, fields: Fields) -> int:
        """Read `sum`, in kopecks; the contract's limits are asked apart."""
        try:
            return parse_roubles(fields.get("sum", ""), self._grammar)
        except MoneyError as error:
            if error.fault is MoneyFault.TOO_LARGE:
                raise RefusedError(Code.AMOUNT_LARGE) from None
            _refuse("sum", fields)

    def against_terms(self, account: AccountId, kopecks: int) -> Code | None:
        """Hold a request against the contract: the code of the term it breaks, or None.

        Rule: terms change, so a request that breaks them today may have been taken yesterday; the ledger is
        asked before the agent hears this code for a payment.
        """
        if not self._account.fullmatch(account):
            return Code.ACCOUNT_FORMAT
        if kopecks < self._kopecks_min:
            return Code.AMOUNT_SMALL
        return Code.AMOUNT_LARGE if kopecks > self._kopecks_max else None

    def instant(self, fields: Fields, name: str) -> int:
        """Read a date of the agent's clock as a UTC instant in microseconds."""
        text = fields.get(name, "")
        if len(text) != 14 or not (text.isdecimal() and text.isascii()):
            _refuse(name, fields)
        day_us = _day_us(text[:8])
        hour, minute, second = int(text[8:10]), int(text[10:12]), int(text[12:])
        if day_us is None or hour > 23 or minute > 59 or second > 59:
            _refuse(name, fields)
        return day_us + (hour * 60 + minute) * _MINUTE_US + second * _SECOND_US - self._offset_us

    def _doc_period(self, fields: Fields) -> Period:
        """Read the month from the extra field. What is not a month there is a payer's free text: no month."""
        text = fields.get(self._dialect.doc_period_field, "")
        if self._dialect.doc_period_form is PeriodForm.MMYYYY:
            text = text[2:] + text[:2]
        try:
            return parse_period(f"{text[:4]}-{text[4:]}")
        except ValueError:
            return Period(0)


@lru_cache(maxsize=64)
def _day_us(text: str) -> int | None:
    """Midnight of YYYYMMDD in microseconds, or None for no such day. Most payments share a day."""
    try:
        return (datetime.date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal() - _EPOCH_DAY) * _DAY_US
    except ValueError:
        return None
