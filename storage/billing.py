"""Billings: their terms, the exclusive right to work on one's files, and how far each file has come.

Everything that a run remembers is in Postgres, changed in one transaction a step, so a run that dies is continued by
whoever takes the billing's lock next. The lock is the session's: it goes with its connection, however the process ends.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg
import msgspec

from storage.archive import Kept
from storage.database import connected
from storage.received import ReceivedFile

_LOCK_SPACE = 4096006


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a billing's files are taken.

    `profiles`: by kind of file, the profile when none is named. `opens_accounts`: a charge for an account that nobody
    knows opens it. A total above `median_times` the median of the last `median_months` is an anomaly, as is a change
    of the number of accounts by more than `accounts_change_percent`. How severe a finding is, the profile says.
    """

    profiles: dict[str, str] = {}
    opens_accounts: bool = True
    median_times: int = 5
    median_months: int = 12
    accounts_change_percent: int = 20


class Billing(msgspec.Struct, frozen=True, kw_only=True):
    """One billing; its new accounts open under `agreement`."""

    billing: str
    agreement: str
    terms: Terms


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file has come: every account up to `cursor` is posted. `kopecks`: what was added to debts, net."""

    file: int
    periods: tuple[int, ...]
    is_whole: bool
    accounts: int
    posted: int
    cursor: str
    kopecks: int


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """What is to be said of a row; row 0 is the file as a whole."""

    row: int
    severity: str
    code: str
    text: str


_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,22}")


def is_name(text: str) -> bool:
    """Tell whether a billing may be called so; its source must fit among sources."""
    return _NAME.fullmatch(text) is not None


_MODEST = """
    SELECT set_config('max_parallel_workers_per_gather', '0', false),
        set_config('max_parallel_maintenance_workers', '0', false), set_config('work_mem', '64MB', false),
        set_config('jit', 'off', false)"""
"""An import has one core of the database at most: the others are the payers'."""


class Session:
    """The exclusive right to work on one billing's files, and the connection that holds it."""

    def __init__(self, connection: asyncpg.Connection, billing: Billing) -> None:
        self.connection = connection
        self.billing = billing


@asynccontextmanager
async def exclusive(database_url: str, billing: str) -> AsyncIterator[Session | None]:
    """Take a billing for the length of a block; None while somebody else works on it.

    Errors: `NotDone` when the database does not do it, or breaks off; what was committed stays. LookupError when
    there is no such billing.
    """
    async with connected(database_url) as connection:
        found = await _find(connection, billing)
        if found is None:
            raise LookupError(f"there is no billing {billing}")
        await connection.execute(_MODEST)
        taken = await connection.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK_SPACE, billing)
        yield Session(connection, found) if taken else None


async def put_billing(database_url: str, billing: Billing, by: str) -> None:
    """Add a billing, or change its terms. Errors: `NotDone`, also for a name that is none."""
    async with connected(database_url) as connection:
        await connection.execute(
            """INSERT INTO billings (billing, agreement, settings, changed_by) VALUES ($1, $2, $3, $4)
            ON CONFLICT (billing) DO UPDATE SET agreement = excluded.agreement, settings = excluded.settings,
                changed_by = excluded.changed_by, changed_at = now()""",
            *(billing.billing, billing.agreement, msgspec.json.encode(billing.terms).decode(), by),
        )


async def find_billing(database_url: str, billing: str) -> Billing | None:
    """Return a billing by its name, or None."""
    async with connected(database_url) as connection:
        return await _find(connection, billing)


async def _find(connection: asyncpg.Connection, billing: str) -> Billing | None:
    row = await connection.fetchrow("SELECT * FROM billings WHERE billing = $1", billing)
    if row is None:
        return None
    return Billing(
        billing=row["billing"],
        agreement=row["agreement"],
        terms=msgspec.json.decode(row["settings"], type=Terms),
    )


# Files ---------------------------------------------------------------------------------------------------------------


async def unfinished_of(session: Session) -> list[ReceivedFile]:
    """Return this billing's files that are not done, oldest first: the order in which they must be posted."""
    rows = await session.connection.fetch(
        """SELECT * FROM received_files WHERE state NOT IN ('done', 'refused') AND sender = $1
            AND kind IN ('accounts', 'charges', 'meters', 'readings', 'payments') ORDER BY file""",
        session.billing.billing,
    )
    return [ReceivedFile(**row) for row in rows]


async def reopen_refused(database_url: str, file: int, profile: str, profile_version: int, mode: str) -> bool:
    """Let a refused file be tried again, perhaps by another profile; nothing of it was posted. False if it is not."""
    async with connected(database_url) as connection, connection.transaction():
        done = await connection.execute(
            """UPDATE received_files SET state = 'received', problem = '', profile = $2, profile_version = $3,
                mode = $4, finished_at = NULL WHERE file = $1 AND state = 'refused'""",
            *(file, profile, profile_version, mode),
        )
        await connection.execute("DELETE FROM billing_runs WHERE file = $1 AND $2", file, done == "UPDATE 1")
    return bool(done == "UPDATE 1")


