"""Finding accounts for a person who looks for one: by numbers that might have been meant, by the holder's surname."""

from collections.abc import Sequence

import msgspec

from engine.events import EventKind
from storage.database import connected

_PEOPLE_MAX = 200


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds an account, and where: personal data."""

    account: str
    holder: str
    address: str


async def known(database_url: str, numbers: Sequence[str]) -> list[str]:
    """Return those of the numbers that are accounts. Served by each partition's (account, account_seq)."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT DISTINCT account FROM events WHERE account = ANY($1::text[]) AND kind = $2
            ORDER BY account""",
            *(numbers, EventKind.ACCOUNT_OPENED),
        )
    return [row["account"] for row in rows]


async def by_surname(database_url: str, surname: str) -> list[Person]:
    """Return the holders of a surname, written in capitals with е for ё. Served by account_holders_by_surname."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT a.account, a.holder, h.address || ', ' || a.flat AS address
            FROM account_holders a JOIN houses h USING (house)
            WHERE translate(upper(split_part(a.holder, ' ', 1)), 'Ё', 'Е') = $1 ORDER BY a.account LIMIT $2""",
            *(surname, _PEOPLE_MAX),
        )
    return [Person(**row) for row in rows]
