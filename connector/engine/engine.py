"""The moving part of a node: listens to commits, sends messages, rings timers, recovers after a start.

It also lets callers wait for a state (`wait_for`), which is how `?wait=` answers in the moment something happens.

What there is to do comes with commits, also what somebody else has left: the first one after the start, and later those
by which this replica takes up the work of one that is gone (`exchange.ports.Tx.take_up`). Where several replicas share
a database, a message may belong into a lane that another one runs; it is handed over when it may leave, which is after
the answer to the request that caused it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import replace
from functools import partial
from typing import Final

import structlog
from structlog.contextvars import bound_contextvars

from connector.engine.dispatcher import Dispatcher
from connector.engine.steps import Steps
from connector.engine.timers import Timers
from connector.exchange import credentials, delivery, negotiation_moves, transfer_moves
from connector.exchange.hold import held
from connector.exchange.moves import KINDS
from connector.exchange.node import Node
from connector.exchange.ports import Commit, Tx
from connector.exchange.records import Happened, Negotiation, Outgoing, Timer, Transfer

log = structlog.get_logger()
_RINGS: Final = {
    KINDS[Negotiation]: negotiation_moves.decision_due,
    KINDS[Transfer]: transfer_moves.decision_due,
    transfer_moves.END_TIMER: transfer_moves.agreement_ended,
    credentials.KIND: credentials.due,
}
"""What a timer of each kind does."""
Attempt = Callable[[Outgoing, str], Awaitable[Outgoing | None]]
"""One attempt to deliver a message, whose exchange has this trace; returns what `dispatcher.Deliver` returns."""


class Engine:
    """Runs one node. Start it after the store is open and before the listeners are."""

    def __init__(self, node: Node, around: Callable[[Attempt], Attempt] = lambda attempt: attempt) -> None:
        """Nothing runs before `start`. `around` may wrap the attempts to deliver messages, to observe them."""
        self._node = node
        self._attempt = around(partial(delivery.deliver, node))
        self.dispatcher = Dispatcher(self._deliver, node.clock)
        self.timers = Timers(self._ring, node.clock)
        self._steps = Steps(node.id, node.store)
        self._waiters: dict[str, dict[asyncio.Event, Callable[[Happened], bool]]] = {}
        self._stopping = False
        self._elsewhere: set[str] = set()
        """Held messages that are to be handed over."""
        self._handing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen to commits, and take up what an earlier life of this node has promised."""
        self._node.store.listen(self._committed)
        await self._node.store.run(lambda tx: tx.take_up())

    async def _deliver(self, message: Outgoing) -> Outgoing | None:
        """One attempt; all log lines of it and of what it brings about have the trace as their `correlation_id`."""
        trace = await self._steps.trace(message)
        with bound_contextvars(correlation_id=trace or message.topic):
            return await self._attempt(message, trace)

    def _committed(self, commit: Commit) -> None:
        gone = self.dispatcher.topics - {m.topic for m in commit.messages} if commit.complete else ()
        for dropped in (*commit.dropped, *gone):
            self.dispatcher.forget(dropped)
        if commit.messages:
            self.dispatcher.add(commit.messages)
        if commit.elsewhere:
            self._put_elsewhere(commit.elsewhere)
        if commit.timers:
            self.timers.add(commit.timers)
        for event in commit.events:
            for wake, worth in self._waiters.get(event.record.id, {}).items():
                if worth(event):
                    wake.set()
        for changed in (*commit.changed, *commit.dropped):
            for wake in self._waiters.get(changed, ()):
                wake.set()
        self._steps.note(commit)

    def _put_elsewhere(self, messages: Sequence[Outgoing]) -> None:
        if (waiting := held()) is None:
            self._hand_over([message.id for message in messages])
        else:
            waiting.extend(messages)
            self._elsewhere.update(message.id for message in messages)

    def release(self, messages: Sequence[Outgoing], pause_ms: int = 0) -> None:
        """Let messages leave that a request held, each by whoever runs its lane, after a pause for its receiver."""
        self.dispatcher.release([message for message in messages if message.id not in self._elsewhere], pause_ms)
        if elsewhere := [message.id for message in messages if message.id in self._elsewhere]:
            self._elsewhere.difference_update(elsewhere)
            self._hand_over(elsewhere, pause_ms)

    def _hand_over(self, messages: Sequence[str], pause_ms: int = 0) -> None:
        due = self._node.clock.now() + pause_ms

        def hand_over(tx: Tx) -> None:
            for ident in messages if pause_ms else ():
                if (message := tx.outbox.find(ident)) is not None and message.audience is not None:
                    tx.outbox.save(replace(message, due_at=due))
            tx.hand_over(messages)

        async def tell() -> None:
            try:
                await self._node.store.run(hand_over)
            except Exception:  # they are in the outbox, and are found there as soon as the database is back
                log.exception("messages could not be handed over", messages=messages)

        task = asyncio.create_task(tell(), name="hand over", context=Context())
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)

    async def wait_until(
        self,
        identifier: str,
        reached: Callable[[], Awaitable[bool]],
        seconds: float,
        worth: Callable[[Happened], bool] = lambda _: True,
    ) -> None:
        """Return when `reached` says so, the time is over, or the node is about to stop.

        `reached` is asked again after each event about `identifier` that is `worth` it.
        """
        wake = asyncio.Event()
        waiters = self._waiters.setdefault(identifier, {})
        waiters[wake] = worth
        try:
            async with asyncio.timeout(seconds):
                while not self._stopping and not await reached():
                    await wake.wait()
                    wake.clear()
        except TimeoutError:
            return
        finally:
            del waiters[wake]
            if not waiters:
                self._waiters.pop(identifier, None)

    def stop_waiting(self) -> None:
        """Let everybody go who waits, now and later: requests that wait would hold up the end of the listeners."""
        self._stopping = True
        for wake in [wake for waiters in self._waiters.values() for wake in waiters]:
            wake.set()

    async def _ring(self, timer: Timer) -> None:
        def tx(tx: Tx) -> Timer | None:
            kept = tx.timers.find(timer.id)
            if kept is None or kept.due_at > self._node.clock.now():
                return kept
            tx.timers.delete(timer.id)
            _RINGS[kept.kind](self._node, tx, kept)
            return None

        if (later := await self._node.store.run(tx)) is not None:
            self.timers.add((later,))  # it was replaced, or the clock was set back in this moment

    async def close(self) -> None:
        """Stop sending and waiting; everything promised stays in the store."""
        await self.dispatcher.close()
        await self.timers.close()
        await asyncio.gather(*self._handing)
