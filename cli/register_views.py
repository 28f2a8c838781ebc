"""How registers, cases and reconciliations are shown: tables for people, CSV for their spreadsheets."""

import csv
import io
from collections.abc import Sequence

from rich.markup import escape

from actors.register_desk import CaseStory, RegisterStory
from actors.register_protocol import OUTCOME_TITLES
from cli.console import out, table
from engine.money import format_roubles, format_roubles_human
from engine.registers import LineOutcome
from intake.register_survey import Survey
from storage.cases import Case
from storage.received import ReceivedFile
from storage.register_report import DayReport

_REPORT_TITLES = {
    "waiting": "ещё не обработано",
    "shifted_out": "онлайн этого дня, в реестре другого",
    "missing_register": "онлайн, ни в одном реестре нет",
    "cancelled": "онлайн, отменено полностью, в реестрах нет",
}
_CASE_TITLES = {
    "missing_online": "онлайн не приходило",
    "missing_register": "нет в реестре",
    "missing_file": "реестр не пришёл",
    "amount_mismatch": "сумма не совпала",
    "account_mismatch": "лицевой счёт не совпал",
    "date_shift": "далёкий операционный день",
    "duplicate": "повтор операции",
    "unknown_account": "счёт неизвестен",
    "refund": "возврат",
    "rejected": "отклонено",
    "statement_amount": "сумма по выписке другая",
    "statement_missing": "деньги не поступили",
    "statement_stray": "поступление без реестра",
}
_STATE_TITLES = {"open": "открыто", "in_work": "в работе", "solved": "решено", "returned": "возвращено"}


def title_of(outcome: str) -> str:
    """Name an outcome for people."""
    return _REPORT_TITLES.get(outcome) or OUTCOME_TITLES[LineOutcome(outcome)]


def show_files(files: Sequence[ReceivedFile]) -> None:
    """Show received files."""
    shown = table("registers", ">file", "kind", "connection", "name", "state", ">rows", ">attention", ">rejected")
    for one in files:
        counts = (str(one.rows_total), str(one.rows_warned), str(one.rows_rejected))
        shown.add_row(str(one.file), one.kind, one.sender, escape(one.name), one.state, *counts)
    out.print(shown)


def show_file(story: RegisterStory) -> None:
    """Show one file and how its lines ended."""
    show_files([story.file])
    if story.file.problem:
        out.print(escape(story.file.problem))
    shown = table("lines", "outcome", ">lines", ">theirs", ">ours")
    for one in story.outcomes:
        sums = (format_roubles_human(one.theirs_kopecks), format_roubles_human(one.ours_kopecks))
        shown.add_row(title_of(one.outcome or "waiting"), str(one.lines), *sums)
    out.print(shown)


def show_survey(found: Survey) -> None:
    """Show what a file would be read as."""
    shown = table("dry run: nothing was written", "what", ">value")
    shown.add_row("lines", str(found.lines))
    for name, kopecks in (
        ("paid", found.paid_kopecks),
        ("transferred", found.transferred_kopecks),
        ("fee", found.fee_kopecks),
    ):
        shown.add_row(name, format_roubles_human(kopecks))
    for day, lines in sorted(found.days.items()):
        shown.add_row(f"operating day {day}", str(lines))
    out.print(shown)
    out.print(escape(found.problem()) if found.faults_total else "[bold green]would be taken[/]")


def show_report(report: DayReport) -> None:
    """Show the reconciliation of a day."""
    shown = table(f"{report.connection}, {report.day}", "outcome", ">lines", ">theirs", ">ours")
    for row in report.rows:
        sums = (format_roubles_human(row.theirs_kopecks), format_roubles_human(row.ours_kopecks))
        shown.add_row(title_of(row.outcome), str(row.lines), *sums)
    totals = (format_roubles_human(report.theirs_kopecks), format_roubles_human(report.ours_kopecks))
    shown.add_row("[bold]всего[/]", f"{report.theirs_lines} / {report.ours_payments}", *totals)
    out.print(shown)
    for one in report.registers:
        order = f"п/п {one.order_number} от {one.order_on}" if one.order_number else "п/п не указано"
        money = f"перечислено {format_roubles_human(one.transferred_kopecks)}"
        out.print(f"  {one.file} {escape(one.name)}: {money}, {escape(order)}: {one.transfer_state}")
    out.print(_verdict(report))


def _verdict(report: DayReport) -> str:
    if report.is_missing:
        return "[bold red]реестр не пришёл[/]"
    if report.is_equal:
        return "[bold green]сошлось до копейки[/]"
    difference = format_roubles_human(report.difference_kopecks)
    return f"[bold yellow]расхождение {difference}, открытых дел {report.cases_open}[/]"


def report_csv(report: DayReport) -> str:
    """Write a reconciliation as CSV: `;`, decimal comma, the totals last."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
    writer.writerow(("connection", "day", "outcome", "lines", "theirs", "ours"))
    for row in report.rows:
        sums = (_comma(row.theirs_kopecks), _comma(row.ours_kopecks))
        writer.writerow((report.connection, report.day, row.outcome, row.lines, *sums))
    totals = (_comma(report.theirs_kopecks), _comma(report.ours_kopecks))
    writer.writerow((report.connection, report.day, "total", report.theirs_lines, *totals))
    return file.getvalue()


def _comma(kopecks: int) -> str:
    return ("-" if kopecks < 0 else "") + format_roubles(abs(kopecks)).replace(".", ",")


def show_cases(cases: Sequence[Case]) -> None:
    """Show cases, a line each."""
    shown = table("cases", ">case", "kind", "state", "connection", "day", "due", "account", ">theirs", ">ours")
    for one in cases:
        sums = (format_roubles_human(one.theirs_kopecks), format_roubles_human(one.ours_kopecks))
        named = (_CASE_TITLES[one.kind], _STATE_TITLES[one.state])
        shown.add_row(
            str(one.number), *named, one.connection, str(one.day), str(one.due_on), escape(one.account), *sums
        )
    out.print(shown)


def show_case(story: CaseStory, proposal: str) -> None:
    """Show a case with its history and what may help. Personal data: for the operator at this terminal."""
    show_cases([story.case])
    if proposal:
        out.print("[bold yellow]срок истёк: предлагается вернуть деньги агенту[/]")
    if story.payer.payer or story.payer.address:
        out.print(f"плательщик: {escape(story.payer.payer)}, {escape(story.payer.address)}")
    for one in story.suggestions:
        out.print(f"  возможно, {one.account} ({one.why}) {escape(one.holder)} {escape(one.address)}")
    for entry in story.history:
        out.print(f"  {entry.at:%Y-%m-%d %H:%M:%S} {escape(entry.who)}: {entry.action} {escape(entry.reason)}")
