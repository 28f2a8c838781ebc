"""One contract, two journals: in Postgres and in memory. What a shard relies on, promise by promise."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from engine.account import AccountState
from engine.apply import apply
from engine.commands import AcceptPayment, AnyCommand, OpenAccount
from engine.decide import decide
from engine.ids import AccountId, ShardId, SourceId, TxnId, payment_id
from engine.outcomes import Accepted
from storage import codec
from storage.errors import Fenced, KeysTaken, NotDone
from storage.journal import Entry, Journal, PostgresJournal, event_of, position_of, stamp_of
from storage.memory import MemoryJournal, MemoryLedger
from tests.engine.bills import ACCOUNT, NOW_US, book, charges, command_fields

ONE, TWO = ShardId(1), ShardId(2)
BILL = [("HEAT", "P1", 250_000), ("WATER", "P2", 80_000)]


class Installation:
    """Journals over one database; `open` makes one more, as another process would."""

    def __init__(self, make: Callable[[], Journal]) -> None:
        self._make = make
        self._made: list[Journal] = []

    def open(self) -> Journal:
        self._made.append(self._make())
        return self._made[-1]

    async def close(self) -> None:
        for journal in self._made:
            await journal.close()


@pytest.fixture(params=["memory", "postgres"])
def make(request: pytest.FixtureRequest) -> Callable[[], Journal]:
    if request.param == "postgres":
        url = request.getfixturevalue("database")
        return lambda: PostgresJournal(url)
    ledger = MemoryLedger(2)
    return lambda: MemoryJournal(ledger, lambda: NOW_US)


@pytest.fixture
async def installation(make: Callable[[], Journal]) -> AsyncIterator[Installation]:
    made = Installation(make)
    yield made
    await made.close()


class Writer:
    """Decides commands on states of its own and makes entries of them."""

    def __init__(self) -> None:
        self.states: dict[AccountId, AccountState] = {}

    def entry(self, command: AnyCommand) -> Entry:
        state = self.states.setdefault(command.account, AccountState(command.account))
        decision = decide(state, command, book(), NOW_US)
        assert isinstance(decision, Accepted), decision
        for event in decision.events:
            apply(state, event)
        return Entry(decision.events, decision.answer, (command.source, command.txn_id), command.request_hash)

    def opening(self, account: AccountId = ACCOUNT) -> list[Entry]:
        fields = command_fields(f"open-{account}") | {"account": account}
        bill = charges(f"bill-{account}", "2026-08", BILL)
        named = {"account": account, "txn_id": bill.txn_id}
        return [
            self.entry(OpenAccount(**fields, agreement="main")),
            self.entry(charges_for(bill, **named)),
        ]

    def payment(self, number: object, kopecks: int = 1_000, account: AccountId = ACCOUNT) -> Entry:
        return self.entry(AcceptPayment(**(command_fields(number) | {"account": account}), amount_kopecks=kopecks))


def charges_for(bill: AnyCommand, **changes: object) -> AnyCommand:
    """The same bill for another account."""
    import msgspec

    return msgspec.structs.replace(bill, **changes)


async def test_positions_follow_each_other_without_gaps(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    first = await journal.append(writer.opening())
    second = await journal.append([writer.payment(1), writer.payment(2)])
    assert [at.seq for at in first + second] == [1, 2, 3, 4]
    assert (await journal.take_ownership(ONE, "b")).seq == 4


async def test_an_append_of_an_old_epoch_is_refused_and_writes_nothing(installation: Installation) -> None:
    old, new, writer = installation.open(), installation.open(), Writer()
    await old.take_ownership(ONE, "old")
    await old.append(writer.opening())
    term = await new.take_ownership(ONE, "new")
    with pytest.raises(Fenced):
        await old.append([writer.payment(1)])
    with pytest.raises(Fenced):
        await old.renew_lease()
    assert (await new.take_ownership(ONE, "newer")).seq == term.seq == 2
    assert await new.find_key((SourceId("test"), TxnId("1"))) is None


async def test_a_zombie_that_wakes_after_its_successor_wrote_is_refused_too(installation: Installation) -> None:
    old, new, writer = installation.open(), installation.open(), Writer()
    await old.take_ownership(ONE, "old")
    await new.take_ownership(ONE, "new")
    await new.append(writer.opening())
    with pytest.raises(Fenced):
        await old.append([writer.payment(1)])


async def test_an_unknown_shard_cannot_be_owned(installation: Installation) -> None:
    with pytest.raises(NotDone):
        await installation.open().take_ownership(ShardId(77), "a")


async def test_a_key_counts_once_across_shards_and_its_batch_writes_nothing(installation: Installation) -> None:
    one, two, writer = installation.open(), installation.open(), Writer()
    await one.take_ownership(ONE, "a")
    await two.take_ownership(TWO, "b")
    await one.append([*writer.opening(), writer.payment("same")])
    other = AccountId("other")
    batch = [*writer.opening(other), writer.payment("same", 500, other), writer.payment("fresh", 500, other)]
    with pytest.raises(KeysTaken) as refused:
        await two.append(batch)
    assert refused.value.keys == {(SourceId("test"), TxnId("same"))}
    assert (await two.take_ownership(TWO, "b")).seq == 0
    assert await two.find_key((SourceId("test"), TxnId("fresh"))) is None


async def test_after_a_refused_batch_the_rest_can_be_appended(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append([*writer.opening(), writer.payment("same")])
    other = AccountId("other")
    opening = writer.opening(other)
    with pytest.raises(KeysTaken):
        await journal.append([*opening, writer.payment("same", 500, AccountId("other"))])
    positions = await journal.append(opening)
    assert [at.seq for at in positions] == [4, 5]


async def test_a_known_key_gives_the_first_receipt_again(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    entry = writer.payment("p") if writer.opening() else None
    assert entry is not None
    other = Writer()
    positions = await journal.append([*other.opening(), other.payment("p")])
    first = codec.receipt(entry.events[0], positions[-1])
    known = await journal.fetch([], [(SourceId("test"), TxnId("p")), (SourceId("test"), TxnId("never"))])
    assert list(known.keys) == [(SourceId("test"), TxnId("p"))]
    assert known.keys[SourceId("test"), TxnId("p")].receipt == first
    assert known.keys[SourceId("test"), TxnId("p")].request_hash == entry.request_hash
    assert await journal.find_key((SourceId("test"), TxnId("p"))) == first
    assert await journal.find_payment(first.payment_id) == first
    assert await journal.find_payment(payment_id(ONE, 99)) is None


async def test_cold_accounts_are_read_from_snapshot_and_events_after_it(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append(writer.opening())
    await journal.save_snapshots([(ACCOUNT, 2, codec.pack_snapshot(writer.states[ACCOUNT]))])
    await journal.append([writer.payment(1), writer.payment(2)])
    fetched = await journal.fetch([ACCOUNT, AccountId("nobody")], [])
    state, snapshot_seq = fetched.accounts[ACCOUNT]
    assert (state, snapshot_seq) == (writer.states[ACCOUNT], 2)
    assert fetched.accounts[AccountId("nobody")][0] == AccountState(AccountId("nobody"))
    assert (await journal.look(ACCOUNT)).accounts[ACCOUNT][0] == state


async def test_an_older_snapshot_never_replaces_a_newer(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append(writer.opening())
    early = codec.pack_snapshot(writer.states[ACCOUNT])
    await journal.append([writer.payment(1)])
    await journal.save_snapshots([(ACCOUNT, 3, codec.pack_snapshot(writer.states[ACCOUNT]))])
    await journal.save_snapshots([(ACCOUNT, 2, early)])
    assert (await journal.fetch([ACCOUNT], [])).accounts[ACCOUNT][1] == 3


async def test_a_damaged_account_harms_no_other(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append([*writer.opening(), *writer.opening(AccountId("good"))])
    await journal.save_snapshots([(ACCOUNT, 2, b"not a snapshot")])
    fetched = await journal.fetch([ACCOUNT, AccountId("good")], [])
    assert fetched.unreadable == {ACCOUNT}
    assert set(fetched.accounts) == {"good"}


async def test_the_trail_of_a_payment_is_everything_since(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append(writer.opening())
    paid = (await journal.append([writer.payment(1)]))[0]
    await journal.append([writer.payment(2)])
    trail = await journal.trail(payment_id(ONE, paid.seq))
    assert [event.account_seq for event in trail] == [3, 4]
    assert await journal.trail(payment_id(ONE, 1)) == ()
    assert await journal.trail(payment_id(ONE, 99)) == ()


async def test_history_pages_by_the_accounts_own_numbers(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append([*writer.opening(), *(writer.payment(number) for number in range(5))])
    page = await journal.history(ACCOUNT, 2, 3)
    assert [receipt.account_seq for receipt in page] == [3, 4, 5]
    assert [r.account_seq for r in await journal.history(ACCOUNT, 5, 100)] == [6, 7]


async def test_the_clock_of_the_ledger_never_goes_back(installation: Installation) -> None:
    journal, writer = installation.open(), Writer()
    await journal.take_ownership(ONE, "a")
    first = await journal.append(writer.opening())
    second = await journal.append([writer.payment(1)])
    assert first[0].recorded_at_us <= second[0].recorded_at_us <= journal.now_us()


async def _rows(url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch("SELECT * FROM events ORDER BY shard, seq"))
    finally:
        await connection.close()


async def test_the_hash_chain_is_computed_again_from_the_rows(database: str) -> None:
    journal, writer = PostgresJournal(database), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append([*writer.opening(), writer.payment(1)])
    await journal.append([writer.payment(2), writer.payment("длинный №")])
    head = codec.GENESIS_HASH
    for row in await _rows(database):
        _, head = codec.pack_event(event_of(row), position_of(row), stamp_of(row), head)
        assert head == row["hash"]
    await journal.close()


@pytest.mark.parametrize("table", ["events", "idempotency_keys"])
@pytest.mark.parametrize("change", ["UPDATE {} SET source = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_database_itself_refuses_to_edit_history(database: str, table: str, change: str) -> None:
    journal, writer = PostgresJournal(database), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append(writer.opening())
    connection = await asyncpg.connect(database)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="history is never edited"):
        await connection.execute(change.format(table))
    partition = await connection.fetchval("SELECT tableoid::regclass::text FROM events LIMIT 1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(change.format(partition if table == "events" else table))
    await connection.close()
    await journal.close()


async def test_an_append_leaves_one_outbox_row_in_its_transaction(database: str) -> None:
    journal, writer = PostgresJournal(database), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append(writer.opening())
    await journal.append([writer.payment(1)])
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT first_seq, last_seq FROM outbox ORDER BY first_seq")
    assert [tuple(row) for row in rows] == [(1, 2), (3, 3)]
    await connection.close()
    await journal.close()


async def test_two_owners_at_once_leave_one(database: str) -> None:
    journals = [PostgresJournal(database) for _ in range(4)]
    terms = await asyncio.gather(*(journal.take_ownership(ONE, "x") for journal in journals))
    assert sorted(term.epoch for term in terms) == [1, 2, 3, 4]
    results = await asyncio.gather(*(j.append(Writer().opening()) for j in journals), return_exceptions=True)
    assert sum(isinstance(result, list) for result in results) == 1
    assert sum(isinstance(result, Fenced) for result in results) == 3
    for journal in journals:
        await journal.close()


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("INSERT INTO events SELECT * FROM next_rows", "appended to the partition"),
        ("UPDATE next_rows SET seq = seq + 1; INSERT INTO {} SELECT * FROM next_rows", "may not append from 6"),
        ("UPDATE next_rows SET epoch = 0; INSERT INTO {} SELECT * FROM next_rows", "epoch 0 of shard 1"),
        ("UPDATE next_rows SET shard = seq - 4; INSERT INTO {} SELECT * FROM next_rows", "may not append"),
        ("UPDATE next_rows SET txn_id = '1' WHERE seq = 6; INSERT INTO {} SELECT * FROM next_rows", "duplicate key"),
    ],
)
async def test_the_database_itself_refuses_events_from_nowhere(database: str, change: str, refusal: str) -> None:
    journal, writer = PostgresJournal(database), Writer()
    await journal.take_ownership(ONE, "a")
    await journal.append([*writer.opening(), writer.payment(1), writer.payment(2)])
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TEMP TABLE next_rows AS SELECT * FROM events WHERE seq > 2")
    await connection.execute(
        "UPDATE next_rows SET seq = seq + 2, account_seq = account_seq + 2, txn_id = txn_id || 'x'"
    )
    partition = await connection.fetchval("SELECT tableoid::regclass::text FROM events LIMIT 1")
    with pytest.raises(asyncpg.PostgresError, match=refusal):
        await connection.execute(change.format(partition))
    assert len(await _rows(database)) == 4
    await connection.close()
    await journal.close()


async def test_two_shards_with_the_same_keys_in_another_order_do_not_block_each_other(database: str) -> None:
    journals = [PostgresJournal(database) for _ in range(2)]
    await asyncio.gather(*(j.take_ownership(s, "x") for j, s in zip(journals, (ONE, TWO), strict=True)))
    other, numbers = AccountId("other"), range(300)
    mine, theirs = Writer(), Writer()
    one = [*mine.opening(), *(mine.payment(number) for number in numbers)]
    two = [*theirs.opening(other), *(theirs.payment(number, 1_000, other) for number in reversed(numbers))]
    results = await asyncio.gather(journals[0].append(one), journals[1].append(two), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["KeysTaken", "list"]
    for journal in journals:
        await journal.close()
