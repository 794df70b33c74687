"""Sending what transactions promised: at once after the commit, in order per process, again after a fault.

A topic (a process) has one lane. Its messages leave one after another; lanes run side by side, up to a limit in all
and per host (`slots`). A message that has to wait for its next attempt holds back its own lane only (`resting`). What
is in memory here is a copy of the outbox table: it comes from commits while the node runs, and from the table after a
start, so a crash loses nothing.

A request handler may hold the messages of its own commits until its answer has left (`exchange.hold`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import replace

import structlog

from connector.engine.resting import Resting, counterparty, host, is_due
from connector.engine.slots import Slots
from connector.exchange.hold import held
from connector.exchange.ports import Clock
from connector.exchange.records import Outgoing
from connector.protocol.errors import LocalError

log = structlog.get_logger()
Deliver = Callable[[Outgoing], Awaitable[Outgoing | None]]
"""One attempt: returns the message as it is to be tried again, or dead; None when it is done with."""
FAULT_PAUSE_MS = 1000
"""How long a lane rests when an attempt failed for a reason of our own, such as a full disk."""


class Dispatcher:
    """Runs the lanes of one node."""

    def __init__(self, deliver: Deliver, clock: Clock, *, lanes: int = 64, per_host: int = 16) -> None:
        """`lanes`: how many messages may be under way at once, `per_host` of them to the same host."""
        self._deliver = deliver
        self._clock = clock
        self._slots = Slots(lanes, per_host)
        self._resting = Resting(self._awake, clock)
        self._queues: dict[str, deque[Outgoing]] = {}
        self._lanes: set[str] = set()
        """Topics whose head has asked for a slot or is under way."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()
        self._draining = False

    @property
    def waiting(self) -> int:
        """Messages that have not been delivered yet, held ones included."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def topics(self) -> set[str]:
        """Those whose messages are not all delivered."""
        return set(self._queues)

    @property
    def oldest(self) -> int | None:
        """When the oldest message that has not been delivered was promised (ms), None if there is none."""
        return min((message.created_at for queue in self._queues.values() for message in queue), default=None)

    @property
    def due_since(self) -> int | None:
        """Since when (ms) the message that waits longest for an attempt has been due, None if none waits.

        It is in the past only where this side is behind: a message whose peer is away is due in the future, and one
        whose host has its share of slots waits for that host.
        """
        heads = (queue[0] for queue in self._queues.values() if queue)
        ours = (head for head in heads if head.id not in self._held and not self._slots.full(host(head)))
        return min((head.due_at for head in ours), default=None)

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
        self._fill()

    def release(self, messages: Iterable[Outgoing], pause_ms: int = 0) -> None:
        """Let messages leave that were held; those that a transaction has taken back meanwhile do not.

        pause_ms: what goes to a participant leaves that much later, also when the participant is heard from.
        """
        due = self._clock.now() + pause_ms
        for message in messages:
            self._held.discard(message.id)
            if pause_ms and message.audience is not None:
                queue = self._queues.get(message.topic, deque())
                for place, known in enumerate(queue):
                    if known.id == message.id:
                        queue[place] = replace(known, due_at=due, patient=True)
            self._go(message.topic)
        self._fill()

    def heard(self, peer: str) -> None:
        """A participant has spoken, or a host has answered: what waited for it to come back is due now."""
        now, topics = self._clock.now(), self._resting.heard(peer)
        for topic in topics:
            queue = self._queues[topic]
            queue[0] = replace(queue[0], due_at=now)
        self._awake(topics)

    def forget(self, topic: str) -> None:
        """Drop the messages of a topic, which a transaction has taken back."""
        if (queue := self._queues.get(topic)) is not None:
            for message in queue:
                self._held.discard(message.id)
                self._resting.settled(message)
            queue.clear()
            self._resting.drop(topic)
            if topic not in self._lanes:
                del self._queues[topic]

    def _awake(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._go(topic)
        self._fill()

    def _go(self, topic: str) -> None:
        """Let a lane run if its head may leave now, or rest until it may."""
        if topic in self._lanes or topic in self._resting:
            return
        if (queue := self._queues.get(topic)) and (head := queue[0]).id not in self._held:
            if is_due(head, self._clock.now()):
                self._lanes.add(topic)
                self._slots.ask(host(head), topic)
            else:
                self._resting.add(topic, head)

    def _fill(self) -> None:
        if self._draining:
            return
        for where, topic in self._slots.give():
            # In a context of its own: the caller's may be that of a request, whose hold ends long before the lane.
            task = asyncio.create_task(self._run(topic, where), name=f"lane {topic}", context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _run(self, topic: str, where: str) -> None:
        try:
            queue = self._queues[topic]
            if queue:  # else it was taken back while it waited for its slot
                message = queue[0]
                after = await self._attempt(message)
                if queue and queue[0].id == message.id:  # else it was taken back while it was on its way
                    queue.popleft()
                    if after is not None and not after.dead:
                        queue.appendleft(after)
                    else:
                        self._resting.settled(message)
                if after is None:
                    self.heard(counterparty(message))
        finally:
            self._slots.give_back(where)
            self._lanes.discard(topic)
        if not queue:
            del self._queues[topic]
        self._awake([topic])

    async def _attempt(self, message: Outgoing) -> Outgoing | None:
        try:
            return await self._deliver(message)
        except Exception as error:  # the message is safe in the outbox; its lane must live on
            named = isinstance(error, LocalError)  # the database is away, for instance: a trace would tell nothing more
            why = {"reason": str(error), "exc_info": not named}
            log.exception("a delivery failed on our side", message=message.id, kind=message.kind, **why)
            return replace(message, due_at=self._clock.now() + FAULT_PAUSE_MS, patient=True)

    async def drain(self, seconds: float) -> None:
        """Begin no more attempts, and give those under way this time to end; what waits stays in the outbox."""
        self._draining = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def close(self) -> None:
        """Stop all lanes; what was not delivered stays in the outbox."""
        await self._resting.close()
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
