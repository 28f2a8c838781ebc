"""The OSMP door (QIWI provider protocol): `check`, `pay`, and by contract `cancel` and `status`.

A terminal stands behind every request and has taken the money already. So a fatal code is told only for what
can never have been credited; every trouble and doubt of ours is TEMPORARY, and the agent's repeat under the
same id resolves it. Business outcomes are HTTP 200. A refusal that rests on a term of the contract, which may
have changed since an earlier attempt, is told only after the ledger has said that this id is not in it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import time_ns
from typing import Protocol

from aiohttp import web
from msgspec.structs import replace
from prometheus_client import Counter

from actors.client import Router
from engine.account import Status
from engine.commands import AcceptPayment
from engine.events import EventKind
from engine.ids import TxnId
from engine.money import format_roubles
from engine.outcomes import Acknowledged, KeyConflict, Outcome, Reason, Receipt, Rejected
from gateways.connections import Connections
from gateways.osmp_access import Desk, Entrance
from gateways.osmp_dialect import REASON_CODES, REASON_COMMENTS, Code
from gateways.osmp_request import Fields, RefusedError, parse_fields, txn_id_of

_XML = {"Content-Type": "text/xml; charset=utf-8"}
_FORM = "application/x-www-form-urlencoded"
_MAY_STILL_COME_US = 3600 * 1_000_000
"""How long after its date a payment that we do not know may still be on its way to us."""

_PAGE_RECEIPTS = 200
_BODY_S_MAX = 10.0

_log = logging.getLogger("kopeck.osmp")

_RESULTS = Counter("kopeck_osmp_results", "OSMP replies by command and result code", ["command", "code"])
_CONFLICTS = Counter(
    "kopeck_osmp_conflicts", "OSMP payments whose id was used before for other content", ["connection"]
)

Command = Callable[[Desk, Fields], Awaitable[bytes]]


class Doors(Protocol):
    """What this door needs of the gateway."""

    @property
    def router(self) -> Router: ...
    @property
    def connections(self) -> Connections: ...


def osmp_routes(doors: Doors) -> list[web.RouteDef]:
    """The routes of this door. HEAD is no way to pay."""
    door = OsmpDoor(doors)
    return [web.get("/osmp", door.handle, allow_head=False), web.post("/osmp", door.handle)]


class OsmpDoor:
    """Answers OSMP requests of all connections."""

    def __init__(self, doors: Doors) -> None:
        self._router = doors.router
        self._entrance = Entrance(doors.connections)
        self._commands: dict[str, Command] = {
            "check": self._check,
            "pay": self._pay,
            "cancel": self._cancel,
            "status": self._status,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request: 401 and 403 by HTTP, everything else in the protocol's own form."""
        desk = self._entrance.admit(request)
        if isinstance(desk, web.Response):
            return desk
        if request.method == "POST":
            text = await _form_of(request)
        else:
            text = request.raw_path.partition("?")[2]
        return web.Response(body=await self._answer(desk, text), headers=_XML)

    async def _answer(self, desk: Desk, text: str) -> bytes:
        fields: Fields = {}
        try:
            fields = parse_fields(text)
            command = self._commands.get(fields.get("command", ""))
            if command is None:
                raise RefusedError(Code.OTHER, "Неизвестная команда")
            return await command(desk, fields)
        except RefusedError as refusal:
            return self._refuse(desk, fields, refusal.code, refusal.comment)
        # The outermost edge: a bug of ours must not make the agent return money that we may have credited.
        except Exception:  # noqa: BLE001
            _log.exception("connection=%s txn_id=%s failed", desk.connection.name, _txn_id_to_tell(fields))
            return self._refuse(desk, fields, Code.TEMPORARY)

    async def _pay(self, desk: Desk, fields: Fields) -> bytes:
        command = desk.reader.payment(fields)
        against = desk.reader.against_terms(command.account, command.amount_kopecks)
        if against is not None:
            return await self._refuse_unless_known(desk, fields, command, against)
        return self._paid(desk, fields, await self._router.submit(command))

    async def _refuse_unless_known(self, desk: Desk, fields: Fields, command: AcceptPayment, against: Code) -> bytes:
        """Send the same key and content with nothing to take: a repeat gets its first answer."""
        outcome = await self._router.submit(replace(command, amount_kopecks=0))
        if isinstance(outcome, Rejected):
            return self._refuse(desk, fields, against)
        return self._paid(desk, fields, outcome)

    def _paid(self, desk: Desk, fields: Fields, outcome: Outcome) -> bytes:
        if isinstance(outcome, Acknowledged):
            _count("pay", Code.OK)
            receipt = outcome.receipt
            return desk.xml.done(fields["txn_id"], receipt.payment_id, receipt.amount_kopecks)
        return self._refuse_outcome(desk, fields, outcome)

    async def _check(self, desk: Desk, fields: Fields) -> bytes:
        """Tell whether the account can be paid. Changes nothing; its transaction id means nothing."""
        txn_id = txn_id_of(fields)
        account = desk.reader.account(fields)
        # Agents that name no amount at the check send nothing, or zero.
        kopecks = desk.reader.amount(fields) if fields.get("sum") else 0
        against = desk.reader.against_terms(account, kopecks or desk.connection.amount_kopecks_min)
        if against is not None:
            raise RefusedError(against)
        view = await self._router.account(account)
        if view is None:
            raise RefusedError(Code.TEMPORARY)
        if view.status != Status.OPEN.name:
            raise RefusedError(Code.ACCOUNT_CLOSED if view.status == Status.CLOSED.name else Code.ACCOUNT_UNKNOWN)
        _count("check", Code.OK)
        shown = [("debt", format_roubles(view.balance_kopecks))] if desk.dialect.show_debt else []
        return desk.xml.checked(txn_id, shown)

    async def _cancel(self, desk: Desk, fields: Fields) -> bytes:
        """Undo a payment in full, if the contract allows it."""
        if not desk.dialect.cancel:
            raise RefusedError(Code.FORBIDDEN, "Отмена не предусмотрена договором")
        txn_id_of(fields)
        paid = await self._payment(desk, fields, "cancel_txn_id", "cancel_txn_date")
        if fields.get("account") and desk.reader.account(fields) != paid.account:
            raise RefusedError(Code.OTHER, "Платёж принят на другой счёт")
        if fields.get("sum") and desk.reader.amount(fields) != paid.amount_kopecks:
            raise RefusedError(Code.OTHER, "Платёж принят на другую сумму")
        outcome = await self._router.submit(desk.reader.reversal(fields, paid.payment_id, paid.account))
        if not isinstance(outcome, Acknowledged):
            return self._refuse_outcome(desk, fields, outcome)
        _count("cancel", Code.OK)
        return desk.xml.done(fields["txn_id"], outcome.receipt.payment_id, -outcome.receipt.amount_kopecks)

    async def _status(self, desk: Desk, fields: Fields) -> bytes:
        """Tell what became of a payment, if the contract allows to ask."""
        if not desk.dialect.status:
            raise RefusedError(Code.FORBIDDEN, "Запрос статуса не предусмотрен договором")
        paid = await self._payment(desk, fields, "txn_id", "txn_date")
        if await self._reversed_kopecks(paid) == paid.amount_kopecks:
            raise RefusedError(Code.OTHER, REASON_COMMENTS[Reason.ALREADY_REVERSED])
        _count("status", Code.OK)
        return desk.xml.done(fields["txn_id"], paid.payment_id, paid.amount_kopecks)

    async def _payment(self, desk: Desk, fields: Fields, id_name: str, date_name: str) -> Receipt:
        """Find a payment of this agent in the ledger.

        Rule: one that is not there may be on its way; "never heard of it" is told only of one dated long ago.
        """
        txn_id = TxnId(txn_id_of(fields, id_name))
        dated_us = desk.reader.instant(fields, date_name) if fields.get(date_name) else None
        found = await self._router.key(desk.connection.source, txn_id)
        if found is None:
            raise RefusedError(Code.TEMPORARY)
        if found and found[0].kind in (EventKind.PAYMENT_RECEIVED, EventKind.UNIDENTIFIED_RECEIVED):
            return found[0]
        if dated_us is not None and dated_us < time_ns() // 1000 - _MAY_STILL_COME_US:
            raise RefusedError(Code.OTHER, "Платёж не найден")
        raise RefusedError(Code.NOT_FINISHED)

    async def _reversed_kopecks(self, paid: Receipt) -> int:
        """Add up what was taken back of a payment; its account's history after it tells."""
        after_seq, kopecks = paid.account_seq, 0
        while True:
            page = await self._router.history(paid.account, after_seq, _PAGE_RECEIPTS)
            if page is None:
                raise RefusedError(Code.TEMPORARY)
            undone = [r for r in page if r.kind is EventKind.PAYMENT_REVERSED and r.ref == paid.account_seq]
            kopecks -= sum(receipt.amount_kopecks for receipt in undone)
            if len(page) < _PAGE_RECEIPTS:
                return kopecks
            after_seq = page[-1].account_seq

    def _refuse_outcome(self, desk: Desk, fields: Fields, outcome: Outcome) -> bytes:
        """Tell an outcome that is not done: the ledger's refusals by the table, all else as temporary."""
        if isinstance(outcome, Rejected):
            comment = REASON_COMMENTS.get(outcome.reason, "")
            return self._refuse(desk, fields, REASON_CODES[outcome.reason], comment)
        if isinstance(outcome, KeyConflict):
            name = desk.connection.name
            _CONFLICTS.labels(name).inc()
            _log.warning("connection=%s txn_id=%s conflict payment_id=%s", name, fields["txn_id"], outcome.payment_id)
            return self._refuse(desk, fields, Code.OTHER, "Номер уже использован для другого платежа")
        return self._refuse(desk, fields, Code.TEMPORARY)

    def _refuse(self, desk: Desk, fields: Fields, code: Code, comment: str = "") -> bytes:
        command = fields.get("command", "")
        _count(command if command in self._commands else "other", code)
        return desk.xml.refused(_txn_id_to_tell(fields), code, comment)


_counted: dict[tuple[str, Code], Callable[[], None]] = {}


def _count(command: str, code: Code) -> None:
    """Count a reply; the labelled counters are kept, for looking one up costs more than counting."""
    count = _counted.get((command, code))
    if count is None:
        count = _counted[command, code] = _RESULTS.labels(command, str(int(code))).inc
    count()


def _txn_id_to_tell(fields: Fields) -> str:
    """The agent's number, if it is one: what is not is not echoed."""
    try:
        return txn_id_of(fields)
    except RefusedError:
        return ""


async def _form_of(request: web.Request) -> str:
    """Read a form body as text; what is not ASCII there is no form and fails as its field's value."""
    if request.content_type != _FORM:
        raise web.HTTPUnsupportedMediaType(text=f"{_FORM} expected\n")
    try:
        async with asyncio.timeout(_BODY_S_MAX):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(headers={"Connection": "close"}) from None
    return body.decode("ascii", "surrogateescape").strip("\r\n")
