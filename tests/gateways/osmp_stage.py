"""The stage of the OSMP door's tests: a real router and shard on a journal in memory, behind real HTTP."""

import asyncio
import datetime
import hashlib
import itertools
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from actors.client import Router, Routes, ShardUnreachable, Transport
from actors.messages import Payer
from actors.settings import Settings
from actors.shard import Shard
from engine.account import AccountState
from engine.apply import apply
from engine.commands import AnyCommand, ChargeLine, CloseAccount, OpenAccount, PostCharges
from engine.events import Event
from engine.ids import (
    AccountId,
    Epoch,
    IdempotencyKey,
    PaymentId,
    Period,
    ProviderId,
    ServiceCode,
    ShardId,
    Slot,
    SourceId,
    TxnId,
    payment_id,
)
from engine.outcomes import Acknowledged, Receipt
from engine.policy import PolicyBook, PolicyCode, SplitPolicy
from engine.sharding import SLOTS
from gateways.connections import Connection, Connections, Row
from gateways.processors.door import processor_routes
from gateways.processors.port import PayerOf, nobody
from storage import codec
from storage.journal import Entry, Fetched, KnownKey, Term

NOW = datetime.datetime(2026, 10, 15, 12, 0, tzinfo=datetime.UTC)
NOW_US = codec.micros(NOW)
LOGIN, PASSWORD = "terminal", "canary-secret-7f31"
OPEN, CLOSED, UNKNOWN = AccountId("007001020003"), AccountId("007001020011"), AccountId("007001029999")
BILLING = SourceId("billing")


def contract(**terms: object) -> Connection:
    """A connection with the stage's credentials and limits, and other terms where asked for."""
    usual: dict[str, object] = {
        "name": "terminal-demo",
        "source": "terminal",
        "dialect": "osmp",
        "basic_login": LOGIN,
        "basic_password_sha256": hashlib.sha256(PASSWORD.encode()).hexdigest(),
        "amount_kopecks_min": 100,
        "amount_kopecks_max": 1_500_000,
    }
    return msgspec.convert(usual | terms, Connection)


def row(connection: Connection) -> Row:
    """A connection as stored."""
    settings = msgspec.json.encode(connection).decode()
    return Row(connection.name, connection.dialect, connection.active, settings)


