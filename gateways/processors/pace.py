"""How fast a connection may check accounts: a bucket of checks, and a smaller one of those that found nothing.

Whoever tries number after number finds nothing most times. When the smaller bucket is empty no check is answered: to
answer those that find something would tell the finder which numbers exist. Each gateway counts for itself.
"""

from collections.abc import Callable
from time import monotonic


class Bucket:
    """So many a minute, in bursts of at most a minute's worth."""

    def __init__(self, a_minute: int, clock: Callable[[], float]) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._left = float(a_minute)
        self._filled_at = clock()

    def has_any(self) -> bool:
        """Tell whether one is left."""
        now = self._clock()
        self._left = min(self._a_minute, self._left + (now - self._filled_at) * self._a_minute / 60)
        self._filled_at = now
        return self._left >= 1

    def take(self) -> None:
        """Take one."""
        self._left -= 1


class CheckPace:
    """One connection's two buckets."""

    def __init__(self, checks_a_minute: int, missed_a_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self._checks = Bucket(checks_a_minute, clock)
        self._missed = Bucket(missed_a_minute, clock)

    def admit(self) -> bool:
        """Count a check; tell whether it may be answered."""
        if not (self._missed.has_any() and self._checks.has_any()):
            return False
        self._checks.take()
        return True

    def missed(self) -> None:
        """Count a check that found nothing."""
        self._missed.take()
