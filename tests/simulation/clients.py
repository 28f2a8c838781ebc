"""Clients of the simulation: they open, charge, pay, repeat themselves, take back, read; and note every answer."""

import asyncio
import random
from typing import Any, NamedTuple

from actors.client import Router
from engine.charge import Kind
from engine.commands import (
    AcceptPayment,
    AnyCommand,
    ChargeLine,
    CloseAccount,
    Earmark,
    OpenAccount,
    PostCharges,
    RefundAdvance,
    ReversePayment,
    fingerprint,
)
from engine.ids import AccountId, PaymentId, Period, ProviderId, ServiceCode, SourceId, TxnId
from engine.outcomes import Acknowledged, KeyConflict, NotDone, Outcome, OutcomeUnknown
from tests.simulation.world import World

_SERVICES = [("HEAT", "P1"), ("WATER", "P2"), ("WASTE", "P3"), ("KAPREM", "P9")]


class Answer(NamedTuple):
    """One answer that one client got."""

    command: AnyCommand
    outcome: Outcome


class Shown(NamedTuple):
    """A balance that one reader was shown."""

    reader: int
    account: AccountId
    account_seq: int
    balance_kopecks: int


class Clients:
    """All clients of one run."""

    def __init__(self, world: World, accounts: int, steps: int) -> None:
        self._world = world
        self._chance = random.Random(f"{world.seed}/clients")
        self._accounts = [AccountId(f"{number:05d}") for number in range(accounts)]
        self._steps = steps
        self._numbers = 0
        self.answers: list[Answer] = []
        self.shown: list[Shown] = []
        self._sent: list[AnyCommand] = []
        self._paid: list[tuple[AccountId, PaymentId]] = []

    async def run(self, clients: int) -> None:
        """Let every client do its steps."""
        router = self._world.router()
        for account in self._accounts:
            agreement = self._chance.choice(("fifo", "share"))
            await self._send(router, OpenAccount(**self._fields(account), agreement=agreement))
        await asyncio.gather(*(self._client(number) for number in range(clients)))

    async def _client(self, number: int) -> None:
        router = self._world.router()
        for _ in range(self._steps):
            await asyncio.sleep(self._chance.expovariate(1 / 0.03))
            if self._chance.random() < 0.15:
                await self._look(router, number)
            else:
                command = self._next()
                again = self._chance.random()
                if again > 0.9:
                    await asyncio.gather(*(self._send(router, one) for one in (command, self._conflicting(command))))
                else:
                    await self._send(router, command)
                if again < 0.1:
                    others = (self._world.router() for _ in range(2))
                    await asyncio.gather(*(self._send(other, command) for other in others))

    async def insist(self) -> None:
        """With the faults over: every command whose outcome was left open is sent again under its key."""
        router = self._world.router()
        settled = {(a.command.source, a.command.txn_id) for a in self.answers if not _is_open(a.outcome)}
        for answer in list(self.answers):
            if (answer.command.source, answer.command.txn_id) not in settled:
                await self._send(router, answer.command)

    async def _send(self, router: Router, command: AnyCommand) -> None:
        self._sent.append(command)
        outcome = await router.submit(command)
        self.answers.append(Answer(command, outcome))
        self._world.count(f"told:{type(outcome).__name__}")
        self._world.note(f"{command.txn_id} {type(command).__name__} -> {_short(outcome)}")
        if isinstance(outcome, Acknowledged):
            if outcome.replayed:
                self._world.count("replayed")
            if isinstance(command, AcceptPayment):
                self._paid.append((command.account, outcome.receipt.payment_id))

    async def _look(self, router: Router, reader: int) -> None:
        account = self._chance.choice(self._accounts)
        view = await router.account(account)
        if view is not None:
            self.shown.append(Shown(reader, account, view.account_seq, view.balance_kopecks))

    def _fields(self, account: AccountId, number: int | None = None) -> dict[str, Any]:
        self._numbers += 1
        txn = TxnId(str(self._numbers if number is None else number))
        now_us = self._world.wall_us()
        return {
            "source": SourceId("sim"),
            "txn_id": txn,
            "request_hash": fingerprint(txn, account),
            "account": account,
            "accepted_at_us": now_us,
        }

    def _next(self) -> AnyCommand:
        """The next command: mostly payments, some repeats and conflicts of old keys."""
        draw = self._chance.random()
        if draw < 0.06 and self._sent:
            return self._chance.choice(self._sent)
        if draw < 0.12 and self._sent:
            return self._conflicting(self._chance.choice(self._sent))
        if draw < 0.18 and self._paid:
            account, payment = self._chance.choice(self._paid)
            amount = self._chance.choice((0, 0, self._chance.randrange(1, 60_000)))
            return ReversePayment(**self._fields(account), payment_id=payment, amount_kopecks=amount)
        account = self._chance.choice(self._accounts)
        if draw < 0.40:
            return self._bill(account)
        if draw < 0.44:
            return RefundAdvance(**self._fields(account), amount_kopecks=self._chance.randrange(1, 50_000))
        if draw < 0.45:
            return CloseAccount(**self._fields(account))
        return self._payment(account if draw < 0.96 else AccountId(f"nobody-{self._chance.randrange(5)}"))

    def _payment(self, account: AccountId) -> AcceptPayment:
        earmark = Earmark(service=ServiceCode("KAPREM")) if self._chance.random() < 0.1 else None
        return AcceptPayment(
            **self._fields(account),
            amount_kopecks=self._chance.randrange(1, 120_000),
            earmark=earmark,
            keep_if_unknown=self._chance.random() < 0.5,
        )

    def _conflicting(self, old: AnyCommand) -> AnyCommand:
        """An old key for other content, often of an account on another shard."""
        account = self._chance.choice(self._accounts)
        fields = self._fields(account) | {"txn_id": old.txn_id, "request_hash": fingerprint("other", self._numbers)}
        return AcceptPayment(**fields, amount_kopecks=self._chance.randrange(1, 1_000))

    def _bill(self, account: AccountId) -> PostCharges:
        kind = Kind.PENALTY if self._chance.random() < 0.1 else Kind.CHARGE
        lines = tuple(
            ChargeLine(
                ServiceCode(s),
                ProviderId(p),
                self._chance.randrange(-5_000 if kind is Kind.CHARGE else 1, 40_000),
                kind,
            )
            for s, p in self._chance.sample(_SERVICES, self._chance.randrange(1, 5))
        )
        return PostCharges(
            **self._fields(account), period=Period(self._chance.choice((202607, 202608, 202609))), lines=lines
        )


def _is_open(outcome: Outcome) -> bool:
    return isinstance(outcome, OutcomeUnknown | NotDone)


def _short(outcome: Outcome) -> str:
    if isinstance(outcome, Acknowledged):
        return f"ok {outcome.receipt.payment_id} {'again' if outcome.replayed else ''}"
    if isinstance(outcome, KeyConflict):
        return f"conflict {outcome.payment_id}"
    return repr(outcome)
