"""Payments as a stranger makes them, and what each door wants to read. Money is whole kopecks."""

import datetime
import itertools
import json
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

_MOSCOW = datetime.timezone(datetime.timedelta(hours=3))
_ROUND_KOPECKS = (50_000, 100_000, 250_000, 500_000)
_BILL_KOPECKS = range(100_000, 900_000)
_SERIES = 10**11


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment. `number` is the sender's own: twenty digits, which every door can read."""

    number: str
    account: str
    kopecks: int
    accepted_at: datetime.datetime

    @property
    def roubles(self) -> str:
        """The amount as processors write it."""
        return f"{self.kopecks // 100}.{self.kopecks % 100:02d}"


def numbers() -> Callable[[], str]:
    """Return a source of numbers that no other run and no other process gives out.

    Rule: a key counts once for ever, so a run begins with twelve random digits of its own and counts behind them.
    """
    series = _SERIES + secrets.randbelow(9 * _SERIES)
    count = itertools.count()
    return lambda: f"{series}{next(count):08d}"


_next_number = numbers()


def invent(accounts: Sequence[str], chance: random.Random) -> Payment:
    """Make up a payment: half of the people pay a round sum, half what is on the bill."""
    is_round = chance.random() < 0.5
    kopecks = chance.choice(_ROUND_KOPECKS if is_round else _BILL_KOPECKS)
    return Payment(_next_number(), chance.choice(accounts), kopecks, datetime.datetime.now(tz=_MOSCOW))


def json_body(payment: Payment) -> str:
    """Write the body of `POST /v1/payments`."""
    body = {
        "txn_id": payment.number,
        "account": payment.account,
        "amount_kopecks": payment.kopecks,
        "accepted_at": payment.accepted_at.isoformat(timespec="seconds"),
        "channel": "terminal",
    }
    return json.dumps(body)


def osmp_check(payment: Payment) -> str:
    """Write the query of `check`: can this account be paid."""
    return urlencode({"command": "check", "txn_id": payment.number, "account": payment.account, "sum": payment.roubles})


def osmp_pay(payment: Payment) -> str:
    """Write the query of `pay`. The date is of the agent's clock, Moscow."""
    fields = {
        "command": "pay",
        "txn_id": payment.number,
        "txn_date": payment.accepted_at.strftime("%Y%m%d%H%M%S"),
        "account": payment.account,
        "sum": payment.roubles,
    }
    return urlencode(fields)


def is_split(receipt: bytes) -> bool:
    """Tell whether every kopeck of a receipt has a place: allocations and advances are its amount."""
    told = json.loads(receipt)
    placed = sum(int(line["amount_kopecks"]) for line in told["allocations"] + told["advances"])
    return placed == int(told["amount_kopecks"])
