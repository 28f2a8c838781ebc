"""The stage of exports: four accounts on a real Postgres, served over HTTP to readers of different rights."""

import datetime
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient

from actors.billing_intake import Place
from actors.client import Router
from actors.exports import Exports
from actors.import_desk import ImportDesk
from actors.settings import Settings
from engine.charge import Kind
from engine.commands import AcceptPayment, Earmark, RefundAdvance, ReversePayment
from engine.ids import PaymentId, ServiceCode, SourceId
from gateways.app import Doors, Readiness, build_app
from gateways.connections import Connection, Connections
from gateways.exports import STALLED_S_MAX
from storage.archive import Archive
from tests.actors.postgres_stage import PostgresStage, account
from tests.gateways.json_stage import Gateway, NoWakeups, row

Client = TestClient[web.Request, web.Application]
DAY = datetime.date(2026, 10, 15)
NEXT_DAY = datetime.date(2026, 10, 16)
HEAT, WATER, REPAIR = ("HEAT", "P1", 120_000), ("WATER", "P2", 64_317), ("KAPREM", "P9", 30_000)
FORMULA = '=cmd|"x",1'
"""A document's number that a spreadsheet would run, with every sign that CSV has to quote."""
READERS: dict[str, dict[str, Any]] = {
    "p1": {"provider": "P1"},
    "p2": {"provider": "P2"},
    "stranger": {"provider": "P7"},
    "north": {"billing": "north"},
    "unbound": {},
    "all": {"scopes": ("export", "operate")},
    "cashier": {"scopes": ("pay", "read"), "provider": "P1"},
}


def key_of(name: str) -> str:
    return f"key-of-{name}-0123456789"


def _connection(name: str) -> Connection:
    usual: dict[str, Any] = {
        "name": name,
        "source": name,
        "scopes": ("export",),
        "api_keys_sha256": (hashlib.sha256(key_of(name).encode()).hexdigest(),),
    }
    return msgspec.convert(usual | READERS[name], Connection)


async def fill(stage: PostgresStage) -> None:
    """Bills, a payment split over providers, an advance applied, a reversal, a refund, penalties, a correction."""
    for number in range(4):
        await stage.open(number, DAY)
    await stage.bill(0, DAY, 202609, [HEAT, WATER, REPAIR], document=FORMULA, due_on=datetime.date(2026, 10, 15))
    await stage.bill(1, DAY, 202609, [HEAT], document="bill-1")
    await stage.bill(2, DAY, 202609, [WATER])
    await stage.pay(0, NEXT_DAY, 150_000, channel="bank")
    undone = await stage.pay(0, NEXT_DAY, 20_000)
    await stage.post(ReversePayment, 0, NEXT_DAY, payment_id=PaymentId(undone), reason="x")
    await stage.pay(1, NEXT_DAY, 200_000, earmark=Earmark(service=ServiceCode("HEAT")))
    await stage.bill(1, NEXT_DAY, 202610, [HEAT])
    await stage.pay(2, NEXT_DAY, 100_000)
    await stage.post(RefundAdvance, 2, NEXT_DAY, amount_kopecks=5_000)
    await stage.bill(2, NEXT_DAY, 202609, [("WATER", "P2", 777)], kind=Kind.PENALTY)
    await stage.bill(0, NEXT_DAY, 202610, [("HEAT", "P1", -10_000)], adjustment=True)
    await stage.post(AcceptPayment, 3, NEXT_DAY, amount_kopecks=1_000, source=SourceId("bank"))


async def by_hand(database_url: str, sql: str, *values: object) -> Any:
    """Do as a superuser what the program does not; return the first value."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET session_replication_role = replica")
    found = await connection.fetchval(sql, *values)
    await connection.close()
    return found


async def give_to_north(database_url: str) -> None:
    """Let the billing `north` keep accounts 0 and 1, and bill for P1 and P9."""
    for number in range(2):
        await by_hand(database_url, "INSERT INTO billing_accounts VALUES (1, 'north', $1)", account(number))
    for provider in ("P1", "P9"):
        await by_hand(
            database_url,
            """INSERT INTO mappings (source, kind, code, name, attributes, master_id, status, confidence_percent,
                method, valid_from, proposed_by, decided_by)
            VALUES ('north', 'provider', $1, '', '', $1, 'confirmed', 100, 'exact_key', '2020-01-01', 'x', 'auto')""",
            provider,
        )


@asynccontextmanager
async def open_door(
    database_url: str, *, exports: Exports | None = None, stalled_s_max: float = STALLED_S_MAX
) -> AsyncIterator[Client]:
    """Serve the application over HTTP. There are no shards behind it: exports ask none."""
    settings = Settings(home=Path("unused"))
    doors = Doors(
        Router(settings),
        settings,
        Connections(row(_connection(name)) for name in READERS),
        NoWakeups(),
        collect_metrics=_nothing,
        readiness=_ready,
        status=_nothing,
        imports=ImportDesk(Place(database_url, Archive(Path("unused")))),
        exports=exports or Exports(database_url),
    )
    async with TestClient(Gateway(build_app(doors, stalled_s_max=stalled_s_max))) as client:
        yield client


async def _nothing() -> bytes:
    return b""


async def _ready() -> Readiness:
    return Readiness(ready=True)


def signed(reader: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key_of(reader)}"}


async def told(client: Client, reader: str, kind: str, **params: str) -> list[dict[str, Any]]:
    """Every record of an export, which must succeed."""
    reply = await client.get(f"/v1/export/{kind}", params=params, headers=signed(reader))
    assert reply.status == 200, await reply.text()
    return [json.loads(line) for line in (await reply.text()).splitlines()]
