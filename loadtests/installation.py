"""What a stranger is told about the system under load: demo.json, and whether anybody answers at its address."""

import http.client
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_ANSWER_S_MAX = 5.0
_MAKE_ONE = "`kopeck demo` or `kopeck seed` writes it"


class NotThere(Exception):
    """No system to load: nothing says where it is, or nobody answers. The text tells a person what to do."""


@dataclass(frozen=True, slots=True)
class Basic:
    """A login and password of one processor's connection."""

    login: str
    password: str


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the system is, the demonstration's keys to it, and accounts that it knows."""

    base_url: str
    payer_key: str
    reader_key: str
    processor: Basic
    accounts: tuple[str, ...]


def home() -> Path:
    """Return where the system keeps its data: `KOPECK_HOME`, or its own choice without one."""
    given = os.environ.get("KOPECK_HOME")
    if given:
        return Path(given)
    return Path("/var/lib/kopeck") if os.geteuid() == 0 else Path.home() / ".kopeck"


def read(home: Path) -> Installation:
    """Read `home`/demo.json. Errors: `NotThere`, with what a person can do about it."""
    path = home / "demo.json"
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotThere(f"{path} is not there: {_MAKE_ONE}. KOPECK_HOME says where to look.") from None
    except OSError as error:
        raise NotThere(f"{path} cannot be read: {error.strerror}. Only the system's own user may.") from None
    except ValueError:
        raise NotThere(f"{path} is damaged: it is no JSON. {_MAKE_ONE} anew.") from None
    try:
        installation = _installation(told)
    except (KeyError, TypeError):
        raise NotThere(f"{path} is damaged: what the load tests need is not in it. {_MAKE_ONE} anew.") from None
    if not installation.accounts:
        raise NotThere(f"{path} names no accounts: the ledger is empty. `kopeck seed` fills it.")
    return installation


def _installation(told: dict[str, Any]) -> Installation:
    qiwi = told["basic"]["qiwi"]
    return Installation(
        base_url=str(told["base_url"]).rstrip("/"),
        payer_key=str(told["api_keys"]["cashier"]),
        reader_key=str(told["api_keys"]["bank"]),
        processor=Basic(str(qiwi["login"]), str(qiwi["password"])),
        accounts=tuple(str(number) for number in told["sample_accounts"]),
    )


def must_be_ready(url: str) -> None:
    """Ask `/readyz` once. Errors: `NotThere` if nobody answers there, or somebody who is not ready."""
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(address.hostname or "", address.port, timeout=_ANSWER_S_MAX)
        connection.request("GET", f"{address.path}/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError):
        raise NotThere(f"no system answers at {url}: start one with `kopeck up`, or name another by --url") from None
    if status != http.HTTPStatus.OK:
        raise NotThere(f"the system at {url} is not ready: /readyz answers {status}; `kopeck status` tells why")
