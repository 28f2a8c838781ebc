"""The port: what any processor may ask of us, and how it ends, in no protocol's words.

A terminal stands behind every request and has taken the money already. So a fatal result is told only for what can
never have been credited; every trouble and doubt of ours is TEMPORARY, and the agent's repeat under the same number
resolves it. A refusal that rests on a term of the contract, which may have changed since an earlier attempt, is told
only after the ledger has said that this number is not in it.
"""

import logging
from time import time_ns

from msgspec.structs import replace
from prometheus_client import Counter

from actors.client import Router
from actors.messages import AccountView
from engine.account import Status
from engine.commands import AcceptPayment
from engine.events import EventKind
from engine.ids import AccountId, TxnId
from engine.outcomes import Acknowledged, KeyConflict, Outcome, Receipt, Rejected
from gateways.processors.contract import Contract
from gateways.processors.results import OF_REASON, OWN_TEXTS, RefusedError, Result

_MAY_STILL_COME_US = 3600 * 1_000_000
"""How long after its date a payment that we do not know may still be on its way to us."""

_PAGE_RECEIPTS = 200
_log = logging.getLogger("kopeck.processors")
_CONFLICTS = Counter(
    "kopeck_processor_conflicts", "Payments whose number was used before for other content", ["connection"]
)


class Port:
    """The port of one connection. Every method returns what is durable, or raises `RefusedError`."""

    def __init__(self, router: Router, contract: Contract) -> None:
        self._router = router
        self._contract = contract
        self._name = contract.connection.name
        self._source = contract.connection.source

    async def check(self, account: AccountId, kopecks: int) -> AccountView:
        """Tell what may be paid to an account. Changes nothing."""
        against = self._contract.against_check(account, kopecks)
        if against is not None:
            raise RefusedError(against)
        view = await self._router.account(account)
        if view is None:
            raise RefusedError(Result.TEMPORARY)
        if view.status == Status.OPEN.name:
            return view
        is_closed = view.status == Status.CLOSED.name
        raise RefusedError(Result.ACCOUNT_CLOSED if is_closed else Result.ACCOUNT_NOT_FOUND)

    async def pay(self, command: AcceptPayment) -> Acknowledged:
        """Take a payment.

        Rule: one against the terms is sent with the same key and content and nothing to take: a repeat of one
        that was taken gets its first answer.
        """
        against = self._contract.against(command.account, command.amount_kopecks)
        outcome = await self._router.submit(command if against is None else replace(command, amount_kopecks=0))
        if isinstance(outcome, Acknowledged):
            return outcome
        if against is not None and isinstance(outcome, Rejected):
            raise RefusedError(against)
        raise self._refusal(outcome, command.txn_id)

    async def status(self, txn_id: str, dated_us: int | None = None) -> Receipt:
        """Tell of a payment that stands. Errors: also `RefusedError` CANCELLED, and those of `find`."""
        paid = await self.find(txn_id, dated_us)
        if await self._reversed_kopecks(paid) == paid.amount_kopecks:
            raise RefusedError(Result.CANCELLED)
        return paid

    async def cancel(self, txn_id: str, paid: Receipt, accepted_at_us: int) -> Receipt:
        """Undo a payment in full, under the number of the cancel; return the reversal's receipt."""
        outcome = await self._router.submit(self._contract.reversal(txn_id, paid, accepted_at_us))
        if isinstance(outcome, Acknowledged):
            return outcome.receipt
        raise self._refusal(outcome, txn_id)

    async def find(self, txn_id: str, dated_us: int | None = None) -> Receipt:
        """Find a payment of this agent in the ledger, reversed or not.

        Rule: one that is not there may be on its way; "never heard of it" is told only of one dated long ago.
        """
        found = await self._router.key(self._source, TxnId(txn_id))
        if found is None:
            raise RefusedError(Result.TEMPORARY)
        if found and found[0].kind in (EventKind.PAYMENT_RECEIVED, EventKind.UNIDENTIFIED_RECEIVED):
            return found[0]
        if dated_us is not None and dated_us < time_ns() // 1000 - _MAY_STILL_COME_US:
            raise RefusedError(Result.STATUS_NOT_FOUND)
        raise RefusedError(Result.IN_PROGRESS)

    async def _reversed_kopecks(self, paid: Receipt) -> int:
        """Add up what was taken back of a payment; its account's history after it tells."""
        after_seq, kopecks = paid.account_seq, 0
        while True:
            page = await self._router.history(paid.account, after_seq, _PAGE_RECEIPTS)
            if page is None:
                raise RefusedError(Result.TEMPORARY)
            undone = [r for r in page if r.kind is EventKind.PAYMENT_REVERSED and r.ref == paid.account_seq]
            kopecks -= sum(receipt.amount_kopecks for receipt in undone)
            if len(page) < _PAGE_RECEIPTS:
                return kopecks
            after_seq = page[-1].account_seq

    def _refusal(self, outcome: Outcome, txn_id: str) -> RefusedError:
        """Tell an outcome that is not done: the ledger's refusals by the table, all else as temporary."""
        if isinstance(outcome, Rejected):
            return RefusedError(OF_REASON[outcome.reason], OWN_TEXTS.get(outcome.reason, ""))
        if isinstance(outcome, KeyConflict):
            _CONFLICTS.labels(self._name).inc()
            _log.warning("connection=%s txn_id=%s conflict payment_id=%s", self._name, txn_id, outcome.payment_id)
            return RefusedError(Result.CONFLICT)
        return RefusedError(Result.TEMPORARY)
