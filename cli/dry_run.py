"""A dry run of a file: everything that an import would read and check, and nothing that it would write."""

import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.markup import escape

from cli.console import out, print_json, table
from intake import checks
from intake.faults import FileRefused, Finding, Severity
from intake.guess import Suggestion
from intake.profile import Profile
from intake.reader import items
from intake.rows import Item, RegisterTotals, RowFault, Skipped

_FIRST_ROWS_MAX = 10
_SHOWN_CHARS = 24


class FieldRead(msgspec.Struct, kw_only=True):
    """What was read into one field: in how many rows it says something, and the first and the last of it."""

    field: str
    filled: int = 0
    first: str = ""
    last: str = ""


class FaultRead(msgspec.Struct, kw_only=True):
    """One kind of fault: how often, its first places, and its text there."""

    code: str
    severity: str
    field: str
    text: str
    count: int = 0
    first_rows: list[int] = msgspec.field(default_factory=list)


class Trial(msgspec.Struct, kw_only=True):
    """What a dry run found. `refusal`: why the file would not be taken at all."""

    profile: str
    encoding: str
    rows: int = 0
    skipped: int = 0
    shown: list[dict[str, str]] = msgspec.field(default_factory=list)
    fields: list[FieldRead] = msgspec.field(default_factory=list)
    faults: list[FaultRead] = msgspec.field(default_factory=list)
    totals: dict[str, str] = msgspec.field(default_factory=dict)
    refusal: str = ""
    duplicates_unchecked: bool = False


def trial(path: Path, profile: Profile, rows_shown: int) -> Trial:
    """Read a file to its end under a profile. Errors: ValueError when the profile is at fault."""
    return _DryRun(profile, rows_shown).run(path)


class _DryRun:
    def __init__(self, profile: Profile, rows_shown: int) -> None:
        today = datetime.datetime.now().astimezone().date()
        self._profile = profile
        self._checker = checks.Checker(profile, today)
        self._rows_shown = rows_shown
        self._fields: dict[str, FieldRead] = {}
        self._faults: dict[tuple[str, str], FaultRead] = {}
        encoding = profile.encoding.value if profile.encoding is not None else "as the file says"
        self._found = Trial(profile=f"{profile.name}@{profile.version}", encoding=encoding)

    def run(self, path: Path) -> Trial:
        found = self._found
        try:
            for item in items(path, self._profile):
                self._take(item)
        except FileRefused as refused:
            found.refusal = f"{refused.code.value}: {refused}"
        found.fields = list(self._fields.values())
        found.duplicates_unchecked = self._checker.duplicates_unchecked
        found.faults = list(self._faults.values())
        stopping = next((one for one in found.faults if one.severity == Severity.FILE), None)
        if stopping is not None and not found.refusal:
            found.refusal = f"{stopping.code}: строка {stopping.first_rows[0]}: {stopping.text}"
        return found

    def _take(self, item: Item) -> None:
        match item:
            case RowFault():
                self._found.rows += 1
                self._note(item.code.value, Severity.ROW, item.field, item.text, item.row)
            case Finding():
                self._note(item.code.value, item.severity, "", item.text, item.row)
            case Skipped():
                self._found.skipped += item.count
            case RegisterTotals():
                self._found.totals = {name: text for name, text in _texts(item).items() if text}
            case _:
                self._take_row(item)

    def _take_row(self, item: Any) -> None:
        self._found.rows += 1
        if isinstance(item, checks.CHECKED):
            for one in self._checker.check(item):
                self._note(one.code.value, one.severity, "", one.text, one.row)
        texts = _texts(item)
        if len(self._found.shown) < self._rows_shown:
            self._found.shown.append(texts)
        for name, text in texts.items():
            if text and name != "row":
                read = self._fields.setdefault(name, FieldRead(field=name, first=text))
                read.filled += 1
                read.last = text

    def _note(self, code: str, severity: Severity, field: str, text: str, row: int) -> None:
        fault = self._faults.setdefault(
            (code, field), FaultRead(code=code, severity=severity.value, field=field, text=text)
        )
        fault.count += 1
        if len(fault.first_rows) < _FIRST_ROWS_MAX:
            fault.first_rows.append(row)


def _texts(item: Any) -> dict[str, str]:
    """The fields of a row that say something beyond their default."""
    fields = msgspec.structs.fields(item)
    values = ((field, getattr(item, field.name)) for field in fields)
    return {field.name: str(value) for field, value in values if value not in (None, field.default)}


def show_trial(done: Trial, *, json: bool) -> None:
    """Show a dry run to people, or to a script."""
    if json:
        print_json(done)
        return
    out.print(
        f"profile {done.profile}, encoding {done.encoding}: {done.rows:,} rows, {done.skipped:,} deleted ones left out"
    )
    _show_rows(done)
    fields = table("columns as understood", "field", ">filled", "first", "last")
    for read in done.fields:
        fields.add_row(read.field, f"{read.filled:,}", _short(read.first), _short(read.last))
    out.print(fields)
    _show_faults(done)
    for name, text in done.totals.items():
        out.print(f"trailer: {name} {escape(text)}")
    out.print(
        f"[bold red]the file would be refused:[/] {escape(done.refusal)}"
        if done.refusal
        else "[green]the file can be taken[/]"
    )


def _short(text: str) -> str:
    """The beginning of a cell; what looks like rich's markup in it is the sender's text."""
    return escape(text[:_SHOWN_CHARS])


def _show_rows(done: Trial) -> None:
    names = list(dict.fromkeys(name for row in done.shown for name in row))
    rows = table("first rows as understood", *names)
    for row in done.shown:
        rows.add_row(*(_short(row.get(name, "")) for name in names))
    out.print(rows)


def _show_faults(done: Trial) -> None:
    if not done.faults:
        out.print("no faults")
        return
    faults = table("faults in the whole file", "code", "severity", "field", ">count", "first rows", "text")
    for one in done.faults:
        places = ", ".join(map(str, one.first_rows))
        faults.add_row(one.code, one.severity, one.field, f"{one.count:,}", places, escape(one.text))
    out.print(faults)


def show_suggestions(found: list[Suggestion], *, json: bool) -> None:
    """Show what a file may be."""
    if json:
        print_json(found)
        return
    shown = table("what it may be; a person decides", "profile", "encoding", ">rows", ">faults", "why not")
    for one in found:
        encoding = one.encoding.value if one.encoding is not None else "as the file says"
        shown.add_row(one.profile, encoding, str(one.rows), str(one.faults), escape(one.problem))
    out.print(shown)
