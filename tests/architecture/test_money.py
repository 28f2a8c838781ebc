"""Money is whole kopecks. One rule splits it, and no float, division or rounding comes near it."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import PACKAGES, Source, functions, sources


def inexact(source: Source) -> Iterator[str]:
    """Every place that leaves the whole numbers: float, round, a literal with a point, true division."""
    for node in ast.walk(source.tree):
        kind = _kind_of_inexactness(node)
        if kind:
            yield f"{source.path}:{getattr(node, 'lineno', 0)}: {kind}"


def _kind_of_inexactness(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=float()):
            return "float literal"
        case ast.Name(id="float"):
            return "float"
        case ast.Call(func=ast.Name(id="round")):
            return "round()"
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return "true division"
    return ""


def inexact_kopecks(source: Source) -> Iterator[str]:
    """The same, but only where a name with `kopeck` in it takes part."""
    for node in ast.walk(source.tree):
        if _kind_of_inexact_kopecks(node):
            yield f"{source.path}:{getattr(node, 'lineno', 0)}: kopecks leave the whole numbers"


def _kind_of_inexact_kopecks(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return _names_kopecks(node)
        case ast.Call(func=ast.Name(id="float" | "round")):
            return any(_names_kopecks(argument) for argument in node.args)
        case ast.AnnAssign(annotation=annotation, target=target):
            return _names_kopecks(target) and _names_float(annotation)
        case ast.arg(arg=name, annotation=ast.expr() as annotation):
            return "kopeck" in name and _names_float(annotation)
    return False


def _names_kopecks(node: ast.AST) -> bool:
    return any("kopeck" in _name(part) for part in ast.walk(node))


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _names_float(annotation: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "float" for part in ast.walk(annotation))


def test_the_engine_has_only_whole_numbers() -> None:
    assert [breach for source in sources("engine") for breach in inexact(source)] == []


def test_kopecks_stay_whole_everywhere() -> None:
    assert [breach for source in sources(*PACKAGES) for breach in inexact_kopecks(source)] == []


def test_there_is_one_splitting_rule() -> None:
    named = [source.path for source in sources() for function in functions(source) if function.name == "allocate"]
    assert named == ["engine/allocation.py"]


def test_the_splitting_rule_opens_its_file() -> None:
    (allocation,) = (source for source in sources("engine") if source.path == "engine/allocation.py")
    assert (ast.get_docstring(allocation.tree) or "").startswith("The splitting rule")


def test_no_decimal_reaches_the_ledger() -> None:
    """`decimal` rounds by a context that any library may change; kopecks on the spine do not need it."""
    spine = {
        "engine/allocation.py",
        "engine/apply.py",
        "engine/decide.py",
        "engine/ledger.py",
        "engine/money.py",
    }
    breaches = [
        source.path
        for source in sources("engine")
        if source.path in spine and ("import decimal" in source.text or "from decimal" in source.text)
    ]
    assert breaches == []


PLANTED = [
    "x = 0.5",
    "x = float('1')",
    "def f(x: float) -> None: ...",
    "x = round(y)",
    "x = 1 / 2",
    "x /= 2",
]


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_inexactness_is_seen(text: str) -> None:
    assert list(inexact(Source("engine/x.py", text)))


PLANTED_KOPECKS = [
    "roubles = event.amount_kopecks / 100",
    "x = float(amount_kopecks)",
    "x = round(self.due_kopecks, -2)",
    "amount_kopecks: float = 0",
    "def f(fee_kopecks: float | None) -> None: ...",
    "due_kopecks /= 3",
]


@pytest.mark.parametrize("text", PLANTED_KOPECKS)
def test_planted_inexact_kopecks_are_seen(text: str) -> None:
    assert list(inexact_kopecks(Source("reports/x.py", text)))


def test_division_of_other_things_is_left_alone() -> None:
    assert list(inexact_kopecks(Source("bench/x.py", "per_second = payments / seconds\npath = root / 'a'"))) == []
