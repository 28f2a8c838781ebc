"""Live notices: after a commit a shard says which accounts moved; whoever shows them wakes and reads again.

A notice is a wake-up and nothing more. It may be lost, late or doubled, so a reader always takes what
happened from the account's history after the last number it saw; then no fault of Redis can make a hole or a
repeat. What bounds the delay: while Redis is away readers wake by a slow poll, and when it is back both ends
say so: a publisher that had to drop notices sends an empty message ("something was missed"), a listener wakes
everybody.

One Redis message carries the notices of one commit batch. It is decoded only where somebody waits.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from actors import messages
from actors.messages import Notice
from engine.ids import AccountId

CHANNEL = "kopeck:commits"

_BATCHES_MAX = 256
_TROUBLES = (RedisError, OSError, TimeoutError)
_SOCKET_TIMEOUT_S = 1.0
_PAUSE_S = 0.1
_PAUSE_S_MAX = 1.0
_QUIET_S = 5.0
POLL_S = 2.0
"""How often readers look without being woken, while nobody could wake them."""

_MISSED = messages.encode([])
"""The message that names no account: something was not told, so everybody must look."""

_log = logging.getLogger("kopeck.notices")


class _Touched(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first field of a `Notice`: all that a wake-up needs."""

    account: AccountId


_touched_decoder = msgspec.msgpack.Decoder(list[_Touched])


def _connect(url: str) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=_SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _heed_cancellation() -> None:
    """Raise a cancellation that redis-py swallowed: 8.1 does, when it comes while a command is on its way."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class NoticePublisher:
    """Tells commits to Redis.

    Guarantees: `publish` never blocks and never raises; at most `batches_max` batches wait, older ones are
    dropped and counted in `dropped_batches`. Lives on the event loop that calls `publish`.
    """

    def __init__(self, redis_url: str, *, batches_max: int = _BATCHES_MAX) -> None:
        self._redis_url = redis_url
        self._batches_max = batches_max
        self._waiting: deque[list[Notice]] = deque()
        self._filled = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._missed = False
        self.dropped_batches = 0
        self.sent_batches = 0

    def publish(self, notices: list[Notice]) -> None:
        """Take the notices of one commit batch, to be told soon or never."""
        if len(self._waiting) >= self._batches_max:
            self._waiting.popleft()
            self._drop(1)
        self._waiting.append(notices)
        self._filled.set()
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_for_ever())

    @property
    def waiting(self) -> int:
        """How many batches wait to be told."""
        return len(self._waiting)

    async def close(self) -> None:
        """Stop telling; what waits is dropped."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
            self._sending = None

    def _drop(self, batches: int) -> None:
        self.dropped_batches += batches
        self._missed = True

    async def _send_for_ever(self) -> None:
        """Send while Redis is there; while it is away drop what gathers: it would only come too late."""
        pause = _PAUSE_S
        while True:
            sent = self.sent_batches
            try:
                async with _connect(self._redis_url) as redis:
                    await self._send_with(redis)
            except _TROUBLES as trouble:
                _log.warning("notices cannot be told: %s", type(trouble).__name__)
            self._drop(len(self._waiting))
            self._waiting.clear()
            pause = _PAUSE_S if self.sent_batches > sent else min(2 * pause, _PAUSE_S_MAX)
            await asyncio.sleep(pause)

    async def _send_with(self, redis: Redis) -> None:
        if self._missed:
            await self._send(redis, [])
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                await self._send(redis, self._waiting.popleft())

    async def _send(self, redis: Redis, notices: list[Notice]) -> None:
        """Send one batch, or after a loss what makes everybody look; until it has gone, it counts as lost."""
        missed, self._missed = self._missed, True
        await redis.publish(CHANNEL, _MISSED if missed else messages.encode(notices))
        _heed_cancellation()
        self._missed = False
        self.sent_batches += 1


class Subscription:
    """One reader's interest in one account."""

    def __init__(self, listener: "NoticeListener") -> None:
        self._listener = listener
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that something may have happened."""
        self._woken.set()

    def forget(self) -> None:
        """Take back what was said: whoever is about to look at everything needs no wake-up for it."""
        self._woken.clear()

    async def next(self, timeout_s: float) -> None:
        """Return when something may have happened, or when time is up; sooner while notices cannot arrive."""
        wait_s = timeout_s if self._listener.connected else min(timeout_s, POLL_S)
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()


class NoticeListener:
    """One process's ear: a single subscription to Redis, made anew when it breaks, shared by all readers.

    Guarantees: a reader that subscribed and then read the history hears of every later commit, or wakes
    within `POLL_S` of losing the chance to hear. `run` ends only by cancellation.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._readers: dict[AccountId, set[Subscription]] = {}
        self.connected = False

    @property
    def readers(self) -> int:
        """How many subscriptions there are."""
        return sum(map(len, self._readers.values()))

    @asynccontextmanager
    async def subscribe(self, account: AccountId) -> AsyncIterator[Subscription]:
        """Hear of one account's commits while the context is open."""
        subscription = Subscription(self)
        readers = self._readers.setdefault(account, set())
        readers.add(subscription)
        try:
            yield subscription
        finally:
            readers.discard(subscription)
            if not readers:
                self._readers.pop(account, None)

    async def run(self) -> None:
        """Listen for ever, whatever becomes of Redis."""
        pause = _PAUSE_S
        while True:
            try:
                async with _connect(self._redis_url) as redis, redis.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    pause = _PAUSE_S
                    await self._hear(channel)
            except _TROUBLES as trouble:
                _log.warning("notices cannot be heard: %s", type(trouble).__name__)
            finally:
                self.connected = False
            self._wake_all()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSE_S_MAX)

    async def _hear(self, channel: PubSub) -> None:
        """Pass on messages; after a silence ask whether the other end still lives."""
        asked = False
        while True:
            message = await channel.get_message(timeout=_QUIET_S)
            _heed_cancellation()
            if message is None:
                if asked:
                    raise TimeoutError
                await channel.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                self.connected = True
                self._wake_all()
            elif message["type"] == "message":
                self.heard(message["data"])

    def heard(self, message: bytes) -> None:
        """Wake the readers of the accounts that one message names; all if it says that some were missed."""
        if not self._readers:
            return
        try:
            touches = _touched_decoder.decode(message)
        except msgspec.MsgspecError:  # whoever reaches Redis can write there; what we cannot read may matter
            touches = []
        if not touches:
            self._wake_all()
        for touched in touches:
            for subscription in self._readers.get(touched.account, ()):
                subscription.wake()

    def _wake_all(self) -> None:
        for readers in self._readers.values():
            for subscription in readers:
                subscription.wake()
