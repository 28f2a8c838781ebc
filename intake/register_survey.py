"""Looking through a whole register before anything of it counts: every line, and what its trailer says of all of them.

A register is taken whole or refused whole: an agent sends money for the sum, so a file of which a part is wrong says
nothing that can be relied on. All faults are collected, with line numbers, so that the sender can mend them at once.
"""

import datetime
from collections import Counter
from collections.abc import Iterable

import msgspec

from engine import limits
from engine.money import format_roubles
from engine.registers import Contract
from intake.faults import FileRefused, Finding, Severity
from intake.rows import Item, RegisterRow, RegisterTotals, RowFault, Skipped

FAULTS_SHOWN_MAX = 50


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, and in which line; 0 is the file itself. The text is Russian, for the sender."""

    row: int
    text: str


class Survey(msgspec.Struct, kw_only=True):
    """What a register says, or what is wrong with it. Units: kopecks.

    Shape: `days` counts lines by operating day; `faults` has the first ones, `faults_total` counts all.
    """

    lines: int = 0
    paid_kopecks: int = 0
    transferred_kopecks: int = 0
    fee_kopecks: int = 0
    days: Counter[datetime.date] = msgspec.field(default_factory=Counter)
    totals: RegisterTotals | None = None
    faults: list[Fault] = []
    faults_total: int = 0

    def add_fault(self, row: int, text: str) -> None:
        """Note a fault."""
        self.faults_total += 1
        if len(self.faults) < FAULTS_SHOWN_MAX:
            self.faults.append(Fault(row, text))

    def day(self) -> datetime.date | None:
        """Return the operating day of most lines (of equals the later one), or None for an empty register."""
        return max(self.days, key=lambda day: (self.days[day], day), default=None)

    def problem(self) -> str:
        """Say what is wrong, a line a fault; empty when nothing is."""
        told = [f"строка {fault.row}: {fault.text}" if fault.row else fault.text for fault in self.faults]
        if self.faults_total > len(self.faults):
            told.append(f"и ещё ошибок: {self.faults_total - len(self.faults)}")
        return "\n".join(told)


def survey(items: Iterable[Item], contract: Contract) -> Survey:
    """Look through a register's items, whatever is wrong with them."""
    found = Survey()
    try:
        for item in items:
            _look(found, item, contract)
    except FileRefused as refused:
        found.add_fault(refused.row, refused.text)
    if found.totals is not None and not found.faults_total:
        _compare(found, found.totals)
    return found


def _look(found: Survey, item: Item, contract: Contract) -> None:
    if isinstance(item, RegisterRow):
        _count(found, item, contract)
        for text in row_faults(item, contract):
            found.add_fault(item.row, text)
    elif isinstance(item, RegisterTotals):
        if found.totals is not None:
            found.add_fault(item.row, "вторая итоговая строка")
        found.totals = item
    elif isinstance(item, RowFault):
        found.add_fault(item.row, item.text)
    elif isinstance(item, Finding):
        if item.severity in (Severity.FILE, Severity.ROW):
            found.add_fault(item.row, item.text)
    elif not isinstance(item, Skipped):
        found.add_fault(0, "это не строка реестра: профиль от файла другого вида")


def _count(found: Survey, row: RegisterRow, contract: Contract) -> None:
    found.lines += 1
    found.paid_kopecks += row.paid_kopecks
    found.transferred_kopecks += row.transferred_kopecks
    found.fee_kopecks += row.fee_kopecks
    found.days[contract.day_of(contract.instant_us(row.operated_at))] += 1


def row_faults(row: RegisterRow, contract: Contract) -> list[str]:
    """Return what is wrong with one line, as texts for its sender."""
    faults = []
    if row.paid_kopecks != row.transferred_kopecks + row.fee_kopecks:
        faults.append(
            f"сумма платежа {format_roubles(row.paid_kopecks)} не равна перечислению "
            f"{format_roubles(row.transferred_kopecks)} и комиссии {format_roubles(row.fee_kopecks)}"
        )
    if not row.paid_kopecks:
        faults.append("сумма платежа — ноль")
    if abs(row.paid_kopecks) > limits.PAYMENT_KOPECKS_MAX:
        faults.append("слишком большая сумма платежа")
    if row.refund_of and row.paid_kopecks > 0:
        faults.append("возврат записан положительной суммой")
    if not _is_number(contract.txn_id(row.operation), limits.TXN_ID_CHARS_MAX - _PREFIX_CHARS):
        faults.append("номер операции пуст, слишком длинный или с недопустимыми знаками")
    if not _is_number(contract.account(row.account), limits.ACCOUNT_CHARS_MAX):
        faults.append("лицевой счёт пуст, слишком длинный или с недопустимыми знаками")
    return faults


_PREFIX_CHARS = 20
"""Room in a key for what marks a refund of it."""


def _is_number(text: str, chars_max: int) -> bool:
    return bool(text) and len(text) <= chars_max and text.isprintable()


def _compare(found: Survey, totals: RegisterTotals) -> None:
    """Hold the trailer against the lines."""
    if totals.count is not None and totals.count != found.lines:
        found.add_fault(totals.row, f"в итоге {totals.count} операций, в файле {found.lines}")
    for what, told, counted in (
        ("сумма операций", totals.paid_kopecks, found.paid_kopecks),
        ("сумма перечислений", totals.transferred_kopecks, found.transferred_kopecks),
        ("сумма комиссий", totals.fee_kopecks, found.fee_kopecks),
    ):
        if told is not None and told != counted:
            found.add_fault(totals.row, f"{what} в итоге {format_roubles(told)}, по строкам {format_roubles(counted)}")