class Counts(NamedTuple):
    """How many rows of a file became what."""

    total: int
    accepted: int
    warned: int
    rejected: int
    waiting: int


# Of a refused file nothing is posted: all its rows are rejected.
_COUNT = """
    WITH told AS (
        SELECT row, bool_or(severity <> 'warning') AS is_rejected FROM billing_findings
        WHERE file = $1 AND row > 0 GROUP BY row),
    every AS (
        SELECT coalesce(r.row, t.row) AS row, coalesce(t.is_rejected, false) OR $2 AS is_rejected,
            t.row IS NOT NULL AS is_told
        FROM (SELECT DISTINCT row FROM billing_rows WHERE file = $1) r FULL JOIN told t ON t.row = r.row),
    counted AS (
        SELECT count(*) AS total, count(*) FILTER (WHERE is_rejected) AS rejected,
            count(*) FILTER (WHERE NOT is_rejected AND w.row IS NOT NULL) AS waiting,
            count(*) FILTER (WHERE NOT is_rejected AND w.row IS NULL AND is_told) AS warned
        FROM every e LEFT JOIN (
            SELECT DISTINCT row FROM billing_waiting WHERE file = $1 AND state IN ('waiting', 'releasing')) w
            ON w.row = e.row)
    SELECT total, total - rejected - waiting - warned, warned, rejected, waiting FROM counted"""


async def count_rows(session: Session, file: int, *, is_refused: bool) -> Counts:
    """Count a file's rows by what has become of them."""
    return Counts(*await session.connection.fetchrow(_COUNT, file, is_refused))


async def finish(session: Session, file: int, state: str, problem: str, counts: Counts, kept: Kept) -> None:
    """Close a file, done or refused, with its counts and the protocol that tells of every row."""
    async with session.connection.transaction():
        await session.connection.execute(
            """UPDATE received_files SET state = $2, problem = $3, rows_total = $4, rows_accepted = $5,
                rows_warned = $6, rows_rejected = $7, rows_waiting = $8, finished_at = coalesce(finished_at, now())
                WHERE file = $1""",
            *(file, state, problem, *counts),
        )
        await add_protocol(session, file, kept)


async def add_protocol(session: Session, file: int, kept: Kept) -> None:
    """Add a version of a file's protocol; the same content again is the same version."""
    await session.connection.execute(
        """INSERT INTO billing_protocols (file, version, sha256, size_bytes)
            SELECT $1::bigint, coalesce(max(version), 0) + 1, $2::text, $3::bigint
            FROM billing_protocols WHERE file = $1
            HAVING NOT coalesce(bool_or(sha256 = $2::text), false)""",
        *(file, kept.sha256, kept.size_bytes),
    )


async def find_protocol(database_url: str, file: int, version: int = 0) -> Kept | None:
    """Return where a file's protocol is kept: the newest, or one version; None when there is none yet."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow(
            """SELECT sha256, size_bytes FROM billing_protocols WHERE file = $1 AND ($2 = 0 OR version = $2)
                ORDER BY version DESC LIMIT 1""",
            *(file, version),
        )
    return None if row is None else Kept(row["sha256"], row["size_bytes"])


async def list_files(database_url: str, sender: str, limit: int) -> list[ReceivedFile]:
    """Return billings' newest files, of one sender if it is named."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT * FROM received_files WHERE ($1 = '' OR sender = $1)
                AND kind IN ('accounts', 'charges', 'meters', 'readings', 'payments') ORDER BY file DESC LIMIT $2""",
            *(sender, limit),
        )
    return [ReceivedFile(**row) for row in rows]


async def find_run(session: Session, file: int) -> Run | None:
    """Return how far a file has come, or None when its posting has not begun."""
    row = await session.connection.fetchrow("SELECT * FROM billing_runs WHERE file = $1", file)
    return None if row is None else msgspec.convert({**row, "periods": tuple(row["periods"])}, Run)


_BILLINGS_AT_WORK = """
    SELECT DISTINCT sender FROM received_files WHERE state NOT IN ('done', 'refused')
        AND kind IN ('accounts', 'charges', 'meters', 'readings', 'payments')
    UNION SELECT DISTINCT billing FROM billing_waiting WHERE state IN ('waiting', 'releasing')
    UNION SELECT DISTINCT billing FROM account_cards WHERE waits ORDER BY 1"""


async def billings_at_work(database_url: str) -> list[str]:
    """Return the billings that have unfinished files, rows that wait for a mapping, or people whose house does."""
    async with connected(database_url) as connection:
        return [row["sender"] for row in await connection.fetch(_BILLINGS_AT_WORK)]
