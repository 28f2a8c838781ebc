"""Errors of storage: what happened to the data, never what the driver called it."""

from engine.ids import IdempotencyKey


class StorageError(Exception):
    """The database did not do what was asked."""


class NotDone(StorageError):
    """Nothing happened; retry freely."""


class OutcomeUnknown(StorageError):
    """It may have happened; only reading back, or a retry under the same key, can tell."""


class Fenced(StorageError):
    """The shard has a newer term elsewhere; nothing was written, and the asker must end."""


class KeysTaken(StorageError):
    """Some idempotency keys are in the ledger already; nothing was written.

    `keys` are all keys of the refused batch that the ledger has.
    """

    def __init__(self, keys: frozenset[IdempotencyKey]) -> None:
        super().__init__(f"{len(keys)} keys are taken")
        self.keys = keys


class ChangedMeanwhile(StorageError):
    """Somebody else changed it since it was read; nothing was written. Read it again, then decide again."""


class SchemaTooNew(StorageError):
    """The database was migrated by a newer program; this one must not touch it."""


class MigrationChanged(StorageError):
    """A migration that was applied has another text now; history is never edited."""


class ServerFailed(StorageError):
    """An embedded server cannot be started or stopped; the text says what to do."""
