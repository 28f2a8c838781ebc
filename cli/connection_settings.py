"""Settings of a connection as people give and read them: values by their paths, differences, nothing secret."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gateways.connections import Connection, Row, read_connection, redacted
from storage.connections import ConnectionRow

_DIGEST = "sha256"
_HIDDEN = "***"
_COLUMNS = ("name", "dialect", "active")
_DIGEST_CHARS = 64
_HEX_DIGITS = frozenset("0123456789abcdef")

Settings = dict[str, Any]


class Unfit(ValueError):
    """What was asked for cannot be done; the text says why. Nothing was changed."""


class Difference(msgspec.Struct, frozen=True):
    """One setting before and after, as it may be shown. None: it was not given, and has its default."""

    path: str
    before: Any
    after: Any


def settings_of(row: ConnectionRow) -> Settings:
    """Return a stored connection's settings; none at all if they cannot be read (then others must be given)."""
    try:
        settings = msgspec.json.decode(row.settings)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return {name: settings[name] for name in settings if name not in _COLUMNS} if isinstance(settings, dict) else {}


def settings_from(file: Path | None) -> Settings:
    """Read settings from a JSON file. Errors: `Unfit`."""
    if file is None:
        return {}
    try:
        settings = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Unfit(f"{file}: {error}") from None
    if not isinstance(settings, dict):
        raise Unfit(f"{file}: settings are a JSON object")
    _refuse_columns(settings)
    return settings


def with_values(settings: Settings, assignments: Sequence[str]) -> Settings:
    """Return settings with values put in: `name=value`, `terms.name=value`; a value is JSON, or text that is none.

    Errors: `Unfit`.
    """
    changed = copy.deepcopy(settings)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise Unfit(f"--set {path}: it is name=value")
        _put(changed, path.split("."), _value(text))
    _refuse_columns(changed)
    return changed


def _refuse_columns(settings: Settings) -> None:
    for name in _COLUMNS:
        if name in settings:
            raise Unfit(f"{name} is not a setting: it is given when the connection is added, enabled or disabled")


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def _put(settings: Settings, path: Sequence[str], value: Any) -> None:
    *parents, name = path
    for depth, parent in enumerate(parents, 1):
        if settings.get(parent) is None:
            settings[parent] = {}
        settings = settings[parent]
        if not isinstance(settings, dict):
            raise Unfit(f"--set {'.'.join(path)}: {'.'.join(parents[:depth])} has no settings within")
    settings[name] = value


def read_strictly(row: ConnectionRow) -> Connection:
    """Read a connection that a person gave: as a gateway does, and nothing misspelt or misplaced may be ignored.

    Errors: `Unfit`.
    """
    settings = settings_of(row)
    try:
        connection = read_connection(Row(row.connection, row.dialect, row.active, row.settings))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Unfit(f"the settings do not fit: {error}") from None
    for path in _unknown(settings, msgspec.to_builtins(connection, str_keys=True)):
        raise Unfit(f"the settings do not fit: there is no setting {path}")
    for path, value in flat(settings):
        if path.endswith(_DIGEST) and not all(map(_is_digest, value if isinstance(value, list) else [value])):
            raise Unfit(f"{path} holds digests (SHA-256, {_DIGEST_CHARS} hexadecimal digits), never a key or password")
    return connection


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and (not value or (len(value) == _DIGEST_CHARS and not set(value) - _HEX_DIGITS))


def _unknown(given: Any, known: Any, prefix: str = "") -> Iterator[str]:
    """Paths of what was given and not read."""
    if isinstance(given, list) and isinstance(known, list | tuple):
        for index, (one, other) in enumerate(zip(given, known, strict=False)):
            yield from _unknown(one, other, f"{prefix}{index}.")
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name not in known:
                yield f"{prefix}{name}"
            yield from _unknown(value, known.get(name), f"{prefix}{name}.")


def shown(settings: Settings) -> Settings:
    """Return settings as they may be shown: without secrets, and without digests, which tell a reader nothing."""
    return {name: _hidden(value) if name.endswith(_DIGEST) else value for name, value in redacted(settings).items()}


def _hidden(value: Any) -> Any:
    return [_HIDDEN] * len(value) if isinstance(value, list) else _HIDDEN if value else value


class Told(msgspec.Struct, frozen=True):
    """A connection as the trail tells it: without secrets. Of one that was there before the trail, nothing is told."""

    active: bool | None = None
    dialect: str | None = None
    settings: Settings = {}


def told(row: ConnectionRow) -> str:
    """Write a connection for the trail: JSON without secrets."""
    return msgspec.json.encode(Told(row.active, row.dialect, shown(settings_of(row)))).decode()


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its path; a list is one value."""
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def differences(before: ConnectionRow | None, after: ConnectionRow) -> list[Difference]:
    """Return what a change changes; a secret is seen to change, and not shown."""
    old, new = (Told() if row is None else Told(row.active, row.dialect, settings_of(row)) for row in (before, after))
    return _compared(_facts(old), _facts(new))


def differences_told(before: str | None, after: str) -> list[Difference]:
    """Return what a past change changed, as far as the trail tells: of a secret it cannot."""
    old, new = (msgspec.json.decode(text or "{}", type=Told) for text in (before, after))
    return _compared(_facts(old), _facts(new))


class _Fact(NamedTuple):
    """One value, as it is and as it may be shown."""

    value: Any
    shown: Any


_ABSENT = _Fact(None, None)


def _facts(connection: Told) -> dict[str, _Fact]:
    facts = {"active": connection.active, "dialect": connection.dialect} | connection.settings
    visible = dict(flat(shown(facts)))
    return {path: _Fact(value, visible.get(path, _HIDDEN)) for path, value in flat(facts)}


def _compared(old: Mapping[str, _Fact], new: Mapping[str, _Fact]) -> list[Difference]:
    return [
        Difference(path, old.get(path, _ABSENT).shown, new.get(path, _ABSENT).shown)
        for path in {**old, **new}
        if old.get(path, _ABSENT).value != new.get(path, _ABSENT).value
    ]
