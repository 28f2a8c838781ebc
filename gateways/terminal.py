"""The JSON door for payments: bytes -> wire struct -> command. Nothing is decided here."""

import asyncio
from time import time_ns
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from actors.client import Router
from engine.charge import Kind
from engine.commands import AcceptPayment, Earmark, EarmarkLine, ReversePayment, fingerprint
from engine.ids import SEQ_SPAN, PaymentId, Period, ProviderId, ServiceCode, parse_period
from engine.registers import CHANNEL as REGISTER_CHANNEL
from gateways import replies, text_rules, wire
from gateways.connections import Connection, Connections
from gateways.middleware import REQUEST_ID
from gateways.problems import Refused, body_of, wants_english
from gateways.requests import caller, json_body, parse
from gateways.wire import BatchResult, EarmarkRequest, PaymentRequest, ReversalRequest, event_view

if TYPE_CHECKING:
    from gateways.app import Doors

_payment_decoder = msgspec.json.Decoder(PaymentRequest)
_reversal_decoder = msgspec.json.Decoder(ReversalRequest)
_KINDS = {name: Kind(kind) for kind, name in wire.KIND_NAMES.items()}
_BATCH_ROWS_MAX = 10_000
_BATCH_WINDOW = 500
_NDJSON = "application/x-ndjson"


class Terminal:
    """Payments and reversals of all JSON connections."""

    def __init__(self, doors: "Doors") -> None:
        self._router: Router = doors.router
        self._connections: Connections = doors.connections

    async def pay(self, request: web.Request) -> web.Response:
        """`POST /v1/payments`: 201 with the split and the balance after; a repeat 200 with the same body."""
        connection = caller(request, self._connections, "pay")
        command = to_command(await json_body(request, _payment_decoder), connection)
        return replies.created(await self._router.submit(command))

    async def pay_many(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/payments/batch`: NDJSON, a result a row, in order; a bad row harms no other."""
        connection = caller(request, self._connections, "pay")
        if request.content_type != _NDJSON:
            raise Refused("media-type", headers={"Accept": _NDJSON})
        rows = [row for row in (await request.read()).split(b"\n") if row.strip()]
        if len(rows) > _BATCH_ROWS_MAX:
            raise Refused("limit-exceeded", rows_max=_BATCH_ROWS_MAX)
        english = wants_english(request.headers.get("Accept-Language", ""))
        request_id = request[REQUEST_ID]
        results = []
        for first in range(0, len(rows), _BATCH_WINDOW):
            window = rows[first : first + _BATCH_WINDOW]
            results += await asyncio.gather(
                *(
                    self._pay_row(number, row, connection, english, request_id)
                    for number, row in enumerate(window, first + 1)
                )
            )
        body = b"".join(replies.encode(result) + b"\n" for result in results)
        return web.Response(body=body, headers={"Content-Type": _NDJSON})

    async def _pay_row(
        self, number: int, row: bytes, connection: Connection, english: bool, request_id: str
    ) -> BatchResult:
        try:
            outcome = await self._router.submit(to_command(parse(row, _payment_decoder), connection))
            view, replayed = replies.acknowledged(outcome)
        except Refused as refused:
            problem = msgspec.Raw(body_of(refused, english=english, request_id=request_id))
            return BatchResult(row=number, status=refused.problem.status, problem=problem)
        return BatchResult(row=number, status=200 if replayed else 201, replayed=replayed, payment=view)

    async def show(self, request: web.Request) -> web.Response:
        """`GET /v1/payments/{id}`: the receipt again."""
        caller(request, self._connections, "read")
        found = await self._router.payment(_payment_id(request))
        if found is None:
            raise Refused("unavailable", retry_after_s=1)
        if not found:
            raise Refused("payment-unknown", "id")
        return replies.told(event_view(found[0]))

    async def reverse(self, request: web.Request) -> web.Response:
        """`POST /v1/payments/{id}/reversal`: undo all that is left of a payment, or a part."""
        connection = caller(request, self._connections, "reverse")
        asked = await json_body(request, _reversal_decoder)
        payment_id = _payment_id(request)
        found = await self._router.payment(payment_id)
        if found is None:
            raise Refused("unavailable", retry_after_s=1)
        if not found or (found[0].source != connection.source and "operate" not in connection.scopes):
            raise Refused("payment-unknown", "id")
        command = ReversePayment(
            source=connection.source,
            txn_id=text_rules.txn_id(asked.txn_id),
            request_hash=fingerprint("reversal", payment_id, asked.amount_kopecks, asked.reason),
            account=found[0].account,
            accepted_at_us=time_ns() // 1000,
            payment_id=payment_id,
            amount_kopecks=asked.amount_kopecks or 0,
            reason=asked.reason,
        )
        return replies.created(await self._router.submit(command))


def to_command(asked: PaymentRequest, connection: Connection) -> AcceptPayment:
    """Make the command of a request. Every field counts for "the same request": another value is a conflict.

    Errors: `Refused` for text, dates and amounts that the contract does not allow.
    """
    if (
        asked.amount_kopecks > 0
        and not connection.amount_kopecks_min <= asked.amount_kopecks <= connection.amount_kopecks_max
    ):
        raise Refused("amount-outside-contract", "amount_kopecks")
    if asked.channel == REGISTER_CHANNEL:
        raise Refused("field-invalid", "channel", reason="reserved for payments that registers bring")
    account = text_rules.account_number(asked.account)
    accepted_at_us = wire.micros(asked.accepted_at)
    return AcceptPayment(
        source=connection.source,
        txn_id=text_rules.txn_id(asked.txn_id),
        request_hash=fingerprint(
            account,
            asked.amount_kopecks,
            accepted_at_us,
            asked.earmark,
            asked.doc_period,
            asked.channel,
            asked.fee_kopecks,
        ),
        account=account,
        accepted_at_us=accepted_at_us,
        amount_kopecks=asked.amount_kopecks,
        channel=text_rules.label(asked.channel, "channel"),
        doc_period=_period(asked.doc_period),
        earmark=_earmark(asked.earmark),
        fee_kopecks=asked.fee_kopecks,
    )


def _period(text: str | None) -> Period:
    return parse_period(text) if text else Period(0)


def _earmark(asked: EarmarkRequest | None) -> Earmark | None:
    if asked is None:
        return None
    return Earmark(
        period=_period(asked.period),
        service=ServiceCode(asked.service or ""),
        provider=ProviderId(asked.provider or ""),
        document=asked.document or "",
        kind=_KINDS[asked.kind] if asked.kind else None,
        lines=tuple(
            EarmarkLine(
                ServiceCode(line.service), line.amount_kopecks, ProviderId(line.provider or ""), _period(line.period)
            )
            for line in asked.lines
        ),
    )


def _payment_id(request: web.Request) -> PaymentId:
    text = request.match_info["id"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) > SEQ_SPAN):
        raise Refused("payment-unknown", "id")
    return PaymentId(int(text))
