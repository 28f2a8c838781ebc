"""What every request passes: an id, a clock, the body's deadline, and the last word when something raises."""

import asyncio
import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import Counter, Histogram

from gateways.problems import JSON_HEADERS, Refused, body_of, wants_english

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger("kopeck.gateway")

_REQUESTS = Counter("kopeck_http_requests", "HTTP requests by route, method and status", ["route", "method", "status"])
_SECONDS = Histogram(
    "kopeck_http_request_seconds",
    "Time from headers to reply, by route",
    ["route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
_PROBLEMS = Counter("kopeck_http_problems", "Problems told, by code", ["code"])
_UNREADABLE = Counter("kopeck_http_unreadable", "Bytes that were not HTTP; their connection was closed")
_counted: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
_REQUEST_ID_CHARS_MAX = 64
_PROCESS = secrets.token_hex(4)
_numbers = itertools.count(1)
"""An id of ours is the process and its count: told apart everywhere, at none of the cost of random bytes a request."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST_ID = web.RequestKey("request_id", str)
_SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_BY_STATUS = {
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    408: "body-timeout",
    415: "media-type",
}


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, time it, count it, and turn whatever is raised into a problem."""
    begun = perf_counter()
    request[REQUEST_ID] = _request_id(request)
    try:
        response = await handler(request)
    except Refused as refused:
        response = _problem(request, refused)
    except web.HTTPException as error:
        response = _of_http(request, error)
    except (ConnectionError, asyncio.CancelledError):
        raise
    # The outermost edge: the caller must be told to repeat under the same key whatever the bug.
    except Exception:  # noqa: BLE001
        _log.exception("request_id=%s failed", request[REQUEST_ID])
        response = _problem(request, Refused("internal", "txn_id", retry_after_s=1))
    _count(request, response.status, perf_counter() - begun)
    return response


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what every reply carries (a signal of aiohttp, before the headers are sent)."""
    headers = response.headers
    headers["Request-Id"] = request.get(REQUEST_ID) or _request_id(request)
    trace = request.headers.get("traceparent", "")
    if _TRACEPARENT.fullmatch(trace):
        headers["traceparent"] = trace
    for name, value in _SECURITY_HEADERS.items():
        headers.setdefault(name, value)


def _request_id(request: web.Request) -> str:
    """The caller's id if it is a modest one, else one of ours."""
    given = request.headers.get("Request-Id", "")
    if given and len(given) <= _REQUEST_ID_CHARS_MAX and given.isascii() and given.isprintable() and " " not in given:
        return given
    return f"{_PROCESS}{next(_numbers):08x}"


def _problem(request: web.Request, refused: Refused) -> web.Response:
    _PROBLEMS.labels(refused.problem.code).inc()
    english = wants_english(request.headers.get("Accept-Language", ""))
    body = body_of(refused, english=english, request_id=request[REQUEST_ID])
    headers = JSON_HEADERS | {"Content-Language": "en" if english else "ru"} | refused.headers
    return web.Response(body=body, status=refused.problem.status, headers=headers)


def _of_http(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's own refusals in our form; redirects are left alone."""
    code = _BY_STATUS.get(error.status)
    if code is None:
        if error.status >= 500:
            return _problem(request, Refused("unavailable", retry_after_s=1))
        return error if error.status < 400 else _problem(request, Refused("field-invalid"))
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return _problem(request, Refused(code, headers=headers))


def _count(request: web.Request, status: int, seconds: float) -> None:
    """Count a reply; the labelled metrics are kept, for looking one up costs more than counting."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    method = request.method if request.method in ("GET", "POST", "HEAD") else "other"
    key = (route, method, status)
    found = _counted.get(key)
    if found is None:
        found = _counted[key] = (_REQUESTS.labels(route, method, str(status)).inc, _SECONDS.labels(route).observe)
    found[0]()
    found[1](seconds)


def http_log() -> logging.Logger:
    """The log of aiohttp. What is not HTTP is counted and not logged, and who hangs up within a request is not logged
    either: anybody can do both, without end."""
    log = logging.getLogger("kopeck.http")
    log.setLevel(logging.DEBUG)  # aiohttp tells some garbage at this level only, and it must be counted too.
    if _is_worth_logging not in log.filters:
        log.addFilter(_is_worth_logging)
    return log


def _is_worth_logging(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        _UNREADABLE.inc()
        return False
    if isinstance(error, ConnectionResetError):
        return False
    return record.levelno > logging.DEBUG


def install(app: web.Application) -> None:
    """Put the guard around an application."""
    app.middlewares.append(guard)
    app.on_response_prepare.append(add_headers)
