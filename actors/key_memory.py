"""Which keys are worth a look into the ledger before a command is decided.

Nearly every key is new, and the database refuses a used one at the commit whatever we believe (`KeysTaken`). So a key
is looked up only where there is a reason to doubt it: this term has used it, the command is about to be refused (a
repeat must hear its first answer instead), or some key has just turned out to be taken. Then every key is looked up for
a while: repeats come in swarms, after a restart of ours or when a sender sends a whole day again. A doubt that was not
raised costs one refused append, never a second payment.
"""

from collections.abc import Sequence
from itertools import islice

from actors.cache import SPARE
from actors.inbox import Job
from engine.ids import IdempotencyKey


class KeyMemory:
    """The keys that this term has used lately, and whether all keys are doubted now.

    Shape: at most `keys_max` keys are remembered; a doubt lasts for `doubted_max` commands, and a term begins with one.
    """

    def __init__(self, *, keys_max: int, doubted_max: int) -> None:
        self._keys_max = keys_max
        self._doubted_max = doubted_max
        self._keys: dict[IdempotencyKey, None] = {}
        self._doubted_left = doubted_max

    def __contains__(self, key: IdempotencyKey) -> bool:
        return key in self._keys

    def worth_asking(self, jobs: Sequence[Job]) -> list[IdempotencyKey]:
        """Return the keys of these jobs that must be looked up; their jobs know that they were."""
        all_doubted = self._doubted_left > 0
        self._doubted_left = max(0, self._doubted_left - len(jobs))
        known = self._keys
        asked = [job for job in jobs if all_doubted or job.must_look or job.key in known]
        for job in asked:
            job.looks += 1
        return [job.key for job in asked]

    def doubt(self) -> None:
        """A key was taken: look all of them up for a while."""
        self._doubted_left = self._doubted_max

    def remember(self, key: IdempotencyKey) -> None:
        """A command of this key was decided and is on its way to the journal."""
        self._keys[key] = None

    def forget(self, key: IdempotencyKey) -> None:
        """The decision was dropped: the key is as good as new."""
        self._keys.pop(key, None)

    def shrink(self) -> None:
        """Forget the oldest keys beyond the bound."""
        excess = len(self._keys) - self._keys_max
        if excess > 0:
            for key in list(islice(self._keys, excess + self._keys_max // SPARE)):
                del self._keys[key]
