"""The stage of the imports' tests: a real Postgres, two real shards in this process, and one billing with its codes."""

import asyncio
import datetime
import io
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from actors.billing_intake import Delivery, Place, receive
from actors.billing_posting import Pace
from actors.billing_run import Importer
from actors.client import Router, Routes, Transport
from actors.messages import AccountView
from actors.settings import Settings
from actors.shard import Shard
from engine.commands import AcceptPayment
from engine.ids import AccountId, ShardId, SourceId, TxnId
from engine.outcomes import Acknowledged
from engine.policy import PolicyBook, PolicyCode, SplitPolicy
from intake.profile import FileKind
from storage import billing, codec, epochs, reference
from storage.archive import Archive
from storage.audit import audit
from storage.billing import Billing, Terms
from storage.journal import PostgresJournal
from storage.received import ReceivedFile, find

NAME = "erc"
SHARDS = (ShardId(1), ShardId(2))
POLICY = SplitPolicy(agreement="main", code=PolicyCode.FIFO, version=1, valid_from=datetime.date(2020, 1, 1))
CHARGES_HEADER = "ACCOUNT;PERIOD;SERVICE;PROVIDER_INN;KIND;OPENING;ACCRUED;PENALTY;CLOSING;DOC_NO;DUE_DATE"
CODES = {"service": {"1": "HEAT", "2": "WATER"}, "provider": {"77": "P1", "78": "P2"}}
"""What the billing's codes mean; its other codes mean nothing to anybody yet."""

_CONFIRM = """
    INSERT INTO mappings (source, kind, code, name, attributes, master_id, status, confidence_percent, method,
        valid_from, proposed_by, decided_by, decided_at)
    SELECT $1, kind, code, '', '{}', master, 'confirmed', 100, 'manual', '2000-01-01', 'one', 'two', now()
    FROM unnest($2::text[], $3::text[], $4::text[]) AS meant(kind, code, master) ON CONFLICT DO NOTHING"""
QUICK = Pace(burst_commands=1_000, share_percent=100, silence_s_max=5.0)


def charge(account: str, service: str, provider: str, roubles: str, **more: str) -> str:
    """One line of a file of charges for October 2026."""
    cells = {"period": "2026-10", "kind": "charge", "opening": "", "penalty": "", "closing": ""} | more
    document, due = cells.get("document", f"E-{account}"), cells.get("due", "2026-11-16")
    first = (account, cells["period"], service, provider, cells["kind"], cells["opening"])
    return ";".join((*first, roubles, cells["penalty"], cells["closing"], document, due))


def charges(lines: Iterable[str]) -> bytes:
    """A file of charges in the canonical layout."""
    return "\r\n".join((CHARGES_HEADER, *lines, "")).encode()


