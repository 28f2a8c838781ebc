"""One run: a seed in, the auditor's verdict and a trace out."""

import asyncio
from collections import Counter
from typing import NamedTuple

from tests.simulation.auditor import judge
from tests.simulation.clients import Clients
from tests.simulation.virtual_time import VirtualLoop
from tests.simulation.world import World


class Run(NamedTuple):
    """What a run left: what was seen, how often, and the trace."""

    seen: Counter[str]
    trace: list[str]


def run(seed: int, *, clients: int = 3, steps: int = 8, accounts: int = 5) -> Run:
    """Play one seed. Errors: `auditor.Broken` when a promise was not kept."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(_play(seed, clients, steps, accounts))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def _play(seed: int, clients: int, steps: int, accounts: int) -> Run:
    world = World(seed)
    people = Clients(world, accounts, steps)
    await world.start()
    loop = asyncio.get_running_loop()
    ray = loop.create_task(world.keep_alive())
    trouble = loop.create_task(world.trouble(until=1e9))
    await people.run(clients)
    trouble.cancel()
    await world.calm_down()
    await people.insist()
    judge(world.ledger, people.answers, people.shown)
    ray.cancel()
    for process in world.made:
        world.seen["keys taken"] += process.core.metrics.keys_taken
        world.seen["evicted"] += process.core.metrics.evicted
        world.seen["snapshots"] += process.core.metrics.snapshots
        process.kill()
    await asyncio.sleep(0)
    return Run(world.seen, world.trace)
