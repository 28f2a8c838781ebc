"""What a shard counts: plain integers, raised once per batch, read by `metrics.py` when somebody asks."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from engine.outcomes import Reason

COMMIT_SECONDS_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
BATCH_ENTRIES_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Histogram:
    """Counts by upper bound, with sum; the last count is for what exceeds every bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class ShardMetrics:
    """Counters of one shard since its start."""

    def __init__(self) -> None:
        self.entries_committed = 0
        self.batches_committed = 0
        self.replayed = 0
        self.busy = 0
        self.fetches = 0
        self.hydrated = 0
        self.evicted = 0
        self.snapshots = 0
        self.keys_taken = 0
        self.parked = 0
        self.rejected: Counter[Reason] = Counter()
        self.commit_seconds = Histogram(COMMIT_SECONDS_BOUNDS)
        self.batch_entries = Histogram(BATCH_ENTRIES_BOUNDS)

    def committed(self, entries: int, seconds: float) -> None:
        """Count one durable batch."""
        self.entries_committed += entries
        self.batches_committed += 1
        self.commit_seconds.observe(seconds)
        self.batch_entries.observe(entries)
