"""The spine, promise by promise: what a shard tells, when it tells it, and what it never does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actors import messages, snapshots
from actors import shard as shard_module
from actors.messages import Notice
from actors.settings import Settings
from actors.shard import Shard
from engine.commands import AcceptPayment, AnyCommand, CloseAccount, OpenAccount, ReversePayment
from engine.decide import decide
from engine.ids import AccountId, PaymentId, ShardId, Slot
from engine.outcomes import Acknowledged, KeyConflict, NotDone, Outcome, OutcomeUnknown, Reason, Rejected
from engine.sharding import slot_of
from storage.errors import Fenced, StorageError
from storage.errors import OutcomeUnknown as CommitUnknown
from storage.memory import MemoryJournal, MemoryLedger
from tests.engine.bills import ACCOUNT, NOW_US, book, charges, command_fields

OTHER = AccountId("other")
ONE, TWO = ShardId(1), ShardId(2)
SETTINGS = Settings(home=Path("/nowhere"), accounts_cached_max=20, inbox_commands_max=10, commit_entries_max=8)


class Gate:
    """Holds appends back, or lets them fail, when told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.error: StorageError | None = None

    async def __call__(self, point: str) -> None:
        if point == "before":
            await self.open.wait()
            if self.error is not None:
                raise self.error


class Running:
    """One shard at work over a ledger in memory."""

    def __init__(self, ledger: MemoryLedger, number: ShardId = ONE, **changes: Any) -> None:
        self.ledger, self.number = ledger, number
        self.gate = Gate()
        self.notices: list[Notice] = []
        journal = MemoryJournal(ledger, lambda: NOW_US, self.gate)
        self.shard = Shard(journal, book(), replace(SETTINGS, **changes), notify=self.notices.extend)
        self.ended: asyncio.Future[None] | None = None

    async def start(self) -> "Running":
        await self.shard.start(self.number, "test")
        self.ended = asyncio.ensure_future(self.shard.run())
        return self

    async def do(self, *commands: AnyCommand) -> list[Outcome]:
        wire = messages.join([messages.encode_command(command) for command in commands])
        return messages.decode_reply(await self.shard.accept(wire)).outcomes

    def begin(self, *commands: AnyCommand) -> "asyncio.Task[list[Outcome]]":
        return asyncio.ensure_future(self.do(*commands))

    async def view(self, account: AccountId = ACCOUNT) -> messages.AccountView | None:
        query = messages.encode(messages.ReadAccount(account))
        answer = messages.answer_decoder.decode(await self.shard.read(query))
        return answer.view if isinstance(answer, messages.AccountAnswer) else None

    async def open_account(self, account: AccountId = ACCOUNT) -> None:
        named = {"account": account}
        bill = charges(f"bill-{account}", "2026-08", [("HEAT", "P1", 100_000)])
        opening = OpenAccount(**(command_fields(f"open-{account}") | named), agreement="main")
        outcomes = await self.do(opening, replace(bill, **named))
        assert all(isinstance(outcome, Acknowledged) for outcome in outcomes), outcomes


def pay(number: object, kopecks: int = 1_000, account: AccountId = ACCOUNT, **more: Any) -> AcceptPayment:
    return AcceptPayment(**(command_fields(number) | {"account": account} | more), amount_kopecks=kopecks)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(1)


@pytest.fixture
async def running(ledger: MemoryLedger) -> AsyncIterator[Running]:
    made = await Running(ledger).start()
    await made.open_account()
    yield made
    assert made.ended is not None
    made.ended.cancel()
    await asyncio.gather(made.ended, return_exceptions=True)


async def test_nobody_is_told_before_the_commit(running: Running) -> None:
    running.notices.clear()
    running.gate.open.clear()
    call = running.begin(pay(1))
    await settle()
    reader = asyncio.ensure_future(running.view())
    await settle()
    assert not call.done()
    assert not reader.done()
    assert not running.notices
    running.gate.open.set()
    (outcome,) = await call
    assert isinstance(outcome, Acknowledged)
    view = await reader
    assert view is not None
    assert view.balance_kopecks == outcome.receipt.balance_kopecks == 99_000
    assert [notice.payment_id for notice in running.notices] == [outcome.receipt.payment_id]


async def test_a_refusal_that_rests_on_what_is_not_durable_waits_for_it(running: Running) -> None:
    running.gate.open.clear()
    closing = running.begin(CloseAccount(**command_fields("close")))
    await settle()
    late = running.begin(pay(1))
    await settle()
    assert not late.done()
    running.gate.open.set()
    assert await late == [Rejected(Reason.ACCOUNT_CLOSED)]
    assert closing.done()


async def test_a_repeat_gets_the_first_receipt_and_adds_nothing(running: Running) -> None:
    (first,) = await running.do(pay(1))
    rows = len(running.ledger.rows)
    (again,) = await running.do(pay(1))
    assert isinstance(first, Acknowledged)
    assert again == Acknowledged(first.receipt, replayed=True)
    assert len(running.ledger.rows) == rows


