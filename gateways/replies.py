"""Outcomes become HTTP in one table."""

import msgspec
from aiohttp import web

from engine.outcomes import Acknowledged, KeyConflict, NotDone, Outcome, OutcomeUnknown, Rejected
from gateways.problems import OF_REASON, Refused
from gateways.wire import EventView, event_view, utc

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_REPLAYED = _JSON | {"Idempotent-Replayed": "true"}
_PARAMS = {
    "amount-not-positive": "amount_kopecks",
    "amount-too-large": "amount_kopecks",
    "accepted-at-in-future": "accepted_at",
    "accepted-at-too-old": "accepted_at",
    "earmark-invalid": "earmark",
    "earmark-not-allowed": "earmark",
    "earmark-unknown": "earmark",
    "account-unknown": "account",
    "account-closed": "account",
    "reversal-too-large": "amount_kopecks",
}
encode = msgspec.json.Encoder().encode


def acknowledged(outcome: Outcome) -> tuple[EventView, bool]:
    """Return the view of an acknowledged command and whether it was a repeat.

    Errors: `Refused` for every other outcome.
    """
    if isinstance(outcome, Acknowledged):
        return event_view(outcome.receipt), outcome.replayed
    raise refusal_of(outcome)


def refusal_of(outcome: Outcome) -> Refused:
    """The problem that tells an outcome that is not `Acknowledged`."""
    if isinstance(outcome, Rejected):
        code = OF_REASON[outcome.reason].code
        return Refused(code, _PARAMS.get(code))
    if isinstance(outcome, KeyConflict):
        first = {"payment_id": str(outcome.payment_id), "recorded_at": utc(outcome.recorded_at_us)}
        return Refused("key-conflict", "txn_id", first=first)
    if isinstance(outcome, NotDone):
        return Refused("busy", retry_after_s=_seconds(outcome.retry_after_ms))
    assert isinstance(outcome, OutcomeUnknown), "every outcome has its reply"
    return Refused("outcome-unknown", "txn_id", retry_after_s=_seconds(outcome.retry_after_ms))


def _seconds(ms: int) -> int:
    return max(1, (ms + 999) // 1000)


def created(outcome: Outcome) -> web.Response:
    """Reply to a command: 201 with its receipt; 200 and the same body when it was a repeat."""
    view, replayed = acknowledged(outcome)
    return web.Response(body=encode(view), status=200 if replayed else 201, headers=_REPLAYED if replayed else _JSON)


def told(value: object) -> web.Response:
    """Reply 200 with a value as JSON."""
    return web.Response(body=encode(value), headers=_JSON)
