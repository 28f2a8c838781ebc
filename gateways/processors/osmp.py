"""OSMP (QIWI provider protocol) and its relatives: `check`, `pay`, and by contract `cancel` and `status`."""

from engine.money import format_roubles
from engine.outcomes import Receipt
from gateways.connections import Connection
from gateways.processors.contract import is_txn_id
from gateways.processors.desk import Desk, Fields, Needs, Told
from gateways.processors.dialects import Dialect, terms_of
from gateways.processors.osmp_request import OsmpReader, txn_id_of
from gateways.processors.osmp_terms import CODES, OsmpTerms, read_osmp_terms
from gateways.processors.osmp_xml import OsmpXml
from gateways.processors.query import parse_fields
from gateways.processors.results import RefusedError, Result

_XML = {"Content-Type": "text/xml; charset=utf-8"}


class OsmpDesk(Desk):
    """One connection's OSMP."""

    def __init__(self, connection: Connection, needs: Needs) -> None:
        terms = terms_of(connection)
        assert isinstance(terms, OsmpTerms), "a connection's terms are its dialect's"
        super().__init__(connection, terms, needs)
        self._terms = terms
        self._xml = OsmpXml(terms)
        self._reader = OsmpReader(self.contract, terms)
        self.commands = {"check": self._check, "pay": self._pay, "cancel": self._cancel, "status": self._status}

    def read(self, text: str) -> Fields:
        """Read a query or a form."""
        return parse_fields(text, "account")

    def command_of(self, fields: Fields) -> str:
        """The command stands in `command`."""
        return fields.get("command", "")

    def refused(self, fields: Fields, refusal: RefusedError) -> Told:
        """Print a refusal. An agent's number that is none is not echoed."""
        txn_id = fields.get("txn_id", "")
        code = CODES[refusal.result]
        return str(int(code)), self._xml.refused(txn_id if is_txn_id(txn_id) else "", code, refusal.text), _XML

    def _done(self, fields: Fields, receipt: Receipt, amount_kopecks: int) -> Told:
        return "0", self._xml.done(fields["txn_id"], receipt.payment_id, amount_kopecks), _XML

    async def _pay(self, fields: Fields) -> Told:
        receipt = (await self.port.pay(self._reader.payment(fields))).receipt
        return self._done(fields, receipt, receipt.amount_kopecks)

    async def _check(self, fields: Fields) -> Told:
        """A check's number means nothing."""
        txn_id = txn_id_of(fields) if self._terms.check_txn_id or fields.get("txn_id") else ""
        account = self._reader.account(fields)
        checked = await self.port.check(account, self._reader.amount(fields) if fields.get("sum") else 0)
        debt = None if checked.balance_kopecks is None else format_roubles(checked.balance_kopecks)
        found = (("FIO", checked.name), ("address", checked.address), ("debt", debt))
        return "0", self._xml.checked(txn_id, [(name, text) for name, text in found if text is not None]), _XML

    async def _cancel(self, fields: Fields) -> Told:
        """Undo a payment in full, if the contract allows it."""
        if not self._terms.cancel:
            raise RefusedError(Result.SERVICE_STOPPED, "Отмена не предусмотрена договором")
        txn_id = txn_id_of(fields)
        dated_us = self._dated(fields, "cancel_txn_date")
        paid = await self.port.find(txn_id_of(fields, "cancel_txn_id"), dated_us)
        if fields.get("account") and self._reader.account(fields) != paid.account:
            raise RefusedError(Result.BAD_REQUEST, "Платёж принят на другой счёт")
        if fields.get("sum") and self._reader.amount(fields) != paid.amount_kopecks:
            raise RefusedError(Result.BAD_REQUEST, "Платёж принят на другую сумму")
        undone = await self.port.cancel(txn_id, paid, self._reader.instant(fields, "txn_date"))
        return self._done(fields, undone, -undone.amount_kopecks)

    async def _status(self, fields: Fields) -> Told:
        """Tell what became of a payment, if the contract allows to ask."""
        if not self._terms.status:
            raise RefusedError(Result.SERVICE_STOPPED, "Запрос статуса не предусмотрен договором")
        paid = await self.port.status(txn_id_of(fields), self._dated(fields, "txn_date"))
        return self._done(fields, paid, paid.amount_kopecks)

    def _dated(self, fields: Fields, name: str) -> int | None:
        return self._reader.instant(fields, name) if fields.get(name) else None


DIALECT = Dialect("osmp", OsmpTerms, OsmpDesk, read=read_osmp_terms)
