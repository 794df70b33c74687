"""The node's real time and its real source of ids; tests and simulations have others (`exchange.ports`)."""

import asyncio
import time
import uuid

from typing_extensions import override

from connector.exchange.ports import Clock

_LONGEST_S = 3600.0
"""No single sleep is longer, so that a clock that was set is noticed within the hour."""


class SystemClock(Clock):
    """Wall-clock time in milliseconds since the epoch."""

    @override
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    @override
    async def sleep_until(self, at: int) -> None:
        while (left := (at - self.now()) / 1000) > 0:  # noqa: ASYNC110 - it waits for a time, not for an event
            await asyncio.sleep(min(left, _LONGEST_S))


def fresh_id() -> str:
    """A random UUID: needs no escaping in a path, tells nothing."""
    return str(uuid.uuid4())
