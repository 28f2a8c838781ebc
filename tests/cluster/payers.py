"""Payers who note everything: what they sent, what they were told; and the judge who compares that with Postgres.

Rules of the judge: what was acknowledged is in the ledger once, as it was told; what was refused is not there; what was
left open is there at most once, and a repeat under its key gets the ledger's own receipt.
"""

import asyncio
import datetime
import random
from typing import Any, NamedTuple

import aiohttp
import asyncpg

_PAUSE_S = 0.05


class Sent(NamedTuple):
    """One payment as it was sent."""

    txn_id: str
    account: str
    amount_kopecks: int
    accepted_at: str

    def body(self) -> dict[str, Any]:
        return {**self._asdict(), "channel": "terminal"}


class Payers:
    """A few terminals that pay over JSON, repeat what was not answered, and keep the longest silence."""

    def __init__(self, url: str, demo: dict[str, Any], *, name: str, clients: int = 8) -> None:
        self._url = f"{url}/v1/payments"
        self._headers = {"Authorization": f"Bearer {demo['api_keys']['cashier']}"}
        self._accounts = demo["sample_accounts"]
        self._name = name
        self._clients = clients
        self._chance = random.Random(name)
        self._stopping = asyncio.Event()
        self.sent: dict[str, Sent] = {}
        self.told: dict[str, list[dict[str, Any]]] = {}
        self.refused: set[str] = set()
        self.repeats = 0
        self.silence_s = 0.0
        self._last_answer = 0.0
        self._gave_up = False

    def give_up(self) -> None:
        """Repeat nothing more: the system is not coming back."""
        self._gave_up = True

    async def __aenter__(self) -> "Payers":
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        self._last_answer = asyncio.get_running_loop().time()
        self._tasks = [asyncio.ensure_future(self._client(number)) for number in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        await self._session.close()

    async def until_acknowledged(self, more: int) -> None:
        """Wait until so many further payments were acknowledged."""
        wanted = len(self.told) + more
        async with asyncio.timeout(60):
            while len(self.told) < wanted:  # noqa: ASYNC110 - what is waited for is many tasks' doing
                await asyncio.sleep(0.01)

    async def _client(self, number: int) -> None:
        count = 0
        while not self._stopping.is_set():
            count += 1
            now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
            txn_id = f"{self._name}-{number}-{count}"
            sent = Sent(txn_id, self._chance.choice(self._accounts), self._chance.randrange(100, 90_000), now)
            self.sent[txn_id] = sent
            await self._insist(sent)

    async def _insist(self, sent: Sent) -> None:
        """Send until there is an answer that is final, as a terminal does."""
        while not (self._gave_up or await self._try(sent)):
            self.repeats += 1
            await asyncio.sleep(_PAUSE_S)

    async def _try(self, sent: Sent) -> bool:
        try:
            async with self._session.post(self._url, json=sent.body(), headers=self._headers) as reply:
                body = await reply.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        if reply.status in (200, 201):
            self._note_answer()
            self.told.setdefault(sent.txn_id, []).append(body)
            return True
        if body.get("retry") == "no":
            self.refused.add(sent.txn_id)
            return True
        return False

    def _note_answer(self) -> None:
        now = asyncio.get_running_loop().time()
        self.silence_s = max(self.silence_s, now - self._last_answer)
        self._last_answer = now

    async def judge(self, database_url: str) -> None:
        """Compare everything told with the ledger. Call it when the payers have stopped."""
        connection = await asyncpg.connect(database_url)
        try:
            rows = await connection.fetch("SELECT * FROM events WHERE txn_id LIKE $1", f"{self._name}-%")
        finally:
            await connection.close()
        found: dict[str, list[asyncpg.Record]] = {}
        for row in rows:
            found.setdefault(row["txn_id"], []).append(row)
        payments = {txn: [r for r in mine if r["request_hash"]] for txn, mine in found.items()}
        assert set(self.told) <= set(payments), "acknowledged, but not in the ledger"
        assert not self.refused & set(found), "refused, but in the ledger"
        assert all(len(mine) == 1 for mine in payments.values()), "counted twice"
        for txn_id, bodies in self.told.items():
            self._compare(self.sent[txn_id], bodies, payments[txn_id][0])

    def _compare(self, sent: Sent, bodies: list[dict[str, Any]], row: asyncpg.Record) -> None:
        assert (row["account"], row["amount_kopecks"]) == (sent.account, sent.amount_kopecks)
        for body in bodies:
            assert body["payment_id"] == str(row["shard"] * 10**14 + row["seq"])
            assert body["balance_kopecks"] == row["balance_kopecks"]
            parts = [part["amount_kopecks"] for part in (*body["allocations"], *body["advances"])]
            assert sum(parts) == sent.amount_kopecks
