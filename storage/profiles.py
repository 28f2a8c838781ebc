"""Profiles of files in the database: versions are added, never changed. What is not there may be a preset of the
program.

A profile travels as the JSON that `intake/profile.py` writes; here it is text with a name, a version and a kind.
"""

import msgspec

from storage.database import connected


class StoredProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a profile as stored."""

    profile: str
    version: int
    kind: str
    settings: str
    added_by: str


# Served by the primary key. Numbers and adds in one statement: of two who add at once, one is refused by the key.
_ADD = """
    INSERT INTO import_profiles (profile, version, kind, settings, added_by)
    SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4 FROM import_profiles WHERE profile = $1
    RETURNING version"""

_NEWEST = """
    SELECT DISTINCT ON (profile) profile, version, kind, settings, added_by FROM import_profiles
    ORDER BY profile, version DESC"""

_FIND = """
    SELECT profile, version, kind, settings, added_by FROM import_profiles
    WHERE profile = $1 AND ($2 = 0 OR version = $2) ORDER BY version DESC LIMIT 1"""


async def add(database_url: str, profile: str, kind: str, settings: str, added_by: str) -> int:
    """Add the next version of a profile and return its number.

    Errors: `NotDone` when the database does not do it, or somebody added the same version in the same moment; retry.
    """
    async with connected(database_url) as connection:
        return int(await connection.fetchval(_ADD, profile, kind, settings, added_by))


async def find(database_url: str, profile: str, version: int = 0) -> StoredProfile | None:
    """Return a version of a profile, the newest for 0; None when it is not there."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow(_FIND, profile, version)
    return None if row is None else StoredProfile(**row)


async def newest(database_url: str) -> list[StoredProfile]:
    """Return the newest version of every profile, by name."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(_NEWEST)
    return [StoredProfile(**row) for row in rows]
