"""Connections: who may speak to a door, as what source, within which bounds. Data, replaced live."""

import datetime
import logging
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Literal

import msgspec
from prometheus_client import Gauge

from engine.ids import SourceId
from engine.limits import PAYMENT_KOPECKS_MAX
from engine.policy import Commission
from engine.registers import RegisterTerms
from gateways.networks import AllowList, read_networks
from gateways.processors.dialects import all_dialects, secrets_of_all, terms_of

_log = logging.getLogger("kopeck.gateway")
_UNREADABLE = Gauge("kopeck_gateway_connections_unreadable", "Connections whose settings cannot be read")
Scope = Literal["pay", "read", "reverse", "bill", "export", "operate"]
Shown = Literal["debt", "name", "address"]
JSON = "json"
"""The dialect of our own JSON door; every other is a processor's."""

_OFFSET_MINUTES_MAX = 14 * 60


class Connection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One contract with a sender of payments or a reader.

    Two API keys, or two passwords of one login, may be valid at once, so that they can be rotated; only digests are
    kept (SHA-256 hex of keys and passwords that we made ourselves, long and random). Empty `allow_networks` admits
    every address; `trusted_proxies` are addresses whose `X-Forwarded-For` is believed. `billing`: whose files a key
    with the scope "bill" may send and see, and with "export" whose accounts it is told; `provider`: whose lines alone.
    With neither, exports are for operators.

    Of processors: `terms` are the dialect's own (see `gateways.processors`). `commission` replaces that of the
    accounts' agreements. `shown`: what a payer sees at the check; names and addresses are masked. `keep_if_unknown`:
    money for a number that we do not know is kept as unidentified, not refused. `utc_offset_minutes` is the clock of
    its dates, and by that clock its operating day ends at `cut_off`. Checks are limited for each gateway, those that
    found nothing more tightly: whoever tries number after number is stopped. `register`: how its registers are read
    and matched.
    Units: kopecks.
    """

    name: str = ""
    source: SourceId
    dialect: str = JSON
    active: bool = True
    scopes: tuple[Scope, ...] = ()
    api_keys_sha256: tuple[str, ...] = ()
    basic_login: str = ""
    basic_password_sha256: str = ""
    basic_password_old_sha256: str = ""
    allow_networks: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    amount_kopecks_min: int = 1
    amount_kopecks_max: int = PAYMENT_KOPECKS_MAX
    billing: str = ""
    provider: str = ""
    terms: dict[str, Any] = {}
    commission: Commission | None = None
    shown: tuple[Shown, ...] = ("debt",)
    keep_if_unknown: bool = False
    utc_offset_minutes: int = 180
    cut_off: datetime.time = datetime.time(0)
    register: RegisterTerms = RegisterTerms()
    checks_a_minute: int = 6_000
    missed_checks_a_minute: int = 120

    def __post_init__(self) -> None:
        """Refuse what cannot be. Errors: ValueError, when the connection is loaded."""
        read_networks((*self.allow_networks, *self.trusted_proxies))
        if abs(self.utc_offset_minutes) > _OFFSET_MINUTES_MAX:
            raise ValueError("utc_offset_minutes is at most 14 hours")
        if self.cut_off.tzinfo is not None or self.cut_off.second or self.cut_off.microsecond:
            raise ValueError("cut_off is a time of the connection's own clock, in whole minutes, without a zone")
        if self.checks_a_minute < 1 or self.missed_checks_a_minute < 1:
            raise ValueError("checks_a_minute and missed_checks_a_minute are at least 1")

    def operating_day(self, at_us: int) -> datetime.date:
        """Tell to which operating day of this connection an instant (UTC microseconds) belongs.

        Rule: the day ends at `cut_off` by the connection's clock; midnight is the calendar day.
        """
        local = _EPOCH + datetime.timedelta(microseconds=at_us, minutes=self.utc_offset_minutes)
        is_after = self.cut_off != datetime.time(0) and local.time() >= self.cut_off
        return local.date() + datetime.timedelta(days=1 if is_after else 0)


_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - by the connection's clock, which the offset gives.


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
        self._rows: tuple[Row, ...] = ()
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
        suffer. It is logged once, and the metric shows it until it is put right. Rows that are as they were are not
        read again: a gateway asks every few seconds, and keys are slow to load.
        """
        rows = tuple(rows)
        if rows == self._rows and self.version:
            return
        self._rows = rows
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
    """Read a stored connection: the only validator.

    Rule: a processor's connection says who may use it: by a Basic login, by addresses, or by a dialect that signs.
    Errors: msgspec.DecodeError (of which ValidationError is one) or UnicodeError for settings that are none.
    """
    connection = msgspec.json.decode(row.settings, type=Connection)
    connection = msgspec.structs.replace(connection, name=row.connection, dialect=row.dialect, active=row.active)
    if connection.dialect == JSON:
        if connection.terms:
            raise msgspec.ValidationError("the JSON door has no terms of its own - at `$.terms`")
        return connection
    dialect = all_dialects().get(connection.dialect)
    if dialect is None:
        raise msgspec.ValidationError(f"dialect is one of {JSON}, {', '.join(all_dialects())}")
    terms = terms_of(connection)
    if not (connection.basic_login or connection.allow_networks or dialect.vouches(terms)):
        raise msgspec.ValidationError("anybody could use it: give it basic_login, allow_networks or a signature")
    return connection


def redacted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a connection's settings as they may be shown: what is kept in clear and must not be seen is `***`."""
    terms = settings.get("terms")
    if not isinstance(terms, dict):
        return dict(settings)
    hidden = secrets_of_all()
    return {**settings, "terms": {name: "***" if name in hidden and term else term for name, term in terms.items()}}
