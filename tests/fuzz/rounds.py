"""A round: thousands of broken requests at one door of the whole application, good ones among them, and a judge.

The application stands in this process, on sockets, over two real shards and a ledger in memory; each round has its own.
Most requests are true HTTP with broken content and go many on a connection; some are broken as HTTP too and have a
connection of their own. What must hold, whatever is said:
- every request is answered, and never by 500; nothing raises unseen, nothing is logged as an error;
- every good request among them is taken;
- what a reply says was taken is in the ledger, and nothing is there that no reply has told.
"""

import asyncio
import contextlib
import enum
import logging
from collections.abc import Iterator
from random import Random
from typing import NamedTuple
from unittest import mock

from engine.ids import payment_id
from gateways.processors import contract
from tests.fuzz.doors import ACCOUNTS, DOORS, GOOD_ACCOUNT, Door
from tests.fuzz.mutations import in_a_line, mutated
from tests.fuzz.wire import Broken, Heard, Reply, Request, exchange, statuses, throw
from tests.gateways.json_stage import BILLING, NOW_US, Client, Stage, open_door, open_stage, row

ROUND_REQUESTS = 5_000
_WINDOW = 40
_LANES = 6
_GOOD_ONE_IN = 20
_HEADERS_ONE_IN = 10
_THROWN_ONE_IN = 20
_THROWERS = 48
_BODY_S_MAX = 0.2
_QUIET_S = 0.3
_PAYERS = 300
"""How many ids the broken payments share: enough to pay, few enough to be repeated and to conflict."""


