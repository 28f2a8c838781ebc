"""Profiles of files as stored: versions are added, never edited. What a profile says is read in `intake/profile.py`."""

import msgspec

from storage.database import connected


class StoredProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a profile; `settings` is its JSON."""

    profile: str
    version: int
    kind: str
    settings: str


async def newest(database_url: str, profile: str) -> StoredProfile | None:
    """Return the newest version of a profile, or None. Served by the primary key."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow(
            """SELECT profile, version, kind, settings FROM import_profiles WHERE profile = $1
            ORDER BY version DESC LIMIT 1""",
            profile,
        )
    return None if row is None else StoredProfile(**row)


async def at_version(database_url: str, profile: str, version: int) -> StoredProfile | None:
    """Return one version of a profile, or None."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow(
            "SELECT profile, version, kind, settings FROM import_profiles WHERE profile = $1 AND version = $2",
            *(profile, version),
        )
    return None if row is None else StoredProfile(**row)


async def add(database_url: str, profile: StoredProfile, added_by: str) -> bool:
    """Add one version of a profile; return False if that version is there already (it is never changed)."""
    async with connected(database_url) as connection:
        added = await connection.execute(
            """INSERT INTO import_profiles (profile, version, kind, settings, added_by) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING""",
            *(profile.profile, profile.version, profile.kind, profile.settings, added_by),
        )
    return bool(added == "INSERT 0 1")
