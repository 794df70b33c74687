"""Topics whose next message has to wait: until its time comes, or until its counterparty is heard from.

One sleeper waits for the earliest of them, whether there is one or ten thousand. A counterparty that comes back does
not have to wait for the end of a long pause: what rests for it is due at once. When that attempt fails as well, a part
of the next pause has to pass before it is done again: a peer that speaks but cannot be reached drives nobody in a loop.

A node that was down and has nothing to send does not announce itself when it is back, by asking each counterparty for
the state of a process for instance. What could be gained is one pause, about as long as the outage and five minutes at
most. The price is a request, with a token and its checks, to every counterparty with an open process, and transfers are
open for months: a node in a crash loop would call all its partners each time. Other makers' connectors take no notice.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Final

from connector.engine.waiting import until
from connector.exchange.delivery import LONGEST_MS
from connector.exchange.ports import Clock
from connector.exchange.records import Outgoing

AGAIN: Final = 4
"""The part of a pause that has to pass after an attempt that came before its time: one fourth."""


def is_due(message: Outgoing, now: int) -> bool:
    """Whether a message may be tried at `now` (ms).

    No pause is longer than `LONGEST_MS`: one that seems to be was begun before the clock was set back.
    """
    return not now < message.due_at <= now + LONGEST_MS


def counterparty(message: Outgoing) -> str:
    """Whom a message is for: a participant, or a host where none is named (callbacks and pushes)."""
    return message.audience or host(message)


def host(message: Outgoing) -> str:
    """Host and port that a message goes to."""
    return message.url.partition("://")[2].partition("/")[0]


class Resting:
    """The topics that rest, each with the message it rests for. `wake` is called with those whose time has come."""

    def __init__(self, wake: Callable[[Iterable[str]], None], clock: Clock) -> None:
        self._wake = wake
        self._clock = clock
        self._heads: dict[str, Outgoing] = {}
        self._heap: list[tuple[int, str]] = []
        self._by_peer: dict[str, dict[str, int]] = {}
        """For each counterparty, the topics that need not rest to the end, and from when (ms)."""
        self._hurried: set[str] = set()
        self._sleeper: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def __contains__(self, topic: str) -> bool:
        return topic in self._heads

    def add(self, topic: str, head: Outgoing) -> None:
        """Let a topic rest until `head` is due."""
        self._heads[topic] = head
        heapq.heappush(self._heap, (head.due_at, topic))
        if not head.patient:
            now = self._clock.now()
            earliest = now + (head.due_at - now) // AGAIN if head.id in self._hurried else now
            self._by_peer.setdefault(counterparty(head), {})[topic] = earliest
        self._hurried.discard(head.id)
        if self._heap[0] == (head.due_at, topic):
            self._changed.set()
        if self._sleeper is None:
            self._sleeper = asyncio.create_task(self._run(), name="resting", context=Context())

    def drop(self, topic: str) -> None:
        """A topic has nothing more to wait for."""
        if (head := self._heads.pop(topic, None)) is not None:
            peer = counterparty(head)
            if (topics := self._by_peer.get(peer)) is not None:
                topics.pop(topic, None)
                if not topics:
                    del self._by_peer[peer]

    def heard(self, peer: str) -> list[str]:
        """A counterparty is there: take out the topics that rest for it and may be tried now."""
        now = self._clock.now()
        topics = [topic for topic, earliest in self._by_peer.get(peer, {}).items() if earliest <= now]
        for topic in topics:
            self._hurried.add(self._heads[topic].id)
            self.drop(topic)
        return topics

    def settled(self, message: Outgoing) -> None:
        """Forget what is known about a message that has been delivered, given up or taken back."""
        self._hurried.discard(message.id)

    async def _run(self) -> None:
        try:
            while self._heap:
                self._changed.clear()
                if due := self._take_due():
                    self._wake(due)
                elif self._heap:
                    await until(self._heap[0][0], self._changed, self._clock)
        finally:
            self._sleeper = None

    def _take_due(self) -> list[str]:
        """Take out what is due, and what no longer rests."""
        now, due = self._clock.now(), []
        while self._heap:
            due_at, topic = self._heap[0]
            head = self._heads.get(topic)
            if head is not None and head.due_at == due_at:
                if not is_due(head, now):
                    break
                due.append(topic)
                self.drop(topic)
            heapq.heappop(self._heap)
        return due

    async def close(self) -> None:
        """Stop waiting."""
        if self._sleeper is not None:
            self._sleeper.cancel()
            await asyncio.gather(self._sleeper, return_exceptions=True)
