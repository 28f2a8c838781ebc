"""Which processor is calling, and whether from an address of its contract.

Where there is a Basic login, it tells. Else the path may name the connection (`/cyberplat/kassa24`); else it is the
one active connection of the dialect that admits the address. A signature, where the protocol has one, is the desk's to
check.
A Basic password travels with every request, so `check_exposure` refuses to listen in the clear beyond this machine.
"""

import binascii
import hashlib
import ipaddress
from base64 import b64decode
from hmac import compare_digest
from typing import Protocol

from aiohttp import web

from actors.client import Router
from actors.settings import Settings
from gateways.connections import Connection, Connections
from gateways.processors.desk import Desk
from gateways.processors.dialects import Dialect
from gateways.processors.port import PayerOf

_KNOWN_MAX = 4096
_HEADER_CHARS_MAX = 512


class InsecureExposureError(ValueError):
    """The settings would send passwords in the clear over a network."""


def check_exposure(settings: Settings, connections: Connections) -> None:
    """Refuse to start where Basic passwords would travel in the clear.

    Rule: with an active connection that has one only a loopback address may be listened on (TLS ends in front of us),
    unless the operator says that the network is trusted. Errors: `InsecureExposureError` with a text for the
    operator.
    """
    exposed = [c.name for c in connections if c.active and c.basic_login]
    if exposed and not settings.allow_insecure and not _is_loopback(settings.host):
        raise InsecureExposureError(
            f"Шлюз слушал бы {settings.host} без TLS, а подключения {', '.join(exposed)} передают пароль "
            "(Basic) открытым текстом. Слушайте 127.0.0.1 за обратным прокси с TLS или задайте "
            "KOPECK_ALLOW_INSECURE=1, если сеть доверенная."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Doors(Protocol):
    """What an entrance needs of the gateway."""

    @property
    def router(self) -> Router: ...
    @property
    def payer(self) -> PayerOf: ...
    @property
    def connections(self) -> Connections: ...


class Entrance:
    """Finds the desk of a request, or refuses. A password is checked once, then known by digest."""

    def __init__(self, dialect: Dialect, doors: Doors) -> None:
        self._dialect = dialect
        self._doors = doors
        self._connections = doors.connections
        self._version = -1
        self._desks: dict[str, Desk] = {}
        self._by_header: dict[bytes, Desk] = {}
        self._without_login: list[Desk] = []

    def admit(self, request: web.Request) -> Desk | web.Response:
        """Return the desk of who is calling; 401 for wrong or missing credentials, or the refusal of an address."""
        if self._version != self._connections.version:
            self._renew()
        headers = request.headers
        header = headers.get("Authorization", "")
        remote, forwarded = request.remote or "", headers.get("X-Forwarded-For", "")
        if header:
            desk = self._by_basic(header)
        elif name := request.match_info.get("connection"):
            desk = self._by_name(name)
        else:
            desk = self._by_address(remote, forwarded)
            if desk is None and not self._asks_for_login():
                return self._foreign()
        if desk is None:
            return _unauthorized()
        if not self._connections.admits(desk.connection, remote, forwarded):
            return self._foreign()
        return desk

    def _renew(self) -> None:
        """Make the desks of changed connections anew; a desk of an unchanged one keeps what it has counted."""
        mine = [c for c in self._connections if c.active and c.dialect == self._dialect.name]
        self._desks = {connection.name: self._desk_of(connection) for connection in mine}
        self._without_login = [desk for desk in self._desks.values() if not desk.connection.basic_login]
        self._by_header.clear()
        self._version = self._connections.version

    def _desk_of(self, connection: Connection) -> Desk:
        desk = self._desks.get(connection.name)
        if desk is not None and desk.connection == connection:
            return desk
        return self._dialect.desk(connection, self._doors)

    def _by_basic(self, header: str) -> Desk | None:
        """Only digests of headers are kept in memory, never a password."""
        digest = hashlib.sha256(header.encode("utf-8", "surrogateescape")).digest()
        desk = self._by_header.get(digest)
        if desk is None:
            connection = self._authenticated(header)
            desk = self._desks.get(connection.name) if connection is not None else None
            if desk is not None:
                if len(self._by_header) >= _KNOWN_MAX:
                    self._by_header.clear()
                self._by_header[digest] = desk
        return desk

    def _authenticated(self, header: str) -> Connection | None:
        credentials = _basic(header)
        if credentials is None:
            return None
        login, password = credentials
        connection = self._connections.by_basic_login(login)
        given = hashlib.sha256(password.encode()).hexdigest()
        return connection if _is_password(connection, given) else None

    def _by_name(self, name: str) -> Desk | None:
        """A connection that has a login is not to be had by its name alone."""
        desk = self._desks.get(name)
        return None if desk is None or desk.connection.basic_login else desk

    def _by_address(self, remote: str, forwarded: str) -> Desk | None:
        admitting = [d for d in self._without_login if self._connections.admits(d.connection, remote, forwarded)]
        return admitting[0] if len(admitting) == 1 else None

    def _asks_for_login(self) -> bool:
        return not self._without_login

    def _foreign(self) -> web.Response:
        if self._dialect.foreign is None:
            return web.Response(status=403, text="Forbidden\n")
        body, content_type = self._dialect.foreign
        return web.Response(body=body, headers={"Content-Type": content_type})


def _unauthorized() -> web.Response:
    return web.Response(
        status=401,
        text="Unauthorized\n",
        headers={"WWW-Authenticate": 'Basic realm="kopeck", charset="UTF-8"'},
    )


def _is_password(connection: Connection | None, given: str) -> bool:
    """Tell whether it is the digest of a password in force; an unknown login takes as long as a wrong password."""
    now = connection.basic_password_sha256 if connection is not None else ""
    old = connection.basic_password_old_sha256 if connection is not None else ""
    return compare_digest(given, now) | compare_digest(given, old)


def _basic(header: str) -> tuple[str, str] | None:
    """Read login and password from an `Authorization` header."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > _HEADER_CHARS_MAX:
        return None
    try:
        login, colon, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (login, password) if colon else None
