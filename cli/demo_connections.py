"""The demonstration's connections: one of each door, with secrets made at random, told only to demo.json."""

import os
from pathlib import Path

import msgspec

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
    old = read_demo_file(home) or DemoFile(base_url=base_url, api_keys={}, basic={})
    demo = DemoFile(base_url=base_url, api_keys={}, basic={})
    wanted: list[tuple[str, str, Settings]] = []
    for name, scopes in _JSON_SENDERS.items():
        key = demo.api_keys[name] = old.api_keys.get(name) or made_at_random()
        wanted.append((name, "json", {"source": name, "scopes": scopes, "api_keys_sha256": [digest_of(key)]}))
    for name, channel in _OSMP_SENDERS.items():
        password = old.basic.get(name, {}).get("password") or made_at_random()
        demo.basic[name] = {"login": name, "password": password, "url": f"{base_url}/osmp"}
        terms = {"channel": channel, "status": True, "cancel": name == "kassa"}
        sign_in: Settings = {"basic_login": name, "basic_password_sha256": digest_of(password)}
        wanted.append((name, "osmp", {"source": name, "terms": terms} | sign_in))
    await ensure(database_url, wanted, Person(who="demo", why="demonstration"))
    return demo


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
