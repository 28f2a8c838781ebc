"""`kopeck audit`: runs the audit with a progress bar and shows what it found."""

from cli.console import out, progress_bar, table
from engine.money import format_roubles_human
from storage.audit import AuditReport, audit, count_events


async def run_audit(database_url: str, *, quiet: bool) -> AuditReport:
    """Run the audit. Errors: `NotDone` when the database cannot be read."""
    with progress_bar("audit", await count_events(database_url), quiet=quiet) as advance:
        return await audit(database_url, advance)


def show_audit(report: AuditReport) -> None:
    """Show what was checked, and what is wrong, for people."""
    checked = table("audit", "checked", ">count")
    for name, count in (
        ("events: hash chain, lines, double entry, folding, balances", f"{report.events:,}"),
        ("accounts refolded from nothing", f"{report.accounts:,}"),
        ("shards: sequence without gaps", f"{report.shards:,}"),
        ("idempotency keys", f"{report.keys:,}"),
        ("snapshots equal to the refold", f"{report.snapshots:,}"),
        ("payments received", f"{report.payments:,}"),
        ("paid", format_roubles_human(report.paid_kopecks)),
        ("debits = credits", format_roubles_human(report.turnover_kopecks)),
    ):
        checked.add_row(name, count)
    out.print(checked)
    verdict = "[bold green]clean[/]" if report.clean else f"[bold red]{report.mismatches} mismatches[/]"
    out.print(f"{verdict} in {report.seconds:.1f} s")
    for finding in report.findings:
        out.print(f"  shard {finding.shard} seq {finding.seq} account {finding.account or '-'}: {finding.what}")
