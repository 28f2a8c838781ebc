"""The demonstration's connections: one of each door, with secrets made at random, told only to demo.json."""

import hashlib
import os
import secrets
from pathlib import Path

import msgspec

from engine.ids import SourceId
from gateways.connections import Connection, Scope
from storage import reference
from storage.reference import ConnectionRow

_JSON_SENDERS: dict[str, tuple[Scope, ...]] = {
    "cashier": ("pay", "read", "reverse"),
    "bank": ("pay", "read"),
    "operator": ("pay", "read", "reverse", "operate"),
}
_OSMP_SENDERS = {"qiwi": "terminal", "kassa": "kiosk"}


class DemoFile(msgspec.Struct, kw_only=True):
    """What scripts need to speak to the demonstration. `home`/demo.json; only its owner may read it."""

    base_url: str
    api_keys: dict[str, str]
    basic: dict[str, dict[str, str]]
    sign_ins: dict[str, str] = {}
    sample_accounts: list[str] = []
    providers: list[str] = []


async def make_connections(database_url: str, home: Path, base_url: str) -> DemoFile:
    """Make the connections, or keep those that demo.json knows; return what it is to say."""
    old = read_demo_file(home)
    demo = DemoFile(base_url=base_url, api_keys={}, basic={})
    rows = []
    for name, scopes in _JSON_SENDERS.items():
        demo.api_keys[name] = (old and old.api_keys.get(name)) or secrets.token_urlsafe(24)
        connection = Connection(source=SourceId(name), scopes=scopes, api_keys_sha256=(_digest(demo.api_keys[name]),))
        rows.append(_row(name, "json", connection))
    for name, channel in _OSMP_SENDERS.items():
        password = (old and old.basic.get(name, {}).get("password")) or secrets.token_urlsafe(24)
        demo.basic[name] = {"login": name, "password": password, "url": f"{base_url}/osmp"}
        terms = {"channel": channel, "status": True, "cancel": name == "kassa"}
        rows.append(
            _row(
                name,
                "osmp",
                Connection(
                    source=SourceId(name), basic_login=name, basic_password_sha256=_digest(password), terms=terms
                ),
            )
        )
    await reference.put_connections(database_url, rows)
    return demo


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _row(name: str, dialect: str, connection: Connection) -> ConnectionRow:
    return ConnectionRow(name, dialect, active=True, settings=msgspec.json.encode(connection).decode())


def read_demo_file(home: Path) -> DemoFile | None:
    """Return what demo.json says, or None if there is none."""
    try:
        return msgspec.json.decode((home / "demo.json").read_bytes(), type=DemoFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_demo_file(home: Path, demo: DemoFile) -> None:
    """Write demo.json for scripts."""
    path = home / "demo.json"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(demo)))
