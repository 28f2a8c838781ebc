"""Profiles in the database: versions are added, read by number or newest, and never changed."""

import asyncpg
import pytest

from actors.profiles import NoSuchProfile, add, resolve
from intake.presets import BANK_12, CHARGES_CSV
from intake.profile import Encoding, Profile
from storage import profiles
from tests.intake.files import changed

OWN = changed(BANK_12, name="bank-zarechny")


async def test_versions_are_added_and_the_newest_is_read(database: str) -> None:
    assert await add(database, OWN, "Иванова") == 1
    assert await add(database, changed(OWN, encoding=Encoding.CP866), "Петров") == 2
    newest = await resolve(database, "bank-zarechny")
    assert (newest.version, newest.encoding) == (2, Encoding.CP866)
    first = await resolve(database, "bank-zarechny", 1)
    assert first == changed(OWN, version=1)
    (listed,) = await profiles.newest(database)
    assert (listed.profile, listed.version, listed.kind, listed.added_by) == ("bank-zarechny", 2, "register", "Петров")


async def test_a_preset_needs_no_database_and_keeps_its_name(database: str) -> None:
    assert await resolve(database, "bank-12") is BANK_12
    with pytest.raises(ValueError, match="preset"):
        await add(database, BANK_12, "Иванова")


@pytest.mark.parametrize(("name", "version"), [("bank-12", 2), ("nobody", 0), ("nobody", 1)])
async def test_what_is_not_there_is_told(database: str, name: str, version: int) -> None:
    with pytest.raises(NoSuchProfile):
        await resolve(database, name, version)


BAD = [
    changed(CHARGES_CSV, name="own", columns=CHARGES_CSV.columns[1:]),
    changed(CHARGES_CSV, name="own", encoding=Encoding.AUTO),
]


@pytest.mark.parametrize("wrong", BAD)
async def test_a_profile_that_could_read_nothing_leaves_nothing(database: str, wrong: Profile) -> None:
    with pytest.raises(ValueError, match=r"profile|encoding"):
        await add(database, wrong, "Иванова")
    assert await profiles.newest(database) == []


async def test_the_database_itself_refuses_to_change_a_version(database: str) -> None:
    await add(database, OWN, "Иванова")
    connection = await asyncpg.connect(database)
    try:
        for statement in ("UPDATE import_profiles SET settings = '{}'", "DELETE FROM import_profiles"):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement)
    finally:
        await connection.close()
