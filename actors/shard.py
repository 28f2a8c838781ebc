"""A shard: the one writer of its accounts. Live state in memory, split in memory, made durable in groups.

The way of a payment is `accept_payments` and `_commit`, seven steps: fetch, replay?, decide, apply, commit,
acknowledge, notify. Steps 2 to 4 run in one plain `def`: no await lies between reading and changing a balance.

Two watermarks: live states may be ahead of the journal, but nothing ahead of it leaves the shard. An account with
events that are not durable yet has a `tail`, its newest such decision; whatever a caller may be told of that account
waits for the tail. When an append is fenced or its outcome unknown, `run` raises, the process ends, and the successor
reads the truth: memory is never patched back. When only some keys turn out to be taken through another shard, their
accounts are dropped and read again, and their neighbours commit.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from hmac import compare_digest
from time import monotonic

from actors import messages
from actors.cache import AccountCache, Live
from actors.group_commit import GroupCommit
from actors.inbox import Batch, Inbox, Job
from actors.key_memory import KeyMemory
from actors.messages import (
    AccountAnswer,
    AccountView,
    Notice,
    OpenItemView,
    ReadAccount,
    ReadHistory,
    ReadPayment,
    ReceiptsAnswer,
    Refusal,
)
from actors.settings import Settings
from actors.shard_metrics import ShardMetrics
from actors.snapshots import SnapshotWriter
from engine.account import AccountState
from engine.apply import apply
from engine.charge import OpenItem
from engine.commands import ReversePayment
from engine.decide import decide
from engine.events import Event
from engine.ids import AccountId, IdempotencyKey, PaymentId, ShardId
from engine.outcomes import Accepted, Acknowledged, KeyConflict, NotDone, Outcome, OutcomeUnknown, Receipt, Rejected
from engine.policy import PolicyBook
from engine.sharding import slot_of
from storage import codec
from storage.errors import KeysTaken
from storage.journal import LEASE_S, Entry, Fetched, Journal, Term

_OUR_BUGS = (AssertionError, ArithmeticError, LookupError, TypeError, ValueError)
"""What code of ours raises on a state or command it was not made for: that account is parked, its neighbours go on."""


_NOTHING = Fetched({}, {})
_LOOKS_MAX = 3
_DRAIN_POLL_S = 0.01


class Decided:
    """A decision on its way to the journal, with all that waits for it.

    `repeats` are decided anew once it is durable; `told_after` have their outcome, which may leave then; `readers` are
    set True then. If the decision is dropped instead, jobs are decided anew and readers are set False.
    """

    __slots__ = ("entry", "job", "readers", "repeats", "told_after")

    def __init__(self, job: Job, entry: Entry) -> None:
        self.job = job
        self.entry = entry
        self.repeats: list[Job] = []
        self.told_after: list[tuple[Job, Outcome]] = []
        self.readers: list[asyncio.Future[bool]] = []


class Shard:
    """One shard's work, without Ray.

    Guarantees to callers of `accept`: `Acknowledged` means durable, with exactly this split; `Rejected` and
    `KeyConflict` changed nothing; `NotDone` changed nothing and may be retried; `OutcomeUnknown`, or no answer at all,
    leaves it open, and a retry with the same key tells.
    """

    def __init__(
        self,
        journal: Journal,
        book: PolicyBook,
        settings: Settings,
        *,
        notify: Callable[[list[Notice]], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._journal = journal
        self._book = book
        self._settings = settings
        self._notify = notify
        self._clock = clock
        self.metrics = ShardMetrics()
        self._inbox = Inbox(commands_max=settings.inbox_commands_max)
        self._accounts: AccountCache[Decided] = AccountCache(accounts_max=settings.accounts_cached_max)
        self._group_commit: GroupCommit[Decided] = GroupCommit(self._commit, entries_max=settings.commit_entries_max)
        self._in_flight: dict[IdempotencyKey, Decided] = {}
        self._keys = KeyMemory(keys_max=settings.keys_remembered_max, doubted_max=settings.keys_doubted_commands)
        self._parked: dict[AccountId, str] = {}
        self._snapshots = SnapshotWriter(journal, self._accounts, self._parked, settings, self.metrics)
        self._term: Term | None = None
        self._lease_ends = 0.0
        self._draining = False

    @property
    def term(self) -> Term:
        """The ownership under which this shard works."""
        assert self._term is not None, "start comes first"
        return self._term

    def use_policies(self, book: PolicyBook) -> None:
        """Decide by these policies from now on; what was decided stays."""
        self._book = book

    async def start(self, shard: ShardId, owner: str) -> Term:
        """Take ownership; nothing is loaded, accounts are read when first touched."""
        asked_at = self._clock()
        self._term = await self._journal.take_ownership(shard, owner)
        self._lease_ends = asked_at + LEASE_S
        return self._term

    async def run(self) -> None:
        """Work until an error ends the term; whoever still waits has an answer then.

        Errors: the storage error that ended it (`Fenced`, `OutcomeUnknown`). The process must end too.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._accept_for_ever())
                tasks.create_task(self._group_commit.run())
                tasks.create_task(self._keep_lease())
                tasks.create_task(self._snapshots.run())
        finally:
            self._abandon()

    async def accept(self, wire: bytes) -> bytes:
        """Take a client's batch of commands and return the outcomes, each durable or changing nothing.

        Shape: see `messages`; outcomes in the commands' order. What does not fit the inbox is refused at once.
        """
        commands = messages.decode_commands(wire)
        if self._draining or not self._inbox.has_room(len(commands)):
            self.metrics.busy += len(commands)
            refused = messages.encode_outcome(NotDone(overloaded=not self._draining))
            return messages.encode_reply(self.term.epoch, [refused] * len(commands))
        batch = Batch(len(commands))
        self._inbox.put([Job(command, batch, index) for index, command in enumerate(commands)])
        await batch.done
        return messages.encode_reply(self.term.epoch, batch.outcomes)

    async def _accept_for_ever(self) -> None:
        while True:
            await self._group_commit.room()
            jobs = await self._inbox.take(self._settings.commit_entries_max)
            await self.accept_payments(jobs)

    # The spine ---------------------------------------------------------------------------------------------------

    async def accept_payments(self, jobs: Sequence[Job]) -> None:
        """Take a batch of commands from its keys to the journal's door (steps 1 to 4; `_commit` has 5 to 7)."""
        # 1. Fetch: cold accounts, doubtful keys, and what reversals must look back at. All the I/O a decision needs.
        fetched, trails = await self._fetch(jobs)
        # 2 to 4. Replay? Decide. Apply. No await from here to the journal's queue.
        self._group_commit.put(self._decide_all(jobs, fetched, trails))

    def _decide_one(self, job: Job, fetched: Fetched, trail: tuple[Event, ...], now_us: int) -> Decided | None:
        # 2. Replay? A key seen before gets its first answer, after that one is durable.
        if self._is_repeat(job, fetched):
            return None
        live = self._accounts.touch(job.account)
        if live is None or job.account in self._parked or (trail and live.state.seq > trail[-1].account_seq):
            self._set_aside(job, fetched)
            return None
        # 3. Decide: state + command + now -> events, or a refusal.
        decision = decide(live.state, job.command, self._book, now_us, trail)
        if not isinstance(decision, Accepted):
            self._refuse(job, decision)
            return None
        # 4. Apply: fold into the live state, which is now ahead of the journal.
        for event in decision.events:
            apply(live.state, event)
        decided = Decided(job, Entry(decision.events, decision.answer, job.key, job.command.request_hash))
        live.tail = self._in_flight[job.key] = decided
        self._keys.remember(job.key)
        return decided

    async def _commit(self, batch: Sequence[Decided]) -> None:
        # 5. Commit: one fenced transaction. Fenced or unknown: the error ends the shard.
        begun = self._clock()
        try:
            positions = await self._journal.append([decided.entry for decided in batch])
        except KeysTaken as taken:
            self._give_back(batch, taken.keys)
            return
        self._lease_ends = begun + LEASE_S
        self.metrics.committed(len(batch), self._clock() - begun)
        # 6. Acknowledge: the callers, then whoever waited for these accounts.
        receipts = list(map(self._acknowledge, batch, positions))
        # 7. Notify: live notices may be lost; readers see the gap and re-read.
        self._notify([_notice(receipt) for receipt in receipts])

    # Step by step ------------------------------------------------------------------------------------------------

    async def _fetch(self, jobs: Sequence[Job]) -> tuple[Fetched, dict[PaymentId, tuple[Event, ...]]]:
        accounts = self._accounts
        cold = dict.fromkeys([j.account for j in jobs if j.account not in accounts and self._owns(j.account)])
        keys = self._keys.worth_asking(jobs)
        payments = {job.command.payment_id for job in jobs if type(job.command) is ReversePayment}
        if not (cold or keys or payments):
            await asyncio.sleep(0)  # Nothing to wait for; but commits and callers must have their turn.
            return _NOTHING, {}
        fetched = await self._journal.fetch(list(cold), keys)
        trails = {payment: await self._journal.trail(payment) for payment in payments}
        self.metrics.fetches += 1
        self.metrics.hydrated += len(cold)
        return fetched, trails

    def _decide_all(
        self, jobs: Sequence[Job], fetched: Fetched, trails: dict[PaymentId, tuple[Event, ...]]
    ) -> list[Decided]:
        now_us = self._journal.now_us()
        for state, snapshot_seq in fetched.accounts.values():
            self._accounts.add(state, snapshot_seq)
        decided = []
        for job in jobs:
            trail = _trail_of(job, trails) if trails else ()
            try:
                one = self._decide_one(job, fetched, trail, now_us)
            except _OUR_BUGS as bug:
                self._park(job, repr(bug))
                continue
            if one is not None:
                decided.append(one)
        for live in self._accounts.shrink():
            self.metrics.evicted += 1
            self._snapshots.note_leaving(live)
        self._keys.shrink()
        return decided

    def _is_repeat(self, job: Job, fetched: Fetched) -> bool:
        """Answer a job whose key is known: now if it is durable, else when the first one is."""
        key = job.key
        if (known := fetched.keys.get(key)) is not None:
            job.answer(_repeat(job, known.request_hash, known.receipt))
            self.metrics.replayed += 1
            self._keys.doubt()
        elif (first := self._in_flight.get(key)) is not None:
            first.repeats.append(job)
        elif key in self._keys:  # It has become durable since the look: look again.
            assert job.looks < _LOOKS_MAX, "what has become durable is found"
            self._inbox.put_back([job])
        else:
            return False
        return True

    def _refuse(self, job: Job, rejected: Rejected) -> None:
        """Tell a refusal; but first make sure that it is not a repeat of what was accepted, under other terms then."""
        if not self._looks_first(job):
            self.metrics.rejected[rejected.reason] += 1
            self._after_tail(job, rejected)

    def _looks_first(self, job: Job) -> bool:
        """Put a job back to have its key looked up, unless it was; tell whether that was necessary."""
        if job.looks:
            return False
        job.must_look = True
        self._inbox.put_back([job])
        return True

    def _set_aside(self, job: Job, fetched: Fetched) -> None:
        """A job that cannot be decided on what was fetched: parked, not ours, unreadable, or overtaken by an event."""
        live = self._accounts.peek(job.account)
        if job.account in self._parked:
            if not self._looks_first(job):
                job.answer(NotDone(self._settings.parked_retry_ms))
        elif not self._owns(job.account):
            job.answer(NotDone())
        elif job.account in fetched.unreadable:
            self._park(job, "its events cannot be folded")
        elif live is not None and live.tail is not None:
            live.tail.repeats.append(job)
        else:
            self._inbox.put_back([job])

    def _after_tail(self, job: Job, outcome: Outcome) -> None:
        """Answer what was seen of an account once all that was seen is durable."""
        live = self._accounts.peek(job.account)
        if live is None or live.tail is None:
            job.answer(outcome)
        else:
            live.tail.told_after.append((job, outcome))

    def _acknowledge(self, decided: Decided, at: codec.Position) -> Receipt:
        entry, job = decided.entry, decided.job
        receipt = codec.receipt(entry.events[entry.answer], at)
        del self._in_flight[entry.key]
        live = self._accounts.peek(job.account)
        if live is not None:
            self._note_durable(live, decided)
        job.answer(Acknowledged(receipt))
        for other, outcome in decided.told_after:
            other.answer(outcome)
        self._inbox.put_back(decided.repeats)
        _tell(decided.readers, True)
        return receipt

    def _give_back(self, batch: Sequence[Decided], taken: Iterable[IdempotencyKey]) -> None:
        """Some keys of a refused append belong to the ledger already: re-read their accounts, commit the others."""
        keys = set(taken)
        accounts = {decided.job.account for decided in batch if decided.entry.key in keys}
        stale = [decided for decided in batch if decided.job.account in accounts]
        self._group_commit.put_back([decided for decided in batch if decided.job.account not in accounts])
        stale += self._group_commit.take_out(lambda decided: decided.job.account in accounts)
        for decided in stale:
            decided.job.must_look = True
            del self._in_flight[decided.entry.key]
            self._keys.forget(decided.entry.key)
        self._keys.doubt()
        for account in accounts:
            self._accounts.drop(account)
        for decided in reversed(stale):
            self._inbox.put_back([decided.job, *decided.repeats, *(job for job, _ in decided.told_after)])
            _tell(decided.readers, False)
        self.metrics.keys_taken += len(keys)

    def _park(self, job: Job, why: str) -> None:
        """Set an account aside that our code cannot handle; its neighbours go on, a person must look."""
        self._parked[job.account] = why
        self.metrics.parked = len(self._parked)
        live = self._accounts.peek(job.account)
        if live is None or live.tail is None:
            self._accounts.drop(job.account)
        job.answer(NotDone(self._settings.parked_retry_ms))

    def _note_durable(self, live: Live[Decided], decided: Decided) -> None:
        if live.tail is decided:
            live.tail = None
        self._snapshots.note_durable(live)

    def _owns(self, account: AccountId) -> bool:
        return slot_of(account) in self.term.slots

    # Reads -------------------------------------------------------------------------------------------------------

    async def read(self, wire: bytes) -> bytes:
        """Answer one query (see `messages`) from durable knowledge only, and only while the lease proves ownership."""
        query = messages.query_decoder.decode(wire)
        answer = await self._answer(query) if self._may_read() else Refusal()
        return messages.encode(answer if self._may_read() else Refusal())

    def _may_read(self) -> bool:
        return self._clock() < self._lease_ends and not self._draining

    async def _answer(self, query: messages.Query) -> messages.Answer:
        epoch = self.term.epoch
        if isinstance(query, ReadAccount):
            view = await self._view(query.account)
            return Refusal() if view is None else AccountAnswer(epoch, view)
        if isinstance(query, ReadHistory):
            return ReceiptsAnswer(
                epoch, tuple(await self._journal.history(query.account, query.after_seq, query.limit))
            )
        if isinstance(query, ReadPayment):
            found = await self._journal.find_payment(query.payment_id)
        else:
            found = await self._journal.find_key((query.source, query.txn_id))
        return ReceiptsAnswer(epoch, () if found is None else (found,))

    async def _view(self, account: AccountId) -> AccountView | None:
        """The account as of now, told once that is durable; None if it cannot be told."""
        if not self._owns(account) or account in self._parked:
            return None
        live = self._accounts.peek(account)
        if live is None:
            fetched = await self._journal.look(account)
            return None if account in fetched.unreadable else view_of(fetched.accounts[account][0])
        view = view_of(live.state)
        if live.tail is None:
            return view
        durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        live.tail.readers.append(durable)
        return view if await durable else None

    # Life --------------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Refuse what is new, finish what was accepted. Returns when every accepted command has its answer."""
        self._draining = True
        # Three queues, once in a shard's life: polling is simpler than three events.
        while self._inbox or self._in_flight or self._group_commit.waiting:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_POLL_S)

    async def _keep_lease(self) -> None:
        """Prove the ownership, and keep the clock by the database's, however busy or idle the shard is."""
        while True:
            await asyncio.sleep(LEASE_S / 5)
            asked_at = self._clock()
            await self._journal.renew_lease()
            self._lease_ends = max(self._lease_ends, asked_at + LEASE_S)

    def _abandon(self) -> None:
        """The term is over: nobody may be left waiting. What was decided may be durable or not."""
        self._draining = True
        for decided in self._in_flight.values():
            _tell(decided.readers, False)
            for job in (decided.job, *decided.repeats, *(job for job, _ in decided.told_after)):
                job.answer(OutcomeUnknown())
        self._in_flight.clear()
        for job in self._inbox.take_all():
            job.answer(NotDone())

    def gauges(self) -> dict[str, float]:
        """Depths and sizes of this moment, by metric name."""
        return {
            "inbox_commands": len(self._inbox),
            "commit_waiting_entries": self._group_commit.waiting,
            "in_flight_entries": len(self._in_flight),
            "accounts_cached": len(self._accounts),
            "snapshots_waiting": len(self._snapshots),
        }


