"""The stage of the JSON door's tests: the whole application over HTTP, two real shards on one ledger in memory."""

import asyncio
import datetime
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY

from actors import metrics
from actors.billing_intake import Place
from actors.client import Router, Routes, ShardUnreachable, Transport
from actors.import_desk import ImportDesk
from actors.settings import Settings
from actors.shard import Shard
from engine.commands import AnyCommand, ChargeLine, CloseAccount, OpenAccount, PostCharges
from engine.ids import AccountId, Period, ProviderId, ServiceCode, ShardId, SourceId, TxnId
from engine.outcomes import Acknowledged
from engine.policy import PolicyBook, PolicyCode, SplitPolicy
from engine.sharding import slot_of
from gateways.app import BODY_S_MAX, Doors, Readiness, build_app, runner_of
from gateways.connections import Connection, Connections, Row
from storage import codec
from storage.archive import Archive
from storage.memory import MemoryJournal, MemoryLedger

NOW = datetime.datetime(2026, 10, 15, 12, 0, tzinfo=datetime.UTC)
NOW_US = codec.micros(NOW)
BILLING = SourceId("billing")
SHARDS = (ShardId(1), ShardId(2))
_numbers = [AccountId(f"0070010200{number:02}") for number in range(100)]
_of_shard = {shard: [n for n in _numbers if slot_of(n) % 2 == shard - 1] for shard in SHARDS}
OPEN, CLOSED, UNKNOWN = _of_shard[ShardId(1)][:3]
ELSEWHERE = _of_shard[ShardId(2)][0]
"""An open account of the other shard."""
KEYS = {
    "terminal": "key-of-the-terminal-0001",
    "kiosk": "key-of-the-kiosk-0002",
    "reader": "key-of-the-reader-0003",
    "cashier": "key-of-the-cashier-0004",
    "operator": "key-of-the-operator-0005",
    "biller": "key-of-the-biller-0006",
}
SCOPES: Mapping[str, tuple[str, ...]] = {
    "terminal": ("pay", "read", "reverse"),
    "kiosk": ("pay", "read", "reverse"),
    "reader": ("read",),
    "cashier": ("pay",),
    "operator": ("read", "reverse", "export", "operate"),
    "biller": ("bill",),
}

Client = TestClient[web.Request, web.Application]


def contract(name: str, **terms: object) -> Connection:
    """A JSON connection by its name in `KEYS`, with other terms where asked for."""
    usual: dict[str, object] = {
        "name": name,
        "source": name,
        "scopes": SCOPES[name],
        "api_keys_sha256": (hashlib.sha256(KEYS[name].encode()).hexdigest(),),
        "amount_kopecks_max": 1_500_000,
        "billing": "erc" if name == "biller" else "",
    }
    return msgspec.convert(usual | terms, Connection)


def row(connection: Connection) -> Row:
    """A connection as stored."""
    return Row(connection.name, connection.dialect, connection.active, msgspec.json.encode(connection).decode())


def bearer(name: str) -> dict[str, str]:
    """Write the headers that sign a request."""
    return {"Authorization": f"Bearer {KEYS[name]}"}


def payment(**fields: object) -> dict[str, object]:
    """A good payment of 1843.17, with other fields where asked for; a field given as `...` is left out."""
    usual: dict[str, object] = {
        "txn_id": "T-1",
        "account": OPEN,
        "amount_kopecks": 184_317,
        "accepted_at": "2026-10-15T14:30:00+03:00",
    }
    return {name: value for name, value in (usual | fields).items() if value is not ...}


def counted(name: str, **labels: str) -> float:
    """What a counter of this process shows."""
    return REGISTRY.get_sample_value(name, labels) or 0


class NoWakeups:
    """A Redis that is down: nobody is woken."""

    async def next(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)

    @asynccontextmanager
    async def subscribe(self, account: AccountId) -> AsyncIterator["NoWakeups"]:
        yield self


