"""The demonstration's connections: of every door and dialect, with secrets made at random, told only to demo.json."""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

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
_CHECKS_A_MINUTE = 10_000_000
"""The demonstration and load tests check as fast as they can; a contract's own pace is far slower."""


class DemoFile(msgspec.Struct, kw_only=True):
    """What scripts need to speak to the demonstration. `home`/demo.json; only its owner may read it.

    `dialects`: for each processors' protocol its URL and credentials. Of keys, `private_key` is the processor's and
    `our_public_key` verifies our replies; `our_private_key` is kept so that a restart keeps the pair.
    """

    base_url: str
    api_keys: dict[str, str]
    basic: dict[str, dict[str, str]]
    dialects: dict[str, dict[str, str]] = {}
    sign_ins: dict[str, str] = {}
    sample_accounts: list[str] = []
    providers: list[str] = []


async def make_connections(database_url: str, home: Path, base_url: str) -> DemoFile:
    """Make the connections, or keep those that demo.json knows; return what it is to say."""
    demo = _with_secrets(read_demo_file(home), base_url)
    await reference.put_connections(database_url, rows_of(demo))
    return demo


def _with_secrets(old: DemoFile | None, base_url: str) -> DemoFile:
    """Keep the secrets of an earlier time, make those that it lacks."""
    old = old or DemoFile(base_url=base_url, api_keys={}, basic={})
    demo = DemoFile(base_url=base_url, api_keys={}, basic={})
    for name in _JSON_SENDERS:
        demo.api_keys[name] = old.api_keys.get(name) or _secret()
    for name in _OSMP_SENDERS:
        password = old.basic.get(name, {}).get("password") or _secret()
        demo.basic[name] = {"login": name, "password": password, "url": f"{base_url}/osmp"}
    demo.dialects["osmp"] = demo.basic["qiwi"]
    for name, make in (("cyberplat", _key_pairs), ("moneta", _code), ("sber", _login), ("bisys", _password)):
        kept = old.dialects.get(name) or make()
        demo.dialects[name] = kept | {"url": f"{base_url}/{name}/{name}"}
    return demo


def _secret() -> str:
    return secrets.token_urlsafe(24)


def _key_pairs() -> dict[str, str]:
    pairs: dict[str, str] = {}
    for whose in ("", "our_"):
        key = generate_private_key(65537, 2048)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        pairs |= {f"{whose}private_key": private.decode(), f"{whose}public_key": public.decode()}
    return pairs


def _code() -> dict[str, str]:
    return {"code": _secret(), "mnt_id": "54600817"}


def _login() -> dict[str, str]:
    return {"login": "sber", "password": _secret()}


def _password() -> dict[str, str]:
    return {"password": _secret()}


def rows_of(demo: DemoFile) -> list[ConnectionRow]:
    """Make the connections that a demo file speaks to."""
    rows = [
        _row(name, "json", scopes=scopes, api_keys_sha256=(_digest(demo.api_keys[name]),))
        for name, scopes in _JSON_SENDERS.items()
    ]
    for name, channel in _OSMP_SENDERS.items():
        terms = {"channel": channel, "status": True, "cancel": name == "kassa"}
        rows.append(_row(name, "osmp", terms=terms, **_basic_of(demo.basic[name])))
    keys, moneta, sber, bisys = (demo.dialects[name] for name in ("cyberplat", "moneta", "sber", "bisys"))
    rows.append(
        _row(
            "cyberplat",
            "cyberplat",
            terms={"public_key": keys["public_key"], "private_key": keys["our_private_key"], "cancel": True},
        )
    )
    rows.append(_row("moneta", "moneta", terms={"code": moneta["code"], "mnt_id": moneta["mnt_id"]}))
    rows.append(_row("sber", "sber", shown=("debt", "name", "address"), **_basic_of(sber)))
    rows.append(_row("bisys", "bisys", terms={"password": bisys["password"]}))
    return rows


def _basic_of(credentials: dict[str, str]) -> dict[str, Any]:
    return {"basic_login": credentials["login"], "basic_password_sha256": _digest(credentials["password"])}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _row(name: str, dialect: str, **settings: Any) -> ConnectionRow:
    connection = Connection(
        source=SourceId(name),
        checks_a_minute=_CHECKS_A_MINUTE,
        missed_checks_a_minute=_CHECKS_A_MINUTE,
        **settings,
    )
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
