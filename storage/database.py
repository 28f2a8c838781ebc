"""One short-lived connection for start-up, reference data and reports; its errors are ours, not the driver's."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from storage.errors import NotDone

CONNECT_TIMEOUT_S = 10.0
DRIVER_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""Whatever the driver raises when the database is away, overloaded or refuses."""


@asynccontextmanager
async def connected(
    database_url: str, server_settings: Mapping[str, str] | None = None
) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection for the length of a block, with these settings of the server's.

    Errors: `NotDone` when the database cannot be reached or refuses; what the block did in a transaction is undone.
    """
    try:
        connection = await asyncpg.connect(
            database_url, timeout=CONNECT_TIMEOUT_S, server_settings=dict(server_settings or {})
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)
    except DRIVER_ERRORS as error:
        raise NotDone(f"the database did not do it: {error}") from error
