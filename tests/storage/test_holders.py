"""Who lives behind an account, read from a real database."""

import pytest

from engine.ids import AccountId
from storage import reference
from storage.errors import NotDone
from storage.holders import Holders
from tests.storage.houses import put_houses


async def test_a_holder_is_found_by_account(database: str) -> None:
    await put_houses(database, "г. Энск, ул. Мира, д. 1")
    await reference.put_holders(database, [("007", 1, "2", "Иванов Пётр Семёнович", 5_400)])
    holders = Holders(database)
    try:
        assert await holders.find(AccountId("007")) == ("Иванов Пётр Семёнович", "г. Энск, ул. Мира, д. 1", "2")
        assert await holders.find(AccountId("008")) is None
    finally:
        await holders.close()


async def test_a_database_that_is_away_is_told_without_a_name() -> None:
    holders = Holders("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(NotDone) as told:
        await holders.find(AccountId("007"))
    assert "007" not in str(told.value)
