"""`kopeck bench import`: how fast a billing's file comes in, beside the COPY ceiling; and what payers notice of it.

One installation of the bench's own, made anew. In one run: the COPY ceiling; a file of a month for accounts that nobody
knows, with nobody paying; payments over HTTP at a fixed rate with nothing beside them; the same payments while the next
month's file comes in at the pace that an import keeps beside payers. Payments go to accounts of their own.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop

from actors.billing_intake import Delivery, Place, receive
from actors.billing_posting import Pace
from actors.billing_run import Importer, Observer
from actors.settings import Settings
from bench import loadgen, machine, region
from bench.loadgen import Load, LoadResult
from bench.machine import Machine
from bench.servers import free_port
from bench.yardsticks import copy_ceiling
from cli import region_master
from cli.console import err, out, progress_bar, table
from cli.imports import UNHINDERED
from cli.system import System, running
from engine.master import Provider
from engine.money import format_roubles
from intake.profile import FileKind
from storage import billing, partitions, received
from storage.archive import Archive
from storage.billing import Billing, Terms
from storage.database import connected
from storage.migrate import migrate
from storage.received import ReceivedFile

P99_TIMES_MAX = 3.0
"""How many times slower payments may be under an import, at the 99th percentile."""
_BILLING = "bench"
_PAYING_ACCOUNTS = 2_000
_PAYMENTS_A_SECOND = 200.0
_PAYING_CONNECTIONS = 16
_PAID = b"<result>0</result>"
_POLL_S = 0.02
_CORES = os.cpu_count() or 1
_LINES = ("HEAT", "HOT_WATER", "COLD_WATER", "SEWERAGE", "WASTE", "ELECTRICITY", "KAPREM")
_PERIODS = ("2026-09", "2026-10")
_HEADER = "ACCOUNT;PERIOD;SERVICE;PROVIDER_INN;TARIFF;VOLUME;UNIT;OPENING;ACCRUED;PAID;CLOSING;DOC_NO;DUE_DATE"


class Plan(NamedTuple):
    """How much to import and how long to pay. `output` is a folder for the JSON."""

    accounts: int
    seconds: float
    output: str


class Imported(msgspec.Struct, frozen=True):
    """What one import did. Seconds by step; `events` are what the shards wrote for it."""

    lines: int
    events: int
    staging_s: float
    checking_s: float
    posting_s: float
    protocol_s: float

    @property
    def total_s(self) -> float:
        """From the file's first byte to its protocol."""
        return self.staging_s + self.checking_s + self.posting_s + self.protocol_s


class Beside(msgspec.Struct, frozen=True):
    """The import beside payers: a process of its own. `memory_mb` is the most that it held."""

    lines: int
    total_s: float
    memory_mb: int


class Measured(msgspec.Struct, frozen=True):
    """All of one run. Rates are rows a second; latencies are milliseconds."""

    machine: Machine
    accounts: int
    copy_ceiling: float
    quiet: Imported
    beside_payers: Beside
    p99_alone_ms: float
    p99_under_import_ms: float
    payments_a_second: float

    @property
    def p99_times(self) -> float:
        """How many times slower."""
        return self.p99_under_import_ms / self.p99_alone_ms


