"""What shards and doors must know besides the ledger: splitting policies, and the people behind the accounts."""

from collections.abc import Sequence

import asyncpg
import msgspec

from engine.policy import PolicyBook, SplitPolicy
from storage.database import connected
from storage.master import BY_PROGRAM, Change, say_why


async def read_policies(database_url: str) -> PolicyBook:
    """Read every version of every agreement's policy."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT agreement, version, code, valid_from, valid_to, params FROM split_policies"
        )
    return PolicyBook(tuple(_policy(row) for row in rows))


def _policy(row: asyncpg.Record) -> SplitPolicy:
    columns = {name: row[name] for name in ("agreement", "version", "code", "valid_from", "valid_to")}
    return msgspec.convert(msgspec.json.decode(row["params"]) | columns, SplitPolicy)


async def add_policy(database_url: str, policy: SplitPolicy, change: Change = BY_PROGRAM) -> bool:
    """Add one version of a policy; return False if that version is there already (it is never changed)."""
    return await add_policies(database_url, [policy], change) == 1


async def add_policies(database_url: str, policies: Sequence[SplitPolicy], change: Change) -> int:
    """Add versions of policies, all or nothing; return how many were not there already (none is ever changed)."""
    async with connected(database_url) as connection, connection.transaction():
        await say_why(connection, change)
        return sum([await _add(connection, policy) for policy in policies])


async def _add(connection: asyncpg.Connection, policy: SplitPolicy) -> bool:
    columns = ("agreement", "version", "code", "valid_from", "valid_to")
    params = {k: v for k, v in msgspec.to_builtins(policy).items() if k not in columns}
    added = await connection.fetchval(
        """INSERT INTO split_policies (agreement, version, code, valid_from, valid_to, params)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING true""",
        *(policy.agreement, policy.version, policy.code.value, policy.valid_from, policy.valid_to),
        msgspec.json.encode(params).decode(),
    )
    return bool(added)


async def put_holders(database_url: str, holders: Sequence[tuple[str, int, str, str, int]]) -> None:
    """Add account holders (account, house, flat, holder, area in hundredths of a square metre), once each."""
    async with connected(database_url) as connection:
        await connection.execute(
            """INSERT INTO account_holders (account, house, flat, holder, area_dm2)
            SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::int[]) ON CONFLICT DO NOTHING""",
            *map(list, zip(*holders, strict=True)),
        )


class Names(msgspec.Struct, frozen=True):
    """What people call services and providers, by code."""

    services: dict[str, str] = {}
    providers: dict[str, str] = {}


async def read_names(database_url: str) -> Names:
    """Read the names of all services and providers."""
    async with connected(database_url) as connection:
        services = await connection.fetch("SELECT service, name FROM services")
        providers = await connection.fetch("SELECT provider, name FROM providers")
    return Names(dict(map(tuple, services)), dict(map(tuple, providers)))
