"""Suggestions for a dry run: what a file may be. A person decides; nothing is ever imported by a guess."""

import itertools
from pathlib import Path

import msgspec

from intake.encoding import suggest
from intake.faults import FileRefused
from intake.presets import PRESETS
from intake.profile import Encoding, Form, Profile
from intake.reader import items
from intake.rows import RowFault

_HEAD_BYTES = 1 << 16
_ITEMS_MAX = 200


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One preset tried on a file: how many of its first items were rows, how many faults; `problem` when refused."""

    profile: str
    encoding: Encoding | None
    rows: int
    faults: int
    problem: str


def settled(profile: Profile, path: Path) -> Profile:
    """Put a suggestion in the place of `auto`, for a dry run."""
    if profile.encoding is not Encoding.AUTO:
        return profile
    with path.open("rb") as stream:
        return msgspec.structs.replace(profile, encoding=suggest(stream.read(_HEAD_BYTES)))


def suggestions(path: Path) -> list[Suggestion]:
    """Try every preset on the beginning of a file.

    Shape: those that read rows come first, the most rows before the least; then the refused.
    """
    tried = [_tried(path, _in_likely_encoding(profile, path)) for profile in PRESETS.values()]
    return sorted(tried, key=lambda one: (bool(one.problem), one.faults > 0, one.faults - one.rows))


def _in_likely_encoding(profile: Profile, path: Path) -> Profile:
    if profile.form is not Form.CSV or profile.zip is not None:
        return profile
    return settled(msgspec.structs.replace(profile, encoding=Encoding.AUTO), path)


def _tried(path: Path, profile: Profile) -> Suggestion:
    rows = faults = 0
    problem = ""
    try:
        for item in itertools.islice(items(path, profile), _ITEMS_MAX):
            faults += isinstance(item, RowFault)
            rows += not isinstance(item, RowFault)
    except FileRefused as refused:
        problem = str(refused)
    return Suggestion(profile=profile.name, encoding=profile.encoding, rows=rows, faults=faults, problem=problem)
