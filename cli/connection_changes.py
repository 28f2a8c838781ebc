"""A change of a connection, from what a person asked for to what is written: checked against all that is in force.

Whatever writes a connection passes here, the demonstration too, so that every change is checked, told in the trail
without secrets, and made from the version that was looked at.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from cli.connection_secrets import Made, with_first_secret, with_new_secret, without_old_secret
from cli.connection_settings import (
    Difference,
    Settings,
    Unfit,
    differences,
    read_strictly,
    settings_of,
    told,
)
from gateways.connections import Connection
from gateways.networks import read_networks
from gateways.processors.dialects import secrets_of_all
from storage.connections import Action, Change, ConnectionRow, change_connections, read_connections

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TEXT_CHARS_MAX = 500


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes something, and why. Errors: `Unfit` for texts that a trail cannot keep."""

    who: str
    why: str = ""

    def __post_init__(self) -> None:
        """Refuse what would hide or break the trail: nobody, line ends, control characters."""
        for option, text in (("--who", self.who), ("--why", self.why)):
            if len(text) > _TEXT_CHARS_MAX or not text.isprintable():
                raise Unfit(f"{option} is one line of at most {_TEXT_CHARS_MAX} printable characters")
        if not self.who.strip():
            raise Unfit("--who is the name of a person")


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A change that fits, not yet written. `dangers` want a person's yes; `secrets` are told once it is written."""

    change: Change
    differences: tuple[Difference, ...]
    dangers: tuple[str, ...]
    secrets: dict[str, str]


def addition(rows: Sequence[ConnectionRow], name: str, dialect: str, given: Settings, person: Person) -> Proposal:
    """Propose a new connection. Its source is its name unless given. Errors: `Unfit`."""
    if not _NAME.fullmatch(name):
        raise Unfit("a name is 1 to 64 Latin letters, digits, dots, dashes and underscores")
    if any(row.connection == name for row in rows):
        raise Unfit(f"there is a connection {name} already")
    made = with_first_secret({"source": name} | given, name, dialect)
    row = ConnectionRow(name, dialect, active=True, settings=_json(made.settings))
    return _proposal(rows, row, Action.ADD, person, made.told)


def edition(rows: Sequence[ConnectionRow], name: str, settings: Settings, person: Person) -> Proposal:
    """Propose other settings for a connection. Errors: `Unfit`."""
    row = msgspec.structs.replace(stored(rows, name), settings=_json(settings))
    return _proposal(rows, row, Action.EDIT, person)


def rotation(rows: Sequence[ConnectionRow], name: str, person: Person, *, finish: bool) -> Proposal:
    """Propose a new secret beside the old one, or the end of the old one. Errors: `Unfit`."""
    row = stored(rows, name)
    settings = settings_of(row)
    made = Made(without_old_secret(settings), {}) if finish else with_new_secret(settings, row.dialect)
    row = msgspec.structs.replace(row, settings=_json(made.settings))
    return _proposal(rows, row, Action.ROTATE_KEY, person, made.told)


def activity(rows: Sequence[ConnectionRow], name: str, person: Person, *, active: bool) -> Proposal:
    """Propose that a connection is taken out of use, or into use again. Errors: `Unfit`."""
    row = msgspec.structs.replace(stored(rows, name), active=active)
    return _proposal(rows, row, Action.ENABLE if active else Action.DISABLE, person)


async def ensure(database_url: str, wanted: Sequence[tuple[str, str, Settings]], person: Person) -> None:
    """Add connections (name, dialect, settings with digests) that are not there; give others the secrets wanted.

    Rule: what people have changed besides stays as they left it; settings that no longer fit are given anew.
    Errors: `Unfit`, `ChangedMeanwhile`, `NotDone`.
    """
    rows = await read_connections(database_url)
    known = {row.connection: row for row in rows}
    changes = []
    for name, dialect, settings in wanted:
        if name not in known:
            changes.append(addition(rows, name, dialect, settings, person).change)
            continue
        kept = settings_of(known[name]) if _fits(known[name]) else settings
        proposal = edition(rows, name, _with_secrets_of(settings, kept), person)
        if proposal.differences:
            changes.append(proposal.change)
    await change_connections(database_url, changes)


