"""The project's own source, read once, for the architecture tests. Git decides what belongs to it."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "storage", "intake", "reports", "actors", "gateways", "loadtests", "cli", "bench")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """One Python file: its path from the root, in POSIX form, and its text."""

    path: str
    text: str

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.text)


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that git tracks or would track; of an archive unpacked without git, every file."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        hidden = {".venv", ".git", "__pycache__"}
        return tuple(path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.parts))
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


@cache
def sources(*packages: str) -> tuple[Source, ...]:
    """The Python files of these packages, by path; of all packages and the tests if none is named."""
    wanted = packages or (*PACKAGES, "tests")
    found = (Source(path.relative_to(ROOT).as_posix(), path.read_text()) for path in _python_files())
    return tuple(sorted(source for source in found if source.package in wanted))


def _python_files() -> Iterator[Path]:
    return (path for path in project_files() if path.suffix == ".py")


def functions(source: Source) -> Iterator[Function]:
    """Every function and method of a file, nested ones too."""
    return (node for node in ast.walk(source.tree) if isinstance(node, Function))


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a chain of names; what stands before a call or an index in it is left out."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""
