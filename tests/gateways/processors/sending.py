"""Sending a driver's requests over HTTP, byte for byte as it wrote them."""

import yarl
from aiohttp import web
from aiohttp.test_utils import TestClient

from tests.gateways.processors.drivers import Answer, Driver, Sent

Client = TestClient[web.Request, web.Application]


async def send(client: Client, sent: Sent) -> tuple[int, bytes]:
    """Send a request; return the status and the body."""
    target = yarl.URL(f"http://{client.host}:{client.port}{sent.target}", encoded=True)
    async with client.session.request(sent.method, target, data=sent.body, headers=dict(sent.headers)) as reply:
        return reply.status, await reply.read()


async def ask(client: Client, driver: Driver, sent: Sent) -> Answer:
    """Send a request and read the answer. Business outcomes are HTTP 200."""
    status, body = await send(client, sent)
    assert status == 200, body
    return driver.read(body)
