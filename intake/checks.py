"""Whether rows that could be read make sense: arithmetic to the kopeck, duplicates, dates, signs, and the past.

Every check is a plain function of a row, or of a row and what was looked up for it; none reads anything. `Checker` runs
those that need nothing but the file. What a finding does (stop the file, refuse its row, warn) is `DEFAULTS` unless the
profile says otherwise, and a check that is `off` costs nothing but its call.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median_low

from engine.charge import Kind
from engine.ids import Period
from engine.money import format_roubles
from intake.faults import Code, Finding, Severity
from intake.profile import Profile
from intake.rows import (
    AccountRow,
    ChargeRow,
    MeterRow,
    PaidElsewhereRow,
    ReadingRow,
    RegisterRow,
    Row,
)

CHECKED = (AccountRow, ChargeRow, MeterRow, ReadingRow, PaidElsewhereRow, RegisterRow)
"""Rows that `Checker` takes."""

Told = tuple[Code, str]
"""What a check has found: its code, and a text for people."""

DEFAULTS = {
    Code.ARITHMETIC: Severity.ROW,
    Code.DUE_MISMATCH: Severity.ROW,
    Code.OPENING_MISMATCH: Severity.WARNING,
    Code.DUPLICATE: Severity.ROW,
    Code.FUTURE: Severity.ROW,
    Code.NEGATIVE: Severity.WARNING,
    Code.FEE_MISMATCH: Severity.FILE,
    Code.REFUND: Severity.FILE,
    Code.ANOMALY: Severity.WARNING,
    Code.ZERO: Severity.WARNING,
    Code.ACCOUNT_UNKNOWN: Severity.ROW,
    Code.SERVICE_UNMAPPED: Severity.WARNING,
    Code.PROVIDER_INACTIVE: Severity.ROW,
    Code.ACCOUNTS_CHANGED: Severity.WARNING,
    Code.FILE_NAME: Severity.FILE,
}
"""What each finding does unless the profile says otherwise."""

KEYS_MAX = 10_000_000
"""Rows whose keys one `Duplicates` remembers (about 100 bytes each); a larger file is checked where it is staged."""

ANOMALY_TIMES = 5
"""A charge above this many times the median of its past year is worth a look."""

_FILE_NAME = re.compile(r"(?P<inn>[0-9]{10}|[0-9]{12})_(?P<account>[0-9]{20})_[0-9]{3}_[0-9]{4}(?:\.[^.]*)?", re.ASCII)
_HISTORY_MIN = 3


def severity_of(code: Code, profile: Profile) -> Severity:
    """What a finding does under a profile."""
    return profile.severities.get(code, DEFAULTS.get(code, Severity.WARNING))


def finding(row: int, told: Told, profile: Profile) -> Finding | None:
    """Weigh what a check has told; None when the profile has turned it off."""
    severity = severity_of(told[0], profile)
    if severity is Severity.OFF:
        return None
    return Finding(row=row, code=told[0], text=told[1], severity=severity)


def natural_key(row: Row) -> tuple[object, ...]:
    """What may stand in one file only once.

    Shape: of equal length and types for rows of one kind, so that a database may group by it.
    """
    match row:
        case ChargeRow():
            return (row.account, row.period, row.service, row.provider, row.contract, int(row.kind), row.document)
        case AccountRow():
            return (row.account,)
        case MeterRow():
            return (row.account, row.service, row.serial, row.zone)
        case ReadingRow():
            return (row.account, row.service, row.serial, row.zone, row.read_on, row.source)
        case PaidElsewhereRow():
            return (row.operation, row.service, row.provider, row.period)
        case RegisterRow():
            return (row.operation,)


class Duplicates:
    """Remembers the keys of one file's rows, up to a maximum. A collision of 64-bit hashes would be a false duplicate;
    at ten million rows its chance is one in 370,000, and the row it names is looked at by a person."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._seen: set[int] = set()
        self._keys_max = keys_max

    @property
    def is_full(self) -> bool:
        """Whether later rows are no longer remembered, and duplicates among them not seen."""
        return len(self._seen) >= self._keys_max

    def see(self, row: Row) -> Told | None:
        """Tell whether a row with this key has been seen."""
        key = hash(natural_key(row))
        if key in self._seen:
            return Code.DUPLICATE, "такая строка в файле уже есть"
        if not self.is_full:
            self._seen.add(key)
        return None


class Checker:
    """Runs the checks of one file that need nothing but the file."""

    def __init__(self, profile: Profile, today: datetime.date, keys_max: int = KEYS_MAX) -> None:
        self._profile = profile
        self._duplicates = Duplicates(keys_max)
        self._checks = checks_of(today)

    @property
    def duplicates_unchecked(self) -> bool:
        """Whether the file was too large to remember all of its keys."""
        return self._duplicates.is_full

    def check(self, row: Row) -> list[Finding]:
        """Return what is wrong with a row."""
        told = [self._duplicates.see(row), *(check(row) for check in self._checks[type(row)])]
        weighed = (finding(row.row, one, self._profile) for one in told if one is not None)
        return [one for one in weighed if one is not None]


Check = Callable[..., Told | None]


def checks_of(today: datetime.date) -> dict[type, tuple[Check, ...]]:
    """The checks of a row by itself, by its type."""
    this_month = Period(today.year * 100 + today.month)
    return {
        ChargeRow: (arithmetic, stated_due, lambda row: future_period(row.period, this_month), negative_due),
        AccountRow: (lambda row: future_date(row.opened_on, today),),
        MeterRow: (),
        ReadingRow: (lambda row: future_date(row.read_on, today), lambda row: _negative(row.value < 0, "показание")),
        PaidElsewhereRow: (lambda row: future_date(row.paid_on, today),),
        RegisterRow: (fee, refund, lambda row: future_date(row.operated_at.date(), today)),
    }


