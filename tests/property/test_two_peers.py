"""Two pure peers over a wire that loses, doubles and reorders; once everything is answered, they agree on the state.

What the wire does not do is said in `connector.protocol.process`: a copy of a message that its sender has taken back
does not arrive after the message in its place has been answered. Here it is lost as soon as neither side has a message
pending. A wire that did deliver it would find a counter-example, and one test shows the shortest.
"""

from enum import StrEnum
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from connector.protocol import negotiation, transfer
from connector.protocol.errors import Conflict, PeerError
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Process, Role
from connector.protocol.transfer import TransferProcess

C, P = Role.CONSUMER, Role.PROVIDER


class Post(NamedTuple):
    """Something on the wire to side `to`: an event, or the answer to one (its status)."""

    to: Role
    key: str
    event: StrEnum | None
    status: int = 0


class TwoPeers(RuleBasedStateMachine):
    """Both sides send whatever they may; the wire does its worst."""

    kind: type[Process[Any, Any]]
    events: type[StrEnum]

    def __init__(self) -> None:
        super().__init__()
        self.side: dict[Role, Process[Any, Any]] = {role: self.kind(role) for role in Role}
        self.wire: list[Post] = []
        self.sent = 0

    @rule(who=st.sampled_from(list(Role)), pick=st.integers(0, 9))
    def send(self, who: Role, pick: int) -> None:
        events = list(self.events)
        event = events[pick % len(events)]
        if self.side[who].state is None and self.side[who.other] != self.kind(who.other):
            return  # the other side has begun this process
        try:
            self.side[who] = self.side[who].send(event, f"m{self.sent}")
        except Conflict:
            return
        self.sent += 1
        self._resend(who)

    def _resend(self, who: Role) -> None:
        if (pending := self.side[who].pending) is not None:
            self.wire.append(Post(who.other, pending.key, pending.event))

    @rule(who=st.sampled_from(list(Role)))
    def try_again(self, who: Role) -> None:
        self._resend(who)

    @precondition(lambda self: self.wire)
    @rule(pick=st.integers(0, 30))
    def lose(self, pick: int) -> None:
        self.wire.pop(pick % len(self.wire))

    @precondition(lambda self: self.wire)
    @rule(pick=st.integers(0, 30), double=st.booleans())
    def deliver(self, pick: int, *, double: bool) -> None:
        post = self.wire.pop(pick % len(self.wire))
        self.wire += [post] * double
        side = self.side[post.to]
        if post.event is None:
            if post.status != 503:
                self.side[post.to] = side.answered(post.key, ok=post.status == 200)
            return
        try:
            self.side[post.to] = side.receive(post.event, post.key)
        except PeerError as refusal:
            self.wire.append(Post(post.to.other, post.key, None, refusal.status))
        else:
            self.wire.append(Post(post.to.other, post.key, None, 200))

    @invariant()
    def late_copies_die(self) -> None:
        if not any(side.pending for side in self.side.values()):
            self._quiet()
            self.wire.clear()

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        assert all(not side.over or side.pending is None for side in self.side.values())

    def _quiet(self) -> None:
        states = {str(side.state) for side in self.side.values()}
        assert len(states) == 1, f"{self.side}"

    @override
    def teardown(self) -> None:
        for _ in range(200):
            if not any(side.pending for side in self.side.values()):
                break
            for who in Role:
                self._resend(who)
            while self.wire:
                self.deliver(0, double=False)
        else:
            pytest.fail(f"the two wait for each other: {self.side}")
        self._quiet()


class Negotiations(TwoPeers):
    kind = NegotiationProcess
    events = negotiation.Event


class Transfers(TwoPeers):
    kind = TransferProcess
    events = transfer.Event


EFFORT = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestNegotiations = Negotiations.TestCase
TestNegotiations.settings = EFFORT
TestTransfers = Transfers.TestCase
TestTransfers.settings = EFFORT


def test_a_copy_that_outlives_its_message_is_beyond_what_one_side_can_know() -> None:
    provider = TransferProcess(P, transfer.State.STARTED).send(transfer.Event.START, "start")
    consumer = TransferProcess(C, transfer.State.STARTED).send(transfer.Event.SUSPEND, "suspend")
    provider = provider.receive(transfer.Event.SUSPEND, "suspend")  # takes the start back, of which a copy is under way
    consumer = consumer.answered("suspend", ok=True)
    assert provider.state is consumer.state is transfer.State.SUSPENDED
    assert consumer.receive(transfer.Event.START, "start").state is transfer.State.STARTED
