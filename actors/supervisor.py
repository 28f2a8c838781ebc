"""The supervisor: starts the shards, watches them, moves slots between them, keeps the ledger's partitions ahead.

It decides nothing that must survive: which shard owns which slot is in Postgres (`storage/epochs.py`), and routers read
it there. Losing the supervisor stops no payment; Ray starts it again and it finds everything as it is.

Moving slots: the shards concerned are drained (every accepted command is answered), then the epochs are bumped and the
slots given in one transaction, then the shards' processes end and their successors take ownership of what they have
now. Callers see a pause of about a second for these shards' accounts, never an error that is not safe to retry.
"""

import asyncio
import logging
from typing import Any

import msgspec

from actors import classes
from actors.client import ShardUnreachable
from actors.settings import Settings
from engine.ids import ShardId, Slot
from storage import epochs, partitions
from storage.errors import StorageError

_WATCH_PAUSE_S = 1.0
_PING_S_MAX = 2.0
_RESTART_PAUSE_S = 0.2
_DRAIN_S_MAX = 10.0
_PARTITIONS_PAUSE_S = 3600.0
_log = logging.getLogger("kopeck.supervisor")


class ShardStatus(msgspec.Struct):
    """One shard as the operator sees it. `answers`: its process answered the last call in time."""

    shard: ShardId
    epoch: int
    seq: int
    slots: int
    owner: str
    lease_left_ms: int
    answers: bool
    pid: int


class Status(msgspec.Struct):
    """The state of the installation's shards. `problem` is empty when all is well."""

    shards: list[ShardStatus]
    problem: str = ""


class SupervisorProcess:
    """One per installation, without state of its own."""

    def __init__(self, settings: Settings, database_url: str, redis_url: str) -> None:
        self._settings = settings
        self._database_url = database_url
        self._redis_url = redis_url
        self._handles: dict[ShardId, Any] = {}
        self._pids: dict[ShardId, int] = {}
        self._moving = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start every shard and return when each owns its slots; may be called again."""
        rows = await epochs.read_shards(self._database_url)
        for row in rows:
            if row.shard not in self._handles:
                self._handles[row.shard] = classes.start_shard(
                    row.shard, self._settings, self._database_url, self._redis_url
                )
        await asyncio.gather(*(self._wait_for(shard) for shard in self._handles))
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(self._watch()), loop.create_task(self._keep_partitions())]

    async def _wait_for(self, shard: ShardId) -> None:
        """Wait until the shard owns its slots, through a restart if one is under way."""
        async with asyncio.timeout(classes.START_S_MAX):
            while True:
                try:
                    self._pids[shard] = await classes.call(self._handles[shard].start.remote(), classes.START_S_MAX)
                except ShardUnreachable:
                    await asyncio.sleep(_RESTART_PAUSE_S)
                else:
                    return

    async def _watch(self) -> None:
        """Ask every shard for its process id: silence and changes are logged, Ray restarts what died."""
        while True:
            await asyncio.gather(*(self._ask(shard) for shard in self._handles))
            await asyncio.sleep(_WATCH_PAUSE_S)

    async def _ask(self, shard: ShardId) -> None:
        try:
            pid = await classes.call(self._handles[shard].start.remote(), _PING_S_MAX)
        except ShardUnreachable as error:
            if self._pids.pop(shard, None) is not None:
                _log.warning("shard=%s does not answer: %s", shard, error)
            return
        if self._pids.get(shard) != pid:
            _log.warning("shard=%s runs in process %s", shard, pid)
        self._pids[shard] = pid

    async def _keep_partitions(self) -> None:
        while True:
            try:
                await partitions.ensure(self._database_url)
            except StorageError as error:
                _log.error("partitions are not made ahead: %s", error)
            await asyncio.sleep(_PARTITIONS_PAUSE_S)

    async def status(self) -> bytes:
        """Return the shards' state as JSON (`Status`)."""
        try:
            rows = await epochs.read_shards(self._database_url)
        except StorageError as error:
            return msgspec.json.encode(Status([], f"the database cannot be asked: {error}"))
        shards = [
            ShardStatus(
                **msgspec.structs.asdict(row), answers=row.shard in self._pids, pid=self._pids.get(row.shard, 0)
            )
            for row in rows
        ]
        silent = [str(s.shard) for s in shards if not s.answers]
        return msgspec.json.encode(Status(shards, f"shards do not answer: {', '.join(silent)}" if silent else ""))

    async def move_slots(self, slots: list[Slot], to_shard: ShardId) -> None:
        """Move slots to a shard; see the module's text.

        Errors: ValueError for an unknown shard. A shard that does not drain in time is fenced all the same.
        """
        async with self._moving:
            table = await epochs.read_slots(self._database_url)
            concerned = {table.shards[slot] for slot in slots} | {to_shard}
            await asyncio.gather(*(self._drain(shard) for shard in concerned))
            await epochs.move_slots(self._database_url, slots, to_shard)
            for shard in concerned:
                classes.end_actor(self._handles[shard], restart=True)
            await asyncio.gather(*(self._wait_for(shard) for shard in concerned))

    async def reload_policies(self) -> None:
        """Let every shard take new splitting policies; a restart takes them anyway. Errors: `ShardUnreachable`."""
        await asyncio.gather(*(classes.call(h.reload_policies.remote(), _PING_S_MAX) for h in self._handles.values()))

    async def drain(self) -> None:
        """Drain every shard: everything accepted is answered, nothing new is taken."""
        await asyncio.gather(*(self._drain(shard) for shard in self._handles))

    async def _drain(self, shard: ShardId) -> None:
        try:
            await classes.call(self._handles[shard].drain.remote(), _DRAIN_S_MAX)
        except ShardUnreachable as error:
            _log.warning("shard=%s was not drained: %s", shard, error)
