"""Monthly partitions of the ledger: made ahead of time, so that no commit ever waits for one."""

from storage.database import connected

MONTHS_AHEAD = 3


async def ensure(database_url: str) -> None:
    """Make the partitions of this month and the next ones that are missing; safe when two callers try at once."""
    async with connected(database_url) as connection:
        await connection.execute(
            "SELECT ensure_event_partitions((now() AT TIME ZONE 'UTC')::date, $1::int)", MONTHS_AHEAD
        )
