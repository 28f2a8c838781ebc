"""Sberbank's protocol "1" (ACTION, ACCOUNT): check and payment. A repeat has a code of its own, and is a success."""

import re
from collections.abc import Mapping
from typing import Literal

from engine.money import format_roubles
from engine.outcomes import Receipt
from gateways.connections import Connection
from gateways.processors.contract import amount, is_txn_id
from gateways.processors.desk import Desk, Fields, Needs, Told
from gateways.processors.dialects import Dialect, terms_of
from gateways.processors.markup import Encoding, document, elements, headers_of
from gateways.processors.query import parse_fields, require, wrong
from gateways.processors.results import TEXTS, RefusedError, Result
from gateways.processors.terms import Terms

CODES: Mapping[Result, int] = {
    Result.OK: 0,
    Result.DUPLICATE: 8,
    Result.CONFLICT: 5,
    Result.IN_PROGRESS: -1,
    Result.TEMPORARY: -1,
    Result.UNKNOWN_COMMAND: 2,
    Result.MISSING_PARAM: 2,
    Result.BAD_REQUEST: 2,
    Result.BAD_TXN_ID: 5,
    Result.BAD_ACCOUNT_FORMAT: 3,
    Result.ACCOUNT_NOT_FOUND: 3,
    Result.ACCOUNT_CLOSED: 3,
    Result.SERVICE_STOPPED: 3,
    Result.BAD_AMOUNT: 4,
    Result.AMOUNT_TOO_SMALL: 4,
    Result.AMOUNT_TOO_LARGE: 4,
    Result.BAD_DATE: 6,
    Result.BAD_SIGNATURE: 2,
    Result.FORBIDDEN_SOURCE: 2,
    Result.STATUS_NOT_FOUND: 5,
    Result.CANCELLED: 5,
    Result.CANNOT_CANCEL: 5,
}
_DATE = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})_([0-9]{2}):([0-9]{2}):([0-9]{2})", re.ASCII)


class SberTerms(Terms, frozen=True, kw_only=True):
    """One contract's protocol "1".

    `duplicate_reply`: the code of a repeat. `debt_is_negative`: the sign by which the balance is told.
    `balance_element`: its name. `tells_amount`: a payment's reply has its amount.
    """

    encoding: Encoding = "utf-8"
    duplicate_reply: Literal[8, 0] = 8
    temporary_code: Literal[-1, 1] = -1
    debt_is_negative: bool = False
    balance_element: str = "ACCOUNT_BALANCE"
    tells_amount: bool = False
    channel: str = "bank"

    def __post_init__(self) -> None:
        """Refuse a name that is none. Errors: ValueError, when the connection is loaded."""
        super().__post_init__()
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", self.balance_element):
            raise ValueError("balance_element must be a name in XML")


class SberDesk(Desk):
    """One connection's protocol "1"."""

    def __init__(self, connection: Connection, needs: Needs) -> None:
        terms = terms_of(connection)
        assert isinstance(terms, SberTerms), "a connection's terms are its dialect's"
        super().__init__(connection, terms, needs)
        self._terms = terms
        self._headers = headers_of(terms.encoding)
        self.commands = {"check": self._check, "payment": self._payment}

    def read(self, text: str) -> Fields:
        """Read a query or a form."""
        return parse_fields(text, "ACCOUNT", self._terms.encoding)

    def command_of(self, fields: Fields) -> str:
        """The command stands in `ACTION`."""
        return fields.get("ACTION", "")

    def refused(self, fields: Fields, refusal: RefusedError) -> Told:
        """Print a refusal."""
        code = CODES[refusal.result]
        code = self._terms.temporary_code if code == CODES[Result.TEMPORARY] else code
        return self._told((("CODE", code), ("MESSAGE", refusal.text)))

    def _told(self, pairs: tuple[tuple[str, object], ...]) -> Told:
        return str(pairs[0][1]), document("response", elements(pairs), self._terms.encoding), self._headers

    async def _check(self, fields: Fields) -> Told:
        require(fields, "ACCOUNT")
        kopecks = self._amount(fields) if fields.get("AMOUNT") else 0
        checked = await self.port.check(self.contract.account(fields["ACCOUNT"]), kopecks)
        balance = checked.balance_kopecks
        if balance is not None:
            balance = -balance if self._terms.debt_is_negative else balance
        shown = None if balance is None else format_roubles(balance)
        found = (("FIO", checked.name), ("ADDRESS", checked.address), (self._terms.balance_element, shown))
        return self._told((("CODE", 0), ("MESSAGE", "OK"), *found))

    async def _payment(self, fields: Fields) -> Told:
        require(fields, "ACCOUNT")
        kopecks = self._amount(fields)
        pay_id = fields.get("PAY_ID", "")
        if not is_txn_id(pay_id):
            raise wrong("PAY_ID", fields, Result.BAD_TXN_ID)
        command = self.contract.payment(pay_id, fields["ACCOUNT"], kopecks, self._date(fields))
        done = await self.port.pay(command)
        code = self._terms.duplicate_reply if done.replayed else 0
        return self._paid(code, TEXTS[Result.DUPLICATE if code else Result.OK], done.receipt)

    def _paid(self, code: int, message: str, paid: Receipt) -> Told:
        """A repeat is told the first number and date too."""
        date = f"{self.contract.local(paid.recorded_at_us):%d.%m.%Y_%H:%M:%S}"
        told = format_roubles(paid.amount_kopecks) if self._terms.tells_amount else None
        ours = (("REG_ID", paid.payment_id), ("REG_DATE", date), ("AMOUNT", told))
        return self._told((("CODE", code), ("MESSAGE", message), *ours))

    def _amount(self, fields: Fields) -> int:
        """A point may end the amount."""
        return amount(fields.get("AMOUNT", "").removesuffix("."))

    def _date(self, fields: Fields) -> int:
        found = _DATE.fullmatch(fields.get("PAY_DATE", ""))
        try:
            if found is not None:
                day, month, year, *time = found.groups()
                return self.contract.instant(f"{year}{month}{day}", *time)
        except ValueError:
            pass
        raise wrong("PAY_DATE", fields, Result.BAD_DATE)


DIALECT = Dialect("sber", SberTerms, SberDesk)
