"""Values that cost a network call: kept for as long as they are good, fetched once however many ask.

Status lists, credential schemas and presentations are asked for with every message. Who asks while a fetch is under way
waits for that one; a failure is remembered for a moment, so that a dead host is not called for each message.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from connector.exchange.ports import Clock
from connector.identity.refusal import Refusal

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[V]):
    """What a load brought; `until` (ms) is when it has to be loaded again."""

    until: int
    value: V | None = None
    failure: Refusal | None = None


class Kept(Generic[V]):
    """A bounded cache by key (least recently used goes first) with one load at a time for each key."""

    def __init__(self, clock: Clock, *, capacity: int, retry_s: int = 0) -> None:
        """Remember failures for `retry_s`; with 0 only those who waited for the same load share its failure."""
        self._clock = clock
        self._capacity = capacity
        self._retry = retry_s * 1000
        self._entries: OrderedDict[str, _Entry[V]] = OrderedDict()
        self._flights: dict[str, asyncio.Task[_Entry[V]]] = {}

    async def get(self, key: str, load: Callable[[], Awaitable[tuple[V, int]]]) -> V:
        """The value of `key`; `load` gives it with the time (ms) until which it is good, or raises Refusal."""
        entry = self._entries.get(key)
        if entry is None or self._clock.now() >= entry.until:
            return await self.renew(key, load)
        self._entries.move_to_end(key)
        return _settled(entry)

    async def renew(self, key: str, load: Callable[[], Awaitable[tuple[V, int]]]) -> V:
        """As `get`, but loaded now, whatever is at hand; if that fails, what is at hand stays good for the others."""
        return _settled(await self._shared_flight(key, load))

    def peek(self, key: str) -> V | None:
        """The value of `key` if it is at hand and good."""
        entry = self._entries.get(key)
        return entry.value if entry is not None and self._clock.now() < entry.until else None

    def drop(self, key: str) -> None:
        """Forget `key`: the next who asks loads it."""
        self._entries.pop(key, None)

    async def _shared_flight(self, key: str, load: Callable[[], Awaitable[tuple[V, int]]]) -> _Entry[V]:
        """Load, or wait for the load under way. One waiter that gives up does not take it from the others."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._fly(key, load))
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        return await asyncio.shield(flight)

    async def _fly(self, key: str, load: Callable[[], Awaitable[tuple[V, int]]]) -> _Entry[V]:
        try:
            value, until = await load()
        except Refusal as failure:
            entry: _Entry[V] = _Entry(self._clock.now() + self._retry, failure=failure.again())
            if self.peek(key) is not None:
                return entry
        else:
            entry = _Entry(until, value=value)
        if self._clock.now() < entry.until:
            self._entries[key] = entry
            self._entries.move_to_end(key)
        else:
            self._entries.pop(key, None)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return entry


def _settled(entry: _Entry[V]) -> V:
    if entry.failure is not None:
        raise entry.failure.again()
    assert entry.value is not None  # noqa: S101 - an entry has a failure or a value
    return entry.value
