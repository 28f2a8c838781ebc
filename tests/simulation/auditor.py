"""The auditor: an independent judge with a tiny ledger of its own. It never calls `apply`, `decide` or the shard.

It looks at the database of the simulated installation and at every answer that any client got, and checks the
promises one by one.
"""

from collections import defaultdict
from collections.abc import Sequence

from engine.charge import Kind
from engine.commands import AcceptPayment
from engine.events import Event, EventKind
from engine.ids import SourceId, TxnId
from engine.outcomes import Acknowledged, Rejected
from storage.memory import MemoryLedger
from tests.simulation.clients import Answer, Shown

_ADD = (EventKind.CHARGE_POSTED, EventKind.CHARGE_ADJUSTED, EventKind.PENALTY_ACCRUED)
_INSIDE = (EventKind.CORRECTION_NETTED, EventKind.BALANCE_TRANSFERRED)


class Broken(AssertionError):
    """A promise that was not kept."""


def judge(ledger: MemoryLedger, answers: list[Answer], shown: list[Shown]) -> None:
    """Check every promise. Errors: `Broken`, with what, where."""
    balances = _check_accounts(ledger)
    _check_sequences(ledger)
    _check_answers(ledger, answers)
    _check_readers(balances, shown)


def _require(true: bool, what: str) -> None:
    if not true:
        raise Broken(what)


def _check_sequences(ledger: MemoryLedger) -> None:
    """Promise 5 and the positions: each shard's rows are 1..n, the outbox covers each once, keys and rows agree."""
    for shard, end in ledger.ends.items():
        seqs = sorted(seq for of, seq in ledger.rows if of == shard)
        _require(seqs == list(range(1, end + 1)), f"shard {shard} has holes in its sequence")
        covered = [seq for of, first, last in ledger.outbox if of == shard for seq in range(first, last + 1)]
        _require(sorted(covered) == seqs, f"shard {shard}: the outbox misses or doubles rows")
    keyed = [(event.source, event.txn_id) for event, at, _ in ledger.rows.values()]
    _require(set(keyed) == set(ledger.keys), "keys and rows do not belong together")


def _check_accounts(ledger: MemoryLedger) -> dict[str, list[int]]:
    """Promise 3: each account's events are 1..n, add up, and leave the balance that they tell."""
    balances: dict[str, list[int]] = {}
    for account, rows in ledger.by_account.items():
        _require([e.account_seq for e, _ in rows] == list(range(1, len(rows) + 1)), f"{account}: its events have holes")
        debts: dict[object, int] = defaultdict(int)
        kept, told = 0, [0]
        for event, _ in rows:
            kept += _fold(event, debts)
            _require(all(v >= 0 for v in debts.values()) or _may_be_negative(rows), f"{account}: overpaid item")
            _require(kept >= 0, f"{account}: advance below zero")
            balance = sum(debts.values()) - kept
            _require(
                balance == event.balance_kopecks,
                f"{account}/{event.account_seq}: told {event.balance_kopecks}, is {balance}",
            )
            told.append(balance)
        balances[account] = told
    return balances


def _may_be_negative(rows: Sequence[tuple[Event, object]]) -> bool:
    """Only corrections in the payer's favour make an item negative."""
    return any(amount < 0 for event, _ in rows if event.kind in _ADD for amount in event.amounts)


def _fold(event: Event, debts: dict[object, int]) -> int:
    """Add an event to the debts; return what it adds to the advances."""
    kept = placed = 0
    sign = 1 if event.kind in _ADD or event.kind in _INSIDE else -1
    for key, amount in zip(event.keys, event.amounts, strict=True):
        if key.kind is Kind.FEE:
            continue
        placed += amount
        if key.kind is Kind.ADVANCE:
            kept += amount
        else:
            debts[key] += sign * amount
    if event.kind not in (EventKind.ADVANCE_APPLIED, *_INSIDE, EventKind.UNIDENTIFIED_RECEIVED):
        _require(placed == event.amount_kopecks, f"{event.account}/{event.account_seq}: lines make {placed}")
    return kept


def _check_answers(ledger: MemoryLedger, answers: list[Answer]) -> None:
    """Promises 1, 2 and 7: acknowledged is there, once, as told; refused by all is absent; one content a key."""
    receipts: dict[object, set[object]] = defaultdict(set)
    kinds: dict[tuple[SourceId, TxnId, bytes], set[type]] = defaultdict(set)
    for command, outcome in answers:
        content = (command.source, command.txn_id, command.request_hash)
        kinds[content].add(type(outcome))
        if isinstance(outcome, Acknowledged):
            known = ledger.keys.get((command.source, command.txn_id))
            _require(known is not None, f"{command.txn_id}: acknowledged, but not in the ledger")
            assert known is not None
            _require(known.request_hash == command.request_hash, f"{command.txn_id}: another content was acknowledged")
            _require(known.receipt == outcome.receipt, f"{command.txn_id}: told another receipt than the ledger's")
            receipts[command.source, command.txn_id].add(outcome.receipt.payment_id)
            if isinstance(command, AcceptPayment):
                _require(outcome.receipt.amount_kopecks == command.amount_kopecks, f"{command.txn_id}: another amount")
    for key, numbers in receipts.items():
        _require(len(numbers) == 1, f"{key}: several receipts {numbers}")
    for (source, txn, content_hash), told in kinds.items():
        known = ledger.keys.get((source, txn))
        if told == {Rejected} and known is not None:
            _require(known.request_hash != content_hash, f"{txn}: refused, but in the ledger")
    once: dict[object, int] = defaultdict(int)
    for event, _, _ in ledger.rows.values():
        if event.kind is EventKind.PAYMENT_RECEIVED:
            once[event.source, event.txn_id] += 1
    _require(all(count == 1 for count in once.values()), "a payment counts twice")


def _check_readers(balances: dict[str, list[int]], shown: list[Shown]) -> None:
    """A reader is shown a prefix of the history, and never goes back."""
    last: dict[tuple[int, str], int] = {}
    for view in shown:
        history = balances.get(view.account, [0])
        _require(
            view.account_seq < len(history), f"{view.account}: shown {view.account_seq}, which never became durable"
        )
        _require(history[view.account_seq] == view.balance_kopecks, f"{view.account}: shown a balance it never had")
        before = last.get((view.reader, view.account), 0)
        _require(view.account_seq >= before, f"{view.account}: reader {view.reader} saw time go back")
        last[view.reader, view.account] = view.account_seq
