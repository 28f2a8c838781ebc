"""Actors are plain Python: a test here that started Ray would be a mistake, and fails. Postgres is the real one."""

import pytest
import ray


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("these tests need no Ray")

    monkeypatch.setattr(ray, "init", refuse)