def view_of(state: AccountState) -> AccountView:
    """Make the view of a state that is durable, or that will be when the view is told."""
    items = sorted(state.items.values(), key=lambda item: item.key)
    return AccountView(
        account=state.account,
        status=state.status.name,
        agreement=state.agreement,
        account_seq=state.seq,
        balance_kopecks=state.balance_kopecks(),
        due_kopecks=state.due_kopecks(),
        advance_kopecks=state.advance_kopecks(),
        items=tuple(_item_view(item) for item in items if item.due_kopecks),
    )


def _item_view(item: OpenItem) -> OpenItemView:
    due_on = item.due_on.isoformat() if item.due_on else ""
    return OpenItemView(*item.key, item.due_kopecks, item.accrued_kopecks, due_on, item.document)


def _repeat(job: Job, request_hash: bytes, receipt: Receipt) -> Outcome:
    """The first receipt again for the same request; a conflict for another one under the same key."""
    if compare_digest(request_hash, job.command.request_hash):
        return Acknowledged(receipt, replayed=True)
    return KeyConflict(receipt.payment_id, receipt.recorded_at_us)


def _trail_of(job: Job, trails: dict[PaymentId, tuple[Event, ...]]) -> tuple[Event, ...]:
    """The history that a reversal looks back at; none if that payment is another account's."""
    trail = trails.get(job.command.payment_id, ()) if isinstance(job.command, ReversePayment) else ()
    return trail if trail and trail[0].account == job.account else ()


def _tell(readers: Iterable[asyncio.Future[bool]], durable: bool) -> None:
    for reader in readers:
        if not reader.done():
            reader.set_result(durable)


def _notice(receipt: Receipt) -> Notice:
    return Notice(
        receipt.account,
        receipt.account_seq,
        receipt.kind,
        receipt.amount_kopecks,
        receipt.balance_kopecks,
        receipt.payment_id,
    )
