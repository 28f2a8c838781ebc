"""How long functions and files may be. A small unit can be read whole; the limits keep them so.

An exception stands below with its reason and its own limit, and may only shrink.
"""

from statistics import median, quantiles

from tests.architecture.source_tree import PACKAGES, Source, functions, lines_of, sources

FUNCTION_LINES_MAX = 70
NINE_IN_TEN_LINES_MAX = 30
MEDIAN_LINES_MAX = 10
FILE_LINES_MAX = 500

# "path" or "path:function" -> (its own limit, why)
EXCEPTIONS: dict[str, tuple[int, str]] = {}


def too_long(source: Source, exceptions: dict[str, tuple[int, str]]) -> list[str]:
    """The functions of a file that are too long, and the file itself if it is."""
    measured = {f"{source.path}:{function.name}": lines_of(function) for function in functions(source)}
    limits = dict.fromkeys(measured, FUNCTION_LINES_MAX) | {source.path: FILE_LINES_MAX}
    measured[source.path] = source.text.count("\n")
    limits |= {name: limit for name, (limit, _) in exceptions.items() if name in measured}
    return [f"{name} has {size} lines" for name, size in measured.items() if size > limits[name]]


def test_no_function_and_no_file_is_too_long() -> None:
    assert [breach for source in sources() for breach in too_long(source, EXCEPTIONS)] == []


def test_most_functions_can_be_read_at_a_glance() -> None:
    sizes = [lines_of(function) for source in sources(*PACKAGES) for function in functions(source)]
    assert median(sizes) <= MEDIAN_LINES_MAX
    assert quantiles(sizes, n=10)[-1] <= NINE_IN_TEN_LINES_MAX


def test_every_exception_is_still_needed() -> None:
    breaches = "\n".join(breach for source in sources() for breach in too_long(source, {}))
    assert [name for name in EXCEPTIONS if f"{name} has" not in breaches] == []


def test_a_long_function_and_a_long_file_are_seen() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX
    assert too_long(Source("engine/x.py", f"def f():\n{body}"), {}) == ["engine/x.py:f has 71 lines"]
    assert too_long(Source("engine/x.py", "x = 1\n" * 501), {}) == ["engine/x.py has 501 lines"]


def test_an_exception_has_its_own_limit() -> None:
    source = Source("engine/x.py", "x = 1\n" * 520)
    assert too_long(source, {"engine/x.py": (520, "a table")}) == []
    assert too_long(source, {"engine/x.py": (510, "a table")}) != []
