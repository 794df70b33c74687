"""Doing things at exact times: one sleeper for the earliest timer, none when there is none."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import replace

import structlog

from connector.engine.waiting import until
from connector.exchange.ports import Clock
from connector.exchange.records import Timer

log = structlog.get_logger()
Ring = Callable[[Timer], Awaitable[None]]
FAULT_PAUSE_MS = 1000


class Timers:
    """The node's timers. Each is durable in the store; what is here only knows when to look."""

    def __init__(self, ring: Ring, clock: Clock) -> None:
        """`ring` does what a due timer asks for and forgets it in the same transaction."""
        self._ring = ring
        self._clock = clock
        self._heap: list[tuple[int, str]] = []
        self._timers: dict[str, Timer] = {}
        self._sleeper: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def add(self, timers: Iterable[Timer]) -> None:
        """Take committed timers; one of a known id replaces it."""
        for timer in timers:
            self._timers[timer.id] = timer
            heapq.heappush(self._heap, (timer.due_at, timer.id))
        self._changed.set()
        if self._timers and self._sleeper is None:
            # In a context of its own: the caller's may be that of a request, whose hold ends long before the timer.
            self._sleeper = asyncio.create_task(self._run(), name="timers", context=Context())

    async def _run(self) -> None:
        try:
            while self._heap:
                self._changed.clear()
                due_at, ident = self._heap[0]
                timer = self._timers.get(ident)
                if timer is None or timer.due_at != due_at:
                    heapq.heappop(self._heap)  # replaced or forgotten
                elif due_at <= self._clock.now():
                    heapq.heappop(self._heap)
                    del self._timers[ident]
                    await self._try(timer)
                else:
                    await until(due_at, self._changed, self._clock)
        finally:
            self._sleeper = None

    async def _try(self, timer: Timer) -> None:
        try:
            await self._ring(timer)
        except Exception:  # the timer is safe in the store; the others must ring on
            log.exception("a timer failed", timer=timer.id, kind=timer.kind)
            again = self._clock.now() + FAULT_PAUSE_MS
            self._timers.setdefault(timer.id, replace(timer, due_at=again))  # unless it was replaced meanwhile
            heapq.heappush(self._heap, (again, timer.id))

    async def close(self) -> None:
        """Stop; timers that are not due stay in the store."""
        if self._sleeper is not None:
            self._sleeper.cancel()
            await asyncio.gather(self._sleeper, return_exceptions=True)
