"""Ray: the only file that makes actors, with all their options; and the narrow ways to call them.

Shards and gateways are named and detached, restarted by Ray for ever, never retried by Ray. Calls through Ray start,
watch and end them; payments take the way of `channel.py`.
"""

import asyncio
import os
from collections.abc import Awaitable
from typing import Any

from actors import ray_environment  # isort: skip - Ray reads its environment once, when it is imported
import ray
from ray.exceptions import RayError

from actors.client import ShardUnreachable
from actors.settings import Settings
from actors.shard_process import ShardProcess
from engine.ids import ShardId

NAMESPACE = "kopeck"
_OBJECT_STORE_BYTES = 78_643_200
_CALLS_PENDING_MAX = 64
START_S_MAX = 60.0
_OPTIONS: dict[str, Any] = {
    "namespace": NAMESPACE,
    "lifetime": "detached",
    "get_if_exists": True,
    "max_restarts": -1,
    "max_task_retries": 0,
}


def start_local_ray(settings: Settings) -> str:
    """Start a Ray of our own on this machine and join it; return its address for other programs of this installation.

    Never joins a cluster that happens to run here; speaks only with token authentication and never phones out.
    """
    ray_environment.make_token()
    context: Any = ray.init(
        address="local",
        _node_ip_address="127.0.0.1",
        namespace=NAMESPACE,
        num_cpus=max(os.cpu_count() or 1, settings.shards + settings.gateways + 1),
        object_store_memory=_OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    return str(context["gcs_address"])


def join_ray(settings: Settings, address: str) -> None:
    """Join a running Ray as a client program."""
    ray_environment.make_token()
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)


def leave_ray() -> None:
    """Leave Ray; if this program started it, everything in it ends."""
    ray.shutdown()


def start_shard(shard: ShardId, settings: Settings, database_url: str, redis_url: str) -> Any:
    """Create a shard's actor, or return the one that lives."""
    actor: Any = ray.remote(ShardProcess).options(
        name=f"shard-{shard}", num_cpus=1, max_concurrency=_CALLS_PENDING_MAX, **_OPTIONS
    )
    return actor.remote(shard, settings, database_url, redis_url, _node_address)


def _node_address() -> str:
    """The address by which the other nodes reach this one."""
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address


def start_supervisor(process: type, settings: Settings, database_url: str, redis_url: str) -> Any:
    """Create the supervisor's actor, or return the one that lives."""
    actor: Any = ray.remote(process).options(name="supervisor", num_cpus=0, **_OPTIONS)
    return actor.remote(settings, database_url, redis_url)


def start_gateway(process: type, index: int, *arguments: Any) -> Any:
    """Create a gateway's actor from its plain class, or return the one that lives."""
    actor: Any = ray.remote(process).options(
        name=f"gateway-{index}", num_cpus=1, max_concurrency=_CALLS_PENDING_MAX, **_OPTIONS
    )
    return actor.remote(*arguments)


def start_intake(process: type, *arguments: Any) -> Any:
    """Create the intake's actor from its plain class, or return the one that lives. It needs no core of its own."""
    actor: Any = ray.remote(process).options(name="intake", num_cpus=0, max_concurrency=_CALLS_PENDING_MAX, **_OPTIONS)
    return actor.remote(*arguments)


def find_actor(name: str) -> Any:
    """Return the handle of a named actor. Errors: `ShardUnreachable` if there is none or Ray cannot be asked."""
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except (ValueError, RayError) as error:
        raise ShardUnreachable(name) from error


def end_actor(handle: Any, *, restart: bool = False) -> None:
    """End an actor's process at once; with `restart` Ray starts its successor."""
    ray.kill(handle, no_restart=not restart)


async def call(awaited: Awaitable[Any], timeout_s: float) -> Any:
    """Await a remote call. Errors: `ShardUnreachable` for whatever kept the answer away."""
    try:
        return await asyncio.wait_for(asyncio.ensure_future(awaited), timeout_s)
    except (RayError, TimeoutError) as error:
        raise ShardUnreachable(str(error).strip().rpartition("\n")[2]) from error
