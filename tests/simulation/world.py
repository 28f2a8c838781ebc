"""The simulated installation: shards with their faults, a network that loses and doubles, clients that insist.

One `random.Random` drives every choice. A shard's process may be killed between any two steps, or be paused and go on
as a zombie after its successor took over; slots move; the wall clock jumps; requests and replies are lost, delayed,
doubled and overtake each other. The processes are real `Shard`s behind real `Router`s over one `MemoryLedger`.
"""

import asyncio
import datetime
import random
from collections import Counter
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from actors.client import Router, Routes, ShardUnreachable, Transport
from actors.settings import Settings
from actors.shard import Shard
from engine.ids import ServiceCode, ShardId, Slot
from engine.policy import AdvanceMode, Commission, CommissionMode, PolicyBook, PolicyCode, SplitPolicy
from storage.errors import OutcomeUnknown
from storage.memory import MemoryJournal, MemoryLedger

SHARDS = 2
_START_US = 1_790_000_000_000_000

SETTINGS = Settings(
    home=Path("/nowhere"),
    accounts_cached_max=30,
    inbox_commands_max=24,
    commit_entries_max=6,
    batch_commands_max=4,
    batches_in_flight_max=2,
    router_commands_max=64,
    snapshot_every_events=3,
    keys_remembered_max=12,
    keys_doubted_commands=4,
    gateway_deadline_ms=6_000,
    call_timeout_ms=1_500,
)

BOOK = PolicyBook(
    tuple(
        SplitPolicy(
            agreement=agreement,
            code=code,
            version=1,
            valid_from=datetime.date(2020, 1, 1),
            segregated_services=frozenset({ServiceCode("KAPREM")}),
            advance_mode=mode,
            commission=Commission(mode=CommissionMode.WITHHELD, rate_bp=95),
        )
        for agreement, code, mode in (
            ("fifo", PolicyCode.FIFO, AdvanceMode.HOLD),
            ("share", PolicyCode.PROPORTIONAL, AdvanceMode.BY_LAST_ACCRUALS),
        )
    )
)


class Process:
    """One process of a shard: alive, paused, or dead."""

    def __init__(self, world: "World", shard: ShardId, number: int) -> None:
        self.world = world
        self.shard_id = shard
        self.number = number
        self.dead = asyncio.Event()
        self.resumed = asyncio.Event()
        self.resumed.set()
        journal = MemoryJournal(world.ledger, world.wall_us, self._interruption)
        loop = asyncio.get_running_loop()
        self.core = Shard(journal, BOOK, SETTINGS, notify=lambda notices: None, clock=loop.time)
        self.life = loop.create_task(self._live())

    async def _live(self) -> None:
        try:
            await self.core.start(self.shard_id, f"process-{self.number}")
            self.world.note(f"start shard={self.shard_id} process={self.number} epoch={self.core.term.epoch}")
            await self.core.run()
        except* Exception as errors:  # noqa: BLE001 - whatever ends a term ends the process; the auditor judges
            for error in errors.exceptions:
                self.world.count(f"ended:{type(error).__name__}")
                self.world.note(f"end shard={self.shard_id} process={self.number} {type(error).__name__}")
        finally:
            self.dead.set()

    async def _interruption(self, point: str) -> None:
        """Where an append may be held, lost, or cut off from its answer."""
        chance = self.world.chance
        await asyncio.sleep(chance.choice((0.001, 0.002, 0.02, 0.2 if chance.random() < 0.05 else 0.004)))
        await self.resumed.wait()
        if self.world.faulty and chance.random() < 0.004:
            self.world.count(f"lost:{point}")
            raise OutcomeUnknown(f"the connection broke ({point})")

    def kill(self) -> None:
        """End at once, wherever it is; nobody hears of it any more."""
        self.dead.set()
        self.life.cancel()


