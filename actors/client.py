"""The way from a door to the shards: account -> slot -> shard, in micro-batches, with a deadline and safe retries.

There are no batching timers. A lane (one per shard) sends what has gathered whenever fewer than a few batches are in
flight to its shard: alone at low load, hundreds together at high load. A lost or late answer says nothing of whether
the command ran, so it is sent again under the same key until the deadline: the shard's replay makes that safe. A full
queue is told at once; waiting there would only hide the overload.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from actors import messages
from actors.messages import AccountAnswer, AccountView, Answer, Query, ReadAccount, ReadHistory, ReadKey, ReadPayment
from actors.settings import Settings
from engine.commands import AnyCommand
from engine.ids import AccountId, Epoch, PaymentId, ShardId, SourceId, TxnId
from engine.outcomes import NotDone, Outcome, OutcomeUnknown, Receipt
from engine.sharding import SLOTS, slot_of

_RETRY_PAUSE_S = 0.05
_RETRY_PAUSE_S_MAX = 0.4
_QUERY_RECEIPTS_MAX = 500


class ShardUnreachable(Exception):
    """No answer came; the call may have run or not."""


class Transport(NamedTuple):
    """How to call one shard. Both raise `ShardUnreachable` and nothing else of the transport's own."""

    accept: Callable[[bytes], Awaitable[bytes]]
    read: Callable[[bytes], Awaitable[bytes]]


class Routes(msgspec.Struct, frozen=True):
    """The routing table: `shards[slot]` owns the slot. A higher version replaces a lower one."""

    version: int
    shards: tuple[ShardId, ...]


