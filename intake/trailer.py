"""What a file says of itself in its last line, held against what was read. What does not add up is refused."""

from collections.abc import Sequence

from engine.money import format_roubles
from intake.columns import totals_plan
from intake.faults import Code, FileRefused
from intake.profile import Profile
from intake.rows import RegisterTotals, Row, RowFault, Skipped

_NAMED_MAX = 20
_TITLES = {
    "count": "число строк",
    "paid_kopecks": "сумма операций",
    "transferred_kopecks": "сумма переводов",
    "fee_kopecks": "сумма комиссий",
    "due_kopecks": "сумма начислений",
    "amount_kopecks": "сумма платежей",
}
"""Totals that are checked: `count`, and the row's attribute of the same name added up."""


class Tally:
    """Counts and adds up the rows of one file until its trailer comes."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._prefix = profile.trailer.prefix if profile.trailer else ""
        told = [column.field for column in profile.trailer.columns] if profile.trailer else []
        self._sums = {name: 0 for name in told if name in _TITLES and name != "count"}
        self._count = 0
        self._unread: list[int] = []
        self._closed_at = 0

    def is_trailer(self, line: int, cells: Sequence[str]) -> bool:
        """Tell whether these cells are the trailer. Errors: `FileRefused` for anything that follows it."""
        if self._closed_at:
            raise FileRefused(Code.AFTER_TRAILER, f"после итоговой строки {self._closed_at} есть ещё строки", line)
        return bool(self._prefix) and cells[0].startswith(self._prefix)

    def add(self, row: Row | RowFault | Skipped) -> None:
        """Take a row into account."""
        if isinstance(row, RowFault):
            self._unread += [row.row] if len(self._unread) < _NAMED_MAX else []
        elif isinstance(row, Skipped):
            return
        else:
            for name in self._sums:
                self._sums[name] += getattr(row, name)
        self._count += 1

    def close(self, line: int, cells: Sequence[str]) -> RegisterTotals:
        """Read the trailer and hold it against the rows. Errors: `FileRefused` names every total that differs."""
        self._closed_at = line
        first = cells[0].removeprefix(self._prefix)
        header = [str(number + 1) for number in range(len(cells))]
        totals = totals_plan(self._profile, header).make(line, (first, *cells[1:]))
        if isinstance(totals, RowFault):
            raise FileRefused(Code.TRAILER_MISMATCH, f"итоговая строка не читается: {totals.text}", line)
        self._refuse_unread()
        told = {name: getattr(totals, name) for name in ("count", *self._sums)}
        counted = {"count": self._count, **self._sums}
        wrong = [name for name in told if told[name] not in (None, counted[name])]
        if wrong:
            differences = "; ".join(_difference(name, told[name], counted[name]) for name in wrong)
            raise FileRefused(Code.TRAILER_MISMATCH, f"итоги не сходятся: {differences}", line)
        return totals

    def finish(self) -> None:
        """Say that the file has ended. Errors: `FileRefused` when it may not end so."""
        if self._prefix and not self._closed_at:
            raise FileRefused(Code.NO_TRAILER, f"нет итоговой строки «{self._prefix}»: файл оборван")
        if self._profile.whole:
            self._refuse_unread()

    def _refuse_unread(self) -> None:
        if self._unread:
            named = ", ".join(map(str, self._unread)) + (" и другие" if len(self._unread) == _NAMED_MAX else "")
            raise FileRefused(Code.ROWS_UNREADABLE, f"не прочитаны строки: {named}", self._unread[0])


def _difference(name: str, told: int, counted: int) -> str:
    shown = str if name == "count" else format_roubles
    return f"{_TITLES[name]}: в итоге {shown(told)}, по строкам {shown(counted)}"
