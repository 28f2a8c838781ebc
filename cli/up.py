"""`kopeck up`: the system on this machine until somebody ends it."""

import asyncio
import signal

from actors.settings import Settings
from cli.console import err, out
from cli.nsi import local_today, warnings
from cli.system import running


def ending() -> asyncio.Event:
    """An event that is set by Ctrl-C or SIGTERM. Call it once Ray is up: Ray takes these signals when it starts."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    return end


async def keep_up(settings: Settings) -> None:
    """Run until told to end; then drain."""
    async with running(settings) as system:
        end = ending()
        out.print(f"kopeck is up: [bold]{system.url}[/]  (documentation: {system.url}/docs)")
        for warning in await warnings(system.servers.database_url, local_today()):
            err.print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
        await end.wait()
        err.print("draining…")
    out.print("kopeck is down")
