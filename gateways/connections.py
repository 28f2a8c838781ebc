"""Connections: who may speak to a door, as what source, within which bounds. Data, replaced live."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from hmac import compare_digest
from typing import Literal

import msgspec

from engine.ids import SourceId
from engine.limits import PAYMENT_KOPECKS_MAX
from gateways.osmp_dialect import OsmpDialect

Scope = Literal["pay", "read", "reverse", "operate"]


class Connection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One contract with a sender of payments or a reader.

    Units: kopecks. Two API keys may be valid at once, so that they can be rotated; only digests are kept (SHA-256 hex
    of keys and passwords that we made ourselves, long and random). Empty `allow_networks` admits every address.
    """

    name: str = ""
    source: SourceId
    dialect: str = "json"
    active: bool = True
    scopes: tuple[Scope, ...] = ()
    api_keys_sha256: tuple[str, ...] = ()
    basic_login: str = ""
    basic_password_sha256: str = ""
    allow_networks: tuple[str, ...] = ()
    amount_kopecks_min: int = 1
    amount_kopecks_max: int = PAYMENT_KOPECKS_MAX
    osmp: OsmpDialect | None = None


class Row(msgspec.Struct, frozen=True):
    """A connection as stored: its settings are JSON."""

    connection: str
    dialect: str
    active: bool
    settings: str


class Connections:
    """The connections in force. `version` changes with every replacement: who keeps something of one looks at it."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.version = 0
        self._by_key: dict[str, Connection] = {}
        self._by_login: dict[str, Connection] = {}
        self._all: tuple[Connection, ...] = ()
        self.replace(rows)

    def replace(self, rows: Iterable[Row]) -> None:
        """Take new connections for the old ones, all at once.

        Errors: msgspec.ValidationError for settings that are not a connection's; the old ones stay then.
        """
        found = tuple(_read(row) for row in rows)
        if found == self._all and self.version:
            return
        self._all = found
        self._by_key = {digest: c for c in found if c.active for digest in c.api_keys_sha256}
        self._by_login = {c.basic_login: c for c in found if c.basic_login}
        self.version += 1

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._all)

    def by_api_key(self, key: str) -> Connection | None:
        """Return the active connection of an API key. Looked up by digest: timing tells nothing of the key."""
        digest = sha256(key.encode()).hexdigest()
        connection = self._by_key.get(digest)
        if connection is None or not any(compare_digest(digest, known) for known in connection.api_keys_sha256):
            return None
        return connection

    def by_basic_login(self, login: str) -> Connection | None:
        """Return the connection of a Basic login; its password is the caller's to check."""
        return self._by_login.get(login)


def _read(row: Row) -> Connection:
    connection = msgspec.json.decode(row.settings, type=Connection)
    return msgspec.structs.replace(connection, name=row.connection, dialect=row.dialect, active=row.active)