class Lane:
    """What goes to one shard: a bounded queue and at most `in_flight_max` batches under way."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self.transport = transport
        self._settings = settings
        self._queue: deque[tuple[bytes, asyncio.Future[Outcome]]] = deque()
        self._in_flight = 0
        self._bulk_places = asyncio.Semaphore(settings.batches_in_flight_max)
        self._sending: set[asyncio.Task[None]] = set()
        self.epoch = Epoch(0)
        self.sent_batches = 0
        self.sent_commands = 0

    @property
    def queued(self) -> int:
        """Commands that wait for a free place in flight."""
        return len(self._queue)

    def put(self, command: bytes) -> asyncio.Future[Outcome]:
        """Queue one encoded command; the future gets its outcome, `NotDone` at once if the queue is full."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if len(self._queue) >= self._settings.router_commands_max:
            answer.set_result(NotDone(overloaded=True))
            return answer
        self._queue.append((command, answer))
        self._pump()
        return answer

    def _pump(self) -> None:
        """Send what has gathered: all of it when nothing is under way, else only what makes a fair batch."""
        while self._queue and self._in_flight < self._settings.batches_in_flight_max:
            if self._in_flight and len(self._queue) < self._settings.batch_commands_min:
                return
            size = min(len(self._queue), self._settings.batch_commands_max)
            batch = [self._queue.popleft() for _ in range(size)]
            self._in_flight += 1
            task = asyncio.get_running_loop().create_task(self._send(batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def put_many(self, commands: list[bytes]) -> list[Outcome]:
        """Send many commands as whole batches, a few at a time, past the queue of single ones."""

        async def send(batch: list[bytes]) -> Sequence[Outcome]:
            async with self._bulk_places:
                self.sent_batches += 1
                self.sent_commands += len(batch)
                return await self._exchange(batch)

        size = self._settings.batch_commands_max
        batches = [commands[first : first + size] for first in range(0, len(commands), size)]
        answers = await asyncio.gather(*map(send, batches))
        return [outcome for answer in answers for outcome in answer]

    async def _send(self, batch: list[tuple[bytes, asyncio.Future[Outcome]]]) -> None:
        self.sent_batches += 1
        self.sent_commands += len(batch)
        outcomes = await self._exchange([command for command, _ in batch])
        self._in_flight -= 1
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            if not answer.done():
                answer.set_result(outcome)
        self._pump()

    async def _exchange(self, commands: list[bytes]) -> Sequence[Outcome]:
        """Send one batch; whatever goes wrong on the way, its outcomes are unknown."""
        try:
            async with asyncio.timeout(self._settings.call_timeout_ms / 1000):
                reply = messages.decode_reply(await self.transport.accept(messages.join(commands)))
        except (ShardUnreachable, TimeoutError):
            return [OutcomeUnknown()] * len(commands)
        if not self.is_current(reply.epoch):
            return [OutcomeUnknown()] * len(commands)
        assert len(reply.outcomes) == len(commands), "one outcome a command"
        return reply.outcomes

    def is_current(self, epoch: Epoch) -> bool:
        """Tell whether an answer is of the newest term seen: a paused old owner's answers are dropped."""
        self.epoch = max(self.epoch, epoch)
        return epoch == self.epoch


class Router:
    """Sends commands and queries to the shards that own their accounts.

    Guarantees: `submit` returns an outcome within about the deadline; `Acknowledged` means durable; `OutcomeUnknown`
    is safe to retry with the same key, for ever.
    """

    def __init__(self, settings: Settings, refresh: Callable[[], Awaitable[None]] | None = None) -> None:
        self._settings = settings
        self._refresh = refresh
        self._routes = Routes(0, ())
        self.lanes: dict[ShardId, Lane] = {}

    def update(self, routes: Routes, transports: Mapping[ShardId, Transport]) -> None:
        """Take a newer routing table and the ways to its shards; an older one is ignored."""
        if routes.version <= self._routes.version:
            return
        assert len(routes.shards) == SLOTS, "every slot has an owner"
        for shard, transport in transports.items():
            lane = self.lanes.get(shard)
            if lane is None:
                self.lanes[shard] = Lane(transport, self._settings)
            else:
                lane.transport = transport
        self._routes = routes

    @property
    def routes(self) -> Routes:
        """The routing table in force."""
        return self._routes

    def lane_of(self, account: AccountId) -> Lane:
        """Return the lane to the shard that owns an account."""
        return self.lanes[self._routes.shards[slot_of(account)]]

    async def submit(self, command: AnyCommand) -> Outcome:
        """Send one command; retry what is safe to retry until the deadline."""
        encoded = messages.encode_command(command)
        outcome = await self.lane_of(command.account).put(encoded)
        if _is_final(outcome):
            return outcome
        return await self._insist(command.account, encoded, outcome)

    async def _insist(self, account: AccountId, encoded: bytes, outcome: Outcome) -> Outcome:
        """Send again under the same key until there is an answer or no time is left.

        Rule: once an attempt's outcome was unknown, only an answer of the ledger ends the doubt; a later `NotDone`
        does not, for the first attempt may still have been committed.
        """
        clock = asyncio.get_running_loop().time
        ends = clock() + self._settings.gateway_deadline_ms / 1000
        doubtful = isinstance(outcome, OutcomeUnknown)
        pause = _RETRY_PAUSE_S
        while clock() + pause < ends:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _RETRY_PAUSE_S_MAX)
            if self._refresh is not None:
                await self._refresh()
            outcome = await self.lane_of(account).put(encoded)
            if _is_final(outcome) and not (doubtful and isinstance(outcome, NotDone)):
                return outcome
            doubtful = doubtful or isinstance(outcome, OutcomeUnknown)
        return OutcomeUnknown() if doubtful else outcome

    async def submit_many(self, commands: Sequence[AnyCommand]) -> list[Outcome]:
        """Send many commands as whole batches: the way of imports. Order is kept within an account.

        Shape: outcomes in the commands' order. What is worth a retry is retried as by `submit`.
        """
        by_lane: dict[Lane, list[int]] = {}
        for index, command in enumerate(commands):
            by_lane.setdefault(self.lane_of(command.account), []).append(index)
        encoded = [messages.encode_command(command) for command in commands]
        outcomes: list[Outcome] = [OutcomeUnknown()] * len(commands)

        async def send(lane: Lane, indexes: list[int]) -> None:
            answers = await lane.put_many([encoded[index] for index in indexes])
            for index, outcome in zip(indexes, answers, strict=True):
                outcomes[index] = outcome

        await asyncio.gather(*(send(lane, indexes) for lane, indexes in by_lane.items()))
        for index, outcome in enumerate(outcomes):
            if not _is_final(outcome):
                outcomes[index] = await self._insist(commands[index].account, encoded[index], outcome)
        return outcomes

    async def account(self, account: AccountId) -> AccountView | None:
        """Return an account's durable view, or None when no shard can vouch for it now."""
        answer = await self._ask(self.lane_of(account), ReadAccount(account))
        return answer.view if isinstance(answer, AccountAnswer) else None

    async def history(self, account: AccountId, after_seq: int, limit: int) -> Sequence[Receipt] | None:
        """Return an account's receipts after a sequence number, oldest first; None when it cannot be told now."""
        limit = min(limit, _QUERY_RECEIPTS_MAX)
        return await self._receipts(self.lane_of(account), ReadHistory(account, after_seq, limit))

    async def payment(self, payment_id: PaymentId) -> Sequence[Receipt] | None:
        """Return a payment's receipt (none or one); None when it cannot be told now."""
        return await self._receipts(next(iter(self.lanes.values())), ReadPayment(payment_id))

    async def key(self, source: SourceId, txn_id: TxnId) -> Sequence[Receipt] | None:
        """Return the receipt that a key got (none or one); None when it cannot be told now."""
        return await self._receipts(next(iter(self.lanes.values())), ReadKey(source, txn_id))

    async def _receipts(self, lane: Lane, query: Query) -> Sequence[Receipt] | None:
        answer = await self._ask(lane, query)
        return answer.receipts if isinstance(answer, messages.ReceiptsAnswer) else None

    async def _ask(self, lane: Lane, query: Query) -> Answer:
        """Ask once, and once more after a pause: a shard that restarts is back within about a second."""
        answer = await self._ask_once(lane, query)
        if isinstance(answer, messages.Refusal):
            await asyncio.sleep(_RETRY_PAUSE_S_MAX)
            answer = await self._ask_once(lane, query)
        return answer

    async def _ask_once(self, lane: Lane, query: Query) -> Answer:
        try:
            async with asyncio.timeout(self._settings.call_timeout_ms / 1000):
                answer = messages.answer_decoder.decode(await lane.transport.read(messages.encode(query)))
        except (ShardUnreachable, TimeoutError):
            return messages.Refusal()
        if isinstance(answer, messages.Refusal) or lane.is_current(answer.epoch):
            return answer
        return messages.Refusal()


def _is_final(outcome: Outcome) -> bool:
    """Busy is final, and told at once; a shard on its way to another process, or a lost answer, is worth a retry."""
    if isinstance(outcome, NotDone):
        return outcome.overloaded or outcome.retry_after_ms > 10_000
    return not isinstance(outcome, OutcomeUnknown)
