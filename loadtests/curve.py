"""How many people pay at which hour: a day's curve, and the two days of a month when everybody does.

The figures are our estimate, made to be replaced: an installation has its own in `/metrics`. Level 1 is the
busiest moment of a month; everything else is told as a share of it.
"""

from dataclasses import dataclass

HOURLY_PER_MILLE = (
    *(6, 3, 2, 2, 4, 8),
    *(18, 34, 52, 66, 76, 78),
    *(76, 70, 64, 60, 60, 66),
    *(74, 70, 52, 34, 17, 8),
)
"""Payments of each hour, in thousandths of the day's: a quiet night, a height before noon, a lower one after work."""

_HOURS = len(HOURLY_PER_MILLE)
_BUSIEST_PER_MILLE = max(HOURLY_PER_MILLE)


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the month. `peak_level` is the level of its busiest hour."""

    name: str
    peak_level: float


DAYS = (
    Day("an ordinary day", 0.35),
    Day("the 15th, the last day to pay without a penalty", 1.0),
    Day("the 25th, the second wages of the month", 0.7),
)
"""The days of one run, in this order, of equal length."""


def hour_level(hour: float) -> float:
    """Return the level of a moment of the day, the busiest hour being 1.

    Rule: straight lines between the middles of the hours, midnight included. Units: `hour` from 0 to 24.
    """
    since_middle = (hour - 0.5) % _HOURS
    before = int(since_middle)
    after = (before + 1) % _HOURS
    share = since_middle - before
    per_mille = HOURLY_PER_MILLE[before] * (1 - share) + HOURLY_PER_MILLE[after] * share
    return per_mille / _BUSIEST_PER_MILLE


def day_at(progress: float) -> Day:
    """Return the day that is played when this share of the run is over, from 0 to 1."""
    return DAYS[min(int(progress * len(DAYS)), len(DAYS) - 1)]


def level_at(progress: float) -> float:
    """Return the level when this share of the run is over: the days one after the other, time compressed."""
    hour = progress * len(DAYS) % 1 * _HOURS
    return day_at(progress).peak_level * hour_level(hour)


def users_at(progress: float, users_max: int) -> int:
    """Return how many users are there at that moment, at least one."""
    return max(1, round(users_max * level_at(progress)))