def measure(settings: Settings, plan: Plan) -> bool:
    """Measure, print, write the report; tell whether payers notice no more than they may."""
    home = settings.home / "bench-import"
    shutil.rmtree(home, ignore_errors=True)
    own = Settings(home=home, port=free_port(), shards=_CORES, gateways=1)
    try:
        made = uvloop.run(_measure(own, plan))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    _show(made)
    folder = Path(plan.output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench-import.json").write_bytes(msgspec.json.format(msgspec.json.encode(made)))
    return made.p99_times <= P99_TIMES_MAX


async def _measure(settings: Settings, plan: Plan) -> Measured:
    async with running(settings) as system:
        authorization = await _prepare(system, plan)
        ceiling = await _copy_ceiling(system, plan.seconds)
        err.print(f"ceiling (COPY): {ceiling:,.0f} rows a second")
        quiet = await _import(system, plan.accounts, _PERIODS[0], UNHINDERED)
        alone = await _pay(system, authorization, plan.seconds)
        beside, under = await _import_beside_payers(system, plan, authorization)
        return Measured(
            machine=await machine.describe(system.servers.database_url, settings.home),
            accounts=plan.accounts,
            copy_ceiling=ceiling,
            quiet=quiet,
            beside_payers=beside,
            p99_alone_ms=alone.p99_us / 1000,
            p99_under_import_ms=under.p99_us / 1000,
            payments_a_second=under.per_second,
        )


async def _prepare(system: System, plan: Plan) -> str:
    """Accounts that pay, a billing, and master data in which its codes are found by key."""
    url = system.servers.database_url
    authorization = await region.prepare(url)
    with progress_bar("accounts that pay", _PAYING_ACCOUNTS, quiet=False) as advance:
        await region.add_accounts(await system.router(), range(_PAYING_ACCOUNTS), advance)
    await region_master.put_master_data(url, 1)
    await billing.put_billing(url, Billing(billing=_BILLING, agreement="bench", terms=Terms()), "bench")
    for period in _PERIODS:
        with _file(system, period).open("w", encoding="utf-8") as file:
            file.writelines(_lines_of_file(plan.accounts, period))
    await asyncio.sleep(3)  # Gateways take new connections within two seconds.
    return authorization


def _file(system: System, period: str) -> Path:
    return system.settings.home / f"charges-{period}.csv"


def _lines_of_file(accounts: int, period: str) -> Iterator[str]:
    """A month of a billing: seven lines for every account, the same every month, and nobody pays."""
    inns = [record.inn for record in region_master.providers() if isinstance(record, Provider)]
    months_before = _PERIODS.index(period)
    yield _HEADER + "\r\n"
    for number in range(accounts):
        account = f"77{number:08d}"
        for place, service in enumerate(_LINES):
            kopecks = 30_000 + 100 * (number % 900) + place
            amounts = [kopecks * months for months in (months_before, 1, 0, months_before + 1)]
            balances = [format_roubles(amount).replace(".", ",") for amount in amounts]
            what = (account, period, service, inns[place % 5], "24,5018", "1,0204", "ед")
            yield ";".join((*what, *balances, f"E-{number}", "2026-11-16")) + "\r\n"


async def _copy_ceiling(system: System, seconds: float) -> float:
    """Bare COPY of the ledger's rows into a database of its own in the same server."""
    url = system.servers.database_url.removesuffix("/kopeck") + "/yardstick"
    async with connected(system.servers.database_url) as connection:
        await connection.execute("CREATE DATABASE yardstick")
    await migrate(url)
    await partitions.ensure(url)
    return await copy_ceiling.measure(url, seconds, _CORES, 1)


class _Watch:
    """When each step of a run began."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {"handed": time.monotonic()}
        self.last_advance = 0.0

    def begin(self, step: str, total: int) -> None:
        self.began[step] = time.monotonic()

    def advance(self, count: int) -> None:
        self.last_advance = time.monotonic()
        if "posting" not in self.began:
            self.began["staged"] = self.last_advance


async def _import(system: System, accounts: int, period: str, pace: Pace) -> Imported:
    """Import a month from its first byte to its protocol."""
    url, path = system.servers.database_url, _file(system, period)
    place = Place(url, Archive(system.settings.archive_folder))
    delivery = Delivery(_BILLING, FileKind.CHARGES, path.name, "bench")
    before, watch = await _events(url), _Watch()
    with path.open("rb") as content:
        file, _ = await receive(place, delivery, content)
    importer = Importer(place, await system.router(), pace, observer=Observer(watch.begin, watch.advance))
    await importer.run(_BILLING)
    ended, began = time.monotonic(), watch.began
    done = await received.find(url, file.file)
    if done is None or done.rows_accepted != accounts * len(_LINES):
        raise RuntimeError(f"not every line was accepted: {done}")
    return Imported(
        lines=done.rows_total,
        events=await _events(url) - before,
        staging_s=began["staged"] - began["handed"],
        checking_s=began["posting"] - began["staged"],
        posting_s=watch.last_advance - began["posting"],
        protocol_s=ended - watch.last_advance,
    )


async def _events(url: str) -> int:
    """What the shards have written for the billing."""
    async with connected(url) as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM events WHERE source = $1", f"billing:{_BILLING}")
    return count


async def _import_beside_payers(system: System, plan: Plan, authorization: str) -> tuple[Beside, LoadResult]:
    """Import a month by the command that operators use, while payments come; they are measured while it lasts."""
    url, path = system.servers.database_url, _file(system, _PERIODS[1])
    ending = asyncio.create_task(asyncio.to_thread(_import_in_process, system, path))
    while (file := await _file_of(url, path.name)) is None:
        await asyncio.sleep(_POLL_S)
        if ending.done():
            raise RuntimeError("the import did not begin; see its error above")
    paid = await _pay(system, authorization, plan.seconds)
    if ending.done():
        raise RuntimeError("the import ended before the payments did: ask for more --accounts or fewer --seconds")
    memory_mb = await ending
    done = await received.find(url, file.file)
    if done is None or done.finished_at is None or done.rows_accepted != plan.accounts * len(_LINES):
        raise RuntimeError(f"not every line was accepted: {done}")
    seconds = (done.finished_at - done.received_at).total_seconds()
    return Beside(done.rows_total, seconds, memory_mb), paid


def _import_in_process(system: System, path: Path) -> int:
    """Run `kopeck import`; return the most memory that it held, in MB."""
    command = [sys.executable, "-m", "cli.main", "import", "charges", str(path), "--billing", _BILLING, "--quiet"]
    environment = os.environ | {"KOPECK_HOME": str(system.settings.home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, _, used = os.wait4(process.pid, 0)
    return used.ru_maxrss // 1024


async def _file_of(url: str, name: str) -> ReceivedFile | None:
    return next((file for file in await billing.list_files(url, _BILLING, 1) if file.name == name), None)


async def _pay(system: System, authorization: str, seconds: float) -> LoadResult:
    """Payments over HTTP at a fixed rate."""
    requests = region.osmp_requests(_PAYING_ACCOUNTS, authorization)
    load = Load("127.0.0.1", system.settings.port, requests, _PAID, _PAYING_CONNECTIONS, seconds)
    result = await loadgen.run(msgspec.structs.replace(load, per_second=_PAYMENTS_A_SECOND))
    if result.errors:
        raise RuntimeError(f"{result.errors} of {result.answers} payments were not taken")
    return result


def _show(made: Measured) -> None:
    quiet, beside = made.quiet, made.beside_payers
    shown = table(f"import of {made.accounts:,} accounts × {len(_LINES)} lines", "figure", ">value")
    for title, value in (
        ("ceiling (COPY), rows a second", made.copy_ceiling),
        ("lines a second, from first byte to protocol", quiet.lines / quiet.total_s),
        ("  of the ceiling, %", 100 * quiet.lines / quiet.total_s / made.copy_ceiling),
        ("rows staged a second", quiet.lines / quiet.staging_s),
        ("events posted a second", quiet.events / quiet.posting_s),
        ("  of the ceiling, %", 100 * quiet.events / quiet.posting_s / made.copy_ceiling),
        ("staging, s", quiet.staging_s),
        ("checking, s", quiet.checking_s),
        ("posting, s", quiet.posting_s),
        ("counting and protocol, s", quiet.protocol_s),
        ("beside payers: lines a second", beside.lines / beside.total_s),
        ("beside payers: memory of the importer, MB", beside.memory_mb),
        ("payments a second", made.payments_a_second),
        ("payments' p99 alone, ms", made.p99_alone_ms),
        ("payments' p99 under the import, ms", made.p99_under_import_ms),
    ):
        shown.add_row(title, f"{value:,.1f}")
    out.print(shown)
    verdict = "reached" if made.p99_times <= P99_TIMES_MAX else "MISSED"
    out.print(f"under an import the p99 is {made.p99_times:.1f} times larger; at most {P99_TIMES_MAX:.0f}: {verdict}")
