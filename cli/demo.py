"""`kopeck demo`: the whole system with a region and simulated terminals, shown live; ends with an audit."""

import asyncio
import re
import time
from collections.abc import Callable

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from actors.settings import Settings
from cli import region
from cli.audit import run_audit, show_audit
from cli.console import err, out, table
from cli.demo_billings import send_bills
from cli.demo_connections import read_demo_file
from cli.demo_register import match_day
from cli.seed import seed_into
from cli.system import System, running
from cli.traffic import Tally, Traffic
from cli.up import ending
from engine.money import format_roubles_human

_DURATION = re.compile(r"([0-9]{1,6})(s|m|h)?")
_UNITS = {"s": 1, None: 1, "m": 60, "h": 3600}
_REFRESH_S = 0.5


class Plan(msgspec.Struct, frozen=True):
    """What to show. `rate` is payments a second, 0 for as many as can be; `seconds` None: until Ctrl-C."""

    accounts: int
    seed: int
    rate: int
    seconds: int | None
    quiet: bool


def parse_duration(text: str) -> int:
    """Read a duration as 30s, 5m or 1h; bare digits are seconds. Errors: ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("write a duration as 30s, 5m or 1h")
    return int(found[1]) * _UNITS[found[2]]


async def play(settings: Settings, plan: Plan) -> bool:
    """Play the demonstration; return whether the audit at its end is clean."""
    if not plan.quiet:
        err.print("starting PostgreSQL, Valkey, Ray, shards and doors…")
    async with running(settings) as system:
        end = ending()
        router = await system.router()
        url = system.servers.database_url
        await seed_into(settings, url, router, system.url, plan.accounts, plan.seed, quiet=plan.quiet)
        demo = read_demo_file(settings.home)
        assert demo is not None, "the seeding has just written it"
        imported = await send_bills(url, settings.home, demo, plan.accounts, plan.seed, quiet=plan.quiet)
        traffic = Traffic(demo, plan.rate, plan.seed)
        await _run_traffic(system, traffic, plan, end)
        traffic.show_totals(out.print)
        matched = await match_day(settings.home, demo, traffic.taken_by_bank, quiet=plan.quiet)
        report = await run_audit(url, quiet=plan.quiet)
        show_audit(report)
        return report.clean and traffic.tally.is_sound() and imported and matched


async def _run_traffic(system: System, traffic: Traffic, plan: Plan, end: asyncio.Event) -> None:
    """Let the terminals pay until time is up or somebody ends it, and show it."""
    paying = asyncio.get_running_loop().create_task(traffic.run())
    begun = time.monotonic()

    def is_over() -> bool:
        return end.is_set() or (plan.seconds is not None and time.monotonic() - begun >= plan.seconds)

    if plan.quiet or not out.is_terminal:
        await _report_plainly(traffic.tally, is_over, quiet=plan.quiet)
    else:
        with Live(console=out, refresh_per_second=4, transient=False) as live:
            while not is_over():
                live.update(_screen(system.url, traffic.tally))
                await _pause(end)
    traffic.stop()
    await paying


async def _pause(end: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_REFRESH_S):
            await end.wait()
    except TimeoutError:
        return


async def _report_plainly(tally: Tally, is_over: Callable[[], bool], *, quiet: bool) -> None:
    """A line every five seconds, for logs."""
    told = time.monotonic()
    while not is_over():
        await asyncio.sleep(_REFRESH_S)
        if not quiet and time.monotonic() - told >= 5:
            told = time.monotonic()
            out.print(
                f"{tally.rate():,.0f} payments/s   paid {tally.acknowledged:,}   repeats {tally.replayed:,}   "
                f"refused {sum(tally.refused.values()):,}   p50 {tally.quantile_ms(0.5):.1f} ms   "
                f"p99 {tally.quantile_ms(0.99):.1f} ms"
            )


def _screen(url: str, tally: Tally) -> RenderableType:
    """The live view: figures, the newest splits, links."""
    figures = table("", ">payments/s", ">paid", ">sum", ">repeats", ">refused", ">p50", ">p99")
    figures.add_row(
        f"[bold]{tally.rate():,.0f}[/]",
        f"{tally.acknowledged:,}",
        format_roubles_human(tally.paid_kopecks),
        f"{tally.replayed:,}",
        f"{sum(tally.refused.values()):,}",
        f"{tally.quantile_ms(0.5):.1f} ms",
        f"{tally.quantile_ms(0.99):.1f} ms",
    )
    splits = table("newest splits, as the doors answered", "account", ">amount", "split", ">balance after")
    for payment in list(tally.newest):
        parts = ", ".join(f"{region.SERVICES.get(s, s)} {format_roubles_human(k)}" for s, k in payment.parts[:4])
        more = f" … +{len(payment.parts) - 4}" if len(payment.parts) > 4 else ""
        splits.add_row(
            payment.account,
            format_roubles_human(payment.kopecks),
            parts + more,
            format_roubles_human(payment.balance_kopecks),
        )
    links = Text(
        f"documentation {url}/docs   metrics {url}/metrics   keys and accounts: demo.json\nCtrl-C: end and audit"
    )
    return Group(Panel(figures, title="kopeck", title_align="left"), splits, links)
