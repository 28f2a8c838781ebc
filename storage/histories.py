"""Histories of accounts for accruals: read from the events, range by range, in one snapshot of the ledger.

A range is a list of accounts in the order of their numbers, and its events come by index; so a region of any size needs
the memory of one range, and may be left and taken up again at any account.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from engine.calendar import WorkCalendar
from engine.ids import AccountId
from engine.policy import PolicyBook
from engine.principal import KINDS, History
from storage.database import connected
from storage.journal import FOLDING_ERRORS, event_of

_PREFETCH_ROWS = 2_000


class Scope(msgspec.Struct, frozen=True):
    """Which accounts: one, those of a house, or all."""

    account: str = ""
    house: int | None = None


# Served by each partition's (account, account_seq), in order; the first event of an account stands for it.
_OF_REGION = "SELECT account FROM events WHERE account > $1 AND account_seq = 1 ORDER BY account LIMIT $2"
_COUNT_OF_REGION = "SELECT count(*) FROM events WHERE account_seq = 1"

# Reads account_holders once: a house is asked for by a person, and rarely.
_OF_HOUSE = "SELECT account FROM account_holders WHERE house = $3 AND account > $1 ORDER BY account LIMIT $2"
_COUNT_OF_HOUSE = "SELECT count(*) FROM account_holders WHERE house = $1"

# Served by each partition's (account, account_seq).
_EVENTS = """
    SELECT * FROM events WHERE account = ANY($1::text[]) AND kind = ANY($2::smallint[])
    ORDER BY account, account_seq"""


# Served by account_holders_pkey and houses_pkey.
_TERRITORIES = """
    SELECT account, oktmo FROM account_holders JOIN houses USING (house)
    WHERE account = ANY($1::text[]) AND oktmo <> ''"""


class Snapshot:
    """The ledger as it was at one instant."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def count(self, scope: Scope) -> int:
        """Count the accounts of a scope."""
        if scope.account:
            return 1
        if scope.house is not None:
            return int(await self._connection.fetchval(_COUNT_OF_HOUSE, scope.house))
        return int(await self._connection.fetchval(_COUNT_OF_REGION))

    async def accounts(self, scope: Scope, after: str, limit: int) -> list[AccountId]:
        """Return the next accounts of a scope in the order of their numbers; empty at its end."""
        if scope.account:
            return [AccountId(scope.account)] if scope.account > after else []
        house = () if scope.house is None else (scope.house,)
        rows = await self._connection.fetch(_OF_HOUSE if house else _OF_REGION, after, limit, *house)
        return [AccountId(row["account"]) for row in rows]

    async def territories(self, accounts: Sequence[AccountId]) -> dict[str, str]:
        """Return the ОКТМО codes of the accounts' houses, where they are known."""
        rows = await self._connection.fetch(_TERRITORIES, accounts)
        return {row["account"]: row["oktmo"] for row in rows}

    async def histories(
        self, accounts: Sequence[AccountId], book: PolicyBook, calendar: WorkCalendar
    ) -> AsyncIterator[tuple[AccountId, History | str]]:
        """Fold the accounts' histories, one after another.

        Shape: in the order of the numbers; an account without events is left out. One whose events our code cannot
        read comes with what is wrong instead.
        """
        history, problem = History(AccountId(""), book, calendar), ""
        async for row in self._connection.cursor(_EVENTS, accounts, KINDS, prefetch=_PREFETCH_ROWS):
            if row["account"] != history.account:
                if history.account:
                    yield history.account, problem or history
                history, problem = History(AccountId(row["account"]), book, calendar), ""
            if problem:
                continue
            try:
                history.take(event_of(row))
            except FOLDING_ERRORS as error:
                problem = f"its events do not fold: {error!r}"
        if history.account:
            yield history.account, problem or history


@asynccontextmanager
async def snapshot(database_url: str) -> AsyncIterator[Snapshot]:
    """Open one snapshot of the ledger for the length of a block. Errors: `NotDone` when the database goes away."""
    async with (
        connected(database_url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        # Statistics of a young month are missing: without this a range might be read by scanning the region.
        await connection.execute("SET LOCAL enable_seqscan = off")
        await connection.execute("SET LOCAL jit = off")
        yield Snapshot(connection)