class Stage:
    """What runs, and short ways to import, to pay and to look."""

    def __init__(self, database_url: str, folder: Path, router: Router) -> None:
        self.database_url = database_url
        self.router = router
        self.place = Place(database_url, Archive(folder / "archive"))
        self._numbers = itertools.count(1)

    def importer(self, router: Any = None, **more: Any) -> Importer:
        """An importer in small chunks, so that a small file has many."""
        return Importer(self.place, router or self.router, QUICK, **{"accounts_a_chunk": 3} | more)

    async def receive(
        self, content: bytes, kind: FileKind = FileKind.CHARGES, **more: str
    ) -> tuple[ReceivedFile, bool]:
        """Hand a file over; nothing is run yet."""
        delivery = Delivery(billing=NAME, kind=kind, name=f"{kind}.csv", by="tester", **more)
        return await receive(self.place, delivery, io.BytesIO(content))

    async def take(self, content: bytes, kind: FileKind = FileKind.CHARGES, **more: str) -> ReceivedFile:
        """Import a file to its end."""
        file, _ = await self.receive(content, kind, **more)
        await self.importer().run(NAME)
        return await self.file(file.file)

    async def file(self, number: int) -> ReceivedFile:
        found = await find(self.database_url, number)
        assert found is not None
        return found

    async def protocol(self, number: int, version: int = 0) -> list[str]:
        """The lines of a file's protocol."""
        kept = await billing.find_protocol(self.database_url, number, version)
        assert kept is not None
        return self.place.archive.path(kept.sha256).read_text(encoding="utf-8").splitlines()

    async def told(self, number: int) -> list[str]:
        """The protocol's lines about rows."""
        return [line for line in await self.protocol(number) if line[:1].isdigit()]

    async def account(self, number: str) -> AccountView:
        view = await self.router.account(AccountId(number))
        assert view is not None
        return view

    async def debts(self, number: str) -> dict[str, int]:
        """What an account owes, by service, provider, period and kind."""
        view = await self.account(number)
        return {
            f"{item.service} {item.provider} {item.period} {item.kind}": item.due_kopecks
            for item in view.items
            if item.due_kopecks
        }

    async def pay(self, number: str, kopecks: int) -> Acknowledged:
        """A payment at a terminal."""
        command = AcceptPayment(
            source=SourceId("terminal"),
            txn_id=TxnId(f"t{next(self._numbers)}"),
            request_hash=b"x",
            account=AccountId(number),
            accepted_at_us=codec.micros(datetime.datetime.now(tz=datetime.UTC)),
            amount_kopecks=kopecks,
        )
        outcome = await self.router.submit(command)
        assert isinstance(outcome, Acknowledged), outcome
        return outcome

    async def confirm(self, kind: str, code: str, master: str) -> None:
        """Two persons confirm what a code means."""
        await self.execute(_CONFIRM, NAME, [kind], [code], [master])

    async def confirm_all(self) -> None:
        """The same for every code that the billing begins with."""
        rows = [(kind, code, master) for kind, meanings in CODES.items() for code, master in meanings.items()]
        await self.execute(_CONFIRM, NAME, *map(list, zip(*rows, strict=True)))

    async def execute(self, statement: str, *values: Any) -> None:
        """Do something by hand, saying who and why as master data want it."""
        connection = await asyncpg.connect(self.database_url)
        async with connection.transaction():
            await connection.execute("SELECT set_config('kopeck.who', 'a', true), set_config('kopeck.why', 'b', true)")
            await connection.execute(statement, *values)
        await connection.close()

    async def count(self, statement: str, *values: Any) -> int:
        connection = await asyncpg.connect(self.database_url)
        found = await connection.fetchval(statement, *values)
        await connection.close()
        return int(found)

    async def is_clean(self) -> bool:
        """Whether the whole ledger folds again to what it says."""
        return (await audit(self.database_url)).clean


@asynccontextmanager
async def open_stage(database_url: str, folder: Path) -> AsyncIterator[Stage]:
    """Run two shards over a migrated database, with one billing, for the length of a block."""
    await reference.add_policy(database_url, POLICY)
    await billing.put_billing(database_url, Billing(billing=NAME, agreement="main", terms=Terms()), "tester")
    settings = Settings(home=folder, gateway_deadline_ms=2_000, call_timeout_ms=20_000)
    async with AsyncExitStack() as running:
        shards = [await _start(running, number, database_url, settings) for number in SHARDS]
        router = Router(settings)
        table = await epochs.read_slots(database_url)
        ways = {number: Transport(shard.accept, shard.read) for number, shard in zip(SHARDS, shards, strict=True)}
        router.update(Routes(table.version + 1, table.shards), ways)
        stage = Stage(database_url, folder, router)
        await stage.confirm_all()
        yield stage


async def _start(running: AsyncExitStack, number: ShardId, database_url: str, settings: Settings) -> Shard:
    journal = PostgresJournal(database_url)
    shard = Shard(journal, PolicyBook((POLICY,)), settings, notify=lambda notices: None)
    await shard.start(number, "test")
    running.push_async_callback(journal.close)
    running.push_async_callback(_end, asyncio.create_task(shard.run()))
    return shard


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
