"""What is remembered while there is room, and what is done once for several who ask at the same time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values used last. `room` bounds the sum of their weights (1 each unless given), the oldest go first.

    forgotten: told of each value that leaves, for whatever reason.
    """

    def __init__(self, room: int, *, forgotten: Callable[[V], None] | None = None) -> None:
        self._room = room
        self._held = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._forgotten = forgotten

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def get(self, key: K) -> V | None:
        """The value, which counts as used, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Remember a value in place of what was there; one that is heavier than the room is not kept."""
        self.drop(key)
        while self._entries and self._held + weight > self._room:
            self.drop(next(iter(self._entries)))
        self._entries[key] = (value, weight)
        self._held += weight
        if weight > self._room:
            self.drop(key)

    def drop(self, key: K) -> None:
        """Forget a value, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._held -= entry[1]
        if self._forgotten is not None:
            self._forgotten(entry[0])


class SingleFlight(Generic[K, V]):
    """Work that several ask for at once and that is done once; everybody gets its result, or its error.

    The work is a task of its own: whoever stops waiting does not stop it for the others.
    """

    def __init__(self) -> None:
        self._flying: dict[K, asyncio.Task[V]] = {}

    async def do(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """The result of the work that is under way for `key`, or of `work`, begun now."""
        task = self._flying.get(key)
        if task is None:
            task = self._flying[key] = asyncio.create_task(_run(work))
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def _land(self, key: K, task: asyncio.Task[V]) -> None:
        del self._flying[key]
        if not task.cancelled():
            task.exception()  # seen here: everybody who waited may have gone


async def _run(work: Callable[[], Awaitable[V]]) -> V:
    return await work()
