"""The node's real time and its real source of ids; tests and simulations have others (`exchange.ports`)."""

import asyncio
import os
import time
import uuid
from typing import Final

from typing_extensions import override

from connector.exchange.ports import Clock, Ids

_BYTES: Final = 16
_AT_ONCE: Final = 256
_LONGEST_S: Final = 60.0
"""No single sleep is longer, so that a clock that was set forward is noticed within a minute."""


class SystemClock(Clock):
    """Wall-clock time in milliseconds since the epoch."""

    @override
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    @override
    async def sleep_until(self, at: int) -> None:
        now = self.now()
        while now < at:
            await asyncio.sleep(min((at - now) / 1000, _LONGEST_S))
            before, now = now, self.now()
            if now < before:
                return  # it was set back


class FreshIds(Ids):
    """Random UUIDs: need no escaping in a path, tell nothing.

    Randomness is fetched for many at a time: each call of the operating system lets go of the interpreter's lock, and
    with busy store threads beside it, getting that back costs more than everything else an id does. Those threads take
    ids as well; taking from a list and adding to it are single steps, so they share it without a lock.
    """

    def __init__(self) -> None:
        self._pool: list[bytes] = []

    @override
    def __call__(self) -> str:
        try:
            found = self._pool.pop()
        except IndexError:
            fresh = os.urandom(_BYTES * _AT_ONCE)
            found, *rest = [fresh[at : at + _BYTES] for at in range(0, len(fresh), _BYTES)]
            self._pool += rest
        return str(uuid.UUID(bytes=found, version=4))
