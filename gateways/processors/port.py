"""The port: what any processor may ask of us, and how it ends, in no protocol's words.

A terminal stands behind every request and has taken the money already. So a fatal result is told only for what can
never have been credited; every trouble and doubt of ours is TEMPORARY, and the agent's repeat under the same number
resolves it. A refusal that rests on a term of the contract, which may have changed since an earlier attempt, is told
only after the ledger has said that this number is not in it.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from msgspec.structs import replace
from prometheus_client import Counter

from actors.client import Router
from actors.messages import AccountView, Payer
from engine.account import Status
from engine.commands import AcceptPayment
from engine.events import EventKind
from engine.ids import AccountId, TxnId
from engine.money import format_roubles
from engine.outcomes import Acknowledged, KeyConflict, Outcome, Receipt, Rejected
from gateways.processors.contract import Contract
from gateways.processors.masking import masked_address, masked_name
from gateways.processors.pace import CheckPace
from gateways.processors.results import OF_REASON, OWN_TEXTS, RefusedError, Result

_MAY_STILL_COME_US = 3600 * 1_000_000
"""How long after its date a payment that we do not know may still be on its way to us."""

_PAGE_RECEIPTS = 200
_ASKED_MAX = 4096
_log = logging.getLogger("kopeck.processors")
_CONFLICTS = Counter(
    "kopeck_processor_conflicts", "Payments whose number was used before for other content", ["connection"]
)

_PACED = Counter(
    "kopeck_processor_checks_paced", "Checks not answered: too many, or too many that found nothing", ["connection"]
)


PayerOf = Callable[[AccountId], Awaitable[Payer | None]]


async def nobody(account: AccountId) -> Payer | None:
    """Of a gateway that keeps no names."""
    return None


class Checked(NamedTuple):
    """An account that may be paid, and what may be shown of it: None is not shown. `balance_kopecks` > 0 is a debt."""

    account: AccountId
    balance_kopecks: int | None
    name: str | None
    address: str | None


def sentence_of(checked: Checked) -> str:
    """Say what a check found, for protocols that show a payer one line of text."""
    parts = ["Лицевой счёт найден", *filter(None, (checked.name, checked.address))]
    if checked.balance_kopecks is not None:
        kind = "аванс" if checked.balance_kopecks < 0 else "к оплате"
        parts.append(f"{kind} {format_roubles(abs(checked.balance_kopecks))}")
    return "; ".join(parts)


class Port:
    """The port of one connection. Every method returns what is durable, or raises `RefusedError`."""

    def __init__(self, router: Router, payer: PayerOf, contract: Contract) -> None:
        self._router = router
        self._payer = payer
        self._contract = contract
        self._name = contract.connection.name
        self._source = contract.connection.source
        self._asked: dict[str, int] = {}
        self._pace = CheckPace(contract.connection.checks_a_minute, contract.connection.missed_checks_a_minute)

    async def check(self, account: AccountId, kopecks: int) -> Checked:
        """Tell whether an account may be paid, and what its payer may see. Changes nothing."""
        against = self._contract.against_check(account, kopecks)
        if against is not None:
            raise RefusedError(against)
        if not self._pace.admit():
            _PACED.labels(self._name).inc()
            raise RefusedError(Result.TEMPORARY)
        view = await self._router.account(account)
        if view is None:
            raise RefusedError(Result.TEMPORARY)
        if view.status == Status.OPEN.name:
            return await self._checked(view)
        if view.status == Status.CLOSED.name:
            raise RefusedError(Result.ACCOUNT_CLOSED)
        self._pace.missed()
        raise RefusedError(Result.ACCOUNT_NOT_FOUND)

    async def _checked(self, view: AccountView) -> Checked:
        """Show what the contract shows, and ask for the person only if it does."""
        shown = self._contract.connection.shown
        payer = await self._payer(view.account) if "name" in shown or "address" in shown else None
        return Checked(
            account=view.account,
            balance_kopecks=view.balance_kopecks if "debt" in shown else None,
            name=masked_name(payer.name) if payer is not None and "name" in shown else None,
            address=masked_address(payer.address, payer.flat) if payer is not None and "address" in shown else None,
        )

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

    async def keep(self, command: AcceptPayment) -> Acknowledged:
        """Take money that cannot be refused any more: no term of the contract stops it, unknown numbers keep it."""
        outcome = await self._router.submit(replace(command, keep_if_unknown=True))
        if isinstance(outcome, Acknowledged):
            return outcome
        raise self._refusal(outcome, command.txn_id)

    async def status(self, txn_id: str, dated_us: int | None = None) -> Receipt:
        """Tell of a payment that stands. Errors: also `RefusedError` CANCELLED, and those of `find`."""
        paid = await self.find(txn_id, dated_us)
        await self.expect_standing(paid)
        return paid

    async def expect_standing(self, paid: Receipt) -> None:
        """Refuse a payment that was taken back in full since. Errors: `RefusedError` CANCELLED or TEMPORARY."""
        if await self._reversed_kopecks(paid) == paid.amount_kopecks:
            raise RefusedError(Result.CANCELLED)

    async def cancel(self, txn_id: str, paid: Receipt, accepted_at_us: int) -> Receipt:
        """Undo a payment in full, under the number of the cancel; return the reversal's receipt."""
        outcome = await self._router.submit(self._contract.reversal(txn_id, paid, accepted_at_us))
        if isinstance(outcome, Acknowledged):
            return outcome.receipt
        raise self._refusal(outcome, txn_id)

    async def find(self, txn_id: str, dated_us: int | None = None) -> Receipt:
        """Find a payment of this agent in the ledger, reversed or not.

        Rule: one that is not there may be on its way; "never heard of it" is told only of one dated long ago or,
        where the protocol names no date, first asked after long ago.
        """
        found = await self._router.key(self._source, TxnId(txn_id))
        if found is None:
            raise RefusedError(Result.TEMPORARY)
        if found and found[0].kind in (EventKind.PAYMENT_RECEIVED, EventKind.UNIDENTIFIED_RECEIVED):
            return found[0]
        now_us = self._contract.now_us()
        if (dated_us or self._first_asked(txn_id, now_us)) < now_us - _MAY_STILL_COME_US:
            raise RefusedError(Result.STATUS_NOT_FOUND)
        raise RefusedError(Result.IN_PROGRESS)

    def _first_asked(self, txn_id: str, now_us: int) -> int:
        """When a payment that we do not know was asked after for the first time; of the newest such payments only."""
        first = self._asked.get(txn_id)
        if first is None:
            if len(self._asked) >= _ASKED_MAX:
                del self._asked[next(iter(self._asked))]
            first = self._asked[txn_id] = now_us
        return first

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
