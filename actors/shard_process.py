"""A shard as a process: takes ownership when it starts, dies when its term ends. Ray starts the successor.

The class is plain; `classes.py` makes a Ray actor of it. Guarantees to remote callers are those of `Shard.accept`; a
call that ends in an error of Ray's leaves its outcome unknown.
"""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Callable

from actors import metrics
from actors.notices import NoticePublisher
from actors.settings import Settings
from actors.shard import Shard
from engine.ids import ShardId
from storage.errors import StorageError
from storage.journal import PostgresJournal
from storage.reference import read_policies

_GC_THRESHOLDS = (200_000, 20, 50)
"""Collections cost a shard a quarter of its time at the usual thresholds, and find nothing: no state has cycles."""

_START_PAUSE_S = 0.2
_ANSWER_GRACE_S = 0.2
_log = logging.getLogger("kopeck.shard")


class ShardProcess:
    """One shard's process, from ownership to its end."""

    def __init__(
        self,
        shard: ShardId,
        settings: Settings,
        database_url: str,
        redis_url: str,
        *,
        exit_process: Callable[[int], None] = os._exit,
    ) -> None:
        self._shard_id = shard
        self._settings = settings
        self._database_url = database_url
        self._redis_url = redis_url
        self._exit_process = exit_process
        self._shard: Shard | None = None
        self._ready = asyncio.Event()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        self._life = asyncio.get_running_loop().create_task(self._live())

    async def _live(self) -> None:
        """Start, work, and end the process when the term ends: what is in memory must not outlive it."""
        self._shard = await self._begin()
        self._ready.set()
        try:
            await self._shard.run()
        except* StorageError as errors:
            _log.critical("shard=%s term ended: %s", self._shard_id, "; ".join(map(str, errors.exceptions)))
        finally:
            await asyncio.sleep(_ANSWER_GRACE_S)
            self._exit_process(1)

    async def _begin(self) -> Shard:
        """Take ownership, waiting for a database that is not up yet."""
        notices = NoticePublisher(self._redis_url)
        while True:
            try:
                book = await read_policies(self._database_url)
                shard = Shard(PostgresJournal(self._database_url), book, self._settings, notify=notices.publish)
                term = await shard.start(self._shard_id, f"{socket.gethostname()}:{os.getpid()}")
            except StorageError as error:
                _log.warning("shard=%s cannot start yet: %s", self._shard_id, error)
                await asyncio.sleep(_START_PAUSE_S)
                continue
            _log.info("shard=%s epoch=%s seq=%s slots=%s", term.shard, term.epoch, term.seq, len(term.slots))
            return shard

    async def start(self) -> int:
        """Return the process id once the shard owns its slots."""
        await self._started()
        return os.getpid()

    async def _started(self) -> Shard:
        await self._ready.wait()
        assert self._shard is not None
        return self._shard

    async def accept(self, batch: bytes) -> bytes:
        """Take a batch of commands; see `Shard.accept`."""
        return await (await self._started()).accept(batch)

    async def read(self, query: bytes) -> bytes:
        """Answer a query; see `Shard.read`."""
        return await (await self._started()).read(query)

    async def reload_policies(self) -> None:
        """Take the splitting policies as they are in the database now. Errors: `NotDone`."""
        (await self._started()).use_policies(await read_policies(self._database_url))

    async def samples(self) -> bytes:
        """Return this shard's metrics; see `metrics`."""
        return metrics.encode(metrics.of_shard(await self._started()))

    async def drain(self) -> None:
        """Answer everything accepted, refuse the rest; the process may be ended after."""
        await (await self._started()).drain()

    async def end(self) -> None:
        """End the process; a successor takes ownership anew (and with it the slots that the database says)."""
        self._exit_process(0)
