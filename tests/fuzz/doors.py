"""The doors that are fuzzed: what a good request looks like at each, and where its replies tell what was taken.

Dialects of processors come from their drivers, which the conformance suite demands of every one; a dialect's line in
`TELLS` says where its replies tell our number, and one that signs has a line in `SEALS`.
"""

import json
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from gateways.connections import Connection
from tests.fuzz.mutations import in_a_line, mutated
from tests.fuzz.wire import Request
from tests.gateways import osmp_stage
from tests.gateways.json_stage import CLOSED, ELSEWHERE, OPEN, UNKNOWN, bearer, contract
from tests.gateways.processors.drivers import DRIVERS, Bisys, Cyberplat, Driver, Moneta, Sent

Make = Callable[[Random, str, str], Request]
"""Makes a good request of dice, an id and an account."""


Seal = Callable[[Random, Request], Request]
"""Breaks what a good request says and signs that, so that it gets past the check of signatures."""


class Door(NamedTuple):
    """One way in. `good` pays; `asks` are its other requests.

    `tells` finds in a reply what was taken. `tells_number`: it finds our number of the payment, and then every number
    that a reply tells is in the ledger and nothing is in the ledger that no reply has told; else they are counted.
    `is_taken` reads the reply to a good request. `keeps_unknown`: money for a number that we do not know is kept.
    """

    connection: Connection
    good: Make
    asks: tuple[Make, ...]
    tells: re.Pattern[bytes]
    is_taken: Callable[[bytes], bool]
    tells_number: bool = True
    keeps_unknown: bool = False
    seal: Seal | None = None


ACCOUNTS = (OPEN, OPEN, OPEN, CLOSED, UNKNOWN)
"""What mutated requests pay to; good neighbours pay to `ELSEWHERE`."""
GOOD_ACCOUNT = ELSEWHERE

_TERMINAL = contract("terminal")
_BEARER = tuple((name.encode(), value.encode()) for name, value in bearer("terminal").items())
_JSON = (*_BEARER, (b"Content-Type", b"application/json"))


def _payment(dice: Random, txn_id: str, account: str) -> bytes:
    asked: dict[str, object] = {
        "txn_id": txn_id,
        "account": account,
        "amount_kopecks": dice.randrange(1, 500_000),
        "accepted_at": "2026-10-15T14:30:00+03:00",
    }
    if dice.random() < 0.3:
        line = {"service": "water", "amount_kopecks": 1, "provider": "vodokanal", "period": "2026-09"}
        asked["earmark"] = dice.choice(({"service": "heating"}, {"period": "2026-09"}, {"lines": [line]}))
    if dice.random() < 0.3:
        asked |= {"channel": "web", "doc_period": "2026-09", "fee_kopecks": 100}
    return json.dumps(asked).encode()


def _pay(dice: Random, txn_id: str, account: str) -> Request:
    return Request(b"POST", b"/v1/payments", _JSON, _payment(dice, txn_id, account))


def _pay_many(dice: Random, txn_id: str, account: str) -> Request:
    rows = [_payment(dice, f"{txn_id}-{row}", account) for row in range(dice.randrange(1, 5))]
    headers = (*_BEARER, (b"Content-Type", b"application/x-ndjson"))
    return Request(b"POST", b"/v1/payments/batch", headers, b"\n".join(rows))


def _reverse(dice: Random, txn_id: str, account: str) -> Request:
    target = b"/v1/payments/%d/reversal" % _some_payment(dice)
    asked = {"txn_id": txn_id, "amount_kopecks": dice.randrange(1, 1_000), "reason": "ошибка кассира"}
    return Request(b"POST", target, _JSON, json.dumps(asked).encode())


def _show(dice: Random, txn_id: str, account: str) -> Request:
    paths = (
        b"/v1/payments/%d" % _some_payment(dice),
        f"/v1/accounts/{account}".encode(),
        f"/v1/accounts/{account}/ledger?limit=2&after=1".encode(),
    )
    return Request(b"GET", dice.choice(paths), _BEARER)


def _some_payment(dice: Random) -> int:
    """The ids of payments as shards give them: shard and place in its journal."""
    return dice.randrange(1, 3) * 10**14 + dice.randrange(1, 500)


_OSMP_SIGNED = ((b"Authorization", osmp_stage.basic(osmp_stage.LOGIN, osmp_stage.PASSWORD).encode()),)
_FORM = (*_OSMP_SIGNED, (b"Content-Type", b"application/x-www-form-urlencoded"))


def _osmp(dice: Random, **fields: str) -> Request:
    """A request of OSMP, as a query or as a form."""
    text = urlencode(fields).encode()
    if dice.random() < 0.3:
        return Request(b"POST", b"/osmp", _FORM, text)
    return Request(b"GET", b"/osmp?" + text, _OSMP_SIGNED)


