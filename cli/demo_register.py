"""The demonstration's evening: the bank sends the register of what it took, and it is matched with what came online.

The register is as they are met: it has three payments that never came online, one whose amount differs by a rouble, one
for a number that nobody has. Each ends in its own way, nothing is credited twice, and the day adds up to the kopeck.
"""

import asyncio
import datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from cli import demo_files
from cli.console import out, table
from cli.demo_connections import DemoFile
from engine.ids import AccountId
from engine.money import format_roubles_human
from gateways.register_wire import DayReportReply, RegisterReply
from intake import presets
from intake.rows import RegisterRow, RegisterTotals

BANK = "bank"
_MOSCOW = datetime.timezone(datetime.timedelta(hours=3))
_FEE_PERMILLE = 15
_MISSING = 3
_NOBODYS = "990000000000"
_READY_S_MAX = 300.0
_PAUSE_S = 0.3


class Taken(NamedTuple):
    """A payment that the bank's branch took and sent online."""

    txn_id: str
    account: str
    kopecks: int
    at: datetime.datetime


async def match_day(home: Path, demo: DemoFile, taken: list[Taken], *, quiet: bool) -> bool:
    """Send the bank's register of today, wait for its outcomes, show the day; return whether all was as it must be."""
    now = datetime.datetime.now(tz=_MOSCOW)
    if len(taken) < 2:
        return True
    path = write_register(home / "demo-files", taken, demo.sample_accounts, now)
    async with aiohttp.ClientSession(demo.base_url, timeout=aiohttp.ClientTimeout(total=60)) as session:
        session.headers["Authorization"] = f"Bearer {demo.api_keys[BANK]}"
        register = await _until_done(session, await _upload(session, path))
        query = {"date": (register.day or now.date()).isoformat(), "connection": BANK}
        async with session.get("/v1/registers/report", params=query) as reply:
            report = msgspec.json.decode(await reply.read(), type=DayReportReply)
    if not quiet:
        _show(report, path)
    found = {row.outcome: row.lines for row in register.outcomes}
    matched = found.get("matched", 0) + found.get("date_shift", 0)
    expected = (len(taken) - 1, _MISSING, 1, 1)
    ended = (matched, *(found.get(name, 0) for name in ("missing_online", "amount_mismatch", "unknown_account")))
    return register.state == "done" and ended == expected and not report.unexplained_kopecks


def write_register(folder: Path, taken: list[Taken], accounts: list[str], now: datetime.datetime) -> Path:
    """Write the bank's register of its operating day; return where it is."""
    folder.mkdir(exist_ok=True)
    path = folder / f"bank-{now:%Y%m%d-%H%M%S}.txt"
    rows = [_row(number, one) for number, one in enumerate(taken, 1)]
    rows[0] = _row(1, taken[0]._replace(kopecks=taken[0].kopecks + 100))
    first = int(now.timestamp()) * 1_000
    for number in range(_MISSING):
        rows.append(_row(len(rows) + 1, Taken(str(first + number), accounts[number], 123_400 + number, now)))
    rows.append(_row(len(rows) + 1, Taken(str(first + _MISSING), _NOBODYS, 50_000, now)))
    order = RegisterTotals(order_number=f"{now:%H%M%S}", order_on=now.date())
    demo_files.write(rows, path, presets.PRESETS["bank-12"], order)
    return path


def _row(number: int, taken: Taken) -> RegisterRow:
    fee = taken.kopecks * _FEE_PERMILLE // 1_000
    return RegisterRow(
        row=number,
        operation=taken.txn_id,
        account=AccountId(taken.account),
        operated_at=taken.at.astimezone(_MOSCOW).replace(tzinfo=None),
        paid_kopecks=taken.kopecks,
        transferred_kopecks=taken.kopecks - fee,
        fee_kopecks=fee,
        point="0001/00017",
        terminal="КАССА-1",
    )


async def _upload(session: aiohttp.ClientSession, path: Path) -> str:
    content = await asyncio.to_thread(path.read_bytes)
    async with session.post("/v1/registers", params={"name": path.name}, data=content) as reply:
        body = await reply.read()
    if reply.status not in (200, 201):
        raise RuntimeError(f"{path.name}: {reply.status} {body.decode()}")
    return msgspec.json.decode(body, type=RegisterReply).id


async def _until_done(session: aiohttp.ClientSession, number: str) -> RegisterReply:
    async with asyncio.timeout(_READY_S_MAX):
        while True:
            async with session.get(f"/v1/registers/{number}") as reply:
                register = msgspec.json.decode(await reply.read(), type=RegisterReply)
            if register.state in ("done", "refused"):
                return register
            await asyncio.sleep(_PAUSE_S)


def _show(report: DayReportReply, path: Path) -> None:
    shown = table(f"the bank's day {report.day}", "outcome", ">lines", ">by the register", ">by our ledger")
    for row in report.rows:
        theirs, ours = format_roubles_human(row.theirs_kopecks), format_roubles_human(row.ours_kopecks)
        shown.add_row(row.outcome, f"{row.lines:,}", theirs, ours)
    out.print(shown)
    out.print(
        f"unexplained {format_roubles_human(report.unexplained_kopecks)}; {report.cases_open} cases wait for a person "
        f"(`kopeck case list`); the register is {path}",
        highlight=False,
        soft_wrap=True,
    )
