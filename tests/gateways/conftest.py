"""The servers of the storage tests, for doors that read Postgres themselves."""

from tests.storage.conftest import database, empty_database, home, postgres

__all__ = ["database", "empty_database", "home", "postgres"]