class Stage:
    """Two shards over one ledger: an open account on each owes 1843.17, and one is closed."""

    def __init__(self) -> None:
        self.settings = Settings(home=Path("unused"), gateway_deadline_ms=300, call_timeout_ms=5_000)
        self.ledger = MemoryLedger(len(SHARDS))
        policy = SplitPolicy(agreement="A", code=PolicyCode.FIFO, version=1, valid_from=datetime.date(2020, 1, 1))
        book = PolicyBook((policy,))
        self.shards = [
            Shard(MemoryJournal(self.ledger, lambda: NOW_US), book, self.settings, notify=lambda notices: None)
            for _ in SHARDS
        ]
        self.router = Router(self.settings)
        self.connections = Connections(row(contract(name)) for name in KEYS)
        self.readiness = Readiness(ready=True)
        self.samples_of_others: list[list[metrics.Sample]] = []
        self.imports = ImportDesk(Place("postgresql://nobody@127.0.0.1:1/nothing", Archive(Path("unused"))))
        self._numbers = itertools.count(1)
        self._versions = itertools.count(1)

    async def begin(self) -> None:
        """Bill the accounts."""
        self.reconnect()
        lines = (
            ChargeLine(ServiceCode("heating"), ProviderId("teplo"), 120_000),
            ChargeLine(ServiceCode("water"), ProviderId("vodokanal"), 64_317),
        )
        for account in (OPEN, ELSEWHERE, CLOSED):
            await self.post(account, OpenAccount, agreement="A")
            await self.post(account, PostCharges, period=Period(202609), lines=lines)
        await self.post(CLOSED, CloseAccount)

    def reconnect(self) -> None:
        """Lead the router to the shards."""
        ways = {number: Transport(shard.accept, shard.read) for number, shard in zip(SHARDS, self.shards, strict=True)}
        self._route(ways)

    def disconnect(self) -> None:
        """Lead the router nowhere: no call is answered."""
        self._route(dict.fromkeys(SHARDS, Transport(_no_answer, _no_answer)))

    def _route(self, ways: Mapping[ShardId, Transport]) -> None:
        self.router.update(Routes(next(self._versions), tuple(self.ledger.slots)), ways)

    async def post(self, account: AccountId, kind: Callable[..., AnyCommand], **content: object) -> None:
        """Send one of billing's commands, which must succeed."""
        command = kind(
            source=BILLING,
            txn_id=TxnId(str(next(self._numbers))),
            request_hash=b"",
            account=account,
            accepted_at_us=NOW_US,
            **content,
        )
        outcome = await self.router.submit(command)
        assert isinstance(outcome, Acknowledged), outcome

    def doors(self) -> Doors:
        """Offer this stage to an application."""
        return Doors(
            self.router,
            self.settings,
            self.connections,
            NoWakeups(),
            collect_metrics=self._collect_metrics,
            readiness=self._tell_readiness,
            status=self._tell_status,
            imports=self.imports,
        )

    async def _collect_metrics(self) -> bytes:
        return metrics.page([metrics.of_registry(REGISTRY), *self.samples_of_others])

    async def _tell_readiness(self) -> Readiness:
        return self.readiness

    async def _tell_status(self) -> bytes:
        if not self.readiness.ready:
            raise ShardUnreachable
        return b'{"shards":[]}'

    def credited(self) -> list[tuple[str, str, int]]:
        """Every payment and reversal in the ledger: txn_id, account, kopecks."""
        return [
            (event.txn_id, event.account, event.amount_kopecks)
            for event, _, _ in self.ledger.rows.values()
            if event.source != BILLING
        ]


class Gateway(TestServer):
    """A test's server that speaks HTTP by the gateway's own settings."""

    async def _make_runner(self, **_: object) -> web.AppRunner:
        return runner_of(self.app)


async def _no_answer(_: bytes) -> bytes:
    raise ShardUnreachable


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Run a stage's shards for the length of a block."""
    stage = Stage()
    async with AsyncExitStack() as running:
        for number, shard in zip(SHARDS, stage.shards, strict=True):
            await shard.start(number, "test")
            running.push_async_callback(_end, asyncio.create_task(shard.run()))
        await stage.begin()
        yield stage


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_door(stage: Stage, signed: str = "terminal", *, body_s_max: float = BODY_S_MAX) -> AsyncIterator[Client]:
    """Serve the application over HTTP; the client bears this connection's key."""
    headers = bearer(signed) if signed else {}
    async with TestClient(Gateway(build_app(stage.doors(), body_s_max=body_s_max)), headers=headers) as client:
        yield client
