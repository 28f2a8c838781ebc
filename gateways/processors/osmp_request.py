"""From the fields of an OSMP request to what the port takes: only the protocol's own grammar."""

from engine.commands import AcceptPayment
from engine.ids import AccountId, Period, parse_period
from engine.money import Grammar
from gateways.processors.contract import Contract, amount, is_txn_id
from gateways.processors.desk import Fields
from gateways.processors.osmp_terms import OsmpTerms, PeriodForm
from gateways.processors.query import require, wrong
from gateways.processors.results import RefusedError, Result


def txn_id_of(fields: Fields, name: str = "txn_id") -> str:
    """Return the agent's number of an operation."""
    txn_id = fields.get(name, "")
    if not is_txn_id(txn_id):
        raise wrong(name, fields, Result.BAD_TXN_ID)
    return txn_id


class OsmpReader:
    """Reads the requests of one connection by the terms of its contract."""

    def __init__(self, contract: Contract, terms: OsmpTerms) -> None:
        self._contract = contract
        self._terms = terms
        self._grammar = Grammar.DOT_TWO_DIGITS if terms.cents_exact else Grammar.DOT

    def payment(self, fields: Fields) -> AcceptPayment:
        """Read `pay`."""
        txn_id = txn_id_of(fields)
        accepted_at_us = self.instant(fields, "txn_date")
        kopecks = self.amount(fields)
        period = self._doc_period(fields) if self._terms.doc_period_field else Period(0)
        return self._contract.payment(txn_id, self._account_text(fields), kopecks, accepted_at_us, period)

    def account(self, fields: Fields) -> AccountId:
        """Read the account."""
        return self._contract.account(self._account_text(fields))

    def _account_text(self, fields: Fields) -> str:
        require(fields, "account")
        return fields["account"]

    def amount(self, fields: Fields) -> int:
        """Read `sum`, in kopecks; the contract's limits are asked apart."""
        try:
            return amount(fields.get("sum", ""), self._grammar)
        except RefusedError as refusal:
            raise (wrong("sum", fields, refusal.result) if refusal.result is Result.BAD_AMOUNT else refusal) from None

    def instant(self, fields: Fields, name: str) -> int:
        """Read a date of the agent's clock as a UTC instant in microseconds."""
        text = fields.get(name, "")
        if len(text) != 14 or not (text.isdecimal() and text.isascii()):
            raise wrong(name, fields, Result.BAD_DATE)
        try:
            return self._contract.instant(text[:8], text[8:10], text[10:12], text[12:])
        except ValueError:
            raise wrong(name, fields, Result.BAD_DATE) from None

    def _doc_period(self, fields: Fields) -> Period:
        """Read the month from the extra field. What is not a month there is a payer's free text: no month."""
        text = fields.get(self._terms.doc_period_field, "")
        if self._terms.doc_period_form is PeriodForm.MMYYYY:
            text = text[2:] + text[:2]
        try:
            return parse_period(f"{text[:4]}-{text[4:]}")
        except ValueError:
            return Period(0)
