"""Residents in their cabinet: they look at the account, leaf through its ledger, and some stay to watch it live."""

from http import HTTPStatus
from time import perf_counter
from typing import Any

from gevent import Timeout  # type: ignore[import-untyped]
from locust import task
from locust.contrib.fasthttp import ResponseContextManager

from loadtests.visitor import Visitor, refusal

_PAGES_MAX = 3
_PAGE = 50
_WATCHERS_SHARE = 0.05
_WATCH_S = 2.0


class Reader(Visitor):
    """A resident: the account, up to three pages of its ledger; one in twenty stays for its live events."""

    weight = 2

    @task
    def visit(self) -> None:
        """Read an account as its page does."""
        path = f"/v1/accounts/{self.chance.choice(self.installation.accounts)}"
        view = self._read(path, "/v1/accounts/{number}")
        if view is None:
            return
        self._leaf_through(f"{path}/ledger")
        if self.chance.random() < _WATCHERS_SHARE:
            self._watch(f"{path}/events", int(view["account_seq"]))

    def _leaf_through(self, path: str) -> None:
        """Read pages by their cursor; the events of an account are numbered without gaps, across pages too."""
        after, seq_expected = "", 1
        for _ in range(_PAGES_MAX):
            page = self._read(f"{path}?limit={_PAGE}{after}", "/v1/accounts/{number}/ledger", seq_expected)
            if page is None or not page["has_more"]:
                return
            after, seq_expected = f"&after={page['next']}", seq_expected + len(page["items"])

    def _read(self, path: str, name: str, seq_expected: int = 0) -> dict[str, Any] | None:
        """Get one resource; return what it says, or None for anything but a sound 200."""
        with self.client.get(path, name=name, headers=self._headers(), catch_response=True) as response:
            if response.status_code != HTTPStatus.OK:
                response.failure(refusal(response))
                return None
            told: dict[str, Any] = response.json()
            if seq_expected and not _is_gapless(told, seq_expected):
                response.failure("broken promise: a gap in an account's ledger")
                return None
            return told

    def _watch(self, path: str, seq: int) -> None:
        """Ask for live events from the last known one on, and listen for a while.

        Rule: the time reported is that until the first event is here.
        """
        headers = self._headers() | {"Last-Event-ID": str(max(0, seq - 1))}
        begun = perf_counter()
        with self.client.get(
            path, name="/v1/accounts/{number}/events (first)", headers=headers, stream=True, catch_response=True
        ) as response:
            if response.status_code != HTTPStatus.OK:
                response.failure(refusal(response))
                return
            first_s = _listen(response, begun)
            if first_s is None:
                response.failure(f"no event within {_WATCH_S:g} s")
            else:
                response.request_meta["response_time"] = first_s * 1000

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.installation.reader_key}"}


def _is_gapless(page: dict[str, Any], seq_expected: int) -> bool:
    told = [item["account_seq"] for item in page["items"]]
    return told == list(range(seq_expected, seq_expected + len(told)))


def _listen(response: ResponseContextManager, begun: float) -> float | None:
    """Read events until time is up; return when the first came, counted from `begun`, or None without any.

    Locust's own `iter_content` reads byte by byte or waits for a whole kilobyte: its response's lines are read.
    """
    first_s = None
    stream = response._response
    assert stream is not None, "a reply that has a status has a body to read"
    with Timeout(_WATCH_S, False):
        while line := stream.readline(b"\n"):
            if first_s is None and line.startswith(b"data:"):
                first_s = perf_counter() - begun
    stream.release()
    return first_s
