"""The JSON door for readers: an account's balance, its ledger page by page, its live events."""

from typing import TYPE_CHECKING, Literal

from aiohttp import web

from actors.messages import AccountView
from engine.account import Status
from engine.ids import Period, period_text
from gateways import live, replies, text_rules, wire
from gateways.paging import cursor_of, limit_of, number_after
from gateways.problems import Refused
from gateways.requests import caller
from gateways.wire import AccountReply, LedgerPage, OpenItemReply, event_view

if TYPE_CHECKING:
    from gateways.app import Doors


class Accounts:
    """Reads of accounts. Every answer is durable: nothing in it can still be lost."""

    def __init__(self, doors: "Doors") -> None:
        self._router = doors.router
        self._connections = doors.connections

    async def show(self, request: web.Request) -> web.Response:
        """`GET /v1/accounts/{number}`: balance and open items."""
        caller(request, self._connections, "read")
        return replies.told(reply_of(await self._view(request)))

    async def ledger(self, request: web.Request) -> web.Response:
        """`GET /v1/accounts/{number}/ledger?limit=&after=`: every event, oldest first, by opaque cursor."""
        caller(request, self._connections, "read")
        view = await self._view(request)
        limit, after_seq = limit_of(request), number_after(request, view.account)
        receipts = await self._router.history(view.account, after_seq, limit + 1)
        if receipts is None:
            raise Refused("unavailable", retry_after_s=1)
        has_more = len(receipts) > limit
        items = [event_view(receipt) for receipt in receipts[:limit]]
        after = cursor_of(view.account, items[-1].account_seq) if has_more else None
        return replies.told(LedgerPage(items=items, has_more=has_more, next=after))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/accounts/{number}/events`: each commit as it happens (SSE), resumable by `Last-Event-ID`."""
        caller(request, self._connections, "read")
        text_rules.account_number(request.match_info["number"], "number")
        return await live.events(request)

    async def _view(self, request: web.Request) -> AccountView:
        view = await self._router.account(text_rules.account_number(request.match_info["number"], "number"))
        if view is None:
            raise Refused("unavailable", retry_after_s=1)
        if view.status == Status.UNKNOWN.name:
            raise Refused("account-unknown", "number")
        return view


def reply_of(view: AccountView) -> AccountReply:
    """Tell an account's view."""
    status: Literal["open", "closed"] = "open" if view.status == Status.OPEN.name else "closed"
    return AccountReply(
        account=view.account,
        status=status,
        account_seq=view.account_seq,
        balance_kopecks=view.balance_kopecks,
        due_kopecks=view.due_kopecks,
        advance_kopecks=view.advance_kopecks,
        open_items=[
            OpenItemReply(
                service=item.service,
                provider=item.provider,
                period=period_text(Period(item.period)),
                kind=wire.KIND_NAMES[item.kind],
                due_kopecks=item.due_kopecks,
                accrued_kopecks=item.accrued_kopecks,
                due_on=item.due_on or None,
                document=item.document,
            )
            for item in view.items
        ],
    )
