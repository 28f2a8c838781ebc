"""Two laws of the payment's way: its files swallow no unknown error, and no wait lies inside a decision."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import Function, Source, dotted, functions, sources

SPINE = {
    "actors/client.py",
    "actors/group_commit.py",
    "actors/inbox.py",
    "actors/shard.py",
    "gateways/processors/port.py",
    "gateways/terminal.py",
    "storage/journal.py",
}
BROAD = {"Exception", "BaseException"}


def broad_handlers(source: Source) -> Iterator[str]:
    """`except Exception`, `except BaseException`, a bare `except` and `suppress(Exception)`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
            yield f"{source.path}:{node.lineno}: catches everything"
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("suppress") and any(map(_is_broad, node.args)):
            yield f"{source.path}:{node.lineno}: suppresses everything"


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    return any(isinstance(part, ast.Name) and part.id in BROAD for part in ast.walk(caught))


def waits_inside_a_decision(source: Source) -> Iterator[str]:
    """Coroutines that call `decide` or `apply`: a wait could slip in before the balance is changed."""
    for function in functions(source):
        if isinstance(function, ast.AsyncFunctionDef) and {"decide", "apply"} & set(_names_called(function)):
            yield f"{source.path}:{function.name} must be a plain def"


def _names_called(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def test_the_spine_swallows_no_unknown_error() -> None:
    spine = [source for source in sources() if source.path in SPINE or source.package == "engine"]
    assert [breach for source in spine for breach in broad_handlers(source)] == []


def test_the_files_of_the_spine_are_where_the_law_looks_for_them() -> None:
    assert {source.path for source in sources()} >= SPINE


def test_nothing_waits_between_reading_and_changing_a_balance() -> None:
    assert [breach for source in sources("actors") for breach in waits_inside_a_decision(source)] == []


PLANTED = [
    "try: f()\nexcept Exception: pass",
    "try: f()\nexcept: pass",
    "try: f()\nexcept (ValueError, BaseException): pass",
    "with contextlib.suppress(Exception): f()",
]


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_broad_handler_is_seen(text: str) -> None:
    assert list(broad_handlers(Source("actors/shard.py", text)))


def test_a_planted_wait_is_seen() -> None:
    text = "async def f():\n    events = decide(state)\n    await commit(events)"
    assert list(waits_inside_a_decision(Source("actors/shard.py", text)))