def arithmetic(row: ChargeRow) -> Told | None:
    """Rule: closing = opening + accrued + recalculated - benefit - paid + penalty + duty, to the kopeck (rules §3.4).

    Only when the file says opening, paid and closing.
    """
    if row.opening_kopecks is None or row.paid_kopecks is None or row.closing_kopecks is None:
        return None
    counted = row.opening_kopecks + row.due_kopecks - row.paid_kopecks + row.penalty_kopecks + row.duty_kopecks
    if counted == row.closing_kopecks:
        return None
    shown = f"по строке {format_roubles(counted)}, в файле {format_roubles(row.closing_kopecks)}"
    return Code.ARITHMETIC, f"исходящее сальдо: {shown}"


def stated_due(row: ChargeRow) -> Told | None:
    """Rule: what the file calls due = accrued + recalculated - benefit."""
    if row.stated_due_kopecks is None or row.stated_due_kopecks == row.due_kopecks:
        return None
    shown = f"по строке {format_roubles(row.due_kopecks)}, в файле {format_roubles(row.stated_due_kopecks)}"
    return Code.DUE_MISMATCH, f"к оплате: {shown}"


def negative_due(row: ChargeRow) -> Told | None:
    """A line that lowers the debt: lawful as a recalculation, worth a look."""
    return _negative(row.due_kopecks < 0, "итог строки")


def _negative(is_negative: bool, what: str) -> Told | None:
    return (Code.NEGATIVE, f"{what} отрицателен") if is_negative else None


def future_period(period: Period, this_month: Period) -> Told | None:
    """A period that has not begun."""
    return (Code.FUTURE, "период ещё не наступил") if period > this_month else None


def future_date(on: datetime.date | None, today: datetime.date) -> Told | None:
    """A date that has not come; tomorrow is allowed, for senders in zones to the east."""
    is_future = on is not None and on > today + datetime.timedelta(days=1)
    return (Code.FUTURE, "дата ещё не наступила") if is_future else None


def fee(row: RegisterRow) -> Told | None:
    """Rule: paid = transferred + fee (processors §4.1)."""
    if row.paid_kopecks == row.transferred_kopecks + row.fee_kopecks:
        return None
    return Code.FEE_MISMATCH, "принято не равно переводу с комиссией"


def refund(row: RegisterRow) -> Told | None:
    """A refund has minus and names what it undoes; a payment has neither."""
    if (row.paid_kopecks < 0) == bool(row.refund_of) and row.paid_kopecks != 0:
        return None
    return Code.REFUND, "возврат без исходной операции, платёж с минусом или нулевая сумма"


def opening(row: ChargeRow, previous_closing_kopecks: int | None) -> Told | None:
    """Opening balance = closing balance of the month before, as the same billing sent it; None: it did not."""
    if row.opening_kopecks is None or previous_closing_kopecks in (None, row.opening_kopecks):
        return None
    assert previous_closing_kopecks is not None
    shown = f"было {format_roubles(previous_closing_kopecks)}, в файле {format_roubles(row.opening_kopecks)}"
    return Code.OPENING_MISMATCH, f"входящее сальдо не равно исходящему прошлого месяца: {shown}"


def anomaly(row: ChargeRow, history_kopecks: Sequence[int], times: int = ANOMALY_TIMES) -> Told | None:
    """A charge far above its past: more than `times` the median of (up to twelve) former months.

    Rule: less than three months of history say nothing. The lower median is an amount that was really charged.
    """
    if len(history_kopecks) < _HISTORY_MIN:
        return None
    usual = median_low(history_kopecks)
    if usual <= 0 or row.due_kopecks <= usual * times:
        return None
    return Code.ANOMALY, f"начислено {format_roubles(row.due_kopecks)}, обычно {format_roubles(usual)}"


def zero(row: ChargeRow, is_active: bool) -> Told | None:
    """Nothing charged for a service that the account has."""
    is_zero = is_active and row.kind is Kind.CHARGE and row.due_kopecks == 0
    return (Code.ZERO, "нулевое начисление по действующей услуге") if is_zero else None


def references(account_is_known: bool, service_is_mapped: bool, provider_is_active: bool) -> Iterator[Told]:
    """What a row refers to must be there."""
    if not account_is_known:
        yield Code.ACCOUNT_UNKNOWN, "лицевой счёт не известен"
    if not service_is_mapped:
        yield Code.SERVICE_UNMAPPED, "код услуги не сопоставлен: строка ждёт подтверждения"
    if not provider_is_active:
        yield Code.PROVIDER_INACTIVE, "поставщик не действует в этом периоде"


def accounts_changed(now: int, before: int, percent_max: int) -> Told | None:
    """The number of accounts of a billing has changed by more than it may from one month to the next."""
    if before == 0 or abs(now - before) * 100 <= before * percent_max:
        return None
    return Code.ACCOUNTS_CHANGED, f"лицевых счетов {now}, а было {before}: больше {percent_max} % разницы"


def file_name(name: str, inns: Iterable[str], accounts: Iterable[str]) -> Told | None:
    """A register named `ИНН_РС_НОМЕР_ММГГ.txt` must name an ИНН and an account of ours; other names say nothing."""
    found = _FILE_NAME.fullmatch(name)
    if found is None or (found["inn"] in set(inns) and found["account"] in set(accounts)):
        return None
    return Code.FILE_NAME, "ИНН или счёт в имени файла не наши"
