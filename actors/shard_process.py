"""A shard as a process: takes ownership when it starts, dies when its term ends. Ray starts the successor.

The class is plain; `classes.py` makes a Ray actor of it. Ray's calls start, watch and end it; batches come through its
door (`channel.py`), with the guarantees of `Shard.accept`; one that ends without an answer leaves its outcome unknown.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from actors import metrics
from actors.channel import Answer, ChannelServer, Method
from actors.garbage import collect_seldom
from actors.notices import NoticePublisher
from actors.settings import Settings
from actors.shard import Shard
from engine.ids import ShardId
from storage.epochs import ShardDoor, announce_door
from storage.errors import StorageError
from storage.journal import PostgresJournal
from storage.reference import read_policies

_START_PAUSE_S = 0.2
_ANSWER_GRACE_S = 0.2
Started = Callable[[], Awaitable[Shard]]
_log = logging.getLogger("kopeck.shard")


class ShardProcess:
    """One shard's process, from ownership to its end."""

    def __init__(
        self,
        shard: ShardId,
        settings: Settings,
        database_url: str,
        redis_url: str,
        node_address: Callable[[], str],
        *,
        exit_process: Callable[[int], None] = os._exit,
    ) -> None:
        self._shard_id = shard
        self._settings = settings
        self._database_url = database_url
        self._redis_url = redis_url
        self._node_address = node_address
        self._exit_process = exit_process
        # Not methods of this class: Ray wraps every one of those.
        methods: dict[int, Answer] = {
            Method.ACCEPT: partial(_accept, self._started),
            Method.READ: partial(_read, self._started),
        }
        self._server = ChannelServer(methods)
        self._shard: Shard | None = None
        self._ready = asyncio.Event()
        collect_seldom()
        self._life = asyncio.get_running_loop().create_task(self._live())

    async def _live(self) -> None:
        """Start, work, and end the process when the term ends: what is in memory must not outlive it."""
        door = await self._server.open(self._node_address())
        self._shard = await self._begin(door)
        self._ready.set()
        try:
            await self._shard.run()
        except* StorageError as errors:
            _log.critical("shard=%s term ended: %s", self._shard_id, "; ".join(map(str, errors.exceptions)))
        finally:
            self._server.close()
            await asyncio.sleep(_ANSWER_GRACE_S)
            self._exit_process(1)

    async def _begin(self, door: ShardDoor) -> Shard:
        """Take ownership, waiting for a database that is not up yet, and tell where this term is found."""
        notices = NoticePublisher(self._redis_url)
        while True:
            try:
                book = await read_policies(self._database_url)
                shard = Shard(PostgresJournal(self._database_url), book, self._settings, notify=notices.publish)
                term = await shard.start(self._shard_id, f"{socket.gethostname()}:{os.getpid()}")
                await announce_door(self._database_url, term.shard, term.epoch, door)
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


async def _accept(started: Started, batch: bytes) -> bytes:
    return await (await started()).accept(batch)


async def _read(started: Started, query: bytes) -> bytes:
    return await (await started()).read(query)
