"""Names say what a thing is. A module called `utils` says that nobody knew."""

import re

from tests.architecture.source_tree import PACKAGES, ROOT, functions, project_files, sources

EMPTY_WORDS = {
    "base",
    "common",
    "core",
    "helper",
    "helpers",
    "manager",
    "misc",
    "service",
    "shared",
    "util",
    "utils",
}
SENTENCE = re.compile(r"test(_[a-zа-я0-9]+){3,}")


def empty_names(path: str) -> set[str]:
    """The words of a path that say nothing."""
    words = path.removesuffix(".py").replace("/", "_").split("_")
    return EMPTY_WORDS & set(words)


def test_no_module_has_an_empty_name() -> None:
    assert [source.path for source in sources() if empty_names(source.path)] == []


def test_an_empty_name_is_seen() -> None:
    assert empty_names("engine/money_utils.py") == {"utils"}
    assert empty_names("storage/base/journal.py") == {"base"}
    assert not empty_names("storage/database.py")


def test_every_package_says_what_lives_in_it() -> None:
    present = [package for package in PACKAGES if (ROOT / package).is_dir()]
    silent = [package for package in present if not _opening(package).startswith('"""')]
    assert silent == []


def _opening(package: str) -> str:
    path = ROOT / package / "__init__.py"
    return path.read_text() if path.is_file() else ""


def test_the_names_of_tests_are_sentences() -> None:
    labels = [
        f"{source.path}:{function.name}"
        for source in sources("tests")
        for function in functions(source)
        if function.name.startswith("test_") and not SENTENCE.fullmatch(function.name)
    ]
    assert labels == []


def test_test_files_live_in_folders_of_their_subject() -> None:
    loose = [path.name for path in project_files() if path.parent == ROOT / "tests" and path.name.startswith("test_")]
    assert loose == []
