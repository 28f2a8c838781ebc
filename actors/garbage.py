"""The garbage collector of our long-lived processes: what they start with is never looked at again."""

import gc

_THRESHOLDS = (200_000, 20, 50)
"""At the usual thresholds collections take a quarter of a shard's time and find next to nothing."""


def collect_seldom() -> None:
    """Set the collector for a process that makes many records and few cycles; call it when everything is imported."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
