"""An event loop whose time is virtual: a sleep costs nothing, and the order of everything follows from the code."""

import asyncio
import selectors


class _NothingToRead(selectors.SelectSelector):
    """A selector that never looks at a file: to wait for one means that time may jump to the next timer."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the simulation hangs: nothing is ready and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio with a clock of its own."""

    def __init__(self) -> None:
        self._virtual = _NothingToRead()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now