async def test_a_repeat_beside_the_first_one_waits_for_its_receipt(running: Running) -> None:
    running.gate.open.clear()
    calls = [running.begin(pay(1)) for _ in range(3)]
    await settle()
    assert not any(call.done() for call in calls)
    running.gate.open.set()
    outcomes = [outcome for call in calls for outcome in await call]
    assert sorted(outcome.replayed for outcome in outcomes if isinstance(outcome, Acknowledged)) == [False, True, True]
    assert len({getattr(outcome, "receipt", None) for outcome in outcomes}) == 1
    assert running.shard.metrics.keys_taken == 0


async def test_another_content_under_a_used_key_is_a_conflict(running: Running) -> None:
    (first,) = await running.do(pay(1))
    assert isinstance(first, Acknowledged)
    (other,) = await running.do(pay(1, 2_000, request_hash=b"x" * 16))
    assert isinstance(other, KeyConflict)
    assert other.payment_id == first.receipt.payment_id
    view = await running.view()
    assert view is not None
    assert view.balance_kopecks == 99_000


async def test_an_old_repeat_that_nobody_doubts_costs_one_append_and_gets_its_first_receipt(
    ledger: MemoryLedger,
) -> None:
    trusting = await Running(ledger, keys_doubted_commands=0, keys_remembered_max=0).start()
    await trusting.open_account()
    (first,) = await trusting.do(pay(1))
    again, fresh = await trusting.do(pay(1), pay(2, account=ACCOUNT))
    assert isinstance(first, Acknowledged)
    assert again == Acknowledged(first.receipt, replayed=True)
    assert isinstance(fresh, Acknowledged)
    assert fresh.receipt.balance_kopecks == 98_000
    assert trusting.shard.metrics.keys_taken == 1
    assert trusting.ended is not None
    trusting.ended.cancel()


async def test_what_would_be_refused_now_but_was_accepted_then_gets_its_first_receipt(ledger: MemoryLedger) -> None:
    trusting = await Running(ledger, keys_doubted_commands=0, keys_remembered_max=0).start()
    await trusting.open_account()
    (first,) = await trusting.do(pay(1))
    await trusting.do(CloseAccount(**command_fields("close")))
    (again,) = await trusting.do(pay(1))
    assert isinstance(first, Acknowledged)
    assert again == Acknowledged(first.receipt, replayed=True)
    assert trusting.shard.metrics.keys_taken == 0
    assert trusting.ended is not None
    trusting.ended.cancel()


async def test_good_neighbours_of_a_refused_payment_are_taken(running: Running) -> None:
    outcomes = await running.do(pay(1), pay(2, 0), pay(3, 500, AccountId("nobody")), pay(4))
    told = [outcome.reason if isinstance(outcome, Rejected) else "taken" for outcome in outcomes]
    assert told == ["taken", Reason.AMOUNT_NOT_POSITIVE, Reason.ACCOUNT_UNKNOWN, "taken"]


async def test_what_does_not_fit_the_inbox_is_refused_at_once_and_whole(running: Running) -> None:
    running.gate.open.clear()
    calls = [running.begin(pay(number)) for number in range(60)]
    await settle()
    refused = [call for call in calls if call.done()]
    assert refused
    assert all(call.result() == [NotDone(overloaded=True)] for call in refused)
    running.gate.open.set()
    taken = [outcome for call in calls for outcome in await call if isinstance(outcome, Acknowledged)]
    assert len(taken) + len(refused) == 60
    assert len(running.ledger.rows) == 2 + len(taken)


async def test_a_fenced_commit_ends_the_shard_and_nobody_hears_of_success(running: Running) -> None:
    running.gate.error = Fenced("epoch 1 is over")
    assert await running.do(pay(1)) == [OutcomeUnknown()]
    assert running.ended is not None
    with pytest.raises(ExceptionGroup) as ended:
        await running.ended
    assert ended.group_contains(Fenced)
    assert await running.view() is None


async def test_an_uncertain_commit_ends_the_shard_and_its_successor_tells_the_truth(running: Running) -> None:
    running.gate.error = CommitUnknown("the connection broke")
    call = running.begin(pay(1), pay(2))
    assert await call == [OutcomeUnknown(), OutcomeUnknown()]
    assert running.ended is not None
    await asyncio.gather(running.ended, return_exceptions=True)
    successor = await Running(running.ledger).start()
    outcomes = await successor.do(pay(1), pay(2))
    assert [isinstance(o, Acknowledged) and not o.replayed for o in outcomes] == [True, True]
    assert successor.ended is not None
    successor.ended.cancel()


