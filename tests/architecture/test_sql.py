"""SQL is constant text: values travel as parameters, never inside the statement. Migrations say why."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT, Source, sources

STATEMENT = re.compile(
    r"\b(SELECT\s|INSERT INTO|UPDATE\s+\w+\s+SET|DELETE FROM|COPY\s|CREATE\s|ALTER\s|DROP\s|TRUNCATE)"
)
MIGRATION_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")


def built_sql(source: Source) -> Iterator[str]:
    """Every statement that is put together from pieces: f-string, %, +, .format, .join or .replace."""
    for node in ast.walk(source.tree):
        if STATEMENT.search(_text_being_filled(node)):
            yield f"{source.path}:{getattr(node, 'lineno', 0)}: SQL put together from pieces"


def _text_being_filled(node: ast.AST) -> str:
    match node:
        case ast.JoinedStr(values=values) if any(isinstance(value, ast.FormattedValue) for value in values):
            return "".join(_literal(value) for value in values)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _literal(left)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_literal(left)} {_literal(right)}"
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "format_map" | "replace")):
            return _literal(value)
    return ""


def _literal(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def migrations() -> list[Path]:
    return sorted((ROOT / "storage" / "migrations").glob("*.sql"))


def test_no_statement_is_put_together_from_pieces() -> None:
    assert [breach for source in sources(*PACKAGES) for breach in built_sql(source)] == []


PLANTED = [
    "await c.execute(f'SELECT * FROM events WHERE account = {account}')",
    "sql = 'DELETE FROM events WHERE seq = %s' % seq",
    "sql = 'INSERT INTO ' + table",
    "sql = 'UPDATE shards SET epoch = {}'.format(epoch)",
    "sql = f'''\n    CREATE TABLE {name} ()'''",
]


@pytest.mark.parametrize("text", PLANTED)
def test_planted_built_sql_is_seen(text: str) -> None:
    assert list(built_sql(Source("storage/x.py", text)))


def test_constant_sql_and_messages_are_left_alone() -> None:
    text = "await c.execute('SELECT 1 WHERE $1', x)\nraise ValueError(f'could not update {x}')\ny = 'a' + b"
    assert list(built_sql(Source("storage/x.py", text))) == []


def test_every_migration_opens_with_its_why() -> None:
    assert [path.name for path in migrations() if not path.read_text().startswith("-- Why: ")] == []


def test_migrations_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in migrations()] == list(range(1, len(migrations()) + 1))
    assert all(MIGRATION_NAME.fullmatch(path.name) for path in migrations())
