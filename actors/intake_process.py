"""The intake: a process that brings to their end the files that came in, and what waits behind them.

Each chore is called again and again at its own pace, is safe to break off anywhere, and delays no other: it keeps
nothing in memory, whoever is killed in the middle of one goes on where the tables say. Losing the process loses no
payment and no file; Ray starts it again. It runs at low priority: payers go first.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from prometheus_client import REGISTRY, Counter

from actors import case_work, metrics, register_run, register_watch
from actors.billing_intake import Place
from actors.billing_run import Importer
from actors.bootstrap import AWAY, Installation
from actors.register_intake import Interrupted
from actors.register_intake import Place as RegisterPlace
from actors.settings import Settings
from storage.archive import Archive
from storage.errors import StorageError

_NICENESS = 10
_TROUBLES = Counter("kopeck_intake_troubles", "Chores of the intake that could not be done and come again", ["chore"])
_log = logging.getLogger("kopeck.intake")


class Chore(NamedTuple):
    """What is done again and again, with a pause between."""

    name: str
    pause_s: float
    do: Callable[[], Awaitable[object]]


class IntakeProcess:
    """One per installation, without state of its own."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        self._installation = Installation(settings, database_url)
        self._database_url = database_url
        self._archive = Archive(settings.archive_folder)
        self._tasks: list[asyncio.Task[None]] = []
        os.nice(_NICENESS)

    async def start(self) -> int:
        """Begin the chores, once there is a way to the shards; return the process id. May be called again."""
        if not self._tasks:
            await self._installation.wait_for_routes()
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(repeat(chore)) for chore in self.chores()]
        return os.getpid()

    def chores(self) -> list[Chore]:
        """What there is to do."""
        url, router = self._database_url, self._installation.router
        registers = RegisterPlace(url, self._archive, router)
        importer = Importer(Place(url, self._archive), router)
        inbox, bytes_max = self._settings.inbox_folder, self._settings.register_bytes_max
        return [
            Chore("routes", 2.0, self._installation.refresh),
            Chore("billings", 2.0, importer.run_all),
            Chore("registers", 2.0, lambda: register_run.work_through(registers)),
            Chore("inbox", 5.0, lambda: register_watch.watch_inbox(registers, inbox, bytes_max)),
            Chore("cases", 30.0, lambda: case_work.resume(registers)),
            Chore("days", 120.0, lambda: register_watch.close_days(url)),
            Chore("transfers", 3_600.0, lambda: register_watch.match_transfers(url)),
        ]

    async def samples(self) -> bytes:
        """Return this process's metrics; see `metrics`."""
        return metrics.encode(metrics.of_registry(REGISTRY))

    async def drain(self) -> None:
        """Stop; what was begun goes on with the next process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


async def repeat(chore: Chore) -> None:
    """Do a chore for ever. Trouble outside (database, shards, disk) is logged, a bug of ours too; it comes again."""
    while True:
        try:
            await chore.do()
        except (*AWAY, StorageError, Interrupted, OSError) as error:
            _TROUBLES.labels(chore.name).inc()
            _log.warning("chore=%s goes on later: %s", chore.name, error)
        # The outermost edge of a chore: a bug in one must not stop the others, nor this one for the next file.
        except Exception:  # noqa: BLE001
            _TROUBLES.labels(chore.name).inc()
            _log.exception("chore=%s failed", chore.name)
        await asyncio.sleep(chore.pause_s)
