"""What every test runs under."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import database, empty_database, home, postgres, prepared, valkey

__all__ = ["database", "empty_database", "home", "postgres", "prepared", "valkey"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` writes the golden files anew; their difference is reviewed as code."""
    parser.addoption("--update-golden", action="store_true", default=False)


# In CI the examples are the same every time: a red run is then about the change, not about luck. Locally they
# vary, which is how new ones are found. No deadline: a shared machine may stall for a second.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")
