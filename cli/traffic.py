"""Simulated terminals and processors: strangers that pay over HTTP, repeat themselves, and err, as in life."""

import asyncio
import datetime
import itertools
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import msgspec
import yarl

from cli.agents import Agent, Asked, agents_of
from cli.demo_connections import DemoFile
from cli.demo_register import BANK, Taken

_TERMINALS = 48
_LATENCIES_MAX = 20_000
_NEWEST_MAX = 6
_WINDOW_S = 3.0
_KNOCKS_MAX = 50
_KNOCK_PAUSE_S = 0.2
_MOSCOW = datetime.timezone(datetime.timedelta(hours=3))

Door = Callable[[aiohttp.ClientSession, random.Random], Awaitable[None]]


class Shown(msgspec.Struct, frozen=True):
    """A payment for the screen."""

    account: str
    kopecks: int
    parts: list[tuple[str, int]]
    balance_kopecks: int


class Tally:
    """What the terminals saw. Units: kopecks, milliseconds."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.replayed = 0
        self.paid_kopecks = 0
        self.by_door: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.unsound: Counter[str] = Counter()
        self.newest: deque[Shown] = deque(maxlen=_NEWEST_MAX)
        self._latencies: deque[float] = deque(maxlen=_LATENCIES_MAX)
        self._moments: deque[float] = deque()

    def paid(self, door: str, kopecks: int, seconds: float, *, replayed: bool) -> None:
        """Count an answered payment."""
        now = time.monotonic()
        self._latencies.append(seconds * 1000)
        if replayed:
            self.replayed += 1
            return
        self.acknowledged += 1
        self.by_door[door] += 1
        self.paid_kopecks += kopecks
        self._moments.append(now)
        while self._moments and self._moments[0] < now - _WINDOW_S:
            self._moments.popleft()

    def rate(self) -> float:
        """Payments a second over the last seconds."""
        recent = [moment for moment in self._moments if moment > time.monotonic() - _WINDOW_S]
        return len(recent) / _WINDOW_S

    def quantile_ms(self, share: float) -> float:
        """A quantile of the latest answers' times, 0 without any."""
        ordered = sorted(self._latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def is_sound(self) -> bool:
        """No answer contradicted a promise: nothing paid was answered differently when repeated."""
        return not self.unsound and self.acknowledged > 0


class Traffic:
    """Terminals over every door of the demonstration, until told to stop."""

    def __init__(self, demo: DemoFile, rate: int, seed: int) -> None:
        self._demo = demo
        self._pause_s = _TERMINALS / rate if rate else 0.0
        self._seed = seed
        self._numbers = itertools.count(time.time_ns() // 1_000_000)
        self._stopped = asyncio.Event()
        self._doors = self._doors_of(agents_of(demo))
        self.taken_by_bank: list[Taken] = []
        self.tally = Tally()

    def _doors_of(self, agents: list[Agent]) -> list[Door]:
        """A third of the terminals pay by JSON, a third by OSMP, the rest by the other protocols."""
        osmp, *others = (self._door_of(agent) for agent in agents)
        return [*itertools.repeat(self._pay_json, len(others)), *itertools.repeat(osmp, len(others)), *others]

    def _door_of(self, agent: Agent) -> Door:
        return partial(self._pay_by, agent)

    def stop(self) -> None:
        """Let every terminal finish what it is doing and stop."""
        self._stopped.set()

    async def run(self) -> None:
        """Pay until stopped."""
        timeout = aiohttp.ClientTimeout(total=30)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self._demo.base_url, timeout=timeout, connector=connector) as session:
            await self._until_known(session)
            await asyncio.gather(*(self._terminal(session, number) for number in range(_TERMINALS)))

    async def _until_known(self, session: aiohttp.ClientSession) -> None:
        """A door takes new connections within a few seconds: whoever pays at once is a stranger to it."""
        headers = {"Authorization": f"Bearer {self._demo.api_keys['cashier']}"}
        for _ in range(_KNOCKS_MAX):
            async with session.get(f"/v1/accounts/{self._demo.sample_accounts[0]}", headers=headers) as response:
                if response.status != 401:
                    return
            await asyncio.sleep(_KNOCK_PAUSE_S)

    async def _terminal(self, session: aiohttp.ClientSession, number: int) -> None:
        chance = random.Random(f"{self._seed}/terminal/{number}")
        door = self._doors[number % len(self._doors)]
        await asyncio.sleep(chance.random() * self._pause_s)
        while not self._stopped.is_set():
            begun = time.monotonic()
            try:
                await door(session, chance)
            except (aiohttp.ClientError, TimeoutError) as error:
                self.tally.refused[type(error).__name__] += 1
            wait = self._pause_s * (0.5 + chance.random()) - (time.monotonic() - begun)
            await asyncio.sleep(max(0.0, wait))

    def _whom(self, chance: random.Random) -> tuple[str, int]:
        """An account and an amount; one in two hundred is mistyped."""
        account = chance.choice(self._demo.sample_accounts)
        if chance.random() < 0.005:
            account = account[:-1] + "X"
        return account, chance.choice((50_000, 100_000, 250_000, 500_000, chance.randrange(1_000, 900_000)))

    async def _pay_json(self, session: aiohttp.ClientSession, chance: random.Random) -> None:
        """A cashier's payment, or one of a bank's branch, whose register comes in the evening."""
        account, kopecks = self._whom(chance)
        sender, at = chance.choice(("cashier", BANK)), datetime.datetime.now(tz=_MOSCOW).replace(microsecond=0)
        txn_id = str(next(self._numbers))
        body = {
            "txn_id": txn_id,
            "account": account,
            "amount_kopecks": kopecks,
            "accepted_at": at.isoformat(),
            "channel": sender,
        }
        first = await self._post(session, sender, body)
        if first is not None and sender == BANK:
            self.taken_by_bank.append(Taken(txn_id, account, kopecks, at))
        if first is not None and chance.random() < 0.03:
            again = await self._post(session, sender, body)
            if again != first:
                self.tally.unsound["a repeat was answered differently"] += 1

    async def _post(self, session: aiohttp.ClientSession, sender: str, body: dict[str, Any]) -> bytes | None:
        headers = {"Authorization": f"Bearer {self._demo.api_keys[sender]}"}
        begun = time.monotonic()
        async with session.post("/v1/payments", json=body, headers=headers) as response:
            text = await response.read()
        answer = msgspec.json.decode(text)
        if response.status not in (200, 201):
            self.tally.refused[answer["code"]] += 1
            return None
        replayed = response.headers.get("Idempotent-Replayed") == "true"
        self.tally.paid("json", body["amount_kopecks"], time.monotonic() - begun, replayed=replayed)
        self._show(answer)
        return text

    def _show(self, answer: dict[str, Any]) -> None:
        placed = [(line["service"], line["amount_kopecks"]) for line in answer["allocations"]]
        kept = sum(line["amount_kopecks"] for line in answer["advances"])
        if sum(kopecks for _, kopecks in placed) + kept != answer["amount_kopecks"]:
            self.tally.unsound["a split that does not add up"] += 1
        parts = [*placed, *([("аванс", kept)] if kept else [])]
        self.tally.newest.append(Shown(answer["account"], answer["amount_kopecks"], parts, answer["balance_kopecks"]))

    async def _pay_by(self, agent: Agent, session: aiohttp.ClientSession, chance: random.Random) -> None:
        """Check, then pay, as a processor does; a lost answer is repeated under the same number."""
        account, kopecks = self._whom(chance)
        number = next(self._numbers)
        checked = agent.read(await self._ask(session, agent.check(number, account)))
        if not checked.done:
            self.tally.refused[f"{agent.name} {checked.code}"] += 1
            return
        pay = agent.pay(number, account, kopecks)
        begun = time.monotonic()
        first = agent.read(await self._ask(session, pay))
        if not first.done:
            self.tally.refused[f"{agent.name} {first.code}"] += 1
            return
        self.tally.paid(agent.name, kopecks, time.monotonic() - begun, replayed=False)
        if chance.random() < 0.03:
            again = agent.read(await self._ask(session, pay))
            self.tally.paid(agent.name, kopecks, time.monotonic() - begun, replayed=True)
            if not again.done or again.ours != first.ours:
                self.tally.unsound["a repeat was paid again"] += 1

    async def _ask(self, session: aiohttp.ClientSession, asked: Asked) -> bytes:
        url = yarl.URL(asked.url, encoded=True)
        method = "GET" if asked.body is None else "POST"
        async with session.request(method, url, data=asked.body, headers=asked.headers) as response:
            response.raise_for_status()
            return await response.read()

    def show_totals(self, tell: Callable[[str], None]) -> None:
        """Say what the terminals saw in all."""
        tally = self.tally
        refused = ", ".join(f"{name} {count}" for name, count in tally.refused.most_common()) or "none"
        tell(f"terminals: {tally.acknowledged:,} payments, {tally.replayed:,} repeats; refused: {refused}")
        tell("by protocol: " + ", ".join(f"{door} {count:,}" for door, count in tally.by_door.most_common()))
        for what, count in tally.unsound.items():
            tell(f"[bold red]broken promise: {what} ({count} times)[/]")