def rounds_of(broken: int) -> int:
    """How many rounds say so many broken requests."""
    return -(-broken // (ROUND_REQUESTS - ROUND_REQUESTS // _GOOD_ONE_IN))


class Played(NamedTuple):
    """What a round saw: how many were said, how many replies had each status, and how many told of a payment."""

    said: int
    statuses: dict[int, int]
    taken: int


class _Way(enum.Enum):
    """How something is said: TOGETHER with others on one connection; ALONE, for HTTP's parser may give up the whole
    connection; THROWN, for it may not even end."""

    TOGETHER = 1
    ALONE = 2
    THROWN = 3


class _Said(NamedTuple):
    """One thing to say. `must_pay`: it is a good request."""

    wire: bytes
    way: _Way = _Way.TOGETHER
    must_pay: bool = False


async def play(name: str, seed: int, requests: int = ROUND_REQUESTS) -> Played:
    """Play one round of a door. Errors: `Broken`, with what broke it."""
    door = DOORS[name]
    dice = Random(f"{name} {seed}")
    judge = Judge(door)
    with _errors_seen() as errors, mock.patch.object(contract, "now_us", return_value=NOW_US):
        async with open_stage() as stage, open_door(stage, signed="", body_s_max=_BODY_S_MAX) as client:
            stage.connections.replace([row(door.connection)])
            await _play(door, dice, requests, client, judge)
            judge.look_at(stage)
    if errors:
        raise Broken(f"logged: {errors[0]}")
    return Played(requests, judge.statuses, judge.taken)


async def _play(door: Door, dice: Random, requests: int, client: Client, judge: "Judge") -> None:
    """Say everything, on a few lanes at once."""
    host, port = str(client.host), int(client.port or 0)
    every = [_one(door, dice, number) for number in range(requests)]
    together = [said for said in every if said.way is _Way.TOGETHER]
    lots = [together[first : first + _WINDOW] for first in range(0, len(together), _WINDOW)]
    lots += [[said] for said in every if said.way is _Way.ALONE]
    waiting, thrown = iter(lots), iter([said.wire for said in every if said.way is _Way.THROWN])

    async def lane() -> None:
        for lot in waiting:
            for said, reply in zip(lot, await exchange(host, port, [said.wire for said in lot]), strict=True):
                judge.hear(said, reply)

    async def thrower() -> None:
        for wire in thrown:
            judge.overhear(wire, await throw(host, port, wire, _QUIET_S))

    try:
        async with asyncio.TaskGroup() as lanes:
            for work in (*[lane] * _LANES, *[thrower] * _THROWERS):
                lanes.create_task(work())
    except* Broken as broken:
        raise broken.exceptions[0] from None


def _one(door: Door, dice: Random, number: int) -> _Said:
    """The next thing to say: a good request, a broken one, or bytes that may not be a request at all."""
    if number % _GOOD_ONE_IN == 0:
        return _Said(door.good(dice, f"9{number:07}", GOOD_ACCOUNT).framed(), must_pay=True)
    make, account = dice.choice((door.good, door.good, *door.asks)), dice.choice(ACCOUNTS)
    if number % _THROWN_ONE_IN == 1:
        # An id of its own: only its payment can be in doubt when we hang up before the reply.
        return _Said(_thrown(dice, make(dice, f"2{number:05}", account)), _Way.THROWN)
    request = make(dice, f"1{dice.randrange(_PAYERS):05}", account)
    if number % _HEADERS_ONE_IN == 2:
        return _Said(_with_broken_headers(dice, request).framed(), _Way.ALONE)
    breaks = door.seal if door.seal is not None and dice.random() < 0.5 else _broken
    return _Said(breaks(dice, request).framed())


def _broken(dice: Random, request: Request) -> Request:
    """Break what a request says, not where it ends: its body or query, sometimes its path or headers."""
    target, headers, body = request.target, request.headers, request.body
    if body and dice.random() < 0.9:
        body = mutated(dice, body)
    else:
        path, mark, query = target.partition(b"?")
        query = mutated(dice, query) if mark else query
        target = b"/" + in_a_line(
            (path if mark and dice.random() < 0.9 else b"/" + mutated(dice, path[1:])) + mark + query
        )
    return Request(request.method, target, headers, body)


_HEADERS = (
    *((b"Content-Type", value) for value in (b"text/plain", b"application/json; charset=cp1251", b"x", b"*/*", b"")),
    *((b"Accept-Language", value) for value in (b"en", b"ru;q=x", b"," * 500, b"en;q=1e999")),
    *((b"Authorization", value) for value in (b"", b"Basic", b"Basic =", b"Basic \xff", b"Bearer", b"Digest a=b")),
    *((b"X-Forwarded-For", value) for value in (b"1.1.1.1", b"::1", b",,,", b"x" * 3_000)),
    *((b"Request-Id", value) for value in (b"\xd1\x84", b"x" * 70, b'"')),
    *((b"traceparent", value) for value in (b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00", b"00-x")),
    *((b"Cookie", value) for value in (b"a=b; a=c", b"=;" * 300, b'a="')),
    *((b"Range", b"bytes=0-"), (b"If-None-Match", b"*"), (b"X" * 3_000, b"1"), (b"Accept", b"\xff")),
)


def _with_broken_headers(dice: Random, request: Request) -> Request:
    """Drop, double, replace or break a header; its body still ends where it ends."""
    headers = list(request.headers)
    name, value = headers.pop(dice.randrange(len(headers)))
    match dice.randrange(4):
        case 0:
            headers += [(name, value), (name, value)]
        case 1:
            headers += [(name, value), dice.choice(_HEADERS)]
        case 2:
            headers.append((name, bytes(byte for byte in mutated(dice, value) if byte >= 0x20)[:4_000]))
        case _:
            pass
    return request._replace(headers=tuple(headers))


_FRAMING = (
    *(
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: x",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Expect: x",
    ),
    *(
        b"Content-Encoding: gzip",
        b"Content-Encoding: br",
        b"Content-Encoding: x",
        b"Expect: 100-continue",
        b"Expect: x",
    ),
    *(b"Connection: upgrade\r\nUpgrade: h2c", b"Connection: close, keep-alive", b": x", b"X: y\r\n z", b"Host: [:"),
)


def _thrown(dice: Random, request: Request) -> bytes:
    """Break a request as bytes, its length, lines and headers too; or put garbage before or after it."""
    wire = request.framed()
    garbage = dice.randbytes(dice.randrange(1, 300))
    return dice.choice(
        (
            mutated(dice, wire),
            mutated(dice, wire),
            mutated(dice, wire) + wire,
            wire.replace(b"Host: pay.example", dice.choice(_FRAMING), 1) + garbage,
            wire + garbage,
            garbage + wire,
            wire + mutated(dice, wire),
            wire.replace(b"HTTP/1.1", dice.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"RTSP/1.0", b"")), 1),
            dice.choice((b"CONNECT", b"HEAD", b"TRACE", b"PRI", b"*", b"")) + b" " + wire.partition(b" ")[2],
        )
    )


class Judge:
    """Hears every reply, then compares what was told with what the ledger holds."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._told: set[int] = set()
        self._in_doubt: list[bytes] = []
        self.taken = 0
        self.statuses: dict[int, int] = {}

    def hear(self, said: _Said, reply: Reply) -> None:
        """Judge one reply."""
        self._count(reply.status, said.wire)
        self._note(reply.body)
        if said.must_pay and not (reply.status in (200, 201) and self._door.is_taken(reply.body)):
            raise Broken(f"a good request was refused: {said.wire!r} -> {reply.status} {reply.body!r}")

    def overhear(self, wire: bytes, heard: Heard) -> None:
        """Judge whatever came back for bytes that may hold no request, or several."""
        for status in statuses(heard.text):
            self._count(status, wire)
        self._note(heard.text)
        if not heard.is_whole:
            self._in_doubt.append(wire)

    def _count(self, status: int, wire: bytes) -> None:
        if status >= 500:
            raise Broken(f"{status} for {wire!r}")
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def _note(self, text: bytes) -> None:
        found = self._door.tells.findall(text)
        self.taken += len(found)
        if self._door.tells_number:
            self._told.update(map(int, found))

    def look_at(self, stage: Stage) -> None:
        """Hold the ledger against what was told."""
        paid = {
            known.receipt.payment_id: txn_id.encode()
            for (source, txn_id), known in stage.ledger.keys.items()
            if source != BILLING
        }
        billed = {payment_id(shard, seq) for shard, seq in stage.ledger.rows} - set(paid)
        certain = {number for number, txn_id in paid.items() if not self._is_in_doubt(txn_id)}
        if self._door.tells_number and (certain - self._told or self._told - set(paid) - billed):
            untold, missing = certain - self._told, self._told - set(paid) - billed
            raise Broken(f"never told: {sorted(untold)}; told and not there: {sorted(missing)}")
        if len(certain) > self.taken:
            raise Broken(f"{len(certain)} payments in the ledger, and {self.taken} replies tell of one")
        strangers = set(stage.ledger.by_account) - {*ACCOUNTS, GOOD_ACCOUNT}
        if strangers and not self._door.keeps_unknown:
            raise Broken(f"the ledger holds something of accounts {sorted(strangers)}")

    def _is_in_doubt(self, txn_id: bytes) -> bool:
        """Whether a reply to this payment may have been lost because we hung up before it came."""
        return any(txn_id in wire for wire in self._in_doubt)


class _Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))


@contextlib.contextmanager
def _errors_seen() -> Iterator[list[str]]:
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.seen
    finally:
        logging.getLogger().removeHandler(handler)
