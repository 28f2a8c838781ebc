"""The demonstration's connections: of every door and dialect, with secrets made at random, told only to demo.json."""

import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cli.connection_changes import Person, ensure
from cli.connection_secrets import digest_of, made_at_random
from cli.connection_settings import Settings
from gateways.connections import Scope

_JSON_SENDERS: dict[str, tuple[Scope, ...]] = {
    "cashier": ("pay", "read", "reverse"),
    "bank": ("pay", "read"),
    "operator": ("pay", "read", "reverse", "operate"),
}
_OSMP_SENDERS = {"qiwi": "terminal", "kassa": "kiosk"}
_BILLINGS = ("uyutny-dvor", "domovoy", "roshcha")
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
    await ensure(database_url, wanted_of(demo), Person(who="demo", why="demonstration"))
    return demo


def _with_secrets(old: DemoFile | None, base_url: str) -> DemoFile:
    """Keep the secrets of an earlier time, make those that it lacks."""
    old = old or DemoFile(base_url=base_url, api_keys={}, basic={})
    demo = DemoFile(base_url=base_url, api_keys={}, basic={})
    for name in (*_JSON_SENDERS, *_BILLINGS):
        demo.api_keys[name] = old.api_keys.get(name) or made_at_random()
    for name in _OSMP_SENDERS:
        password = old.basic.get(name, {}).get("password") or made_at_random()
        demo.basic[name] = {"login": name, "password": password, "url": f"{base_url}/osmp"}
    demo.dialects["osmp"] = demo.basic["qiwi"]
    for name, make in (("cyberplat", _key_pairs), ("moneta", _code), ("sber", _login), ("bisys", _password)):
        kept = old.dialects.get(name) or make()
        demo.dialects[name] = kept | {"url": f"{base_url}/{name}/{name}"}
    return demo


def _key_pairs() -> dict[str, str]:
    pairs: dict[str, str] = {}
    for whose in ("", "our_"):
        key = generate_private_key(65537, 2048)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        pairs |= {f"{whose}private_key": private.decode(), f"{whose}public_key": public.decode()}
    return pairs


def _code() -> dict[str, str]:
    return {"code": made_at_random(), "mnt_id": "54600817"}


def _login() -> dict[str, str]:
    return {"login": "sber", "password": made_at_random()}


def _password() -> dict[str, str]:
    return {"password": made_at_random()}


def wanted_of(demo: DemoFile) -> list[tuple[str, str, Settings]]:
    """Make the connections that a demo file speaks to: name, dialect, settings."""
    wanted: list[tuple[str, str, Settings]] = [
        (
            name,
            "json",
            {"scopes": ["bill", "export"], "billing": name, "api_keys_sha256": [digest_of(demo.api_keys[name])]},
        )
        for name in _BILLINGS
    ]
    wanted += [
        (name, "json", {"scopes": scopes, "api_keys_sha256": [digest_of(demo.api_keys[name])]})
        for name, scopes in _JSON_SENDERS.items()
    ]
    for name, channel in _OSMP_SENDERS.items():
        terms = {"channel": channel, "status": True, "cancel": name == "kassa"}
        wanted.append((name, "osmp", {"terms": terms} | _basic_of(demo.basic[name])))
    keys, moneta, sber, bisys = (demo.dialects[name] for name in ("cyberplat", "moneta", "sber", "bisys"))
    signed: Settings = {"basic_login": ""}
    pair = {"public_key": keys["public_key"], "private_key": keys["our_private_key"], "cancel": True}
    wanted += [
        ("cyberplat", "cyberplat", signed | {"terms": pair}),
        ("moneta", "moneta", signed | {"terms": {"code": moneta["code"], "mnt_id": moneta["mnt_id"]}}),
        ("sber", "sber", {"shown": ["debt", "name", "address"]} | _basic_of(sber)),
        ("bisys", "bisys", signed | {"terms": {"password": bisys["password"]}}),
    ]
    checks: Settings = {"checks_a_minute": _CHECKS_A_MINUTE, "missed_checks_a_minute": _CHECKS_A_MINUTE}
    return [(name, dialect, {"source": name} | checks | settings) for name, dialect, settings in wanted]


def _basic_of(credentials: dict[str, str]) -> Settings:
    return {"basic_login": credentials["login"], "basic_password_sha256": digest_of(credentials["password"])}


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
