"""`kopeck bench`: our figures and the yardsticks', alternating, several rounds, in one run on one machine.

Everything runs in an installation of the suite's own (a folder under KOPECK_HOME, embedded servers, made anew each
time), so no ledger of anybody's is touched.
"""

import asyncio
import gc
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop

from actors.client import Router
from actors.settings import Settings
from bench import loadgen, machine, region, report
from bench.loadgen import Load, LoadResult
from bench.report import Figure, Report
from bench.servers import MakeApp, free_port, serving
from bench.yardsticks import constant_http, copy_ceiling, row_by_row, single_insert
from cli.console import err, out, progress_bar
from cli.system import System, running
from engine.commands import AcceptPayment
from engine.outcomes import Acknowledged
from storage import partitions
from storage.database import connected
from storage.migrate import migrate

CONNECTIONS = 256
_CORES = os.cpu_count() or 1
_LARGE_ACCOUNTS = 1_000_000
_LARGE_BILLS = 4
_STREAMS = 4
_CHUNK = 1_024
_PREPARED_PER_SECOND = 60_000
_PAID = b"<result>0</result>"


class Plan(NamedTuple):
    """What to measure. `only` names measurements; empty means all."""

    accounts: int
    rounds: int
    seconds: float
    only: tuple[str, ...]
    output: str


class Measurement(NamedTuple):
    """One thing that is measured once a round. `run` returns values by figure name."""

    name: str
    run: Callable[[int], Awaitable[dict[str, float]]]


TITLES = {
    "copy_ceiling": ("COPY ceiling, rows", "rows/s"),
    "engine": ("kopeck, without HTTP", "payments/s"),
    "engine_large": ("kopeck, a million accounts", "payments/s"),
    "row_by_row": ("plain aiohttp + asyncpg", "payments/s"),
    "constant_http": ("aiohttp, constant answer", "answers/s"),
    "osmp": ("kopeck, OSMP pay over HTTP", "payments/s"),
    "osmp_peak_p99": ("OSMP at the peak, p99", "ms"),
    "single_insert_p50": ("one INSERT + commit, p50", "ms"),
    "single_insert_p99": ("one INSERT + commit, p99", "ms"),
    "osmp_alone_p50": ("OSMP unloaded, p50", "ms"),
    "osmp_alone_p99": ("OSMP unloaded, p99", "ms"),
    "osmp_half_p50": ("OSMP at half the peak, p50", "ms"),
    "osmp_half_p99": ("OSMP at half the peak, p99", "ms"),
    "shard_mb": ("memory of a shard, resident", "MB"),
    "shard_large_mb": ("memory of a shard, a million accounts", "MB"),
}
"""Figures in the order in which they are shown."""


def measure(settings: Settings, plan: Plan) -> bool:
    """Run the suite; print, write the report; tell whether every bar that was measured is reached."""
    home = settings.home / "bench"
    shutil.rmtree(home, ignore_errors=True)
    own = Settings(home=home, port=free_port(), shards=_CORES, gateways=_CORES)
    try:
        made = uvloop.run(_measure(own, plan))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for table in report.tables(made):
        out.print(table)
    report.write(made, Path(plan.output))
    out.print(f"written: {plan.output}/bench.json, {plan.output}/bench.svg")
    return all(verdict.reached for verdict in made.verdicts)


async def _measure(settings: Settings, plan: Plan) -> Report:
    async with running(settings) as system:
        suite = Suite(system, plan)
        await suite.prepare()
        await suite.run(suite.measurements(), plan.rounds)
        if suite.wants("engine_large"):
            await suite.grow()
            await suite.run([Measurement("engine_large", suite.engine_large)], plan.rounds)
        return await suite.report()