def _with_secrets_of(wanted: Settings, kept: Settings) -> Settings:
    digests = {setting: value for setting, value in wanted.items() if setting.endswith("sha256")}
    keys = {term: value for term, value in wanted.get("terms", {}).items() if term in {"public_key", *secrets_of_all()}}
    return kept | digests | ({"terms": kept.get("terms", {}) | keys} if keys else {})


def _fits(row: ConnectionRow) -> bool:
    try:
        read_strictly(row)
    except Unfit:
        return False
    return True


def stored(rows: Sequence[ConnectionRow], name: str) -> ConnectionRow:
    """Find a connection by its name. Errors: `Unfit`."""
    for row in rows:
        if row.connection == name:
            return row
    raise Unfit(f"there is no connection {name}")


def _json(settings: Settings) -> str:
    try:
        return msgspec.json.encode(settings).decode()
    except UnicodeError as error:
        raise Unfit(f"the settings do not fit: {error}") from None


def _proposal(
    rows: Sequence[ConnectionRow],
    row: ConnectionRow,
    action: Action,
    person: Person,
    secrets: dict[str, str] | None = None,
) -> Proposal:
    """Check a connection as it would be beside all others, and say what changes."""
    before = next((old for old in rows if old.connection == row.connection), None)
    # Whoever disables a connection is not asked to repair it first.
    dangers = ["its payments will be refused"] if action is Action.DISABLE else []
    if action is not Action.DISABLE:
        others = [other for other in rows if other.connection != row.connection]
        connection = read_strictly(row)
        _refuse_shared_sign_ins(connection, others)
        dangers = [*_dangers(before, connection, others)]
    change = Change(
        row=row,
        action=action,
        who=person.who,
        why=person.why,
        before=None if before is None else told(before),
        after=told(row),
    )
    found = tuple(differences(before, row))
    return Proposal(change=change, differences=found, dangers=tuple(dangers), secrets=secrets or {})


def _refuse_shared_sign_ins(connection: Connection, others: Sequence[ConnectionRow]) -> None:
    """A key or login that two connections share would be one of them's, and nobody knows whose."""
    for other in others:
        theirs = settings_of(other)
        if set(connection.api_keys_sha256) & set(theirs.get("api_keys_sha256", ())):
            raise Unfit(f"an API key of it is {other.connection}'s already")
        if connection.basic_login and connection.basic_login == theirs.get("basic_login"):
            raise Unfit(f"the login {connection.basic_login} is {other.connection}'s already")


def _dangers(before: ConnectionRow | None, after: Connection, others: Sequence[ConnectionRow]) -> Iterator[str]:
    """What a person must say yes to: a slip here lets strangers in, or lets a payment count twice."""
    old = settings_of(before) if before is not None else {}
    if before is not None and old.get("source") != after.source:
        yield "the source changes: a payment repeated under its old id would count again"
    sharing = [other.connection for other in others if settings_of(other).get("source") == after.source]
    if sharing and old.get("source") != after.source:
        yield f"{', '.join(sharing)} has the same source: equal ids of different payments would be taken for repeats"
    if before is not None and _admits_all(after.allow_networks) and not _admits_all(old.get("allow_networks", ())):
        yield "every address will be admitted"
    proxies = after.trusted_proxies
    if proxies and _admits_all(proxies) and list(proxies) != old.get("trusted_proxies"):
        yield "every sender may name its own address (X-Forwarded-For)"


def _admits_all(networks: Sequence[str]) -> bool:
    """Tell whether an allow-list admits everybody: it is empty, or names everything."""
    return not networks or any(network.prefixlen == 0 for network in read_networks(networks))
