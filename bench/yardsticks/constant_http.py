"""Yardstick: aiohttp answering a constant, from as many processes as there are cores."""

from collections.abc import Iterator
from typing import Final

from aiohttp import web

BODY: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<response><osmp_txn_id>100000000000001</osmp_txn_id>'
    b"<prv_txn>100000000000001</prv_txn><sum>60.00</sum><result>0</result><comment></comment></response>"
)
"""Of the size of an answer to an OSMP payment."""


async def make_app() -> web.Application:
    """An application that does nothing."""
    app = web.Application()
    app.router.add_get("/osmp", _answer)
    return app


async def _answer(_: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="text/xml", charset="utf-8")


def requests() -> Iterator[bytes]:
    """The same request for ever, of the size of a payment's."""
    query = "command=pay&txn_id=100000000000001&txn_date=20261124120000&account=0000000001&sum=60.00"
    request = f"GET /osmp?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {'x' * 40}\r\n\r\n".encode()
    while True:
        yield request
