"""XML as a table: each record element is a row, paths from it are the columns.

Theory of operation. Elements are looked at when they end. At the end of a record its cells are read, from itself, its
children, and from its parents (an account's number stands once, above its charges). Then the record is emptied, and the
one before it removed, so that a parent holds one empty record at a time; when the parent itself ends it goes too. What
stands beside the records stays while its parent lives, because a path may want it, and is counted: a document that is
all "beside" is refused.

Rows are numbered by record, from 1.
"""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from intake.columns import known_columns
from intake.faults import Code, FileRefused
from intake.profile import ANY_COLUMN, Profile
from intake.text import Record
from intake.xml_guard import events, local_name, namespace

_LIVE_ELEMENTS_MAX = 100_000

Cell = Callable[[Any], str]


def table(stream: BinaryIO, profile: Profile) -> tuple[list[str], Iterator[Record]]:
    """Return the columns that the profile knows, and the records. Errors: `FileRefused`."""
    header = sorted(known_columns(profile) - {ANY_COLUMN} - set(profile.ignored))
    return header, _records(stream, profile, [_cell(name) for name in header])


def _records(stream: BinaryIO, profile: Profile, cells: list[Cell]) -> Iterator[Record]:
    assert profile.xml is not None
    path, wanted = tuple(profile.xml.record.split("/")), profile.xml.namespace
    allowed = None if ANY_COLUMN in profile.ignored else _first_steps(profile)
    at: list[str] = []
    number = live = 0
    for event, element in events(stream, profile.limits, profile.encoding):
        if event == "start":
            at.append(local_name(element))
            live += 1
            if live > _LIVE_ELEMENTS_MAX:
                raise FileRefused(Code.XML_FORBIDDEN, "слишком много элементов помимо записей", element.sourceline)
            continue
        if tuple(at) == path and (not wanted or namespace(element) == wanted):
            number += 1
            if allowed is not None:
                _refuse_unknown(element, allowed, number)
            yield number, [cell(element) for cell in cells]
            live -= _forget(element)
        elif len(at) > 1 and tuple(at) == path[: len(at)]:
            live -= _forget(element)
        at.pop()


def _forget(element: Any) -> int:
    """Empty an element that is done with and remove the one before it; return how many elements are gone.

    The element itself stays until the next of its kind ends: the parser still holds it.
    """
    gone = sum(1 for _ in element.iter()) - 1
    element.clear(keep_tail=False)
    before = element.getprevious()
    if before is not None and before.tag == element.tag:
        element.getparent().remove(before)
        gone += 1
    return gone


def _first_steps(profile: Profile) -> frozenset[str]:
    """Names of attributes (with `@`) and children that a record may have."""
    names = known_columns(profile)
    return frozenset(name.partition("/")[0] for name in names if not name.startswith("../"))


def _refuse_unknown(element: Any, allowed: frozenset[str], number: int) -> None:
    for name in element.attrib:
        if f"@{name.rpartition('}')[2]}" not in allowed:
            raise FileRefused(Code.UNKNOWN_COLUMN, f"атрибута {name[:64]} нет в профиле", number)
    for child in element:
        if local_name(child) not in allowed:
            raise FileRefused(Code.UNKNOWN_COLUMN, f"элемента {local_name(child)[:64]} нет в профиле", number)


def _cell(name: str) -> Cell:
    """What reads a path: up by `../`, down by local names, and at the end an attribute or the element's own text."""
    up = name.count("../")
    steps = [step for step in name.replace("../", "").split("/") if step not in ("", ".")]
    attribute = steps.pop()[1:] if steps and steps[-1].startswith("@") else ""

    def read(element: Any) -> str:
        for _ in range(up):
            element = element.getparent() if element is not None else None
        for step in steps:
            element = _child(element, step) if element is not None else None
        if element is None:
            return ""
        return str(element.get(attribute, "")) if attribute else (element.text or "")

    return read


def _child(element: Any, name: str) -> Any:
    return next((child for child in element if local_name(child) == name), None)
