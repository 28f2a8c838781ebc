"""The stage of the registers' tests: a real Postgres, two real shards in this process, one bank with its contract."""

import asyncio
import datetime
import io
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest

from actors.client import Router, Routes, ShardUnreachable, Transport
from actors.register_intake import Delivery, Interrupted, Place, receive
from actors.register_run import work
from actors.settings import Settings
from actors.shard import Shard
from engine.commands import AcceptPayment, AnyCommand, ChargeLine, OpenAccount, PostCharges, fingerprint
from engine.ids import AccountId, Period, ProviderId, ServiceCode, ShardId, SourceId, TxnId
from engine.money import format_roubles
from engine.outcomes import Acknowledged, Receipt
from engine.policy import PolicyBook, PolicyCode, SplitPolicy
from engine.registers import RegisterTerms
from engine.sharding import SLOTS
from gateways.connections import Connection
from intake.profile import Column, FileKind, Form, Profile, encode
from storage import codec, connections, profiles
from storage.archive import Archive
from storage.audit import audit
from storage.connections import Action, Change, ConnectionRow
from storage.journal import PostgresJournal
from storage.received import ReceivedFile

BANK = "bank"
SOURCE = SourceId("bank")
SHARDS = (ShardId(1), ShardId(2))
ANNA, BORIS, VERA = (AccountId(number) for number in ("007001020003", "007001020011", "007001020025"))
NOBODY = AccountId("007001020004")
"""A number that is no account; Anna's with the last digit wrong."""

SIZE_BYTES_MAX = 1 << 20
_MSK = datetime.timedelta(hours=3)
_now = datetime.datetime.now(tz=datetime.UTC).replace(microsecond=0, tzinfo=None) + _MSK
DAY = _now.date() - datetime.timedelta(days=2)
"""The operating day of the tests, by the bank's clock (Moscow)."""


def at(hour: int, minute: int = 0, day: datetime.date = DAY) -> datetime.datetime:
    """A moment of a day by the bank's clock."""
    return datetime.datetime.combine(day, datetime.time(hour, minute))


MORNING = at(10, 33)


class BankLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the bank's register, of 12 columns."""

    operation: str
    account: str = ANNA
    kopecks: int = 150_000
    fee: int = 2_250
    moment: datetime.datetime = MORNING
    payer: str = ""
    address: str = ""
    transferred: int | None = None

    def text(self) -> str:
        transferred = self.kopecks - self.fee if self.transferred is None else self.transferred
        amounts = ";".join(_comma(kopecks) for kopecks in (self.kopecks, transferred, self.fee))
        begins = f"{self.moment:%d-%m-%Y};{self.moment:%H-%M-%S};8625/00123;000001HH;{self.operation};{self.account}"
        return f"{begins};{self.payer};{self.address};0826;{amounts}"


def _comma(kopecks: int) -> str:
    return ("-" if kopecks < 0 else "") + format_roubles(abs(kopecks)).replace(".", ",")


def bank_file(
    *lines: BankLine, order: str = "654321", order_on: datetime.date = DAY, count: int | None = None
) -> bytes:
    """A register as the bank sends it, in windows-1251, with its trailer."""
    paid = sum(line.kopecks for line in lines)
    fee = sum(line.fee for line in lines)
    told = len(lines) if count is None else count
    trailer = f"={told};{_comma(paid)};{_comma(paid - fee)};{_comma(fee)};{order};{order_on:%d-%m-%Y}"
    return "".join(f"{text}\r\n" for text in [*(line.text() for line in lines), trailer]).encode("cp1251")


