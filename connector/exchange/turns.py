"""Work on one thing after the other, on different things at once.

What reads, works a while without holding the database, and then writes what it has made of it, is done in vain if
another one has written meanwhile. Within a process those who want the same thing wait for each other, in the order in
which they came; nothing is remembered of a thing that nobody works on. Other processes are the transaction's business.
"""

import asyncio
from collections.abc import Hashable
from weakref import WeakValueDictionary


class Turns:
    """One lock for each thing, as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    def of(self, thing: Hashable) -> asyncio.Lock:
        """The lock of a thing: `async with turns.of(thing)`. Who is cancelled while it waits leaves the queue."""
        return self._locks.setdefault(thing, asyncio.Lock())

    def __len__(self) -> int:
        return len(self._locks)
