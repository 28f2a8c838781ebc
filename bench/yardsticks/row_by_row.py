"""Yardstick: the service that one would write instead: aiohttp, asyncpg, one transaction a payment, six postings.

Written as a good engineer would: a pool, prepared statements, a row lock, one statement for the six rows.
"""

import functools
import itertools
import os
from collections.abc import Iterator

import asyncpg
from aiohttp import web

from bench.servers import MakeApp
from storage.database import connected

_SCHEMA = """
    DROP SCHEMA IF EXISTS plain CASCADE;
    CREATE SCHEMA plain;
    CREATE TABLE plain.accounts (account text PRIMARY KEY, balance bigint NOT NULL);
    CREATE TABLE plain.items (account text, service text, due bigint NOT NULL, PRIMARY KEY (account, service));
    CREATE TABLE plain.payments (payment bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL,
        txn_id text NOT NULL, account text NOT NULL, amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (source, txn_id));
    CREATE TABLE plain.postings (payment bigint, service text, amount bigint NOT NULL, PRIMARY KEY (payment, service));
    INSERT INTO plain.accounts SELECT lpad(n::text, 10, '0'), 6000000 FROM generate_series(0, 9999) n;
    INSERT INTO plain.items SELECT lpad(n::text, 10, '0'), 'SERVICE' || s, 1000000
        FROM generate_series(0, 9999) n, generate_series(1, 6) s;
    ANALYZE plain.accounts; ANALYZE plain.items;
"""
_CONNECTIONS = 16
_POOL: web.AppKey[asyncpg.Pool] = web.AppKey("pool", asyncpg.Pool)


async def prepare(database_url: str) -> None:
    """Make its tables and 10,000 accounts with six debts each."""
    async with connected(database_url) as connection:
        await connection.execute(_SCHEMA)


def app_maker(database_url: str) -> MakeApp:
    """Return what makes its application in a server's process."""
    return functools.partial(_make_app, database_url)


async def _make_app(database_url: str) -> web.Application:
    app = web.Application()
    app[_POOL] = await asyncpg.create_pool(database_url, min_size=_CONNECTIONS, max_size=_CONNECTIONS)
    app.router.add_get("/osmp", _pay)
    return app


async def _pay(request: web.Request) -> web.Response:
    account, txn_id = request.query["account"], request.query["txn_id"]
    roubles, _, kopecks = request.query["sum"].partition(".")
    amount = int(roubles) * 100 + int(kopecks)
    async with request.app[_POOL].acquire() as connection, connection.transaction():
        await connection.execute("SELECT balance FROM plain.accounts WHERE account = $1 FOR UPDATE", account)
        payment = await connection.fetchval(
            """INSERT INTO plain.payments (source, txn_id, account, amount) VALUES ('osmp', $1, $2, $3)
            ON CONFLICT DO NOTHING RETURNING payment""",
            *(txn_id, account, amount),
        )
        if payment is None:
            return web.Response(text="<response><result>0</result></response>", content_type="text/xml")
        dues = await connection.fetch("SELECT service, due FROM plain.items WHERE account = $1 ORDER BY 1", account)
        parts = _split(amount, [row["due"] for row in dues])
        services = [row["service"] for row in dues]
        await connection.execute(
            "INSERT INTO plain.postings SELECT $1, * FROM unnest($2::text[], $3::bigint[])",
            *(payment, services, parts),
        )
        await connection.execute(
            """UPDATE plain.items i SET due = due - p.amount FROM unnest($2::text[], $3::bigint[]) p(service, amount)
            WHERE i.account = $1 AND i.service = p.service""",
            *(account, services, parts),
        )
        await connection.execute("UPDATE plain.accounts SET balance = balance - $2 WHERE account = $1", account, amount)
    return web.Response(
        text=f"<response><osmp_txn_id>{txn_id}</osmp_txn_id><prv_txn>{payment}</prv_txn><result>0</result></response>",
        content_type="text/xml",
    )


def _split(amount: int, dues: list[int]) -> list[int]:
    total = sum(dues)
    parts = [amount * due // total for due in dues]
    parts[0] += amount - sum(parts)
    return parts


def requests() -> Iterator[bytes]:
    """Payments to one account after another, each with a key of its own."""
    prefix = int.from_bytes(os.urandom(4), "big")
    for number in itertools.count():
        query = f"command=pay&txn_id={prefix}{number:010d}&account={number * 7919 % 10_000:010d}&sum=60.00"
        yield f"GET /osmp?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