class Stage:
    """An installation with three accounts, each owing 3,000.00, and one bank."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.url = database_url
        self.folder = folder
        self.settings = Settings(home=folder, gateway_deadline_ms=2_000, call_timeout_ms=5_000)
        self.router = Router(self.settings)
        self.place = Place(database_url, Archive(folder / "archive"), self.router)
        policy = SplitPolicy(agreement="A", code=PolicyCode.FIFO, version=1, valid_from=datetime.date(2020, 1, 1))
        self._book = PolicyBook((policy,))
        self._numbers = itertools.count(1)
        self._versions = itertools.count(1)

    async def begin(self, running: AsyncExitStack) -> None:
        """Start the shards, bill the accounts, sign the contract."""
        ways = {}
        for number in SHARDS:
            journal = PostgresJournal(self.url)
            shard = Shard(journal, self._book, self.settings, notify=lambda notices: None)
            await shard.start(number, "test")
            running.push_async_callback(journal.close)
            running.push_async_callback(_end, asyncio.create_task(shard.run()))
            ways[number] = Transport(shard.accept, shard.read)
        slots = tuple(SHARDS[slot % len(SHARDS)] for slot in range(SLOTS))
        self.router.update(Routes(next(self._versions), slots), ways)
        for account in (ANNA, BORIS, VERA):
            await self.open_account(account)
        await self.sign()

    async def open_account(self, account: AccountId) -> None:
        await self.post(account, OpenAccount, agreement="A")
        line = ChargeLine(ServiceCode("heating"), ProviderId("teplo"), 300_000)
        await self.post(account, PostCharges, period=Period(202608), lines=(line,))

    async def sign(self, name: str = BANK, cut_off: datetime.time = datetime.time(0), **terms: object) -> None:
        """Put a contract in force."""
        contract = Connection(
            source=SourceId(name),
            cut_off=cut_off,
            register=msgspec.convert(terms, RegisterTerms),
            scopes=("pay", "read"),
        )
        settings = msgspec.json.encode(contract).decode()
        known = {row.connection: row.version for row in await connections.read_connections(self.url)}
        row = ConnectionRow(name, "osmp", True, settings, known.get(name, 0))
        change = Change(row=row, action=Action.EDIT, who="test", why="", before=None, after="{}")
        await connections.change_connections(self.url, [change])

    async def post(self, account: AccountId, kind: Callable[..., AnyCommand], **content: object) -> Receipt:
        """Send a command that must succeed."""
        usual: dict[str, object] = {
            "source": SourceId("billing"),
            "txn_id": TxnId(str(next(self._numbers))),
            "request_hash": b"a request of 16",
            "account": account,
            "accepted_at_us": codec.micros(datetime.datetime.now(tz=datetime.UTC)),
        }
        outcome = await self.router.submit(kind(**(usual | content)))
        assert isinstance(outcome, Acknowledged), outcome
        return outcome.receipt

    async def online(
        self, txn_id: str, account: AccountId = ANNA, kopecks: int = 150_000, moment: datetime.datetime = MORNING
    ) -> Receipt:
        """A payment that the bank sent online, as its protocol makes it."""
        return await self.post(
            account,
            AcceptPayment,
            source=SOURCE,
            txn_id=TxnId(txn_id),
            request_hash=fingerprint(account, kopecks),
            accepted_at_us=codec.micros((moment - _MSK).replace(tzinfo=datetime.UTC)),
            amount_kopecks=kopecks,
            channel="terminal",
        )

    async def receive(self, content: bytes, name: str = "register.txt", connection: str = BANK) -> int:
        """Hand a file over; nothing is done with it yet."""
        delivery = Delivery(name=name, connection=connection, who="test")
        file, _ = await receive(self.place, io.BytesIO(content), delivery, SIZE_BYTES_MAX)
        return file.file

    async def receive_statement(self, content: bytes) -> int:
        """Hand a bank statement over."""
        delivery = Delivery(name="statement.txt", connection=BANK, who="test", profile="client-bank")
        file, _ = await receive(self.place, io.BytesIO(content), delivery, SIZE_BYTES_MAX)
        return file.file

    async def take(self, *lines: BankLine, **trailer: object) -> ReceivedFile:
        """Hand a register over and bring it to its end."""
        return await work(self.place, await self.receive(bank_file(*lines, **trailer)))  # type: ignore[arg-type]

    async def work(self, file: int) -> ReceivedFile:
        """Bring a received file to its end."""
        return await work(self.place, file)

    def place_without_shards(self) -> Place:
        """The same place while no shard answers."""
        nowhere = Router(msgspec.structs.replace(self.settings, gateway_deadline_ms=50))
        nowhere.update(Routes(1, self.router.routes.shards), dict.fromkeys(SHARDS, Transport(_no_answer, _no_answer)))
        return self.place._replace(router=nowhere)

    async def interrupted(self, file: int) -> None:
        """Work on a file while no shard answers."""
        with pytest.raises(Interrupted):
            await work(self.place_without_shards(), file)

    async def refunds_profile(self) -> None:
        """Teach the installation a register of four columns that knows refunds."""
        columns = (("operation", "OP"), ("refund_of", "PARENT"), ("account", "LS"), ("paid_kopecks", "SUM"))
        profile = Profile(
            name="refunds",
            kind=FileKind.REGISTER,
            form=Form.CSV,
            columns=(
                *(Column(field=field, names=(name,)) for field, name in columns),
                Column(field="transferred_kopecks", names=("SUM",)),
                Column(field="fee_kopecks", constant="0"),
                Column(field="operated_at", constant=f"{at(12):%Y-%m-%d %H:%M}", date_formats=("%Y-%m-%d %H:%M",)),
            ),
        )
        await profiles.add(self.url, "refunds", "register", encode(profile).decode(), "test")

    async def receive_refunds(self, *lines: str) -> int:
        """Hand over a register of `refunds_profile`: operation;parent;account;kopecks."""
        rows = [line.rsplit(";", 1) for line in lines]
        text = [f"{begins};{_comma(int(kopecks))}" for begins, kopecks in rows]
        return await self.receive("\r\n".join(["OP;PARENT;LS;SUM", *text, ""]).encode())

    async def take_refunds(self, *lines: str) -> int:
        """Take a register of `refunds_profile` whose lines are all Anna's: operation;parent;kopecks."""
        rows = [line.rsplit(";", 1) for line in lines]
        file = await self.receive_refunds(*(f"{begins};{ANNA};{kopecks}" for begins, kopecks in rows))
        done = await work(self.place, file)
        assert done.state == "done", done.problem
        return file

    async def open_cases(self) -> list[str]:
        """The kinds of all open cases, in order of their numbers."""
        rows = await self.fetch("SELECT kind FROM cases WHERE state IN ('open', 'in_work') ORDER BY number")
        return [row["kind"] for row in rows]

    async def outcomes(self, file: int) -> list[str]:
        """How the lines of a file ended, in order."""
        rows = await self.fetch("SELECT outcome FROM register_lines WHERE file = $1 ORDER BY row", file)
        return [row["outcome"] for row in rows]

    async def fetch(self, sql: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *values)
            return rows
        finally:
            await connection.close()

    async def balance(self, account: AccountId) -> int:
        view = await self.router.account(account)
        assert view is not None
        return view.balance_kopecks

    async def audited(self) -> None:
        report = await audit(self.url)
        assert report.clean, report.findings


async def _no_answer(_: bytes) -> bytes:
    raise ShardUnreachable


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_stage(database_url: str, folder: Path) -> AsyncIterator[Stage]:
    """Run a stage's shards for the length of a block."""
    stage = Stage(database_url, folder)
    async with AsyncExitStack() as running:
        await stage.begin(running)
        yield stage
