"""A process that dies between any two steps: a coroutine that is left standing at its n-th wait, for ever.

What it had asked of others goes on without it, as it would if its process had been killed: a statement that the server
has begun, a batch that a shard has taken. Its own database connections are then broken by the server.
"""

import contextlib
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

import asyncpg

ResultT = TypeVar("ResultT")


class Killed(BaseException):
    """The process is gone: no handler of ours may see this."""


class DiesAt:
    """Awaits a coroutine, but dies at its n-th wait (counted from 1). `waits` tells how many there were."""

    def __init__(self, work: Coroutine[Any, Any, Any], waits_max: int) -> None:
        self._work = work
        self._waits_max = waits_max
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        try:
            waited_for = next(steps)
            while self.waits < self._waits_max:
                self.waits += 1
                if self.waits == self._waits_max:
                    raise Killed
                try:
                    answer = yield waited_for
                except BaseException as error:  # noqa: BLE001 - handed on to the coroutine, whatever it is.
                    waited_for = steps.throw(error)
                else:
                    waited_for = steps.send(answer)
        except StopIteration as ended:
            return ended.value
        raise AssertionError("not reached")


async def killed_at(work: Coroutine[Any, Any, Any], waits_max: int, database_url: str) -> bool:
    """Run work until its n-th wait and kill it there; return False if it ended before."""
    try:
        await DiesAt(work, waits_max)
    except Killed:
        await _break_connections(database_url)
        # What is left of the coroutine may run its clean-up now: all its connections are gone.
        with contextlib.suppress(BaseException):
            while True:
                work.throw(Killed)
        return True
    return False


async def _break_connections(database_url: str) -> None:
    """Only the dead process's own: shards, and this test's, are other processes."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name <> 'kopeck-shard' AND pid <> pg_backend_pid()"""
    )
    await connection.close()
