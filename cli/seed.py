"""`kopeck seed`: put the demonstration region into the ledger, through the shards, as any billing's charges come."""

import datetime
import itertools
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from actors import bootstrap, run_file
from actors.client import Router
from actors.settings import Settings
from cli import region, region_master
from cli.console import progress_bar
from cli.demo_connections import make_connections, write_demo_file
from cli.system import joined, running
from engine.ids import Period
from engine.outcomes import Acknowledged
from storage import reference

_ACCOUNTS_A_ROUND = 3_000
_SAMPLE_ACCOUNTS = 1_000
_POLICY_SINCE = datetime.date(2020, 1, 1)


class Seeded(msgspec.Struct, frozen=True):
    """What a seeding did. `refused` counts commands that did not end as acknowledged, by outcome."""

    accounts: int
    commands: int
    seconds: float
    refused: dict[str, int]


async def seed_region(settings: Settings, accounts: int, seed: int, *, quiet: bool) -> Seeded:
    """Seed the running system, or one started for it (without doors)."""
    if run_file.read(settings.home) is not None:
        async with joined(settings) as (running_file, router):
            return await seed_into(
                settings, running_file.database_url, router, running_file.url, accounts, seed, quiet=quiet
            )
    async with running(settings, gateways=False) as system:
        router = await system.router()
        url = f"http://127.0.0.1:{settings.port}"
        return await seed_into(settings, system.servers.database_url, router, url, accounts, seed, quiet=quiet)


async def seed_into(
    settings: Settings, database_url: str, router: Router, base_url: str, accounts: int, seed: int, *, quiet: bool
) -> Seeded:
    """Load the region into a system and write demo.json. Run again, it adds nothing: every command has its key."""
    await reference.add_policy(database_url, region.policy(_POLICY_SINCE))
    await region_master.put_master_data(database_url, accounts)
    await bootstrap.reload_policies()
    demo = await make_connections(database_url, settings.home, base_url)
    with progress_bar("seeding accounts", accounts, quiet=quiet) as advance:
        seeded = await _put_accounts(router, database_url, accounts, seed, advance)
    step = max(1, accounts // _SAMPLE_ACCOUNTS)
    demo.sample_accounts = [str(region.flat(seed, index).account) for index in range(0, accounts, step)][
        :_SAMPLE_ACCOUNTS
    ]
    demo.providers = list(region.PROVIDERS)
    write_demo_file(settings.home, demo)
    return seeded


async def _put_accounts(
    router: Router, database_url: str, accounts: int, seed: int, progress: Callable[[int], None]
) -> Seeded:
    """Send every account's life, a round of accounts at a time, each round step by step."""
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
