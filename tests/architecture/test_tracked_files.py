"""What git keeps: no secret, no path of somebody's machine, a lock file that anyone can install from."""

import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import ROOT, project_files

TEXT_BYTES_MAX = 2_000_000
REFUSED = {
    "a path of somebody's machine": re.compile(r"(?<![\w.}\]/-])/(?:home|root|Users|work|tmp)/[\w.-]+"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an access key": re.compile(r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|xox[abp]-\w{10,})"),
}
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>\S+)", re.MULTILINE)


def unfit(text: str) -> Iterator[str]:
    """What must not be tracked in this text."""
    for what, pattern in REFUSED.items():
        yield from (f"{what}: {found.group()[:60]}" for found in pattern.finditer(text))


def _texts() -> Iterator[tuple[str, str]]:
    for path in project_files():
        if path.stat().st_size <= TEXT_BYTES_MAX:
            yield path.relative_to(ROOT).as_posix(), path.read_text(errors="replace")


def lock() -> str:
    return (ROOT / "requirements.lock").read_text()


def test_no_tracked_file_holds_a_secret_or_a_machines_path() -> None:
    assert [f"{name}: {breach}" for name, text in _texts() for breach in unfit(text)] == []


PLANTED = [
    "/" + "home/ivan/kopeck",
    "open('/" + "tmp/x.json')",
    "-----BEGIN RSA " + "PRIVATE KEY-----",
    "AKIA" + "ABCDEFGHIJKLMNOP",
]


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_secret_is_seen(text: str) -> None:
    assert list(unfit(text))


def test_urls_and_relative_paths_are_left_alone() -> None:
    assert list(unfit("https://example.org/home/page ./tmp/x docs/work/a ${KOPECK_HOME}/tmp/a")) == []


def test_the_lock_names_no_index_and_no_path() -> None:
    assert re.findall(r"https?://|file:|--(?:extra-)?index-url|--find-links|^-e ", lock(), re.MULTILINE) == []


def test_every_pin_of_the_lock_has_a_hash() -> None:
    blocks = re.split(r"^(?=[a-z0-9])", lock(), flags=re.MULTILINE)[1:]
    assert [block.partition(" ")[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_lock_has_everything_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=!~\[ ;]", line, maxsplit=1)[0] for line in wanted}
    assert names - {pin["name"] for pin in PIN.finditer(lock())} == set()