class SmallJournal:
    """One shard's journal in memory, without faults."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.keys: dict[IdempotencyKey, KnownKey] = {}
        self._held = asyncio.Event()
        self._held.set()
        self.appending = asyncio.Event()

    def hold(self) -> None:
        """Let no append go on until `release`."""
        self.appending.clear()
        self._held.clear()

    def release(self) -> None:
        """Let appends go on."""
        self._held.set()

    async def take_ownership(self, shard: ShardId, owner: str) -> Term:
        return Term(shard, Epoch(1), len(self.events), frozenset(Slot(slot) for slot in range(SLOTS)))

    async def renew_lease(self) -> None:
        pass

    def now_us(self) -> int:
        return NOW_US

    async def fetch(self, accounts: Sequence[AccountId], keys: Sequence[IdempotencyKey]) -> Fetched:
        states = {}
        for account in accounts:
            state = AccountState(account)
            for event in self.events:
                if event.account == account:
                    apply(state, event)
            states[account] = (state, 0)
        return Fetched(states, {key: self.keys[key] for key in keys if key in self.keys})

    async def look(self, account: AccountId) -> Fetched:
        return await self.fetch([account], [])

    async def trail(self, payment: PaymentId) -> tuple[Event, ...]:
        first = self.events[payment - payment_id(ShardId(1), 1)]
        return tuple(e for e in self.events if e.account == first.account and e.account_seq >= first.account_seq)

    async def append(self, entries: Sequence[Entry]) -> list[codec.Position]:
        self.appending.set()
        await self._held.wait()
        positions = []
        for entry in entries:
            at = codec.Position(ShardId(1), len(self.events) + entry.answer + 1, NOW_US)
            self.events.extend(entry.events)
            self.keys[entry.key] = KnownKey(entry.request_hash, codec.receipt(entry.events[entry.answer], at))
            positions.append(at)
        return positions

    async def save_snapshots(self, snapshots: Sequence[tuple[AccountId, int, bytes]]) -> None:
        pass

    async def history(self, account: AccountId, after_seq: int, limit: int) -> list[Receipt]:
        receipts = [
            codec.receipt(event, codec.Position(ShardId(1), seq, NOW_US))
            for seq, event in enumerate(self.events, 1)
            if event.account == account and event.account_seq > after_seq
        ]
        return receipts[:limit]

    async def find_payment(self, payment: PaymentId) -> Receipt | None:
        return next((k.receipt for k in self.keys.values() if k.receipt.payment_id == payment), None)

    async def find_key(self, key: IdempotencyKey) -> Receipt | None:
        return self.keys[key].receipt if key in self.keys else None

    async def close(self) -> None:
        pass


class Doors(NamedTuple):
    """What the door needs of the gateway."""

    router: Router
    connections: Connections
    payer: PayerOf = nobody


class Stage:
    """A shard with an open account that owes 1843.17 and a closed one, and the router to it."""

    def __init__(self) -> None:
        self.settings = Settings(home=Path("unused"), gateway_deadline_ms=300, call_timeout_ms=200)
        self.journal = SmallJournal()
        policy = SplitPolicy(agreement="A", code=PolicyCode.FIFO, version=1, valid_from=datetime.date(2020, 1, 1))
        self.shard = Shard(self.journal, PolicyBook((policy,)), self.settings, notify=self._notify)
        self.router = Router(self.settings)
        self.silence = Transport(self._no_answer, self._no_answer)
        self.people: dict[AccountId, Payer] = {}
        self._numbered = 0
        self._versions = itertools.count(1)

    def _notify(self, notices: object) -> None:
        pass

    async def begin(self) -> None:
        """Take ownership and bill the accounts."""
        await self.shard.start(ShardId(1), "test")
        self.connect()
        lines = (
            ChargeLine(ServiceCode("heating"), ProviderId("teplo"), 120_000),
            ChargeLine(ServiceCode("water"), ProviderId("vodokanal"), 64_317),
        )
        for account in (OPEN, CLOSED):
            await self.post(account, OpenAccount, agreement="A")
            await self.post(account, PostCharges, period=Period(202609), lines=lines)
        await self.post(CLOSED, CloseAccount)

    def connect(self) -> None:
        """Lead the router to the shard."""
        self._route(Transport(self.shard.accept, self.shard.read))

    def disconnect(self) -> None:
        """Lead the router nowhere: no call is answered."""
        self._route(self.silence)

    def _route(self, way: Transport) -> None:
        self.router.update(Routes(next(self._versions), (ShardId(1),) * SLOTS), {ShardId(1): way})

    async def payer(self, account: AccountId) -> Payer | None:
        """Who lives behind an account."""
        return self.people.get(account)

    async def _no_answer(self, _: bytes) -> bytes:
        raise ShardUnreachable

    def doors(self, *connections: Connection) -> Doors:
        """Offer this stage's router to a door."""
        return Doors(self.router, Connections(map(row, connections)), self.payer)

    async def post(self, account: AccountId, kind: Callable[..., AnyCommand], **content: object) -> None:
        """Send one of billing's commands, which must succeed."""
        self._numbered += 1
        command = kind(
            source=BILLING,
            txn_id=TxnId(str(self._numbered)),
            request_hash=b"",
            account=account,
            accepted_at_us=NOW_US,
            **content,
        )
        outcome = await self.router.submit(command)
        assert isinstance(outcome, Acknowledged), outcome

    def credited(self) -> list[tuple[str, str, int]]:
        """Every payment and reversal in the ledger: txn_id, account, kopecks."""
        return [(e.txn_id, e.account, e.amount_kopecks) for e in self.journal.events if e.source != BILLING]


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Run a stage's shard for the length of a block."""
    stage = Stage()
    running: asyncio.Task[None] | None = None
    await stage.shard.start(ShardId(1), "test")
    running = asyncio.create_task(stage.shard.run())
    try:
        await stage.begin()
        yield stage
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def open_door(stage: Stage, *connections: Connection) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Serve the OSMP door over HTTP; the client signs in with the first connection's credentials."""
    async with open_doors(stage, *(connections or (contract(),)), authorization=basic(LOGIN, PASSWORD)) as client:
        yield client


@asynccontextmanager
async def open_doors(
    stage: Stage, *connections: Connection, authorization: str = "", doors: Doors | None = None
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Serve every dialect's door over HTTP for these connections."""
    app = web.Application(client_max_size=64 * 1024)
    app.add_routes(processor_routes(doors or stage.doors(*connections)))
    headers = {"Authorization": authorization} if authorization else {}
    async with TestClient(TestServer(app), headers=headers) as client:
        yield client


def basic(login: str, password: str) -> str:
    """Write an `Authorization` header."""
    return "Basic " + b64encode(f"{login}:{password}".encode()).decode()