class Suite:
    """One run of the suite against its own installation."""

    def __init__(self, system: System, plan: Plan) -> None:
        self._system = system
        self._plan = plan
        self._values: dict[str, list[float]] = {}
        self._database_url = system.servers.database_url
        self._yardstick_url = self._database_url.removesuffix("/kopeck") + "/yardstick"
        self._authorization = ""

    def wants(self, name: str) -> bool:
        """Tell whether a measurement was asked for."""
        return not self._plan.only or name in self._plan.only

    async def prepare(self) -> None:
        """Load the region; make the yardsticks' database in the same server."""
        self._router: Router = await self._system.router()
        self._authorization = await region.prepare(self._database_url)
        with progress_bar("loading accounts", self._plan.accounts, quiet=False) as advance:
            await region.add_accounts(self._router, range(self._plan.accounts), advance)
        async with connected(self._database_url) as connection:
            await connection.execute("CREATE DATABASE yardstick")
        await migrate(self._yardstick_url)
        await partitions.ensure(self._yardstick_url)
        await row_by_row.prepare(self._yardstick_url)
        await asyncio.sleep(3)  # Gateways take new connections within two seconds.

    def measurements(self) -> list[Measurement]:
        """What is measured every round, theirs beside ours."""
        every = (
            Measurement("copy_ceiling", self._copy_ceiling),
            Measurement("engine", self._engine),
            Measurement("constant_http", self._constant_http),
            Measurement("osmp", self._osmp),
            Measurement("row_by_row", self._row_by_row),
            Measurement("single_insert", self._single_insert),
            Measurement("osmp_alone", self._osmp_alone),
            Measurement("osmp_half", self._osmp_half),
        )
        return [measurement for measurement in every if self.wants(measurement.name)]

    async def run(self, measurements: list[Measurement], rounds: int) -> None:
        """Measure each once a round, alternating."""
        for number in range(1, rounds + 1):
            for measurement in measurements:
                values = await measurement.run(number)
                for name, value in values.items():
                    self._values.setdefault(name, []).append(value)
                told = "  ".join(f"{name} {value:,.1f}" for name, value in values.items())
                err.print(f"round {number}  {told}")

    async def _copy_ceiling(self, number: int) -> dict[str, float]:
        rate = await copy_ceiling.measure(self._yardstick_url, self._plan.seconds, _CORES, number)
        return {"copy_ceiling": rate}

    async def _engine(self, _: int) -> dict[str, float]:
        rate = await self._pay_without_http(self._plan.accounts)
        return {"engine": rate, "shard_mb": await self._shard_megabytes()}

    async def engine_large(self, _: int) -> dict[str, float]:
        """Payments to a million accounts, in an order that no cache likes."""
        rate = await self._pay_without_http(_LARGE_ACCOUNTS)
        return {"engine_large": rate, "shard_large_mb": await self._shard_megabytes()}

    async def grow(self) -> None:
        """To a million accounts, and five million rows behind them."""
        numbers = range(self._plan.accounts, _LARGE_ACCOUNTS)
        with progress_bar("growing to a million accounts", len(numbers), quiet=False) as advance:
            await region.add_accounts(self._router, numbers, advance, _LARGE_BILLS)

    async def _pay_without_http(self, accounts: int) -> float:
        """Payments per second through the router, a few streams of batches at a time."""
        commands = region.payments(int(self._plan.seconds * _PREPARED_PER_SECOND), accounts)
        chunks = iter([commands[first : first + _CHUNK] for first in range(0, len(commands), _CHUNK)])
        gc.collect()
        gc.freeze()
        begun = time.monotonic()
        ends = begun + self._plan.seconds
        done = await asyncio.gather(*(self._stream(chunks, ends) for _ in range(_STREAMS)))
        rate = sum(done) / (time.monotonic() - begun)
        gc.unfreeze()
        return rate

    async def _stream(self, chunks: Iterator[list[AcceptPayment]], ends: float) -> int:
        done = 0
        for chunk in chunks:
            outcomes = await self._router.submit_many(chunk)
            if not all(type(outcome) is Acknowledged for outcome in outcomes):
                raise RuntimeError("a payment of the suite was not acknowledged")
            done += len(chunk)
            if time.monotonic() > ends:
                break
        return done

    async def _shard_megabytes(self) -> float:
        status = msgspec.json.decode(await self._system.supervisor.status.remote())
        return max(_resident_megabytes(shard["pid"]) for shard in status["shards"])

    async def _constant_http(self, _: int) -> dict[str, float]:
        result = await self._yardstick(constant_http.make_app, constant_http.requests)
        return {"constant_http": result.per_second}

    async def _row_by_row(self, _: int) -> dict[str, float]:
        result = await self._yardstick(row_by_row.app_maker(self._yardstick_url), row_by_row.requests)
        return {"row_by_row": result.per_second}

    async def _yardstick(self, make_app: MakeApp, requests: loadgen.MakeRequests) -> LoadResult:
        with serving(make_app, _CORES) as port:
            return await _load(Load("127.0.0.1", port, requests, _PAID, CONNECTIONS, self._plan.seconds))

    async def _osmp(self, _: int) -> dict[str, float]:
        result = await self._pay_over_http(CONNECTIONS)
        return {"osmp": result.per_second, "osmp_peak_p99": result.p99_us / 1000}

    async def _osmp_alone(self, _: int) -> dict[str, float]:
        result = await self._pay_over_http(1)
        return {"osmp_alone_p50": result.p50_us / 1000, "osmp_alone_p99": result.p99_us / 1000}

    async def _osmp_half(self, _: int) -> dict[str, float]:
        peak = (
            self._values["osmp"][-1] if "osmp" in self._values else (await self._pay_over_http(CONNECTIONS)).per_second
        )
        result = await self._pay_over_http(CONNECTIONS, per_second=peak / 2)
        return {"osmp_half_p50": result.p50_us / 1000, "osmp_half_p99": result.p99_us / 1000}

    async def _pay_over_http(self, connections: int, per_second: float = 0.0) -> LoadResult:
        requests = region.osmp_requests(self._plan.accounts, self._authorization)
        port = self._system.settings.port
        return await _load(
            Load("127.0.0.1", port, requests, _PAID, connections, self._plan.seconds, per_second=per_second)
        )

    async def _single_insert(self, _: int) -> dict[str, float]:
        result = await single_insert.measure(self._yardstick_url, min(self._plan.seconds, 4.0))
        return {"single_insert_p50": result.p50_us / 1000, "single_insert_p99": result.p99_us / 1000}

    async def report(self) -> Report:
        """What was measured, judged."""
        figures = {
            name: Figure(name, title, unit, self._values[name])
            for name, (title, unit) in TITLES.items()
            if name in self._values
        }
        on = await machine.describe(self._database_url, self._system.settings.home)
        return Report(on, list(figures.values()), report.judge(figures), _notes(self._plan))


async def _load(load: Load) -> LoadResult:
    result = await loadgen.run(load)
    if result.errors:
        raise RuntimeError(f"{result.errors} of {result.answers} answers were not what was wanted")
    return result


def _resident_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _notes(plan: Plan) -> dict[str, str]:
    return {
        "accounts": str(plan.accounts),
        "rounds": str(plan.rounds),
        "seconds": str(plan.seconds),
        "connections": str(CONNECTIONS),
        "shards and gateways": f"{_CORES} and {_CORES}",
        "payments": "six-way splits, unique keys, acknowledged after commit; the load generator ran on the same cores",
    }
