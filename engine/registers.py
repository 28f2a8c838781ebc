"""Registers of accepted payments: a contract's terms for them, its operating day, and how a line of one may end.

Theory of operation. An agent takes payments during its operating day, by its own clock, and tells them once more in a
file the next morning. Every line of that file ends in exactly one `LineOutcome`; nothing is credited twice, for a line
is looked for, and if need be credited, under the key that the online payment has or would have had.
"""

import datetime
import enum
import re

import msgspec

from engine.commands import fingerprint
from engine.ids import AccountId, SourceId, TxnId
from engine.policy import Commission

MINUTES_A_DAY = 24 * 60
CHANNEL = "register"
"""The channel of every payment that was credited from a register; tells it from one that came online."""

REFUND_PREFIX = "register-refund-"
"""Begins the key of a reversal that a register's refund line made."""

_DAY_US = 86_400_000_000
_MINUTE_US = 60_000_000
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - counts local time without a zone, as a register writes it.
_MICROSECOND = datetime.timedelta(microseconds=1)


class LineOutcome(enum.StrEnum):
    """How a line ended. The values are stored and public: never rename.

    `WAITING`: not decided yet. `MATCHED`: it came online too, same amount, account and day. `DATE_SHIFT`: the same,
    but of another operating day. `MISSING_ONLINE`: credited from the register. `UNKNOWN_ACCOUNT`: kept as
    unidentified receipts. `REVERSED`: a refund, its payment reversed from the register. `REFUND`: a refund that a
    person must look at. `REJECTED`: the rules refuse it; nothing was credited.
    """

    WAITING = ""
    MATCHED = "matched"
    DATE_SHIFT = "date_shift"
    AMOUNT_MISMATCH = "amount_mismatch"
    ACCOUNT_MISMATCH = "account_mismatch"
    DUPLICATE = "duplicate"
    MISSING_ONLINE = "missing_online"
    UNKNOWN_ACCOUNT = "unknown_account"
    REVERSED = "reversed"
    REFUND = "refund"
    REJECTED = "rejected"


class Rewrite(msgspec.Struct, frozen=True):
    """A full match of `pattern` becomes `text` (with groups, as `\\1`)."""

    pattern: str
    text: str


class RegisterTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a contract says of its registers.

    `profile`: how its files are written. `operations`: from the register's operation id to the online txn_id, the
    first rule that matches; none means they are the same. `accounts`: likewise from the number as sent to ours.
    `due_days`, `due_minutes`: when the register of a day must be here: so many days later, at this local minute.
    `expected_since`: from this day on a register comes for every operating day; missing it is an incident.
    `pays_online`: payments come online too; if not, all come by register alone, and that is no case. `many_days`: one
    file may cover several operating days. `reverses_refunds`: a refund line reverses its payment; else a person
    decides. `shift_days_max`: how far an online payment's day may be from its line's without a case. `payer_inn`,
    `payer_account`: whom the bank statement names when the agent transfers the money.
    """

    profile: str = "bank-12"
    operations: tuple[Rewrite, ...] = ()
    accounts: tuple[Rewrite, ...] = ()
    due_days: int = 1
    due_minutes: int = 12 * 60
    expected_since: datetime.date | None = None
    pays_online: bool = True
    many_days: bool = False
    reverses_refunds: bool = True
    shift_days_max: int = 1
    case_working_days: int = 5
    statement_working_days: int = 3
    payer_inn: str = ""
    payer_account: str = ""

    def __post_init__(self) -> None:
        """Refuse terms that cannot be followed. Errors: ValueError, when the contract is loaded."""
        try:
            for rule in (*self.operations, *self.accounts):
                re.compile(rule.pattern).sub(rule.text, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"operations or accounts: {error}") from None
        if not 0 <= self.due_minutes <= MINUTES_A_DAY:
            raise ValueError("due_minutes is a minute of a day")
        if not 0 <= self.due_days <= 31 or not 0 <= self.shift_days_max <= 31:
            raise ValueError("due_days and shift_days_max are 0 to 31")
        if not 0 <= self.case_working_days <= 250 or not 0 <= self.statement_working_days <= 250:
            raise ValueError("working days are 0 to 250")


class AccountRule(msgspec.Struct, frozen=True):
    """How a processor's door rewrites an account: a full match of `pattern` becomes `account`."""

    pattern: str
    account: str


class DoorTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What registers need of the terms of the connection's door."""

    account_rules: tuple[AccountRule, ...] = ()


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A connection as registers see it: whose payments they are, by which clock and under which terms.

    Read from the connection's settings; what only its doors need is left out.
    """

    name: str = ""
    source: SourceId
    utc_offset_minutes: int = 180
    cut_off: datetime.time = datetime.time(0)
    commission: Commission | None = None
    terms: DoorTerms = DoorTerms()
    register: RegisterTerms = RegisterTerms()

    def txn_id(self, operation: str) -> TxnId:
        """Return the online number of a register's operation."""
        return TxnId(_rewritten(operation, self.register.operations))

    def account(self, as_sent: str) -> AccountId:
        """Return our account number for the one that the register has: by its own rules, else as the door would."""
        door = tuple(Rewrite(rule.pattern, rule.account) for rule in self.terms.account_rules)
        return AccountId(_rewritten(as_sent, self.register.accounts or door))

    def instant_us(self, local: datetime.datetime) -> int:
        """Return the UTC instant, in microseconds, of the agent's local time."""
        return (local - _EPOCH) // _MICROSECOND - self.utc_offset_minutes * _MINUTE_US

    @property
    def shift_minutes(self) -> int:
        """Minutes to add to an instant so that its UTC date is its operating day.

        Rule: by the agent's clock. What is taken at the cut-off or after it is the next day's; midnight is no cut-off.
        """
        cut_off = self.cut_off.hour * 60 + self.cut_off.minute
        return self.utc_offset_minutes + (MINUTES_A_DAY - cut_off if cut_off else 0)

    def day_of(self, at_us: int) -> datetime.date:
        """Return the operating day of an instant in UTC microseconds."""
        return datetime.date.fromordinal(_EPOCH_DAY + (at_us + self.shift_minutes * _MINUTE_US) // _DAY_US)

    def span_us(self, day: datetime.date) -> tuple[int, int]:
        """Return the instants at which an operating day begins and the next one does."""
        begins = (day.toordinal() - _EPOCH_DAY) * _DAY_US - self.shift_minutes * _MINUTE_US
        return begins, begins + _DAY_US

    def local_date(self, at_us: int) -> datetime.date:
        """Return the date of an instant by the agent's clock."""
        return datetime.date.fromordinal(_EPOCH_DAY + (at_us + self.utc_offset_minutes * _MINUTE_US) // _DAY_US)

    def due_us(self, day: datetime.date) -> int:
        """Return the instant until which the register of an operating day must be here."""
        days = day.toordinal() - _EPOCH_DAY + self.register.due_days
        return days * _DAY_US + (self.register.due_minutes - self.utc_offset_minutes) * _MINUTE_US


def online_hash(account_as_sent: str, kopecks: int) -> bytes:
    """Fingerprint a line by what the processors' protocols consider identical: account as sent, and amount.

    Rule: so a late online repeat of a payment that was credited from a register is the same request, gets the
    register's receipt, and is never a second credit. Under a protocol that counts more, it is a conflict.
    """
    return fingerprint(account_as_sent.strip(), kopecks)


def _rewritten(text: str, rules: tuple[Rewrite, ...]) -> str:
    for rule in rules:
        if found := re.fullmatch(rule.pattern, text):
            return found.expand(rule.text)
    return text
