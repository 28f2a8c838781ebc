"""Files that came in: registered once by sender and content, and what has become of them."""

import datetime
from collections.abc import Sequence

import msgspec

from storage.archive import Kept
from storage.database import connected


class ReceivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file as registered; see `storage/migrations/0003_received_files.sql` for kinds and states."""

    file: int
    sha256: str
    size_bytes: int
    name: str
    kind: str
    sender: str
    profile: str
    profile_version: int
    mode: str
    received_by: str
    received_at: datetime.datetime
    state: str
    problem: str
    rows_total: int
    rows_accepted: int
    rows_warned: int
    rows_rejected: int
    rows_waiting: int
    finished_at: datetime.datetime | None


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file when it comes."""

    kept: Kept
    name: str
    kind: str
    sender: str
    profile: str
    profile_version: int
    received_by: str
    mode: str = ""


_REGISTER = """
    INSERT INTO received_files
        (sha256, size_bytes, name, kind, sender, profile, profile_version, mode, received_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (kind, sender, sha256) DO NOTHING"""

# Served by the unique constraint.
_FIND = "SELECT * FROM received_files WHERE kind = $1 AND sender = $2 AND sha256 = $3"


async def register(database_url: str, arrival: Arrival) -> tuple[ReceivedFile, bool]:
    """Register a file and return it, and whether it is new: the same content from the same sender is not.

    Errors: `NotDone` when the database does not do it.
    """
    kept = arrival.kept
    async with connected(database_url) as connection:
        done = await connection.execute(
            _REGISTER,
            *(kept.sha256, kept.size_bytes, arrival.name, arrival.kind, arrival.sender, arrival.profile),
            *(arrival.profile_version, arrival.mode, arrival.received_by),
        )
        row = await connection.fetchrow(_FIND, arrival.kind, arrival.sender, kept.sha256)
    return ReceivedFile(**row), done == "INSERT 0 1"


async def find(database_url: str, file: int) -> ReceivedFile | None:
    """Return a file by its number, or None."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow("SELECT * FROM received_files WHERE file = $1", file)
    return None if row is None else ReceivedFile(**row)


async def unfinished(database_url: str) -> list[ReceivedFile]:
    """Return the files that are not done, oldest first."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT * FROM received_files WHERE state NOT IN ('done', 'refused') ORDER BY file"
        )
    return [ReceivedFile(**row) for row in rows]


async def page(database_url: str, kinds: Sequence[str], sender: str, below: int, limit: int) -> list[ReceivedFile]:
    """Return files of these kinds, newest first, below a number (0: from the newest); of one sender unless empty."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT * FROM received_files
            WHERE kind = ANY($1::text[]) AND ($2 = '' OR sender = $2) AND ($3::bigint = 0 OR file < $3)
            ORDER BY file DESC LIMIT $4""",
            *(kinds, sender, below, limit),
        )
    return [ReceivedFile(**row) for row in rows]
