"""What negotiation and transfer share: who may send what in which state, and what an unanswered message means.

A message takes effect when it is answered (DSP 2025-1, "a state transition is effective on the acknowledgement"). So a
process knows its last agreed `state` and, while we wait for an answer, the `pending` message of ours. Three facts about
real networks shape the three moves below:

- An answer may get lost. A message from the peer that is legal only *after* our pending one proves that ours arrived.
- A message may arrive twice. Its `@id` is remembered in `seen`; a repeat changes nothing and is answered as before.
- Two messages may cross. Whoever has sent a termination has left: nothing but a termination is taken after it.

The tables are in `negotiation` and `transfer`; nothing here knows a state by name.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Generic, Self, TypeVar

from connector.protocol.errors import Conflict, PeerError

REMEMBERED = 32
"""Message ids kept per process; a peer that repeats anything older is told that it is illegal now."""


class Role(StrEnum):
    """The two sides of every exchange."""

    CONSUMER = "CONSUMER"
    PROVIDER = "PROVIDER"

    @property
    def other(self) -> "Role":
        """The counterparty's role."""
        return Role.PROVIDER if self is Role.CONSUMER else Role.CONSUMER


State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Pending(Generic[Event]):
    """A message of ours that has no answer yet; `key` is its `@id`, the same in every retry."""

    event: Event
    key: str


@dataclass(frozen=True, slots=True)
class Process(Generic[State, Event]):
    """One side's knowledge of a process. Subclasses give the table; instances are values, moves return new ones."""

    TABLE: ClassVar[Any]
    """(state before, message, its sender): state after."""
    TERMINAL: ClassVar[Any]
    GONE: ClassVar[Any]
    """The event after which its sender takes nothing else."""
    ENDED: ClassVar[Any]
    """The state of a process that was given up."""

    us: Role
    state: State | None = None
    pending: Pending[Event] | None = None
    seen: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """True in a terminal state."""
        return self.state in self.TERMINAL

    @property
    def after_pending(self) -> State | None:
        """The state that our pending message leads to, None if nothing is pending."""
        return None if self.pending is None else self.TABLE[self.state, self.pending.event, self.us]

    def send(self, event: Event, key: str) -> Self:
        """Make a message of ours pending. Raise Conflict if it is illegal now or another one has no answer yet.

        A termination does not wait: it takes the place of whatever is pending.
        """
        if self.pending is not None and event is not self.GONE:
            raise Conflict(f"{self.pending.event} has no answer yet, {event} must wait for it")
        if self.pending is not None and self.pending.event is self.GONE:
            raise Conflict(f"{event} is on its way already")
        if (self.state, event, self.us) not in self.TABLE:
            raise Conflict(f"{event} is not possible in state {self.state or 'INITIAL'} as {self.us.lower()}")
        return replace(self, pending=Pending(event, key))

    def answered(self, key: str, *, ok: bool) -> Self:
        """Take the peer's answer to message `key`; an answer to anything but the pending message changes nothing."""
        if self.pending is None or self.pending.key != key:
            return self
        return replace(self, state=self.after_pending if ok else self.state, pending=None)

    def proven_by(self, event: Event) -> Self:
        """The process with our pending message acknowledged, if the peer's `event` proves that it arrived."""
        if self.pending is None or self.pending.event is self.GONE:
            return self
        if event is self.GONE and (self.state, event, self.us.other) in self.TABLE:
            return self  # a termination is legal either way and proves nothing
        after = self.after_pending
        if (after, event, self.us.other) not in self.TABLE:
            return self
        return replace(self, state=after, pending=None)

    def receive(self, event: Event, key: str) -> Self:
        """Take a message of the peer. Raise PeerError 400 if it is illegal; a repeat returns `self`, unchanged."""
        if key in self.seen:
            return self
        if self.pending is not None and self.pending.event is self.GONE is not event:
            raise PeerError(400, f"{event} is too late: this side has sent {self.GONE}")
        start, sender = self.proven_by(event), self.us.other
        to = self.TABLE.get((start.state, event, sender))
        if to is None:
            raise PeerError(400, f"{event} from the {sender.lower()} is not legal in state {self.state or 'INITIAL'}")
        pending = start.pending if start.pending and (to, start.pending.event, self.us) in self.TABLE else None
        return replace(start, state=to, pending=pending, seen=(*self.seen[1 - REMEMBERED :], key))

    def abandon(self) -> Self:
        """End without telling the peer: it never answered our first message, or it refuses to go on."""
        return self if self.over else replace(self, state=self.ENDED, pending=None)
