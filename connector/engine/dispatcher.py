"""Sending what transactions promised: at once after the commit, in order per process, again after a fault.

A topic (a process) has one lane. Its messages leave one after another; lanes run side by side, up to a limit. A message
that has to wait for its next attempt holds back its own lane only. What is in memory here is a copy of the outbox
table: it comes from commits while the node runs, and from the table after a start, so a crash loses nothing.

A request handler may hold the messages of its own commits until its answer has left (`exchange.hold`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import structlog

from connector.engine.waiting import until
from connector.exchange.hold import held
from connector.exchange.ports import Clock
from connector.exchange.records import Outgoing

log = structlog.get_logger()
Deliver = Callable[[Outgoing], Awaitable[Outgoing | None]]
"""One attempt: returns the message as it is to be tried again, or dead; None when it is done with."""
FAULT_PAUSE_MS = 1000
"""How long a lane rests when an attempt failed for a reason of our own, such as a full disk."""


class Dispatcher:
    """Runs the lanes of one node."""

    def __init__(self, deliver: Deliver, clock: Clock, *, lanes: int = 64) -> None:
        """`lanes`: how many messages may be under way at once."""
        self._deliver = deliver
        self._clock = clock
        self._slots = asyncio.Semaphore(lanes)
        self._queues: dict[str, deque[Outgoing]] = {}
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._held: set[str] = set()

    @property
    def waiting(self) -> int:
        """Messages that have not been delivered yet, held ones included."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def oldest(self) -> int | None:
        """When the oldest message that has not been delivered was promised (ms), None if there is none."""
        return min((message.created_at for queue in self._queues.values() for message in queue), default=None)

    @property
    def due_since(self) -> int | None:
        """Since when (ms) the message that waits longest for an attempt has been due, None if none waits.

        It is in the past only where this side is behind: a message whose peer is away is due in the future.
        """
        heads = (queue[0] for queue in self._queues.values() if queue)
        return min((head.due_at for head in heads if head.id not in self._held), default=None)

    def add(self, messages: Iterable[Outgoing]) -> None:
        """Take committed messages; they leave now, or when the request they belong to has been answered."""
        waiting = held()
        for message in messages:
            queue = self._queues.setdefault(message.topic, deque())
            if all(message.id != known.id for known in queue):
                queue.append(message)
            if waiting is not None:
                waiting.append(message)
                self._held.add(message.id)
            else:
                self._go(message.topic)

    def release(self, messages: Iterable[Outgoing]) -> None:
        """Let messages leave that were held; those that a transaction has taken back meanwhile do not."""
        for message in messages:
            self._held.discard(message.id)
            if message.topic in self._queues:
                self._go(message.topic)

    def _go(self, topic: str) -> None:
        if (wake := self._wake.get(topic)) is not None:
            wake.set()
        if topic not in self._lanes:
            self._lanes[topic] = asyncio.create_task(self._run(topic), name=f"lane {topic}")

    def forget(self, topic: str) -> None:
        """Drop the messages of a topic, which a transaction has taken back; a waiting lane looks again at once."""
        if (queue := self._queues.get(topic)) is not None:
            self._held.difference_update(message.id for message in queue)
            queue.clear()
            if (wake := self._wake.get(topic)) is not None:
                wake.set()
            if topic not in self._lanes:
                del self._queues[topic]

    async def _run(self, topic: str) -> None:
        try:
            while (queue := self._queues.get(topic)) and (message := queue[0]).id not in self._held:
                if not await self._due(topic, message):
                    continue  # something was added or taken back: look at the head again
                after = await self._attempt(message)
                if queue and queue[0] is message:  # else it was taken back while it was on its way
                    queue.popleft()
                    if after is not None and not after.dead:
                        queue.appendleft(after)
        finally:
            self._lanes.pop(topic, None)
            self._wake.pop(topic, None)
            if not self._queues.get(topic):
                self._queues.pop(topic, None)

    async def _due(self, topic: str, message: Outgoing) -> bool:
        """Wait until the message is due; False if the lane changed meanwhile."""
        if message.due_at <= self._clock.now():
            return True
        wake = self._wake.setdefault(topic, asyncio.Event())
        wake.clear()
        return await until(message.due_at, wake, self._clock)

    async def _attempt(self, message: Outgoing) -> Outgoing | None:
        async with self._slots:
            try:
                return await self._deliver(message)
            except Exception:  # the message is safe in the outbox; its lane must live on
                log.exception("a delivery failed on our side", message=message.id, kind=message.kind)
                return replace(message, due_at=self._clock.now() + FAULT_PAUSE_MS)

    async def close(self) -> None:
        """Stop all lanes; what was not delivered stays in the outbox."""
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
