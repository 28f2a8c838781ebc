"""Reading a request of the JSON door: who asks, with what right, and what the body says."""

import json
import re
from typing import TypeVar

import msgspec
from aiohttp import web

from gateways.connections import Connection, Connections, Scope
from gateways.problems import Refused

BodyT = TypeVar("BodyT")
_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_FIELD = re.compile(r"(?:required|unknown) field `([^`]+)`")


def caller(request: web.Request, connections: Connections, scope: Scope) -> Connection:
    """Return the connection whose key the request bears.

    Errors: `Refused` unauthorized (no key, wrong key) or forbidden (a foreign address, or not this scope).
    """
    header = request.headers.get("Authorization", "")
    key = header[7:] if header[:7].lower() == "bearer " else request.headers.get("X-Api-Key", "")
    connection = connections.by_api_key(key) if key and len(key) <= 256 and key.isascii() else None
    if connection is None:
        raise Refused("unauthorized", headers={"WWW-Authenticate": 'Bearer realm="kopeck"'})
    is_admitted = connections.admits(connection, request.remote or "", request.headers.get("X-Forwarded-For", ""))
    if not is_admitted or scope not in connection.scopes:
        raise Refused("forbidden")
    return connection


async def json_body(request: web.Request, decoder: "msgspec.json.Decoder[BodyT]") -> BodyT:
    """Read a JSON body of a given type. Errors: `Refused` media-type, malformed-json, not-utf8, field-invalid."""
    if request.content_type != "application/json":
        raise Refused("media-type", headers={"Accept": "application/json"})
    return parse(await request.read(), decoder)


def parse(body: bytes, decoder: "msgspec.json.Decoder[BodyT]") -> BodyT:
    """Parse JSON of a given type. Errors: as `json_body`; `param` is the path of the field."""
    try:
        decoded = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused("field-invalid", param_of(str(error)), reason=str(error)) from None
    except UnicodeDecodeError:
        raise Refused("not-utf8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        if "utf-8" in str(error).lower():
            raise Refused("not-utf8") from None
        raise Refused("malformed-json", reason=str(error)) from None
    _once_each.decode(body.decode())
    return decoded


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse an object with a field twice: which of two amounts is meant is not ours to guess.

    msgspec would take the last one. The second reading costs 2.3 us for a payment, and follows the first,
    so that depth and sizes are bounded.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise Refused("field-invalid", next(name for name in names if names.count(name) > 1))
    return members


_once_each = json.JSONDecoder(object_pairs_hook=_members)


def param_of(text: str) -> str | None:
    """The path of the field that a validation error speaks of."""
    at, field = _AT.search(text), _FIELD.search(text)
    parts = [match[1] for match in (at, field) if match and match[1]]
    return ".".join(parts) or None
