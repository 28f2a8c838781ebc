"""Connections: who may speak to a door, as what source, within which bounds. Data, replaced live."""

import logging
from collections.abc import Iterable, Iterator
from hashlib import sha256
from hmac import compare_digest
from typing import Literal

import msgspec
from prometheus_client import Gauge

from engine.ids import SourceId
from engine.limits import PAYMENT_KOPECKS_MAX
from gateways.networks import AllowList, read_networks
from gateways.osmp_dialect import OsmpDialect

_log = logging.getLogger("kopeck.gateway")
_UNREADABLE = Gauge("kopeck_gateway_connections_unreadable", "Connections whose settings cannot be read")
Scope = Literal["pay", "read", "reverse", "export", "operate"]


class Connection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One contract with a sender of payments or a reader.

    Units: kopecks. Two API keys may be valid at once, so that they can be rotated; only digests are kept (SHA-256 hex
    of keys and passwords that we made ourselves, long and random). Empty `allow_networks` admits every address;
    `trusted_proxies` are addresses whose `X-Forwarded-For` is believed. `provider` or `billing` is whose lines
    an export may tell; with neither, exports are for operators alone.
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
    trusted_proxies: tuple[str, ...] = ()
    amount_kopecks_min: int = 1
    amount_kopecks_max: int = PAYMENT_KOPECKS_MAX
    osmp: OsmpDialect | None = None
    provider: str = ""
    billing: str = ""

    def __post_init__(self) -> None:
        """Refuse networks that are none. Errors: ValueError, when the connection is loaded."""
        read_networks((*self.allow_networks, *self.trusted_proxies))


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
        self._by_name: dict[str, Connection] = {}
        self._unreadable: dict[str, str] = {}
        self._allow_lists: dict[str, AllowList] = {}
        self._by_key: dict[str, Connection] = {}
        self._by_login: dict[str, Connection] = {}
        self._all: tuple[Connection, ...] = ()
        self.replace(rows)

    def replace(self, rows: Iterable[Row]) -> None:
        """Take new connections for the old ones, all at once.

        Rule: one whose settings are not a connection's keeps its last good terms, if it has any; the others do not
        suffer. It is logged once, and the metric shows it until it is put right.
        """
        unreadable: dict[str, str] = {}
        read = [self._read_or_keep(row, unreadable) for row in rows]
        found = tuple(connection for connection in read if connection is not None)
        self._tell(unreadable)
        if found == self._all and self.version:
            return
        self._all = found
        self._by_name = {c.name: c for c in found}
        self._allow_lists = {c.name: AllowList(c.allow_networks, c.trusted_proxies) for c in found}
        self._by_key = {digest: c for c in found if c.active for digest in c.api_keys_sha256}
        self._by_login = {c.basic_login: c for c in found if c.basic_login}
        self.version += 1

    def _read_or_keep(self, row: Row, unreadable: dict[str, str]) -> Connection | None:
        try:
            return read_connection(row)
        except (msgspec.DecodeError, UnicodeError) as error:  # A ValidationError is a DecodeError.
            unreadable[row.connection] = str(error)
        known = self._by_name.get(row.connection)
        return None if known is None else msgspec.structs.replace(known, active=row.active)

    def _tell(self, unreadable: dict[str, str]) -> None:
        for name, error in unreadable.items():
            if self._unreadable.get(name) != error:
                _log.error("connection=%s cannot be read: %s", name, error)
        self._unreadable = unreadable
        _UNREADABLE.set(len(unreadable))

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._all)

    def by_api_key(self, key: str) -> Connection | None:
        """Return the active connection of an API key. Looked up by digest: timing tells nothing of the key."""
        digest = sha256(key.encode()).hexdigest()
        connection = self._by_key.get(digest)
        if connection is None or not any(compare_digest(digest, known) for known in connection.api_keys_sha256):
            return None
        return connection

    def admits(self, connection: Connection, remote: str, forwarded_for: str) -> bool:
        """Tell whether a connection may be used from an address; see `AllowList`."""
        return self._allow_lists[connection.name].admits(remote, forwarded_for)

    def by_basic_login(self, login: str) -> Connection | None:
        """Return the connection of a Basic login; its password is the caller's to check."""
        return self._by_login.get(login)


def read_connection(row: Row) -> Connection:
    """Read a stored connection. Errors: msgspec.DecodeError or UnicodeError for settings that are none."""
    connection = msgspec.json.decode(row.settings, type=Connection)
    return msgspec.structs.replace(connection, name=row.connection, dialect=row.dialect, active=row.active)
