"""The open model's way in: visits come on their own, and each is handed to a user who has nothing to do."""

from collections import deque

from gevent.event import Event  # type: ignore[import-untyped]


class Lane:
    """Visits of one kind. Nobody queues: a visit that finds every user busy is turned away, and counted."""

    def __init__(self) -> None:
        self.users = 0
        self._idle: deque[Event] = deque()

    def wait_for_visit(self) -> None:
        """Stand idle until a visit comes. A user who is taken away while idle is not handed one."""
        turn = Event()
        self._idle.append(turn)
        try:
            turn.wait()
        finally:
            if not turn.is_set():
                self._idle.remove(turn)

    def bring(self, visits: int) -> int:
        """Hand out visits, to those first who have been idle longest; return how many were turned away."""
        served = min(visits, len(self._idle))
        for _ in range(served):
            self._idle.popleft().set()
        return visits - served
