"""What the suite's payments fall on: accounts with six debts each, large enough for every payment of every round."""

import base64
import datetime
import functools
import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from actors import bootstrap
from actors.client import Router
from cli.connection_changes import Person, ensure
from cli.connection_secrets import digest_of, made_at_random
from engine.commands import AcceptPayment, AnyCommand, ChargeLine, OpenAccount, PostCharges, fingerprint
from engine.ids import AccountId, Period, ProviderId, ServiceCode, SourceId, TxnId
from engine.outcomes import Acknowledged
from engine.policy import PolicyCode, SplitPolicy
from storage import reference

SERVICES = {"HEAT": "P1", "HOT_WATER": "P1", "COLD_WATER": "P2", "SEWERAGE": "P2", "MAINTENANCE": "P3", "WASTE": "P4"}
PAYMENT_KOPECKS = 6_000
_ROUND_ACCOUNTS = 5_000
_DUE_KOPECKS = 100_000_000
_PERIOD = Period(202610)
_AGREEMENT = "bench"
_STRIDE = 611_953
"""Prime: a walk by it visits every account once before any twice, in no order that helps a cache."""


def account(number: int) -> AccountId:
    """The personal account of a number."""
    return AccountId(f"{number:010d}")


async def prepare(database_url: str) -> str:
    """Put the policy and the OSMP connection in place; return the connection's Authorization value."""
    policy = SplitPolicy(
        agreement=_AGREEMENT, code=PolicyCode.PROPORTIONAL, version=1, valid_from=datetime.date(2020, 1, 1)
    )
    await reference.add_policy(database_url, policy)
    await bootstrap.reload_policies()
    password = made_at_random()
    settings = {"source": "osmp", "basic_login": "bench", "basic_password_sha256": digest_of(password)}
    await ensure(database_url, [("bench", "osmp", settings)], Person(who="bench", why="measurement"))
    return "Basic " + base64.b64encode(f"bench:{password}".encode()).decode()


async def add_accounts(router: Router, numbers: range, advance: Callable[[int], None], bills: int = 1) -> None:
    """Open accounts and charge each of them six services, `bills` times."""
    for first in range(numbers.start, numbers.stop, _ROUND_ACCOUNTS):
        some = range(first, min(first + _ROUND_ACCOUNTS, numbers.stop))
        await _expect_all(router, [_opening(number) for number in some])
        for bill in range(bills):
            await _expect_all(router, [_bill(number, bill) for number in some])
        advance(len(some))


async def _expect_all(router: Router, commands: Sequence[AnyCommand]) -> None:
    outcomes = await router.submit_many(commands)
    refused = [outcome for outcome in outcomes if not isinstance(outcome, Acknowledged)]
    if refused:
        raise RuntimeError(f"the suite's region cannot be loaded: {refused[0]}")


def _opening(number: int) -> OpenAccount:
    return OpenAccount(**_common(f"open-{number}", number), agreement=_AGREEMENT)


def _bill(number: int, bill: int) -> PostCharges:
    lines = tuple(ChargeLine(ServiceCode(s), ProviderId(p), _DUE_KOPECKS) for s, p in SERVICES.items())
    return PostCharges(**_common(f"bill-{number}-{bill}", number), period=_PERIOD, lines=lines)


def _common(key: str, number: int) -> dict[str, Any]:
    return {
        "source": SourceId("bench"),
        "txn_id": TxnId(key),
        "request_hash": fingerprint(key),
        "account": account(number),
        "accepted_at_us": time.time_ns() // 1000,
    }


def payments(count: int, accounts: int) -> list[AcceptPayment]:
    """So many payments with new keys, to one account after another."""
    run, first = secrets.token_hex(4), secrets.randbelow(accounts)
    walk = ((first + number) * _STRIDE % accounts for number in range(count))
    return [
        AcceptPayment(**_common(f"{run}{number}", to), amount_kopecks=PAYMENT_KOPECKS, channel="terminal")
        for number, to in enumerate(walk)
    ]


def osmp_requests(accounts: int, authorization: str) -> Callable[[], Iterator[bytes]]:
    """What makes endless OSMP payments, each with a new key, to one account after another."""
    return functools.partial(_osmp_requests, accounts, authorization)


def _osmp_requests(accounts: int, authorization: str) -> Iterator[bytes]:
    run, first = int.from_bytes(os.urandom(4), "big"), secrets.randbelow(accounts)
    date = time.strftime("%Y%m%d%H%M%S", time.localtime())
    rest = f"&txn_date={date}&sum=60.00 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n\r\n"
    for number in itertools.count():
        to = account((first + number) * _STRIDE % accounts)
        yield f"GET /osmp?command=pay&txn_id={run}{number:09d}&account={to}{rest}".encode()
