"""Simulated terminals and processors: strangers that pay over HTTP, repeat themselves, and err, as in life."""

import asyncio
import datetime
import itertools
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
from lxml import etree

from cli.demo_connections import DemoFile

_TERMINALS = 48
_LATENCIES_MAX = 20_000
_NEWEST_MAX = 6
_WINDOW_S = 3.0
_MOSCOW = datetime.timezone(datetime.timedelta(hours=3))
_XML = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


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
        self.refused: Counter[str] = Counter()
        self.unsound: Counter[str] = Counter()
        self.newest: deque[Shown] = deque(maxlen=_NEWEST_MAX)
        self._latencies: deque[float] = deque(maxlen=_LATENCIES_MAX)
        self._moments: deque[float] = deque()

    def paid(self, kopecks: int, seconds: float, *, replayed: bool) -> None:
        """Count an answered payment."""
        now = time.monotonic()
        self._latencies.append(seconds * 1000)
        if replayed:
            self.replayed += 1
            return
        self.acknowledged += 1
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
        self.tally = Tally()

    def stop(self) -> None:
        """Let every terminal finish what it is doing and stop."""
        self._stopped.set()

    async def run(self) -> None:
        """Pay until stopped."""
        timeout = aiohttp.ClientTimeout(total=30)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self._demo.base_url, timeout=timeout, connector=connector) as session:
            await asyncio.gather(*(self._terminal(session, number) for number in range(_TERMINALS)))

    async def _terminal(self, session: aiohttp.ClientSession, number: int) -> None:
        chance = random.Random(f"{self._seed}/terminal/{number}")
        door = (self._pay_json, self._pay_osmp)[number % 2]
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
        account, kopecks = self._whom(chance)
        body = {
            "txn_id": f"T{next(self._numbers)}",
            "account": account,
            "amount_kopecks": kopecks,
            "accepted_at": datetime.datetime.now(tz=_MOSCOW).isoformat(timespec="seconds"),
            "channel": "cashier",
        }
        first = await self._post(session, body)
        if first is not None and chance.random() < 0.03:
            again = await self._post(session, body)
            if again != first:
                self.tally.unsound["a repeat was answered differently"] += 1

    async def _post(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> bytes | None:
        headers = {"Authorization": f"Bearer {self._demo.api_keys['cashier']}"}
        begun = time.monotonic()
        async with session.post("/v1/payments", json=body, headers=headers) as response:
            text = await response.read()
        answer = msgspec.json.decode(text)
        if response.status not in (200, 201):
            self.tally.refused[answer["code"]] += 1
            return None
        replayed = response.headers.get("Idempotent-Replayed") == "true"
        self.tally.paid(body["amount_kopecks"], time.monotonic() - begun, replayed=replayed)
        self._show(answer)
        return text

    def _show(self, answer: dict[str, Any]) -> None:
        placed = [(line["service"], line["amount_kopecks"]) for line in answer["allocations"]]
        kept = sum(line["amount_kopecks"] for line in answer["advances"])
        if sum(kopecks for _, kopecks in placed) + kept != answer["amount_kopecks"]:
            self.tally.unsound["a split that does not add up"] += 1
        parts = [*placed, *([("аванс", kept)] if kept else [])]
        self.tally.newest.append(Shown(answer["account"], answer["amount_kopecks"], parts, answer["balance_kopecks"]))

    async def _pay_osmp(self, session: aiohttp.ClientSession, chance: random.Random) -> None:
        """Check, then pay, as a terminal does; a lost answer is repeated under the same number."""
        account, kopecks = self._whom(chance)
        number = next(self._numbers)
        checked = await self._osmp(
            session, {"command": "check", "txn_id": str(number), "account": account, "sum": "0.00"}
        )
        if checked["result"] != "0":
            self.tally.refused[f"osmp {checked['result']}"] += 1
            return
        pay = {
            "command": "pay",
            "txn_id": str(number),
            "txn_date": datetime.datetime.now(tz=_MOSCOW).strftime("%Y%m%d%H%M%S"),
            "account": account,
            "sum": f"{kopecks // 100}.{kopecks % 100:02d}",
        }
        begun = time.monotonic()
        first = await self._osmp(session, pay)
        if first["result"] != "0":
            self.tally.refused[f"osmp {first['result']}"] += 1
            return
        self.tally.paid(kopecks, time.monotonic() - begun, replayed=False)
        if chance.random() < 0.03:
            again = await self._osmp(session, pay)
            self.tally.paid(kopecks, time.monotonic() - begun, replayed=True)
            if again["prv_txn"] != first["prv_txn"]:
                self.tally.unsound["a repeat was paid again"] += 1

    async def _osmp(self, session: aiohttp.ClientSession, query: dict[str, str]) -> dict[str, str]:
        basic = self._demo.basic["qiwi"]
        auth = aiohttp.BasicAuth(basic["login"], basic["password"])
        async with session.get("/osmp", params=query, auth=auth) as response:
            if response.status != 200:
                return {"result": f"HTTP {response.status}"}
            root = etree.fromstring(await response.read(), _XML)
        return {str(child.tag): child.text or "" for child in root}

    def show_totals(self, tell: Callable[[str], None]) -> None:
        """Say what the terminals saw in all."""
        tally = self.tally
        refused = ", ".join(f"{name} {count}" for name, count in tally.refused.most_common()) or "none"
        tell(f"terminals: {tally.acknowledged:,} payments, {tally.replayed:,} repeats; refused: {refused}")
        for what, count in tally.unsound.items():
            tell(f"[bold red]broken promise: {what} ({count} times)[/]")
