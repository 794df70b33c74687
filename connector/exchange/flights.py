"""Work that several ask for at once and that is done once.

The work is nobody's: it goes on when the one who began it is cancelled, as long as anybody waits for it, and everybody
who waits is told what came of it, or why nothing did. When the last one leaves it ends, as nobody needs a contract that
nobody waits for. (A token refresh has to go on even then, see `dataplane.recent.SingleFlight`: its old token is spent.)
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class Flights(Generic[T]):
    """One piece of work at a time for each key."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Flight[T]] = {}

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the work under way for `key` comes to, or `work` if there is none. Raise what it raises."""
        flight = self._under_way.get(key)
        if flight is None:
            flight = self._under_way[key] = _Flight(asyncio.create_task(work()))
            flight.task.add_done_callback(lambda _: self._over(key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                self._over(key, flight)
                flight.task.cancel()

    def _over(self, key: Hashable, flight: _Flight[T]) -> None:
        """Whoever comes now begins anew."""
        if self._under_way.get(key) is flight:
            del self._under_way[key]