async def test_a_key_taken_through_another_shard_harms_that_payment_only() -> None:
    ledger = MemoryLedger(2)
    mine = [AccountId(str(n)) for n in range(50) if ledger.slots[_slot(str(n))] == ONE][:2]
    theirs = next(AccountId(str(n)) for n in range(50) if ledger.slots[_slot(str(n))] == TWO)
    one, two = await Running(ledger, ONE).start(), await Running(ledger, TWO).start()
    for account in mine:
        await one.open_account(account)
    await two.open_account(theirs)
    one.gate.open.clear()
    call = one.begin(pay("same", 500, mine[0]), pay("fresh", 500, mine[1]), pay("later", 100, mine[0]))
    await settle()
    (first,) = await two.do(pay("same", 700, theirs, request_hash=b"y" * 16))
    assert isinstance(first, Acknowledged)
    one.gate.open.set()
    conflict, fresh, later = await call
    assert isinstance(conflict, KeyConflict)
    assert isinstance(fresh, Acknowledged)
    assert isinstance(later, Acknowledged)
    assert later.receipt.balance_kopecks == 99_900
    for each in (one, two):
        assert each.ended is not None
        each.ended.cancel()


def _slot(account: str) -> Slot:
    return slot_of(AccountId(account))


async def test_an_account_that_our_code_cannot_handle_is_parked_and_its_neighbours_go_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.open_account(OTHER)

    def buggy(state: Any, command: AnyCommand, *more: Any) -> Any:
        assert command.account != OTHER, "a bug"
        return decide(state, command, *more)

    monkeypatch.setattr(shard_module, "decide", buggy)
    parked, fine = await running.do(pay(1, 500, OTHER), pay(2))
    assert parked == NotDone(SETTINGS.parked_retry_ms)
    assert isinstance(fine, Acknowledged)
    assert await running.view(OTHER) is None
    assert running.shard.metrics.parked == 1


async def test_a_commands_account_of_another_shard_is_sent_back_undone(ledger: MemoryLedger) -> None:
    running = await Running(ledger).start()
    ledger.slots[_slot("x")] = TWO
    moved = await Running(ledger).start()
    assert await moved.do(pay(1, 500, AccountId("x"))) == [NotDone()]
    for each in (running, moved):
        assert each.ended is not None
        each.ended.cancel()


async def test_draining_answers_everything_accepted_and_refuses_the_rest(running: Running) -> None:
    running.gate.open.clear()
    accepted = running.begin(pay(1), pay(2))
    await settle()
    drained = asyncio.ensure_future(running.shard.drain())
    await settle()
    assert await running.do(pay(3)) == [NotDone()]
    assert not drained.done()
    running.gate.open.set()
    assert [type(outcome) for outcome in await accepted] == [Acknowledged, Acknowledged]
    await drained


async def test_evicted_accounts_are_read_again_as_they_were(ledger: MemoryLedger) -> None:
    running = await Running(ledger, accounts_cached_max=2).start()
    accounts = [AccountId(f"a{number}") for number in range(6)]
    for account in accounts:
        await running.open_account(account)
    for number, account in enumerate(accounts * 3):
        (outcome,) = await running.do(pay(f"p{number}", 100, account))
        assert isinstance(outcome, Acknowledged)
    views = [await running.view(account) for account in accounts]
    assert [view.balance_kopecks for view in views if view is not None] == [99_700] * 6
    assert running.shard.metrics.evicted > 0
    assert running.ended is not None
    running.ended.cancel()


async def test_an_evicted_account_leaves_a_snapshot_to_be_read_back_from(
    ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PAUSE_S", 0.001)
    running = await Running(ledger, accounts_cached_max=1, snapshot_every_events=99).start()
    for account in (AccountId("a"), AccountId("b"), AccountId("a"), AccountId("b")):
        if not ledger.by_account.get(account):
            await running.open_account(account)
        await running.do(pay(f"1-{len(ledger.rows)}", account=account), pay(f"2-{len(ledger.rows)}", account=account))
    await asyncio.sleep(0.05)
    assert ledger.snapshots[AccountId("a")][0] in (4, 6)
    view = await running.view(AccountId("a"))
    assert view is not None
    assert view.balance_kopecks == 96_000
    assert running.ended is not None
    running.ended.cancel()


async def test_snapshots_are_of_durable_states_only(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PAUSE_S", 0.01)
    await running.do(*(pay(number) for number in range(4)))
    running.gate.open.clear()
    call = running.begin(pay("held"))
    await asyncio.sleep(0.4)
    saved = running.ledger.snapshots.get(ACCOUNT, (0, b""))[0]
    assert saved in (0, 6)
    running.gate.open.set()
    await call


async def test_a_reversal_looks_back_at_its_payment_even_if_it_is_another_accounts(running: Running) -> None:
    await running.open_account(OTHER)
    (paid,) = await running.do(pay(1))
    assert isinstance(paid, Acknowledged)
    foreign = ReversePayment(**(command_fields("r") | {"account": OTHER}), payment_id=paid.receipt.payment_id)
    unknown = ReversePayment(**command_fields("u"), payment_id=PaymentId(10**14 + 999))
    outcomes: Sequence[Outcome] = await running.do(foreign, unknown)
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)] == [Reason.PAYMENT_UNKNOWN] * 2
