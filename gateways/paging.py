"""Pages: how many entries a caller wants, and the opaque cursor after the last one that it has."""

import base64
import binascii

from aiohttp import web

from gateways.problems import Refused

_PAGE = 50
_PAGE_MAX = 200


def limit_of(request: web.Request) -> int:
    """Read `limit`. Errors: `Refused` field-invalid for what is no size of a page."""
    text = request.query.get("limit", str(_PAGE))
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= _PAGE_MAX):
        raise Refused("field-invalid", "limit", limit_max=_PAGE_MAX)
    return int(text)


def cursor_of(listed: str, number: int) -> str:
    """Make the opaque cursor after an entry of a list."""
    return base64.urlsafe_b64encode(f"{listed}/{number}".encode()).decode().rstrip("=")


def number_after(request: web.Request, listed: str) -> int:
    """Read `after`: exactly what `cursor_of` makes for this list; base64 alone reads over foreign signs.

    Shape: 0 without one. Errors: `Refused` cursor-invalid.
    """
    text = request.query.get("after")
    if text is None:
        return 0
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        raise Refused("cursor-invalid", "after") from None
    _, _, number = decoded.rpartition("/")
    is_number = number.isascii() and number.isdecimal() and len(number) <= 10
    if not is_number or cursor_of(listed, int(number)) != text:
        raise Refused("cursor-invalid", "after")
    return int(number)
