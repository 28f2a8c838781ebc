"""What a file says, row by row, whatever its format: the records that every reader makes and every check takes.

Units: kopecks; local calendar dates; quantities and tariffs are exact decimals. `row` is the place in the file (line,
record or element), counted from 1 as a person would count it. Text is as sent but for blanks around it; codes of
services and providers are the sender's own until a mapping says what they mean (`storage/mapping.py`).

Rows are made by the million: they are arrays to msgspec, so that one is made from its values four times as fast as by
keywords, and checked against its types in passing. Fields are therefore added at the end only.
"""

import datetime
from decimal import Decimal

import msgspec

from engine.charge import Kind
from engine.ids import AccountId, Period
from intake.faults import Code, Finding


class AccountRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One personal account as its billing knows it. `areas`: hundredths of a square metre."""

    row: int
    account: AccountId
    unified_account: str = ""
    service_id: str = ""
    holder: str = ""
    address: str = ""
    house_guid: str = ""
    flat: str = ""
    area_dm2: int = 0
    living_area_dm2: int = 0
    registered: int = 0
    living: int = 0
    ownership: str = ""
    is_closed: bool = False
    opened_on: datetime.date | None = None
    closed_on: datetime.date | None = None
    phone: str = ""
    email: str = ""
    has_consent: bool = False
    provider: str = ""
    contract: str = ""


class ChargeRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One line of a bill: an account, a period, a service of a provider.

    Rule: what is owed for the period, `due_kopecks`, is accrued + recalculated - benefit (rules §3.4); the opening and
    closing balances, and `stated_due_kopecks`, are what the billing believes: checked and not posted. None: the file
    does not say.
    """

    row: int
    account: AccountId
    period: Period
    service: str
    provider: str
    contract: str = ""
    kind: Kind = Kind.CHARGE
    tariff: Decimal | None = None
    norm: Decimal | None = None
    volume: Decimal | None = None
    unit: str = ""
    opening_kopecks: int | None = None
    accrued_kopecks: int = 0
    recalculated_kopecks: int = 0
    benefit_kopecks: int = 0
    penalty_kopecks: int = 0
    duty_kopecks: int = 0
    paid_kopecks: int | None = None
    closing_kopecks: int | None = None
    document: str = ""
    document_on: datetime.date | None = None
    due_on: datetime.date | None = None
    unified_account: str = ""
    stated_due_kopecks: int | None = None

    @property
    def due_kopecks(self) -> int:
        """What this line adds to the debt of its period."""
        return self.accrued_kopecks + self.recalculated_kopecks - self.benefit_kopecks


class MeterRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A meter of an account. `zone` is 1 for a meter of one tariff."""

    row: int
    account: AccountId
    service: str
    serial: str
    zone: int = 1
    digits: int = 0
    factor: Decimal = Decimal(1)
    verified_on: datetime.date | None = None
    verify_next_on: datetime.date | None = None
    initial: Decimal | None = None
    is_removed: bool = False


class ReadingRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What a meter showed on a day, and who read it (`source`: payer, inspector, calculated, as the file says)."""

    row: int
    account: AccountId
    service: str
    serial: str
    value: Decimal
    read_on: datetime.date
    zone: int = 1
    source: str = ""


class PaidElsewhereRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A payment that the billing took by itself, told so that balances stay true."""

    row: int
    account: AccountId
    operation: str
    paid_on: datetime.date
    amount_kopecks: int
    agent: str = ""
    service: str = ""
    provider: str = ""
    period: Period = Period(0)


class RegisterRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One payment of an agent's register.

    `operated_at` is the agent's local time without a zone: the contract says which. Rule: the debt shrinks by
    `paid_kopecks`; the bank brings `transferred_kopecks`, the difference is its fee (processors §4.1). A refund has
    minus and names the operation that it undoes.
    """

    row: int
    operation: str
    account: AccountId
    operated_at: datetime.datetime
    paid_kopecks: int
    transferred_kopecks: int
    fee_kopecks: int
    point: str = ""
    terminal: str = ""
    payer: str = ""
    address: str = ""
    period: Period = Period(0)
    refund_of: str = ""


class RegisterTotals(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What a file's trailer says of it, and the payment order that brought the money. None: it does not say.

    `due_kopecks` is of charges, `amount_kopecks` of payments taken elsewhere; the other amounts are of registers.
    """

    count: int | None = None
    paid_kopecks: int | None = None
    transferred_kopecks: int | None = None
    fee_kopecks: int | None = None
    order_number: str = ""
    order_on: datetime.date | None = None
    row: int = 0
    due_kopecks: int | None = None
    amount_kopecks: int | None = None


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One movement on our bank account, from a statement. `amount_kopecks` > 0 came in, < 0 went out."""

    row: int
    number: str
    dated_on: datetime.date
    booked_on: datetime.date
    amount_kopecks: int
    our_account: str
    other_account: str = ""
    other_name: str = ""
    other_inn: str = ""
    purpose: str = ""


class RowFault(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A row that could not be understood: its place, the field (of the row's record), the code, and a text for
    people."""

    row: int
    field: str
    code: Code
    text: str


class Skipped(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Records that the file itself says are no longer there (deleted records of a DBF)."""

    count: int


Row = AccountRow | ChargeRow | MeterRow | ReadingRow | PaidElsewhereRow | RegisterRow


class StatementTotals(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What a statement says of one of our accounts over its days: opening + received - written off = closing."""

    row: int
    account: str
    from_on: datetime.date
    to_on: datetime.date
    opening_kopecks: int
    received_kopecks: int
    written_off_kopecks: int
    closing_kopecks: int


Item = Row | RowFault | RegisterTotals | StatementEntry | StatementTotals | Skipped | Finding
