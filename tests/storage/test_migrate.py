"""Migrations: in order, once, whoever comes first; never edited, never skipped, never older than the database."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from storage.errors import MigrationChanged, NotDone, SchemaTooNew
from storage.migrate import files, migrate, plan


def _folder(tmp_path: Path, *sqls: str) -> Path:
    for number, sql in enumerate(sqls, 1):
        (tmp_path / f"{number:04d}_step.sql").write_text(sql)
    return tmp_path


def test_the_projects_own_migrations_apply_to_an_empty_database(empty_database: str) -> None:
    names = [m.name for m in files()]
    assert [m.name for m in asyncio.run(plan(empty_database))] == names
    assert [m.name for m in asyncio.run(migrate(empty_database))] == names
    assert asyncio.run(migrate(empty_database)) == []


def test_two_migrators_at_once_apply_everything_once(empty_database: str) -> None:
    async def both() -> list[int]:
        done = await asyncio.gather(migrate(empty_database), migrate(empty_database), migrate(empty_database))
        return sorted(map(len, done))

    assert asyncio.run(both()) == [0, 0, len(files())]


def test_a_migration_that_fails_leaves_nothing(empty_database: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path, "CREATE TABLE one (n int)", "CREATE TABLE two (n int); SELECT 1/0")
    with pytest.raises(NotDone):
        asyncio.run(migrate(empty_database, folder))

    async def tables() -> list[str]:
        connection = await asyncpg.connect(empty_database)
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        await connection.close()
        return [row[0] for row in rows]

    assert asyncio.run(tables()) == ["one", "schema_migrations"]


def test_an_edited_migration_is_refused(empty_database: str, tmp_path: Path) -> None:
    asyncio.run(migrate(empty_database, _folder(tmp_path, "SELECT 1")))
    with pytest.raises(MigrationChanged):
        asyncio.run(migrate(empty_database, _folder(tmp_path, "SELECT 2")))


def test_a_database_newer_than_the_program_is_refused(empty_database: str, tmp_path: Path) -> None:
    asyncio.run(migrate(empty_database, _folder(tmp_path, "SELECT 1", "SELECT 2")))
    (tmp_path / "0002_step.sql").unlink()
    with pytest.raises(SchemaTooNew):
        asyncio.run(migrate(empty_database, tmp_path))


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    (tmp_path / "0003_b.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match="without gaps"):
        files(tmp_path)


def test_providers_of_the_first_schema_keep_their_requisites(empty_database: str, tmp_path: Path) -> None:
    old = _folder(tmp_path, *(migration.sql for migration in files()[:4]))
    for migration in files()[:4]:
        (old / f"{migration.number:04d}_step.sql").rename(old / migration.name)

    async def requisites() -> list[str]:
        await migrate(empty_database, old)
        connection = await asyncpg.connect(empty_database)
        await connection.execute(
            """INSERT INTO providers (provider, name, settings) VALUES
            ('P1', 'Тепло', '{"inn": "7707083893", "kpp": "770701001"}'), ('P2', 'Вода', '{}')"""
        )
        await migrate(empty_database)
        rows = await connection.fetch("SELECT inn, kpp FROM providers ORDER BY provider")
        await connection.close()
        return ["/".join(row) for row in rows]

    assert asyncio.run(requisites()) == ["7707083893/770701001", "/"]
