"""What a failure of the fuzz says: its seed, and one command that plays it again."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.fuzz.wire import Broken


@contextmanager
def told_how_to_play_again(name: str, seed: int, count: int) -> Iterator[None]:
    """Put seed and command before what is wrong. Errors: AssertionError."""
    try:
        yield
    except Broken as broken:
        command = f".venv/bin/python -m tests.fuzz {name} --seed {seed} --count {count}"
        raise AssertionError(f"{name}, seed {seed}; again by `{command}`: {broken}") from broken
