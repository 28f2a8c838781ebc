"""Lanes and the router: batches by back-pressure, refusals at once, retries that are safe."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.client import Lane, Router, Routes, ShardUnreachable, Transport
from actors.settings import Settings
from engine.commands import AcceptPayment, OpenAccount
from engine.events import EventKind
from engine.ids import AccountId, Epoch, PaymentId, ShardId
from engine.outcomes import Acknowledged, NotDone, Outcome, OutcomeUnknown, Reason, Receipt, Rejected
from engine.sharding import SLOTS, slot_of
from tests.engine.bills import NOW_US, command_fields

LIMITS: dict[str, Any] = {
    "batch_commands_min": 3,
    "batch_commands_max": 4,
    "batches_in_flight_max": 2,
    "router_commands_max": 10,
    "call_timeout_ms": 200,
    "gateway_deadline_ms": 1_000,
}


def settings(**changes: Any) -> Settings:
    return Settings(home=Path("/nowhere"), **(LIMITS | changes))


def payment(number: int, account: str = "1") -> AcceptPayment:
    return AcceptPayment(**(command_fields(number) | {"account": AccountId(account)}), amount_kopecks=100)


class FakeShard:
    """A shard that answers when told to, and notes every batch. Its answers carry its epoch."""

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = Epoch(epoch)
        self.batches: list[list[Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.outcome: Outcome | None = None
        self.deaths = 0

    @property
    def transport(self) -> Transport:
        return Transport(self.accept, self.read)

    async def accept(self, wire: bytes) -> bytes:
        commands = messages.decode_commands(wire)
        self.batches.append(commands)
        if self.deaths:
            self.deaths -= 1
            raise ShardUnreachable("died")
        await self.gate.wait()
        outcomes = [messages.encode_outcome(self.outcome or _done(command)) for command in commands]
        return messages.encode_reply(self.epoch, outcomes)

    async def read(self, wire: bytes) -> bytes:
        view = messages.AccountView(AccountId("1"), "OPEN", "main", 1, 0, 0, 0, ())
        return messages.encode(messages.AccountAnswer(self.epoch, view))

    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


def _done(command: Any) -> Acknowledged:
    number = int(command.txn_id)
    return Acknowledged(
        Receipt(
            payment_id=PaymentId(number),
            kind=EventKind.PAYMENT_RECEIVED,
            account=command.account,
            account_seq=1,
            source=command.source,
            txn_id=command.txn_id,
            accepted_at_us=NOW_US,
            recorded_at_us=NOW_US,
            amount_kopecks=100,
            balance_kopecks=0,
            keys=(),
            amounts=(),
            policy="",
            channel="",
            ref=0,
        )
    )


def router_to(shards: dict[int, FakeShard], owners: tuple[ShardId, ...] | None = None, **changes: Any) -> Router:
    router = Router(settings(**changes))
    routes = Routes(1, owners or (ShardId(1),) * SLOTS)
    router.update(routes, {ShardId(number): shard.transport for number, shard in shards.items()})
    return router


def _number(outcome: Outcome) -> int:
    assert isinstance(outcome, Acknowledged), outcome
    return outcome.receipt.payment_id


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_lone_payment_leaves_at_once_and_alone() -> None:
    shard = FakeShard()
    assert _number(await router_to({1: shard}).submit(payment(1))) == 1
    assert shard.sizes() == [1]


async def test_while_a_batch_is_under_way_the_rest_gathers_into_fair_batches() -> None:
    shard = FakeShard()
    shard.gate.clear()
    router = router_to({1: shard})
    calls = [asyncio.ensure_future(router.submit(payment(number))) for number in range(10)]
    await _settle()
    assert shard.sizes() == [1, 3]
    shard.gate.set()
    assert [_number(outcome) for outcome in await asyncio.gather(*calls)] == list(range(10))
    assert shard.sizes() == [1, 3, 4, 2]


async def test_a_full_queue_is_told_at_once_and_nothing_of_it_is_sent() -> None:
    shard = FakeShard()
    shard.gate.clear()
    router = router_to({1: shard})
    calls = [asyncio.ensure_future(router.submit(payment(number))) for number in range(20)]
    await _settle()
    told = [call.result() for call in calls if call.done()]
    assert told == [NotDone(overloaded=True)] * 6
    shard.gate.set()
    await asyncio.gather(*calls)
    assert sum(shard.sizes()) == 14


async def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    shard = FakeShard()
    shard.deaths = 2
    assert _number(await router_to({1: shard}).submit(payment(7))) == 7
    assert [[command.txn_id for command in batch] for batch in shard.batches] == [["7"]] * 3


async def test_a_silent_shard_leaves_the_outcome_unknown_within_the_deadline() -> None:
    shard = FakeShard()
    shard.gate.clear()
    begun = asyncio.get_running_loop().time()
    assert await router_to({1: shard}).submit(payment(1)) == OutcomeUnknown()
    assert asyncio.get_running_loop().time() - begun < 2


async def test_once_in_doubt_only_the_ledger_ends_the_doubt() -> None:
    shard = FakeShard()
    shard.deaths, shard.outcome = 1, NotDone(overloaded=True)
    assert await router_to({1: shard}).submit(payment(1)) == OutcomeUnknown()


async def test_busy_is_final_and_is_not_retried() -> None:
    shard = FakeShard()
    shard.outcome = NotDone(overloaded=True)
    assert await router_to({1: shard}).submit(payment(1)) == NotDone(overloaded=True)
    assert shard.sizes() == [1]


async def test_a_refusal_by_the_rules_is_final() -> None:
    shard = FakeShard()
    shard.outcome = Rejected(Reason.ACCOUNT_UNKNOWN)
    assert await router_to({1: shard}).submit(payment(1)) == Rejected(Reason.ACCOUNT_UNKNOWN)
    assert shard.sizes() == [1]


async def test_answers_of_an_older_epoch_are_not_believed() -> None:
    old, new = FakeShard(epoch=1), FakeShard(epoch=2)
    router = router_to({1: new})
    await router.submit(payment(1))
    router.lanes[ShardId(1)].transport = old.transport
    assert await router.submit(payment(2)) == OutcomeUnknown()
    assert await router.account(AccountId("1")) is None
    router.lanes[ShardId(1)].transport = new.transport
    assert _number(await router.submit(payment(2))) == 2


async def test_an_older_routing_table_is_ignored() -> None:
    one, two = FakeShard(), FakeShard()
    router = router_to({1: one, 2: two})
    router.update(Routes(3, (ShardId(2),) * SLOTS), {})
    router.update(Routes(2, (ShardId(1),) * SLOTS), {})
    await router.submit(payment(1))
    assert (one.sizes(), two.sizes()) == ([], [1])


async def test_many_commands_go_as_whole_batches_in_their_order() -> None:
    shard = FakeShard()
    outcomes = await router_to({1: shard}).submit_many([payment(number) for number in range(10)])
    assert [_number(outcome) for outcome in outcomes] == list(range(10))
    assert [command.txn_id for batch in shard.batches for command in batch] == [str(n) for n in range(10)]
    assert shard.sizes() == [4, 4, 2]


async def test_each_account_goes_to_the_shard_that_owns_its_slot() -> None:
    one, two = FakeShard(), FakeShard()
    owners = tuple(ShardId(1 + slot % 2) for slot in range(SLOTS))
    router = router_to({1: one, 2: two}, owners)
    accounts = [AccountId(str(number)) for number in range(8)]
    await asyncio.gather(*(router.submit(payment(number, account)) for number, account in enumerate(accounts)))
    went = {command.account for batch in one.batches for command in batch}
    assert went == {account for account in accounts if slot_of(account) % 2 == 0}


async def test_a_cancelled_caller_takes_no_neighbour_along() -> None:
    shard = FakeShard()
    shard.gate.clear()
    lane = Lane(shard.transport, settings())
    futures = [lane.put(messages.encode_command(payment(number))) for number in range(3)]
    await _settle()
    futures[0].cancel()
    shard.gate.set()
    assert [_number(outcome) for outcome in await asyncio.gather(*futures[1:])] == [1, 2]


@pytest.mark.parametrize("command", [payment(1), OpenAccount(**command_fields(1), agreement="main")])
def test_a_command_survives_the_way_to_the_shard(command: Any) -> None:
    assert messages.decode_commands(messages.join([messages.encode_command(command)])) == [command]
