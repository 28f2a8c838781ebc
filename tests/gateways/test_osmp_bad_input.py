"""Bad input at the OSMP door: each row gets the protocol's own code, leaves no trace, harms no neighbour."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote, quote_from_bytes

import pytest
import pytest_asyncio
import yarl
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateways.processors import door as processor_door
from tests.gateways.osmp_stage import (
    CLOSED,
    LOGIN,
    OPEN,
    PASSWORD,
    UNKNOWN,
    Stage,
    basic,
    open_door,
    open_stage,
)

Client = TestClient[web.Request, web.Application]

HEAD = "command=pay&txn_id=1&txn_date=20261015120133"
GOOD = f"{HEAD}&account={OPEN}&sum=100.00"

TABLE = {
    "unknown account": (f"{HEAD}&account={UNKNOWN}&sum=1.00", 5),
    "closed account": (f"{HEAD}&account={CLOSED}&sum=1.00", 79),
    "no account": (f"{HEAD}&sum=1.00", 300),
    "blank account": (f"{HEAD}&account=%20%20&sum=1.00", 300),
    "over-long account": (f"{HEAD}&account={'1' * 65}&sum=1.00", 4),
    "account with markup": (f"{HEAD}&account=%3Cb%3E%26&sum=1.00", 4),
    "account with NUL": (f"{HEAD}&account=1%002&sum=1.00", 4),
    "account with line end": (f"{HEAD}&account=1%0A2&sum=1.00", 4),
    "account with right-to-left mark": (f"{HEAD}&account={quote('1' + chr(0x202E) + '2')}&sum=1.00", 4),
    "account in cp1251": (f"{HEAD}&account={quote_from_bytes('счёт'.encode('cp1251'))}&sum=1.00", 4),
    "account in UTF-8": (f"{HEAD}&account={quote('счёт7')}&sum=1.00", 5),
    "account of mixed alphabets": (f"{HEAD}&account={quote('AА1')}&sum=1.00", 4),
    "other field in cp1251": (f"{GOOD}&data1={quote_from_bytes('май'.encode('cp1251'))}", 300),
    "zero": (f"{HEAD}&account={OPEN}&sum=0.00", 241),
    "one kopeck": (f"{HEAD}&account={OPEN}&sum=0.01", 241),
    "negative": (f"{HEAD}&account={OPEN}&sum=-1.00", 300),
    "negative zero": (f"{HEAD}&account={OPEN}&sum=-0", 300),
    "signed": (f"{HEAD}&account={OPEN}&sum=%2B5.00", 300),
    "three decimals": (f"{HEAD}&account={OPEN}&sum=152.555", 300),
    "exponent": (f"{HEAD}&account={OPEN}&sum=1e3", 300),
    "NaN": (f"{HEAD}&account={OPEN}&sum=NaN", 300),
    "infinity": (f"{HEAD}&account={OPEN}&sum=inf", 300),
    "comma": (f"{HEAD}&account={OPEN}&sum=100,00", 300),
    "blank between digits": (f"{HEAD}&account={OPEN}&sum=15%20000.00", 300),
    "leading blank": (f"{HEAD}&account={OPEN}&sum=%205", 300),
    "Arabic digits": (f"{HEAD}&account={OPEN}&sum={quote('١٢٣')}", 300),
    "huge": (f"{HEAD}&account={OPEN}&sum=99999999999999.00", 242),
    "beyond 64 bits": (f"{HEAD}&account={OPEN}&sum=9223372036854775808.00", 242),
    "a thousand digits": (f"{HEAD}&account={OPEN}&sum={'9' * 1000}.00", 242),
    "no sum": (f"{HEAD}&account={OPEN}", 300),
    "empty sum": (f"{HEAD}&account={OPEN}&sum=", 300),
    "no date": (f"command=pay&txn_id=1&account={OPEN}&sum=1.00", 300),
    "no such day": (f"command=pay&txn_id=1&txn_date=20260230120000&account={OPEN}&sum=1.00", 300),
    "no such hour": (f"command=pay&txn_id=1&txn_date=20261015240000&account={OPEN}&sum=1.00", 300),
    "date of another form": (f"command=pay&txn_id=1&txn_date=2026-10-15T12:00&account={OPEN}&sum=1.00", 300),
    "future date": (f"command=pay&txn_id=1&txn_date=20261017120000&account={OPEN}&sum=1.00", 300),
    "far future": (f"command=pay&txn_id=1&txn_date=99991231235959&account={OPEN}&sum=1.00", 300),
    "ancient date": (f"command=pay&txn_id=1&txn_date=20010101000000&account={OPEN}&sum=1.00", 300),
    "year zero": (f"command=pay&txn_id=1&txn_date=00000101000000&account={OPEN}&sum=1.00", 300),
    "no id": (f"command=pay&txn_date=20261015120133&account={OPEN}&sum=1.00", 300),
    "id of letters": (f"command=pay&txn_id=abc&txn_date=20261015120133&account={OPEN}&sum=1.00", 300),
    "id of 21 digits": (
        f"command=pay&txn_id={'1' * 21}&txn_date=20261015120133&account={OPEN}&sum=1.00",
        300,
    ),
    "negative id": (f"command=pay&txn_id=-1&txn_date=20261015120133&account={OPEN}&sum=1.00", 300),
    "duplicate field": (f"{GOOD}&sum=2.00", 300),
    "no command": (f"txn_id=1&account={OPEN}&sum=1.00", 300),
    "unknown command": (f"command=refund&txn_id=1&account={OPEN}&sum=1.00", 300),
    "command in capitals": (GOOD.replace("pay", "PAY"), 300),
    "semicolons": (GOOD.replace("&", ";"), 300),
    "broken escapes": (GOOD.replace(OPEN, "%zz%"), 4),
    "empty query": ("", 300),
    "noise": ("&&&=&==", 300),
    "hundreds of fields": ("&".join(f"data{n}=1" for n in range(500)) + "&" + GOOD, 300),
}


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage) as client:
        yield client


@pytest.mark.parametrize(("query", "code"), TABLE.values(), ids=TABLE.keys())
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_bad_input_costs_nothing(stage: Stage, door: Client, method: str, query: str, code: int) -> None:
    neighbour = GOOD.replace("txn_id=1&", "txn_id=2&")
    reply, good = await asyncio.gather(send(door, method, query), send(door, method, neighbour))
    assert f"<result>{code}</result>" in reply
    assert "<result>0</result>" in good
    assert stage.credited() == [("2", OPEN, 10_000)]


async def send(door: Client, method: str, query: str) -> str:
    if method == "GET":
        reply = await door.session.get(_raw(door, query))
    else:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = await door.post("/osmp", data=query.encode(), headers=form)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/xml; charset=utf-8"
    return await reply.text()


def _raw(door: Client, query: str) -> yarl.URL:
    """An address with the query exactly as written."""
    return yarl.URL(f"http://{door.host}:{door.port}/osmp?{query}", encoded=True)


@pytest.mark.parametrize("amount", ["152", "152.5", "152.50"])
async def test_amounts_with_fewer_decimals_are_read(stage: Stage, door: Client, amount: str) -> None:
    assert "<result>0</result>" in await send(door, "GET", f"{HEAD}&account={OPEN}&sum={amount}")
    assert stage.credited()[0][2] in (15_200, 15_250)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + "A" * 5000,
        "Bearer " + PASSWORD,
        basic(LOGIN, "wrong"),
        basic("nobody", PASSWORD),
        basic(LOGIN, ""),
        basic("", ""),
        basic(LOGIN, PASSWORD + "\x00"),
    ],
)
async def test_wrong_credentials_are_asked_for_again(stage: Stage, door: Client, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    door.session.headers.pop("Authorization", None)
    reply = await door.get(f"/osmp?{GOOD}", headers=headers)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith("Basic ")
    assert stage.credited() == []


async def test_ten_megabytes_are_refused_unread(stage: Stage, door: Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await door.post("/osmp", data=b"a" * 10_000_000, headers=form)
    assert reply.status == 413
    assert "<result>0</result>" in await send(door, "GET", GOOD)


async def test_a_slow_body_is_given_up(stage: Stage, door: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_door, "_BODY_S_MAX", 0.05)
    reader, writer = await asyncio.open_connection(door.host, door.port)
    head = f"POST /osmp HTTP/1.1\r\nHost: k\r\nAuthorization: {basic(LOGIN, PASSWORD)}\r\n"
    form = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(GOOD)}\r\n\r\n"
    writer.write((head + form + GOOD[:20]).encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert stage.credited() == []


@pytest.mark.parametrize(("field", "code"), [("account", 4), ("data1", 300)])
async def test_raw_bytes_that_are_not_utf8_are_refused_in_a_form(
    stage: Stage, door: Client, field: str, code: int
) -> None:
    form = f"{HEAD}&account={OPEN}&sum=1.00&data1=x".encode().replace(field.encode() + b"=", field.encode() + b"=\xf1")
    reply = await door.post("/osmp", data=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert f"<result>{code}</result>" in await reply.text()
    assert stage.credited() == []


async def test_a_body_of_another_kind_is_refused(door: Client) -> None:
    assert (await door.post("/osmp", json={"command": "pay"})).status == 415


async def test_head_pays_nothing(stage: Stage, door: Client) -> None:
    assert (await door.head(f"/osmp?{GOOD}")).status == 405
    assert stage.credited() == []


async def test_garbage_behind_a_request_harms_only_its_sender(stage: Stage, door: Client) -> None:
    reader, writer = await asyncio.open_connection(door.host, door.port)
    request = f"GET /osmp?{GOOD} HTTP/1.1\r\nHost: k\r\nAuthorization: {basic(LOGIN, PASSWORD)}\r\n\r\n"
    writer.write(request.encode() + b"\x00\xff\x16\x03garbage\r\n\r\n" + request.encode())
    replies = await reader.read()
    writer.close()
    assert replies.count(b"<result>0</result>") <= 1
    assert b" 400 " in replies
    assert "<result>0</result>" in await send(door, "GET", GOOD)
    assert len(stage.credited()) == 1


async def test_pipelined_requests_are_answered_in_order(stage: Stage, door: Client) -> None:
    reader, writer = await asyncio.open_connection(door.host, door.port)
    head = f"HTTP/1.1\r\nHost: k\r\nAuthorization: {basic(LOGIN, PASSWORD)}\r\n\r\n"
    for txn_id in ("11", "12", "13"):
        query = GOOD.replace("txn_id=1&", f"txn_id={txn_id}&")
        writer.write(f"GET /osmp?{query} {head}".encode())
    for txn_id in ("11", "12", "13"):
        assert f"<osmp_txn_id>{txn_id}</osmp_txn_id>".encode() in await reader.readuntil(b"</response>")
    writer.close()
