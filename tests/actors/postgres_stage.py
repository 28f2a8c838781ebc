"""Two shards in this process over a real Postgres, and a router to them: an installation without Ray or doors."""

import asyncio
import datetime
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from actors.client import Router, Routes, Transport
from actors.settings import Settings
from actors.shard import Shard
from engine.charge import Kind
from engine.commands import AcceptPayment, AnyCommand, ChargeLine, OpenAccount, PostCharges
from engine.ids import AccountId, Period, ProviderId, ServiceCode, ShardId, SourceId, TxnId
from engine.outcomes import Acknowledged
from engine.policy import PolicyBook, PolicyCode, SplitPolicy
from storage import epochs, reference
from storage.journal import PostgresJournal

SHARDS = (ShardId(1), ShardId(2))
POLICY = SplitPolicy(agreement="main", code=PolicyCode.FIFO, version=1, valid_from=datetime.date(2020, 1, 1))
BILLING = SourceId("billing")


def noon(day: datetime.date) -> int:
    """Midday in the region, as an instant."""
    return (day - datetime.date(1970, 1, 1)).days * 86_400_000_000 + 9 * 3_600_000_000


def account(number: int) -> AccountId:
    """The number-th account, in the order of their numbers."""
    return AccountId(f"10{number:08d}")


class PostgresStage:
    """What runs, and short ways to bill and to pay."""

    def __init__(self, database_url: str, shards: list[Shard], router: Router) -> None:
        self.database_url = database_url
        self.shards = shards
        self.router = router
        self._numbers = itertools.count(1)

    async def post(self, kind: Callable[..., AnyCommand], number: int, day: datetime.date, **content: Any) -> int:
        """Send a command, which must succeed; return the number of the payment (or event) that answered."""
        command = kind(
            **{
                "source": BILLING,
                "txn_id": TxnId(f"t{next(self._numbers)}"),
                "request_hash": b"x",
                "account": account(number),
                "accepted_at_us": noon(day),
            }
            | content
        )
        outcome = await self.router.submit(command)
        assert isinstance(outcome, Acknowledged), outcome
        return outcome.receipt.payment_id

    async def open(self, number: int, day: datetime.date, **more: Any) -> int:
        return await self.post(OpenAccount, number, day, **{"agreement": "main"} | more)

    async def bill(
        self, number: int, day: datetime.date, period: int, lines: list[tuple[str, str, int]], **more: Any
    ) -> int:
        kind = more.pop("kind", Kind.CHARGE)
        charged = tuple(ChargeLine(ServiceCode(s), ProviderId(p), kopecks, kind) for s, p, kopecks in lines)
        return await self.post(PostCharges, number, day, period=Period(period), lines=charged, **more)

    async def pay(self, number: int, day: datetime.date, kopecks: int, **more: Any) -> int:
        return await self.post(AcceptPayment, number, day, amount_kopecks=kopecks, **more)


@asynccontextmanager
async def open_postgres_stage(database_url: str) -> AsyncIterator[PostgresStage]:
    """Run two shards over a migrated database for the length of a block."""
    await reference.add_policy(database_url, POLICY)
    settings = Settings(home=Path("unused"), gateway_deadline_ms=2_000, call_timeout_ms=20_000)
    journals = [PostgresJournal(database_url) for _ in SHARDS]
    shards = [Shard(journal, PolicyBook((POLICY,)), settings, notify=lambda notices: None) for journal in journals]
    router = Router(settings)
    async with AsyncExitStack() as running:
        for journal in journals:
            running.push_async_callback(journal.close)
        for number, shard in zip(SHARDS, shards, strict=True):
            await shard.start(number, "test")
            running.push_async_callback(_end, asyncio.create_task(shard.run()))
        table = await epochs.read_slots(database_url)
        ways = {number: Transport(shard.accept, shard.read) for number, shard in zip(SHARDS, shards, strict=True)}
        router.update(Routes(table.version + 1, table.shards), ways)
        yield PostgresStage(database_url, shards, router)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
