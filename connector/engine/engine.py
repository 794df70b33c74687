"""The moving part of a node: listens to commits, sends messages, rings timers, recovers after a start.

It also lets callers wait for a state (`wait_for`), which is how `?wait=` answers in the moment something happens.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from structlog.contextvars import bound_contextvars

from connector.engine.dispatcher import Deliver, Dispatcher
from connector.engine.steps import Steps
from connector.engine.timers import Timers
from connector.exchange import delivery, negotiation_moves, transfer_moves
from connector.exchange.moves import KINDS
from connector.exchange.node import Node
from connector.exchange.ports import Commit, Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Negotiation, Outgoing, Timer, Transfer

PAGE: Final = 1000
_RINGS: Final = {
    KINDS[Negotiation]: negotiation_moves.decision_due,
    KINDS[Transfer]: transfer_moves.decision_due,
    transfer_moves.END_TIMER: transfer_moves.agreement_ended,
}
"""What a timer of each kind does."""
R = TypeVar("R")


class Engine:
    """Runs one node. Start it after the store is open and before the listeners are."""

    def __init__(self, node: Node, around: Callable[[Deliver], Deliver] = lambda deliver: deliver) -> None:
        """Nothing runs before `start`. `around` may wrap the delivery of messages, to observe it."""
        self._node = node
        self.dispatcher = Dispatcher(around(self._deliver), node.clock)
        self.timers = Timers(self._ring, node.clock)
        self._steps = Steps(node.id, node.store)
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._stopping = False

    async def start(self) -> None:
        """Listen to commits, and take up what an earlier life of this node has promised."""
        self._node.store.listen(self._committed)
        messages = await self._all(lambda tx, spec: tx.outbox.query(spec), Criterion("dead", "=", right=False))
        timers = await self._all(lambda tx, spec: tx.timers.query(spec))
        self.dispatcher.add(messages)
        self.timers.add(timers)

    async def _all(self, query: Callable[[Tx, QuerySpec], list[R]], *criteria: Criterion) -> list[R]:
        def read(tx: Tx) -> list[R]:
            found: list[R] = []
            while len(page := query(tx, QuerySpec(offset=len(found), limit=PAGE, criteria=criteria))) == PAGE:
                found += page
            return found + page

        return await self._node.store.read(read)

    async def _deliver(self, message: Outgoing) -> Outgoing | None:
        """One attempt; all log lines of it and of what it brings about have the trace as their `correlation_id`."""
        trace = await self._steps.trace(message)
        with bound_contextvars(correlation_id=trace or message.topic):
            return await delivery.deliver(self._node, message, trace)

    def _committed(self, commit: Commit) -> None:
        for dropped in commit.dropped:
            self.dispatcher.forget(dropped)
        if commit.messages:
            self.dispatcher.add(commit.messages)
        if commit.timers:
            self.timers.add(commit.timers)
        for event in commit.events:
            for waiter in self._waiters.get(event.record.id, ()):
                waiter.set()
        self._steps.note(commit)

    async def wait_until(self, identifier: str, reached: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Return when `reached` says so, the time is over, or the node is about to stop.

        `reached` is asked again after each event about `identifier`.
        """
        event = asyncio.Event()
        waiters = self._waiters.setdefault(identifier, set())
        waiters.add(event)
        try:
            async with asyncio.timeout(seconds):
                while not self._stopping and not await reached():
                    await event.wait()
                    event.clear()
        except TimeoutError:
            return
        finally:
            waiters.discard(event)
            if not waiters:
                self._waiters.pop(identifier, None)

    def stop_waiting(self) -> None:
        """Let everybody go who waits, now and later: requests that wait would hold up the end of the listeners."""
        self._stopping = True
        for event in [event for waiters in self._waiters.values() for event in waiters]:
            event.set()

    async def _ring(self, timer: Timer) -> None:
        def tx(tx: Tx) -> None:
            kept = tx.timers.find(timer.id)
            if kept is None or kept.due_at > self._node.clock.now():
                return  # taken back, or replaced by one that will ring by itself
            tx.timers.delete(timer.id)
            _RINGS[kept.kind](self._node, tx, kept)

        await self._node.store.run(tx)

    async def close(self) -> None:
        """Stop sending and waiting; everything promised stays in the store."""
        await self.dispatcher.close()
        await self.timers.close()
