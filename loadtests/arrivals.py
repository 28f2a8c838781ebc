"""People who come by themselves: a Poisson process. They know nothing of each other, nor how slow the replies are."""

import random


class PoissonArrivals:
    """Tells how many have come. Exact for any rate, also for one that changes: time only stretches the process."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._until_next = chance.expovariate(1.0)

    def come(self, expected: float) -> int:
        """Return how many come while `expected` are to be expected: rate times seconds gone."""
        arrived = 0
        while expected >= self._until_next:
            expected -= self._until_next
            self._until_next = self._chance.expovariate(1.0)
            arrived += 1
        self._until_next -= expected
        return arrived
