"""A connection's contract made ready: what all protocols say (account, amount, date), read and held against it."""

import datetime
import re
from functools import lru_cache
from time import time_ns

from engine.commands import AcceptPayment, ReversePayment, fingerprint
from engine.ids import AccountId, Period, TxnId
from engine.limits import PAYMENT_KOPECKS_MAX
from engine.money import Grammar, MoneyError, MoneyFault, parse_roubles
from engine.outcomes import Receipt
from gateways.connections import Connection
from gateways.problems import Refused
from gateways.processors.results import RefusedError, Result
from gateways.processors.terms import Terms
from gateways.text_rules import account_number

TXN_ID_DIGITS_MAX = 20
_CANCEL_KEY_PREFIX = "cancel-"
_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_DAY_US = 24 * 60 * _MINUTE_US
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()


class Contract:
    """Reads what the requests of one connection say, by its terms. Amounts in kopecks, instants in UTC microseconds."""

    def __init__(self, connection: Connection, terms: Terms) -> None:
        self.connection = connection
        self._source = connection.source
        self._channel = terms.channel
        self._commission = connection.commission
        self._keeps = connection.keep_if_unknown
        self._kopecks_min = connection.amount_kopecks_min
        self._kopecks_max = min(connection.amount_kopecks_max, PAYMENT_KOPECKS_MAX)
        self._offset_us = connection.utc_offset_minutes * _MINUTE_US
        self._account = re.compile(terms.account_pattern)
        self._rules = [(re.compile(rule.pattern), rule.account) for rule in terms.account_rules]

    def payment(
        self, txn_id: str, account: str, kopecks: int, accepted_at_us: int, doc_period: Period = Period(0)
    ) -> AcceptPayment:
        """Make the command of a payment. Rule: amount and account, as sent, decide whether a repeat is "the same"."""
        return AcceptPayment(
            source=self._source,
            txn_id=TxnId(txn_id),
            request_hash=fingerprint(account.strip(), kopecks),
            account=self.account(account),
            accepted_at_us=accepted_at_us,
            amount_kopecks=kopecks,
            channel=self._channel,
            doc_period=doc_period,
            keep_if_unknown=self._keeps,
            commission=self._commission,
        )

    def reversal(self, txn_id: str, paid: Receipt, accepted_at_us: int) -> ReversePayment:
        """Make the command that undoes a payment. Cancels are numbered apart from payments."""
        return ReversePayment(
            source=self._source,
            txn_id=TxnId(_CANCEL_KEY_PREFIX + txn_id),
            request_hash=fingerprint("cancel", paid.payment_id),
            account=paid.account,
            accepted_at_us=accepted_at_us,
            payment_id=paid.payment_id,
            reason="отмена агентом",
        )

    def account(self, text: str) -> AccountId:
        """Read an account: trimmed, rewritten by the first rule that matches, never treated as a number."""
        text = text.strip()
        for pattern, account in self._rules:
            if found := pattern.fullmatch(text):
                text = found.expand(account)
                break
        try:
            return account_number(text)
        except Refused:
            raise RefusedError(Result.BAD_ACCOUNT_FORMAT) from None

    def against(self, account: AccountId, kopecks: int) -> Result | None:
        """Hold a request against the contract: how it breaks its terms, or None.

        Rule: terms change, so a request that breaks them today may have been taken yesterday; the ledger is
        asked before the agent hears this of a payment.
        """
        if not self._account.fullmatch(account):
            return Result.BAD_ACCOUNT_FORMAT
        if kopecks < self._kopecks_min:
            return Result.AMOUNT_TOO_SMALL
        return Result.AMOUNT_TOO_LARGE if kopecks > self._kopecks_max else None

    def against_check(self, account: AccountId, kopecks: int) -> Result | None:
        """The same for a check. Rule: agents that name no amount at the check send nothing, or zero."""
        return self.against(account, kopecks or self._kopecks_min)

    def now_us(self) -> int:
        """The moment of a request that names none."""
        return now_us()

    def instant(self, day: str, hour: str, minute: str, second: str) -> int:
        """Turn a date of the connection's clock (YYYYMMDD, all digits) into an instant. Errors: ValueError."""
        if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
            raise ValueError("no such time of day")
        seconds = (int(hour) * 60 + int(minute)) * 60 + int(second)
        return _day_us(day) + seconds * _SECOND_US - self._offset_us

    def local(self, at_us: int) -> datetime.datetime:
        """Show an instant by the connection's clock, in whole seconds."""
        return _EPOCH + datetime.timedelta(seconds=(at_us + self._offset_us) // _SECOND_US)


def now_us() -> int:
    """Now, as a UTC instant in microseconds."""
    return time_ns() // 1000


_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - a processor's dates name no zone.


@lru_cache(maxsize=64)
def _day_us(text: str) -> int:
    """Midnight of YYYYMMDD in microseconds. Most payments share a day."""
    return (datetime.date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal() - _EPOCH_DAY) * _DAY_US


def is_txn_id(text: str) -> bool:
    """Tell whether a text is an agent's number of an operation: 1 to 20 digits, kept as text."""
    return text.isdecimal() and text.isascii() and len(text) <= TXN_ID_DIGITS_MAX


def amount(text: str, grammar: Grammar = Grammar.DOT) -> int:
    """Read roubles, in kopecks; the contract's limits are asked apart."""
    try:
        return parse_roubles(text, grammar)
    except MoneyError as error:
        too_large = error.fault is MoneyFault.TOO_LARGE
        raise RefusedError(Result.AMOUNT_TOO_LARGE if too_large else Result.BAD_AMOUNT) from None
