"""`kopeck seed`: put the demonstration region into the ledger, through the shards, as any billing's charges come."""

import asyncio
import datetime
import hashlib
import itertools
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from actors.client import Router
from cli import region
from engine.commands import AnyCommand
from engine.ids import Period
from engine.outcomes import Acknowledged
from storage import reference
from storage.reference import ConnectionRow

_ACCOUNTS_A_ROUND = 3_000
_SAMPLE_ACCOUNTS = 1_000
_POLICY_SINCE = datetime.date(2020, 1, 1)


class Seeded(msgspec.Struct, frozen=True):
    """What a seeding did. `refused` counts commands that did not end as acknowledged, by outcome."""

    accounts: int
    commands: int
    seconds: float
    refused: dict[str, int]


async def seed_reference(database_url: str, accounts: int) -> None:
    """Load what the shards must know before they start: policies; and the names of services, providers, houses."""
    await reference.add_policy(database_url, region.policy(_POLICY_SINCE))
    providers = [(p.provider, p.name, msgspec.json.encode(p).decode()) for p in region.providers()]
    houses = [(house, region.house_address(house)) for house in region.houses(accounts)]
    await reference.put_names(database_url, list(region.SERVICES.items()), providers, houses)


async def seed_accounts(
    router: Router, database_url: str, accounts: int, seed: int, progress: Callable[[int], None]
) -> Seeded:
    """Load accounts with their bills and payments; run again, it adds nothing (every command has its key)."""
    begun = time.monotonic()
    last, now_us = last_month(), time.time_ns() // 1000
    ended: Counter[str] = Counter()
    for first in range(0, accounts, _ACCOUNTS_A_ROUND):
        indexes = range(first, min(first + _ACCOUNTS_A_ROUND, accounts))
        await _put_holders(database_url, seed, indexes)
        lives = [list(region.life_of(seed, index, last, now_us)) for index in indexes]
        for step in itertools.zip_longest(*lives):
            outcomes = await router.submit_many([command for command in step if command is not None])
            ended.update(type(outcome).__name__ for outcome in outcomes)
        progress(len(indexes))
    done = ended.pop(Acknowledged.__name__, 0)
    return Seeded(accounts, done, time.monotonic() - begun, dict(ended))


async def _put_holders(database_url: str, seed: int, indexes: range) -> None:
    flats = [region.flat(seed, index) for index in indexes]
    await reference.put_holders(
        database_url, [(home.account, home.house, str(home.flat), home.holder, home.area_dm2) for home in flats]
    )


def last_month() -> Period:
    """The month whose bills are out: the one before this month, UTC."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    last = today.replace(day=1) - datetime.timedelta(days=1)
    return Period(last.year * 100 + last.month)
