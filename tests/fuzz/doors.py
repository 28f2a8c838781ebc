"""The doors that are fuzzed: what a good request looks like at each, and where its replies name what was taken.

A dialect of processors that has no good requests here fails `test_every_dialect_has_its_door`: whoever adds a dialect
adds its line to `PROCESSORS`.
"""

import json
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple
from urllib.parse import urlencode

from gateways.connections import Connection
from tests.fuzz.wire import Request
from tests.gateways import osmp_stage
from tests.gateways.json_stage import CLOSED, ELSEWHERE, OPEN, UNKNOWN, bearer, contract

Make = Callable[[Random, str, str], Request]
"""Makes a good request of dice, an id and an account."""


class Door(NamedTuple):
    """One way in. `good` pays; `asks` are its other requests. `names` finds payment ids in replies: every one that a
    reply names is in the ledger, and nothing is in the ledger that no reply has named. None: its replies name none,
    then replies that `took` finds are counted."""

    connection: Connection
    good: Make
    asks: tuple[Make, ...] = ()
    names: re.Pattern[bytes] | None = re.compile(rb'"payment_id":"(\d+)"')
    took: re.Pattern[bytes] = re.compile(rb'"payment_id":"')


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


_UNLIMITED = {"checks_a_minute": 1_000_000_000, "missed_checks_a_minute": 1_000_000_000}

PROCESSORS: Mapping[str, Door] = {
    "osmp": Door(
        osmp_stage.contract(terms={"cancel": True, "status": True}, **_UNLIMITED),
        _osmp_pay,
        (_osmp_check, _osmp_cancel, _osmp_status),
        re.compile(rb"<prv_txn>(\d+)</prv_txn>"),
        re.compile(rb"<result>0</result>"),
    ),
}
DOORS: Mapping[str, Door] = {
    "payments": Door(_TERMINAL, _pay, (_reverse, _show)),
    "batch": Door(_TERMINAL, _pay_many),
    **PROCESSORS,
}