class World:
    """Everything, and its chance."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.ledger = MemoryLedger(SHARDS)
        self.processes: dict[ShardId, Process] = {}
        self.zombies: list[Process] = []
        self.made: list[Process] = []
        self.seen: Counter[str] = Counter()
        self.trace: list[str] = []
        self.faulty = True
        self._jump_us = 0

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{asyncio.get_running_loop().time():10.4f} {text}")

    def count(self, what: str) -> None:
        """Count that a fault or an outcome was seen."""
        self.seen[what] += 1

    def wall_us(self) -> int:
        """The wall clock, which jumps."""
        return _START_US + self._jump_us + int(asyncio.get_running_loop().time() * 1e6)

    async def start(self) -> None:
        """Start every shard."""
        for number in range(1, SHARDS + 1):
            self._begin(ShardId(number))
        await asyncio.sleep(0.01)

    def _begin(self, shard: ShardId) -> None:
        self.processes[shard] = Process(self, shard, len(self.made) + 1)
        self.made.append(self.processes[shard])

    def router(self) -> Router:
        """A gateway's router with routes that may be stale until it refreshes."""
        made: list[Router] = []

        async def refresh() -> None:
            await asyncio.sleep(0.001)
            self._route(made[0])

        # Every other installation sends what it has, the others gather a fair batch while one is under way.
        made.append(Router(replace(SETTINGS, batch_commands_min=3 - self.seed % 2 * 2), refresh))
        self._route(made[0])
        return made[0]

    def _route(self, router: Router) -> None:
        version = sum(self.ledger.epochs.values()) + 1
        router.update(Routes(version, tuple(self.ledger.slots)), {s: self._transport(s) for s in self.processes})

    def _transport(self, shard: ShardId) -> Transport:
        async def accept(batch: bytes) -> bytes:
            return await self._deliver(shard, "accept", batch)

        async def read(query: bytes) -> bytes:
            return await self._deliver(shard, "read", query)

        return Transport(accept, read)

    async def _deliver(self, shard: ShardId, method: str, message: bytes) -> bytes:
        """The network: delay, loss of the request, doubling, loss of the reply; sometimes to the old process."""
        chance = self.chance
        await asyncio.sleep(chance.expovariate(1 / 0.002))
        if self._happens("request lost", 0.02):
            raise ShardUnreachable("lost")
        process = self.processes[shard]
        stale = [zombie for zombie in self.zombies if zombie.shard_id == shard and not zombie.dead.is_set()]
        if stale and chance.random() < 0.5:
            process = stale[0]
            self.count("spoke to a zombie")
        if self._happens("doubled", 0.02):
            self._copies = asyncio.get_running_loop().create_task(self._call(process, method, message))
            self._copies.add_done_callback(lambda task: task.cancelled() or task.exception())
        reply = await self._call(process, method, message)
        await asyncio.sleep(chance.expovariate(1 / 0.002))
        if self._happens("reply lost", 0.02):
            raise ShardUnreachable("lost")
        return reply

    def _happens(self, what: str, probability: float) -> bool:
        if not self.faulty or self.chance.random() >= probability:
            return False
        self.count(what)
        return True

    async def _call(self, process: Process, method: str, message: bytes) -> bytes:
        """Call a process; if it dies meanwhile there is no answer."""
        if process.dead.is_set() or process.core._term is None:
            raise ShardUnreachable("dead")
        call = asyncio.ensure_future(getattr(process.core, method)(message))
        death = asyncio.ensure_future(process.dead.wait())
        await asyncio.wait({call, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if process.dead.is_set():
            call.cancel()
            raise ShardUnreachable("died")
        return cast(bytes, await call)

    # Faults ----------------------------------------------------------------------------------------------------------

    async def trouble(self, until: float) -> None:
        """Let something go wrong every now and then."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await asyncio.sleep(self.chance.uniform(0.02, 0.2))
            shard = self.chance.choice(list(self.processes))
            fault = self.chance.choice((self._kill, self._pause, self._move, self._jump))
            self.note(f"fault {fault.__name__} shard={shard}")
            await fault(shard)

    async def keep_alive(self) -> None:
        """Ray's part: start a successor for what has died."""
        while True:
            await asyncio.sleep(0.05)
            for shard, process in list(self.processes.items()):
                if process.dead.is_set():
                    self._begin(shard)

    async def _kill(self, shard: ShardId) -> None:
        self.count("killed")
        self.processes[shard].kill()

    async def _pause(self, shard: ShardId) -> None:
        """Freeze a process before its next commit; its successor takes over; then it goes on as if nothing was."""
        zombie = self.processes[shard]
        zombie.resumed.clear()
        self.zombies.append(zombie)
        self._begin(shard)
        await asyncio.sleep(self.chance.uniform(0.01, 0.4))
        self.count("paused")
        zombie.resumed.set()

    async def _move(self, shard: ShardId) -> None:
        """Move some slots; both shards' processes are ended by the change of epoch, and start again."""
        mine = [Slot(slot) for slot, owner in enumerate(self.ledger.slots) if owner != shard]
        self.ledger.move_slots(self.chance.sample(mine, min(len(mine), 600)), shard)
        self.count("moved")
        for process in self.processes.values():
            process.kill()

    async def _jump(self, shard: ShardId) -> None:
        self._jump_us += self.chance.choice((-3_600, -60, 60, 3_600)) * 1_000_000
        self.count("clock jumped")

    async def calm_down(self) -> None:
        """No more faults; wait until every shard works."""
        self.faulty = False
        for zombie in self.zombies:
            zombie.resumed.set()
        await asyncio.sleep(3.0)
