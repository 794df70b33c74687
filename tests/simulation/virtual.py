"""An event loop whose time is an argument: nothing is waited for, the clock jumps to whatever is due next.

It is asyncio's own loop, with its own queues and its own tasks; only the call that would wait for a socket moves the
time instead. So the order of everything follows from the program and its seed alone.
"""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from typing_extensions import override

from connector.clock import SystemClock

T = TypeVar("T")
START_MS: Final = 1_790_000_000_000


class Standstill(Exception):
    """Nobody has anything to do, now or later, and yet the simulation is not over."""


class _Leap:
    """In place of a selector: waiting is moving the clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        """Let `timeout` seconds pass; there is never any news from outside."""
        if timeout is None:
            raise Standstill
        self.now += timeout
        return []

    def close(self) -> None:
        """Nothing is open."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs tasks in virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Leap()
        self._clock_resolution = 1e-7  # seconds; sums of floats are not exact
        self.set_debug(False)

    @override
    def time(self) -> float:
        return self._selector.now

    def _process_events(self, _: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """No thread has to be woken."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in a loop of its own, then end whatever is left."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        while left := sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()


class WallClock(SystemClock):
    """A machine's own idea of the time: the real clock's code on virtual time, with an offset that may change."""

    def __init__(self, loop: asyncio.AbstractEventLoop, offset_ms: int) -> None:
        self._loop = loop
        self.offset_ms = offset_ms

    @override
    def now(self) -> int:
        return START_MS + int(self._loop.time() * 1000) + self.offset_ms


def between(rng: random.Random, low: float, high: float) -> float:
    """A delay in seconds, short ones more often: its logarithm is spread evenly."""
    return float(low * (high / low) ** rng.random())
