"""Bad input at the JSON door: each row gets its status and code, leaves no trace, harms no neighbour, is counted."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateways.json_stage import (
    CLOSED,
    OPEN,
    UNKNOWN,
    Client,
    Stage,
    bearer,
    counted,
    open_door,
    open_stage,
    payment,
)

JSON = {"Content-Type": "application/json"}
BODY_S_MAX = 0.2
GOOD = json.dumps(payment())
AMOUNT, ACCOUNT, ACCEPTED_AT = "amount_kopecks", "account", "accepted_at"
Row = tuple[bytes, int, str, str | None]


def with_amount(text: str, status: int = 400, code: str = "field-invalid", param: str | None = AMOUNT) -> Row:
    """A row whose amount is this text, as it stands."""
    return GOOD.replace("184317", text).encode(), status, code, param


def with_fields(status: int, code: str, param: str | None, **fields: object) -> Row:
    """A row with other fields."""
    return json.dumps(payment(**fields)).encode(), status, code, param


def with_account(text: str, code: str = "text-invalid") -> Row:
    return with_fields(400, code, ACCOUNT, account=text)


def with_date(text: str, status: int = 400, code: str = "field-invalid") -> Row:
    return with_fields(status, code, ACCEPTED_AT, accepted_at=text)


def with_earmark(status: int, code: str, param: str, **earmark: object) -> Row:
    return with_fields(status, code, param, earmark=earmark)


def with_more(text: str, param: str) -> Row:
    """A row with this after its last field."""
    return f"{GOOD[:-1]}, {text}}}".encode(), 400, "field-invalid", param


def malformed(body: bytes, code: str = "malformed-json") -> Row:
    return body, 400, code, None


LINE = {"service": "water", "amount_kopecks": 100}
TABLE: dict[str, Row] = {
    "unknown account": with_fields(404, "account-unknown", ACCOUNT, account=UNKNOWN),
    "closed account": with_fields(422, "account-closed", ACCOUNT, account=CLOSED),
    "empty account": with_account("", "field-invalid"),
    "blank account": with_account("  "),
    "over-long account": with_account("1" * 65, "field-invalid"),
    "account as a number": with_fields(400, "field-invalid", ACCOUNT, account=7001020003),
    "account of mixed alphabets": with_account("AА1"),
    "account with a zero-width space": with_account("0070\u200b01"),
    "account with a right-to-left mark": with_account("0070\u202e01"),
    "account with NUL": with_account("0070\x0001"),
    "account with a line end": with_account("0070\n01"),
    "account with a blank inside": with_account("0070 01"),
    "account with a byte order mark": with_account("\ufeff0070"),
    "account with half a character": malformed(GOOD.replace(OPEN, "\\ud800").encode()),
    "account with the other half": malformed(GOOD.replace(OPEN, "\\udc00").encode()),
    "over-long txn_id": with_fields(400, "field-invalid", "txn_id", txn_id="1" * 65),
    "empty txn_id": with_fields(400, "field-invalid", "txn_id", txn_id=""),
    "txn_id with NUL": with_fields(400, "text-invalid", "txn_id", txn_id="T\x00"),
    "channel with a line end": with_fields(400, "text-invalid", "channel", channel="web\n"),
    "zero": with_amount("0", 422, "amount-not-positive"),
    "negative zero": with_amount("-0", 422, "amount-not-positive"),
    "negative": with_amount("-184317", 422, "amount-not-positive"),
    "three decimals": with_amount("12.345"),
    "roubles and kopecks": with_amount("1843.17"),
    "a whole number written as a fraction": with_amount("184317.0"),
    "exponent": with_amount("1e3"),
    "NaN": with_amount("NaN", 400, "malformed-json", None),
    "infinity": with_amount("Infinity", 400, "malformed-json", None),
    "beyond any float": with_amount("1e999"),
    "amount as text": with_amount('"184317"'),
    "amount null": with_amount("null"),
    "amount true": with_amount("true"),
    "amount with a sign": with_amount("+5", 400, "malformed-json", None),
    "amount in another base": with_amount("0x10", 400, "malformed-json", None),
    "leading zero": with_amount("0184317", 400, "malformed-json", None),
    "above the contract": with_amount("1500001", 422, "amount-outside-contract"),
    "largest of 64 bits": with_amount(str(2**63 - 1), 422, "amount-outside-contract"),
    "smallest of 64 bits": with_amount(str(-(2**63)), 422, "amount-not-positive"),
    "beyond 64 bits": with_amount(str(2**63)),
    "beyond 64 bits without a sign": with_amount(str(2**64)),
    "2^70": with_amount(str(2**70)),
    "five thousand digits": with_amount("9" * 5000),
    "fee of 2^70": with_fields(400, "field-invalid", "fee_kopecks", fee_kopecks=2**70),
    "negative fee": with_fields(400, "field-invalid", "fee_kopecks", fee_kopecks=-1),
    "no account": with_fields(400, "field-invalid", ACCOUNT, account=...),
    "no txn_id": with_fields(400, "field-invalid", "txn_id", txn_id=...),
    "no amount": with_fields(400, "field-invalid", AMOUNT, amount_kopecks=...),
    "no date": with_fields(400, "field-invalid", ACCEPTED_AT, accepted_at=...),
    "unknown field": with_fields(400, "field-invalid", "amount", amount=1),
    "a field twice": with_more('"amount_kopecks": 100', AMOUNT),
    "a field twice, one of them written otherwise": with_more(r'"\u0061ccount": "1"', ACCOUNT),
    "a field of the earmark twice": with_more('"earmark": {"service": "heating", "service": "water"}', "service"),
    "date tomorrow": with_date("2026-10-16T12:00:01Z", 422, "accepted-at-in-future"),
    "date in the far future": with_date("9999-12-31T23:59:59Z", 422, "accepted-at-in-future"),
    "date of four years ago": with_date("2022-10-15T12:00:00Z", 422, "accepted-at-too-old"),
    "date of the year one": with_date("0001-01-01T00:00:00+14:00", 422, "accepted-at-too-old"),
    "date without offset": with_date("2026-10-15T14:30:00"),
    "date without time": with_date("2026-10-15"),
    "date as people write it": with_date("15.10.2026 14:30"),
    "date that does not exist": with_date("2026-02-30T00:00:00Z"),
    "date as a number": with_fields(400, "field-invalid", ACCEPTED_AT, accepted_at=1792057800),
    "unknown earmark": with_earmark(422, "earmark-unknown", "earmark", service="sauna"),
    "unknown provider": with_earmark(422, "earmark-unknown", "earmark", provider="nobody"),
    "unknown document": with_earmark(422, "earmark-unknown", "earmark", document="42"),
    "unknown kind of earmark": with_earmark(400, "field-invalid", "earmark.kind", kind="tax"),
    "empty earmark": with_earmark(422, "earmark-invalid", "earmark"),
    "earmark of lines and more": with_earmark(422, "earmark-invalid", "earmark", service="water", lines=[LINE]),
    "earmark of more than the money": with_earmark(
        422, "earmark-invalid", "earmark", lines=[LINE | {"amount_kopecks": 184_318}]
    ),
    "earmark with a line of zero": with_earmark(
        400, "field-invalid", "earmark.lines[0].amount_kopecks", lines=[LINE | {"amount_kopecks": 0}]
    ),
    "earmark with a line of 2^70": with_earmark(
        400, "field-invalid", "earmark.lines[0].amount_kopecks", lines=[LINE | {"amount_kopecks": 2**70}]
    ),
    "earmark of too many lines": with_earmark(400, "field-invalid", "earmark.lines", lines=[LINE] * 33),
    "earmark of month 13": with_earmark(400, "field-invalid", "earmark.period", period="2026-13"),
    "earmark of a month and a line end": with_earmark(400, "field-invalid", "earmark.period", period="2026-09\n"),
    "document of a month in other digits": with_fields(400, "field-invalid", "doc_period", doc_period="2026-٠٩"),
    "document of a month and a line end": with_fields(400, "field-invalid", "doc_period", doc_period="2026-09\n"),
    "cp1251": malformed('{"txn_id": "1", "account": "счёт"}'.encode("cp1251"), "not-utf8"),
    "UTF-16": malformed(GOOD.encode("utf-16")),
    "byte order mark": malformed(b"\xef\xbb\xbf" + GOOD.encode()),
    "no body": malformed(b""),
    "not JSON": malformed(b"txn_id=1&account=2"),
    "half of the body": malformed(GOOD.encode()[:40]),
    "two bodies": malformed((GOOD + GOOD).encode()),
    "ten thousand brackets": (b"[" * 10_000, 400, "field-invalid", None),
    "ten thousand brackets in a field": (b'{"account": ' + b"[" * 10_000, 400, "field-invalid", ACCOUNT),
    "ten thousand braces in a field": (
        b'{"earmark": ' + b'{"lines": [' * 5_000,
        400,
        "field-invalid",
        "earmark.lines[0].lines",
    ),
    "a list": (b"[]", 400, "field-invalid", None),
    "null": (b"null", 400, "field-invalid", None),
}


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage, body_s_max=BODY_S_MAX) as client:
        yield client


async def refused(door: Client, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
    """Post a payment that must be refused, with a good neighbour in the same moment; return status and problem."""
    bad, good = await asyncio.gather(
        door.post("/v1/payments", data=body, headers=JSON | (headers or {})),
        door.post("/v1/payments", json=payment(txn_id="good", amount_kopecks=100), headers=bearer("kiosk")),
    )
    assert good.status in (200, 201), "a good neighbour is unharmed"
    assert bad.content_type == "application/problem+json"
    told: dict[str, object] = await bad.json()
    assert told["status"] == bad.status
    return bad.status, told


@pytest.mark.parametrize("name", TABLE)
async def test_it_is_refused_and_leaves_no_trace(stage: Stage, door: Client, name: str) -> None:
    body, status, code, param = TABLE[name]
    before = counted("kopeck_http_problems_total", code=code)
    found, problem = await refused(door, body)
    assert (found, problem["code"], problem["param"]) == (status, code, param)
    assert stage.credited() == [("good", OPEN, 100)]
    assert counted("kopeck_http_problems_total", code=code) == before + 1


@pytest.mark.parametrize("name", TABLE)
async def test_in_a_batch_it_harms_no_neighbour(stage: Stage, door: Client, name: str) -> None:
    body, status, code, _ = TABLE[name]
    rows = [json.dumps(payment(txn_id=key)).encode() for key in ("G-1", "G-2")]
    rows[1:1] = [body] if body and b"\n" not in body else []
    reply = await door.post(
        "/v1/payments/batch", data=b"\n".join(rows), headers={"Content-Type": "application/x-ndjson"}
    )
    results = [json.loads(line) for line in (await reply.text()).splitlines()]
    assert reply.status == 200
    assert [result["status"] for result in results] == [201, *[status] * (len(rows) - 2), 201]
    assert all(result["problem"]["code"] == code for result in results[1:-1])
    assert sorted(txn_id for txn_id, _, _ in stage.credited()) == ["G-1", "G-2"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param({"Authorization": "Bearer wrong"}, 401, "unauthorized", id="wrong key"),
        pytest.param({"Authorization": ""}, 401, "unauthorized", id="no key"),
        pytest.param({"Authorization": "Bearer " + "k" * 7000}, 401, "unauthorized", id="endless key"),
        pytest.param({"Authorization": "Bearer ключ"}, 401, "unauthorized", id="key in Cyrillic"),
        pytest.param({"Authorization": "Basic a2V5OmtleQ=="}, 401, "unauthorized", id="other scheme"),
        pytest.param(bearer("reader"), 403, "forbidden", id="wrong scope"),
        pytest.param({"Content-Type": "text/plain"}, 415, "media-type", id="text"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, 415, "media-type", id="form"),
        pytest.param({"Content-Type": "application/x-ndjson"}, 415, "media-type", id="lines"),
    ],
)
async def test_a_request_without_right_or_form_is_refused(
    stage: Stage, door: Client, headers: dict[str, str], status: int, code: str
) -> None:
    found, problem = await refused(door, GOOD.encode(), headers)
    assert (found, problem["code"]) == (status, code)
    assert stage.credited() == [("good", OPEN, 100)]


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/payments/batch", "/v1/payments/100000000000006/reversal"])
async def test_ten_megabytes_are_too_many(stage: Stage, door: Client, path: str) -> None:
    reply = await door.post(path, data=b" " * 10_000_000, headers=JSON)
    assert (reply.status, (await reply.json())["code"]) == (413, "body-too-large")
    assert stage.credited() == []


async def test_ten_megabytes_in_chunks_are_too_many(stage: Stage, door: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 10_000

    reply = await door.post("/v1/payments", data=chunks(), headers=JSON)
    assert (reply.status, (await reply.json())["code"]) == (413, "body-too-large")
    assert stage.credited() == []


async def talk(door: Client, *said: bytes) -> list[tuple[int, bytes]]:
    """Say bytes over a connection of their own, hear a reply to each, then hear it closed."""
    reader, writer = await asyncio.open_connection(door.host, door.port)
    heard = []
    async with asyncio.timeout(10):
        for part in said:
            writer.write(part)
            heard.append(await _reply(reader))
        assert await reader.read() == b"", "the connection is closed"
    writer.close()
    return heard


async def _reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one reply: its status and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("Content-Length"))
    return int(head.split(" ")[1]), await reader.readexactly(length)


def post(body: str, length: int | None = None) -> bytes:
    """A payment as it travels; its length may be a lie."""
    head = [
        "POST /v1/payments HTTP/1.1",
        "Host: pay.example",
        f"Authorization: {bearer('terminal')['Authorization']}",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


@pytest.mark.slow
async def test_a_body_that_does_not_come_in_time_is_given_up(stage: Stage, door: Client) -> None:
    [(status, body)] = await talk(door, post(GOOD[:40], length=len(GOOD)))
    problem = json.loads(body)
    assert (status, problem["code"], problem["retry"]) == (408, "body-timeout", "yes")
    assert stage.credited() == []
    assert (await door.post("/v1/payments", json=payment())).status == 201


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"\x00\x01\x02\r\n\r\n", id="bytes"),
        pytest.param(b"GET / HTTP/x\r\n\r\n", id="no version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"POST /v1/payments HTTP/1.1\r\nContent-Length: x\r\n\r\n", id="length that is no number"),
        pytest.param(
            b"POST /v1/payments HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two lengths",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", id="endless header"),
        pytest.param(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", id="endless path"),
    ],
)
async def test_garbage_after_a_payment_ends_that_connection_alone(
    stage: Stage, door: Client, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted("kopeck_http_unreadable_total")
    (first, _), (second, _) = await talk(door, post(GOOD), garbage)
    assert (first, second) == (201, 400)
    assert (await door.post("/v1/payments", json=payment(txn_id="T-2"))).status == 201
    assert [txn_id for txn_id, _, _ in stage.credited()] == ["T-1", "T-2"]
    assert counted("kopeck_http_unreadable_total") == before + 1
    assert caplog.records == [], "who floods us with garbage does not fill the log"


@pytest.mark.parametrize("path", [b"/v1/payments", b"/v1/payments/batch"])
async def test_who_hangs_up_within_a_request_does_not_fill_the_log(
    stage: Stage, door: Client, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection(door.host, door.port)
    writer.write(post(GOOD[:40], length=len(GOOD)).replace(b"/v1/payments", path))
    await writer.drain()
    await asyncio.sleep(0)  # The request is inside, and waits for its body.
    writer.close()
    await writer.wait_closed()
    assert (await door.post("/v1/payments", json=payment(txn_id="T-2"))).status == 201
    assert caplog.records == []
    assert [txn_id for txn_id, _, _ in stage.credited()] == ["T-2"]


async def test_garbage_alone_is_counted(door: Client) -> None:
    before = counted("kopeck_http_unreadable_total")
    assert [status for status, _ in await talk(door, b"\x16\x03\x01\x02\x00")] == [400]
    assert counted("kopeck_http_unreadable_total") == before + 1


async def test_pipelined_payments_are_answered_in_order(stage: Stage, door: Client) -> None:
    reader, writer = await asyncio.open_connection(door.host, door.port)
    writer.write(post(GOOD) + post(GOOD.replace("T-1", "T-2")) + post("{"))
    heard = [(await _reply(reader))[0] for _ in range(3)]
    writer.close()
    assert heard == [201, 201, 400]
    assert [txn_id for txn_id, _, _ in stage.credited()] == ["T-1", "T-2"]


async def test_nothing_listens_at_other_addresses(door: Client) -> None:
    unknown = await door.get("/v1/paymentz")
    assert (unknown.status, (await unknown.json())["code"]) == (404, "not-found")
    wrong = await door.put("/v1/payments", json=payment())
    assert (wrong.status, (await wrong.json())["code"], wrong.headers["Allow"]) == (405, "method-not-allowed", "POST")
