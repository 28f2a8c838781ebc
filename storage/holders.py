"""Who lives behind an account, one at a time, for a door that may show it (masked). Personal data: never logged."""

import asyncio

import asyncpg

from engine.ids import AccountId
from storage.database import DRIVER_ERRORS
from storage.errors import NotDone

_CONNECTIONS_MAX = 2
_ANSWER_S_MAX = 2.0


class Holders:
    """Reads account holders through a small pool of its own, opened when first asked."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._pool: asyncpg.Pool | None = None

    async def find(self, account: AccountId) -> tuple[str, str, str] | None:
        """Return name, house's address and flat, or None for an account without a holder.

        Errors: `NotDone` when the database is away, or does not answer in two seconds.
        """
        try:
            if self._pool is None:
                # Made at once and opened by its first use, so that two first askers do not make two.
                self._pool = asyncpg.create_pool(self._url, min_size=0, max_size=_CONNECTIONS_MAX)
            async with asyncio.timeout(_ANSWER_S_MAX):
                await self._pool
                # Both tables by primary key.
                row = await self._pool.fetchrow(
                    "SELECT holder, address, flat FROM account_holders JOIN houses USING (house) WHERE account = $1",
                    account,
                )
        except DRIVER_ERRORS as error:
            raise NotDone(f"the holder cannot be read: {type(error).__name__}") from None
        return None if row is None else (row["holder"], row["address"], row["flat"])

    async def close(self) -> None:
        """Give the connections back."""
        if self._pool is not None:
            await self._pool.close()