def _osmp_pay(dice: Random, txn_id: str, account: str) -> Request:
    roubles = f"{dice.randrange(1, 5_000)}.{dice.randrange(100):02}"
    return _osmp(dice, command="pay", txn_id=txn_id, txn_date="20261015143000", account=account, sum=roubles)


def _osmp_check(dice: Random, txn_id: str, account: str) -> Request:
    return _osmp(dice, command="check", txn_id=txn_id, account=account, sum="0.00")


def _osmp_cancel(dice: Random, txn_id: str, account: str) -> Request:
    return _osmp(dice, command="cancel", txn_id=f"77{txn_id}", txn_date="20261015150000", cancel_txn_id=txn_id)


def _osmp_status(dice: Random, txn_id: str, account: str) -> Request:
    return _osmp(dice, command="status", txn_id=txn_id)


# Of processors: whatever `tests/gateways/processors` has a driver for.

_UNLIMITED = {"checks_a_minute": 1_000_000_000, "missed_checks_a_minute": 1_000_000_000}
_CYBERPLAT, _MONETA, _BISYS = Cyberplat(), Moneta(), Bisys()


def _sent(sent: Sent) -> Request:
    headers = tuple((name.encode(), value.encode()) for name, value in sent.headers.items())
    return Request(sent.method.encode(), sent.target.encode(), headers or ((b"Accept", b"*/*"),), sent.body or b"")


def _processor(driver: Driver) -> Door:
    """The door of a driver's dialect."""

    def pay(dice: Random, txn_id: str, account: str) -> Request:
        return _sent(driver.pay(txn_id, account, f"{dice.randrange(1, 5_000)}.{dice.randrange(100):02}"))

    def check(dice: Random, txn_id: str, account: str) -> Request:
        return _sent(driver.check(account, dice.choice(("", "0.00", "100.00"))))

    return Door(
        driver.connection(**_UNLIMITED),
        pay,
        (check,),
        TELLS[driver.name],
        lambda body: driver.read(body).kind == "done",
        driver.tells_number,
        driver.keeps_unknown,
        SEALS.get(driver.name),
    )


TELLS: Mapping[str, re.Pattern[bytes]] = {
    "osmp": re.compile(rb"<prv_txn>(\d+)</prv_txn>"),
    "cyberplat": re.compile(rb"<authcode>(\d+)</authcode>"),
    "moneta": re.compile(rb"\nSUCCESS|^SUCCESS"),
    "sber": re.compile(rb"<REG_ID>(\d+)</REG_ID>"),
    "bisys": re.compile(rb"<reg_id>(\d+)</reg_id>"),
}


def _seal_query(dice: Random, request: Request) -> Request:
    query = request.target.partition(b"?")[2].partition(b"&sign=")[0]
    return _sent(_CYBERPLAT.signed(in_a_line(mutated(dice, query)).decode()))


def _seal_form(dice: Random, request: Request) -> Request:
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    del fields["MNT_SIGNATURE"]
    name = dice.choice(list(fields))
    fields[name] = mutated(dice, fields[name].encode()).decode("utf-8", "replace")
    if dice.random() < 0.2:
        del fields[dice.choice(list(fields))]
    return _sent(_MONETA.signed(fields))


def _seal_document(dice: Random, request: Request) -> Request:
    head, _, rest = request.body.partition(b"<params>")
    inner = mutated(dice, rest.partition(b"</params>")[0])
    sign = _BISYS.signature(inner).encode()
    return _sent(_BISYS.posted(head + b"<params>" + inner + b"</params><sign>" + sign + b"</sign></request>"))


SEALS: Mapping[str, Seal] = {"cyberplat": _seal_query, "moneta": _seal_form, "bisys": _seal_document}

_OSMP = _processor(DRIVERS["osmp"])._replace(
    connection=osmp_stage.contract(terms={"cancel": True, "status": True}, **_UNLIMITED),
    good=_osmp_pay,
    asks=(_osmp_check, _osmp_cancel, _osmp_status),
)
_NUMBERS = re.compile(rb'"payment_id":"(\d+)"')


def _names_a_payment(body: bytes) -> bool:
    return _NUMBERS.search(body) is not None


DOORS: Mapping[str, Door] = {
    "payments": Door(_TERMINAL, _pay, (_reverse, _show), _NUMBERS, _names_a_payment),
    "batch": Door(_TERMINAL, _pay_many, (), _NUMBERS, _names_a_payment),
    **{name: _processor(driver) for name, driver in DRIVERS.items()},
    "osmp": _OSMP,
}
