"""Who may speak OSMP to us: Basic credentials, and the addresses that the contract names.

The protocol has no better: its password travels with every request. So a connection is bound to its agent's
addresses, and `check_exposure` refuses to listen in the clear beyond this machine.
"""

import binascii
import hashlib
import ipaddress
from base64 import b64decode
from hmac import compare_digest

from aiohttp import web

from actors.settings import Settings
from gateways.connections import Connection, Connections
from gateways.networks import AllowList
from gateways.osmp_dialect import OsmpDialect
from gateways.osmp_request import OsmpReader
from gateways.osmp_xml import OsmpXml

_KNOWN_MAX = 4096
_HEADER_CHARS_MAX = 512


class InsecureExposureError(ValueError):
    """The settings would send passwords in the clear over a network."""


def check_exposure(settings: Settings, connections: Connections) -> None:
    """Refuse to start where OSMP passwords would travel in the clear.

    Rule: with an active OSMP connection only a loopback address may be listened on (TLS ends in front of us),
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


class Desk:
    """One connection, made ready: its reader, its reply shapes, its networks."""

    def __init__(self, connection: Connection) -> None:
        dialect = connection.osmp or OsmpDialect()
        self.connection = connection
        self.dialect = dialect
        self.xml = OsmpXml(dialect)
        self.reader = OsmpReader(
            connection.source,
            dialect,
            amount_kopecks_min=connection.amount_kopecks_min,
            amount_kopecks_max=connection.amount_kopecks_max,
        )
        proxies = (*connection.trusted_proxies, *dialect.trusted_proxies)
        self.admits = AllowList(connection.allow_networks, proxies).admits


class Entrance:
    """Finds the desk of a request, or refuses by HTTP. A password is checked once, then known by digest."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._version = connections.version
        self._desks: dict[bytes, Desk] = {}

    def admit(self, request: web.Request) -> Desk | web.Response:
        """Return the desk for the credentials, else 401; or 403 where the address is not the agent's."""
        headers = request.headers
        desk = self._desk_of(headers.get("Authorization", ""))
        if desk is None:
            return web.Response(
                status=401,
                text="Unauthorized\n",
                headers={"WWW-Authenticate": 'Basic realm="kopeck", charset="UTF-8"'},
            )
        if not desk.admits(request.remote or "", headers.get("X-Forwarded-For", "")):
            return web.Response(status=403, text="Forbidden\n")
        return desk

    def _desk_of(self, header: str) -> Desk | None:
        """Only digests of headers are kept in memory, never a password."""
        if self._version != self._connections.version:
            self._desks.clear()
            self._version = self._connections.version
        digest = hashlib.sha256(header.encode("utf-8", "surrogateescape")).digest()
        desk = self._desks.get(digest)
        if desk is None:
            connection = self._authenticated(header)
            if connection is None:
                return None
            if len(self._desks) >= _KNOWN_MAX:
                self._desks.clear()
            desk = self._desks[digest] = Desk(connection)
        return desk

    def _authenticated(self, header: str) -> Connection | None:
        credentials = _basic(header)
        if credentials is None:
            return None
        login, password = credentials
        connection = self._connections.by_basic_login(login)
        given = hashlib.sha256(password.encode()).hexdigest()
        if _is_password(connection, given) and connection is not None and connection.active:
            return connection
        return None


def _is_password(connection: Connection | None, given: str) -> bool:
    """Tell whether it is the digest of a password in force. An unknown login takes as long as a wrong password."""
    now, old = (
        ("", "") if connection is None else (connection.basic_password_sha256, connection.basic_password_old_sha256)
    )
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
