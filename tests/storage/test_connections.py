"""A connection changes only with its trail, in one transaction, and from the version that was looked at."""

import asyncio
from pathlib import Path

import asyncpg
import msgspec
import pytest

from storage.connections import (
    Action,
    Change,
    ConnectionRow,
    PastChange,
    change_connections,
    last_changes,
    past_changes,
    read_connections,
)
from storage.database import connected
from storage.errors import ChangedMeanwhile, NotDone
from storage.migrate import files, migrate

ROW = ConnectionRow("qiwi", "osmp", active=True, settings='{"source": "qiwi"}')


def change(row: ConnectionRow = ROW, action: Action = Action.ADD, **fields: object) -> Change:
    """A change by anna, with other fields where asked for."""
    usual: dict[str, object] = {"row": row, "action": action, "who": "anna", "why": "contract 7", "before": None}
    return Change(**usual | {"after": row.settings} | fields)  # type: ignore[arg-type]


def edited(row: ConnectionRow, source: str, *, version: int = 1) -> Change:
    """An edit of a row that was looked at in this version."""
    new = msgspec.structs.replace(row, settings=f'{{"source": "{source}"}}', version=version)
    return change(new, Action.EDIT, before=row.settings)


async def trail(database: str) -> list[tuple[str, int, Action]]:
    """What the trail tells, the oldest first."""
    return [(past.connection, past.version, past.action) for past in reversed(await past_changes(database, "", 100))]


async def test_a_change_is_there_with_its_trail(database: str) -> None:
    await change_connections(database, [change()])
    await change_connections(database, [edited(ROW, "other")])
    [row] = await read_connections(database)
    assert (row.settings, row.version) == ('{"source": "other"}', 2)
    newest, oldest = await past_changes(database, "qiwi", 100)
    assert (oldest.action, oldest.before, oldest.after, oldest.version) == (Action.ADD, None, ROW.settings, 1)
    assert (newest.action, newest.before, newest.after, newest.version) == (Action.EDIT, ROW.settings, row.settings, 2)
    assert (newest.who, newest.why) == ("anna", "contract 7")
    assert newest.changed_at >= oldest.changed_at
    assert (await last_changes(database))["qiwi"] == newest


async def test_the_history_of_one_is_its_own_and_no_longer_than_asked(database: str) -> None:
    other = msgspec.structs.replace(ROW, connection="other")
    await change_connections(database, [change(), change(other), edited(ROW, "x")])

    async def told(name: str, limit: int) -> list[tuple[str, int]]:
        past: list[PastChange] = await past_changes(database, name, limit)
        return [(one.connection, one.version) for one in past]

    assert await told("qiwi", 10) == [("qiwi", 2), ("qiwi", 1)]
    assert await told("qiwi", 1) == [("qiwi", 2)]
    assert await told("nobody", 10) == []


async def test_of_two_editors_at_once_one_is_refused_and_changes_nothing(database: str) -> None:
    await change_connections(database, [change()])
    edits = [edited(ROW, "first"), edited(ROW, "second")]
    ended = await asyncio.gather(*(change_connections(database, [edit]) for edit in edits), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ended) == ["ChangedMeanwhile", "NoneType"]
    [row] = await read_connections(database)
    assert row.settings == edits[ended.index(None)].row.settings
    assert [version for _, version, _ in await trail(database)] == [1, 2]


async def test_a_change_of_what_was_seen_long_ago_is_refused(database: str) -> None:
    await change_connections(database, [change()])
    await change_connections(database, [edited(ROW, "first")])
    with pytest.raises(ChangedMeanwhile, match="qiwi"):
        await change_connections(database, [edited(ROW, "late", version=1)])
    assert [row.settings for row in await read_connections(database)] == ['{"source": "first"}']


async def test_a_name_is_added_once(database: str) -> None:
    await change_connections(database, [change()])
    with pytest.raises(ChangedMeanwhile, match="qiwi"):
        await change_connections(database, [change()])
    assert len(await trail(database)) == 1


async def test_several_changes_are_made_together_or_not_at_all(database: str) -> None:
    other = change(msgspec.structs.replace(ROW, connection="other"))
    await change_connections(database, [change()])
    with pytest.raises(ChangedMeanwhile):
        await change_connections(database, [other, edited(ROW, "x", version=9)])
    assert [row.connection for row in await read_connections(database)] == ["qiwi"]
    assert await trail(database) == [("qiwi", 1, Action.ADD)]


WITHOUT_TRAIL = (
    "UPDATE connection_changes SET who = 'nobody'",
    "DELETE FROM connection_changes",
    "TRUNCATE connection_changes",
    "DELETE FROM connections",
    "TRUNCATE connections",
    "UPDATE connections SET settings = '{}'",
    "UPDATE connections SET settings = '{}', version = 2",
    "UPDATE connections SET version = 1",
    "INSERT INTO connections (connection, dialect, settings) VALUES ('x', 'json', '{}')",
)


async def test_the_database_itself_refuses_what_leaves_no_trail(database: str) -> None:
    await change_connections(database, [change()])
    for statement in WITHOUT_TRAIL:
        with pytest.raises(NotDone):
            async with connected(database) as connection:
                await connection.execute(statement)
        assert [(row.settings, row.version) for row in await read_connections(database)] == [(ROW.settings, 1)]
        assert await trail(database) == [("qiwi", 1, Action.ADD)]


async def test_nobody_changes_nothing(database: str) -> None:
    with pytest.raises(NotDone):
        await change_connections(database, [change(who="")])
    assert await read_connections(database) == []


async def test_what_was_there_before_the_trail_is_adopted(empty_database: str, tmp_path: Path) -> None:
    for migration in files()[:3]:
        (tmp_path / migration.name).write_text(migration.sql)
    await migrate(empty_database, tmp_path)
    connection = await asyncpg.connect(empty_database)
    await connection.execute(
        "INSERT INTO connections (connection, dialect, settings) VALUES ('old', 'json', '{\"canary\": 1}')"
    )
    await connection.close()
    await migrate(empty_database)
    [past] = await past_changes(empty_database, "old", 10)
    assert (past.action, past.version, past.before, past.after) == (Action.ADOPT, 1, None, "{}")
    [row] = await read_connections(empty_database)
    await change_connections(empty_database, [edited(row, "new")])
    assert [version for _, version, _ in await trail(empty_database)] == [1, 2]
