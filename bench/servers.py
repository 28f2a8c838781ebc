"""Small HTTP servers in processes of their own, several on one port: what the HTTP yardsticks run on."""

import asyncio
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Semaphore

import uvloop
from aiohttp import web

MakeApp = Callable[[], Awaitable[web.Application]]
_START_S_MAX = 30.0


def free_port() -> int:
    """A port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(make_app: MakeApp, count: int) -> Iterator[int]:
    """Serve an application by `count` processes for the length of a block; yields the port."""
    context = multiprocessing.get_context("spawn")
    port, listening = free_port(), context.Semaphore(0)
    started = [context.Process(target=_serve, args=(make_app, port, listening), daemon=True) for _ in range(count)]
    for process in started:
        process.start()
    try:
        for _ in started:
            if not listening.acquire(timeout=_START_S_MAX):
                raise RuntimeError("a server of a yardstick did not start; see its error above")
        yield port
    finally:
        for process in started:
            process.terminate()
            process.join()


def _serve(make_app: MakeApp, port: int, listening: Semaphore) -> None:
    async def run() -> None:
        runner = web.AppRunner(await make_app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True, backlog=1024).start()
        listening.release()
        await asyncio.Event().wait()

    uvloop.run(run())
