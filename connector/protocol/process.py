"""What negotiation and transfer share: who may send what in which state, and what an unanswered message means.

A message takes effect when it is answered (DSP 2025-1, "a state transition is effective on the acknowledgement"). So a
process knows its last agreed `state` and, while we wait for an answer, the `pending` message of ours. Three facts about
real networks shape the three moves below:

- An answer may get lost. A message from the peer that is legal only *after* our pending one proves that ours arrived.
- A message may arrive twice. Its `@id` is remembered in `seen`; a repeat changes nothing and is answered as before. A
  peer that has forgotten our answer says the same again under a fresh `@id` (EDC does, when our next message reaches it
  before it has stored that answer), so what a message says is remembered too, and counts while our own next message
  has no answer: only then may the peer still be a step behind.
- Two messages may cross. The members of an `Event` stand in order of precedence: of two that cross, the later one (or
  either, of two equal ones) is taken and takes the place of the other. The earlier one is refused for now (503), so its
  sender repeats it until the crossing is settled. Whoever has sent a termination has left, and says so for good (400).

Once everything is answered, both sides are in the same state. Three things are beyond what one side can know: a copy of
a message that was taken back and is still under way after the message in its place has been answered; a consumer that
gives up and never learns the provider's pid, because the answer is lost (one that comes late is answered with a
termination: `exchange.delivery`); and very many messages (`REMEMBERED`) between one and its repeat.

The tables are in `negotiation` and `transfer`; nothing here knows a state by name.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Generic, Self, TypeVar

from connector.protocol.errors import Conflict, PeerError

REMEMBERED = 64
"""Ids and contents of messages kept per process; who repeats anything older is told that it is illegal now."""


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
    TOLERATED: ClassVar[Any]
    """The cells of the table that are taken from a peer and never used by this side."""
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

    @property
    def awaited(self) -> tuple[Event, ...]:
        """What this side may go on with where the peer can only wait (or leave); () wherever the peer may act."""
        if self.pending is not None:
            return ()
        moves = [
            (event, sender)
            for state, event, sender in self.TABLE
            if state is self.state is not None and event is not self.GONE
            if (state, event, sender) not in self.TOLERATED
        ]
        return () if any(sender is not self.us for _, sender in moves) else tuple(event for event, _ in moves)

    def send(self, event: Event, key: str) -> Self:
        """Make a message of ours pending. Raise Conflict if it is illegal now or another one has no answer yet.

        A termination does not wait: it takes the place of whatever is pending, but for a message that ends the process
        as well, because the peer may have ended it already.
        """
        if self.pending is not None and self.pending.event is event:
            raise Conflict(f"{event} is on its way already")
        if self.pending is not None and (event is not self.GONE or self.after_pending in self.TERMINAL):
            raise Conflict(f"{self.pending.event} has no answer yet, {event} must wait for it")
        cell = (self.state, event, self.us)
        if cell not in self.TABLE or cell in self.TOLERATED:
            raise Conflict(f"{event} is not possible in state {self.state or 'INITIAL'} as {self.us.lower()}")
        return replace(self, pending=Pending(event, key))

    def answered(self, key: str, *, ok: bool) -> Self:
        """Take the peer's answer to message `key`; an answer to anything but the pending message changes nothing."""
        if self.pending is None or self.pending.key != key:
            return self
        return replace(self, state=self.after_pending if ok else self.state, pending=None)

    def proven_by(self, event: Event) -> Self:
        """The process with our pending message acknowledged, if the peer's `event` proves that it arrived."""
        if self.pending is None:
            return self
        if self.state is not None and (self.state, event, self.us.other) in self.TABLE:
            return self  # legal either way: proves nothing
        after = self.after_pending
        return replace(self, state=after, pending=None) if (after, event, self.us.other) in self.TABLE else self

    def receive(self, event: Event, key: str, *, content: str | None = None) -> Self:
        """Take a message of the peer; a repeat returns `self`, unchanged.

        key: the message's `@id`, or its content if it has none.
        content: a digest of what it says, `@id` aside, that another message may share; it only tells a repeat where the
        message is not legal anyway.
        Raise PeerError: 400 if the message is illegal, 503 if a pending message of ours has to be answered first.
        """
        if key in self.seen and key != content:
            return self
        start, sender = self.proven_by(event), self.us.other
        to = self.TABLE.get((start.state, event, sender))
        if to is None and content in self.seen and (key == content or self.pending is not None):
            return self
        if to is None:
            raise PeerError(400, f"{event} from the {sender.lower()} is not legal in state {self.state or 'INITIAL'}")
        if start.pending is not None and _precedes(event, start.pending.event):
            if start.pending.event is self.GONE:
                raise PeerError(400, f"{event} is too late: this side has sent {self.GONE}")
            raise PeerError(503, f"{event} must wait until {start.pending.event} of this side has been answered")
        fresh = (key,) if content is None or content == key else (content, key)
        return replace(start, state=to, pending=None, seen=(*self.seen, *fresh)[-REMEMBERED:])

    def abandon(self) -> Self:
        """End without telling the peer: it never answered our first message, or it refuses to go on."""
        return self if self.over else replace(self, state=self.ENDED, pending=None)


def _precedes(a: StrEnum, b: StrEnum) -> bool:
    order = list(type(b))
    return order.index(a) < order.index(b)
