"""The contract negotiation state machine (DSP 2025-1, Contract Negotiation Protocol). The table is the specification.

Two cells go beyond the figure of the standard, both because peers in the field do it:
- OFFERED, OFFER by the provider: a provider may replace its own offer, as EDC and the conformance kit's model have it.
  It is only taken, never sent: ACCEPTED does not say which offer it accepts, so two that cross could be mistaken.
- TERMINATE by either side in every state that is not terminal: the prose allows it, the figure draws fewer arrows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from connector.protocol.process import Process, Role


class State(StrEnum):
    """The states that both sides show (`state` of the ContractNegotiation object)."""

    REQUESTED = "REQUESTED"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    AGREED = "AGREED"
    VERIFIED = "VERIFIED"
    FINALIZED = "FINALIZED"
    TERMINATED = "TERMINATED"


class Event(StrEnum):
    """The messages that change a state, in order of precedence (`process`)."""

    REQUEST = "REQUEST"
    OFFER = "OFFER"
    ACCEPT = "ACCEPT"
    AGREE = "AGREE"
    VERIFY = "VERIFY"
    FINALIZE = "FINALIZE"
    TERMINATE = "TERMINATE"


S, E, C, P = State, Event, Role.CONSUMER, Role.PROVIDER
TERMINAL: Final = frozenset({S.FINALIZED, S.TERMINATED})

TABLE: Final[Mapping[tuple[State | None, Event, Role], State]] = {
    (None, E.REQUEST, C): S.REQUESTED,  # state before, message, its sender: state after
    (None, E.OFFER, P): S.OFFERED,
    (S.REQUESTED, E.OFFER, P): S.OFFERED,
    (S.REQUESTED, E.AGREE, P): S.AGREED,
    (S.OFFERED, E.OFFER, P): S.OFFERED,
    (S.OFFERED, E.REQUEST, C): S.REQUESTED,
    (S.OFFERED, E.ACCEPT, C): S.ACCEPTED,
    (S.ACCEPTED, E.AGREE, P): S.AGREED,
    (S.AGREED, E.VERIFY, C): S.VERIFIED,
    (S.VERIFIED, E.FINALIZE, P): S.FINALIZED,
    **{(s, E.TERMINATE, r): S.TERMINATED for s in S if s not in TERMINAL for r in Role},
}
TOLERATED: Final = frozenset({(S.OFFERED, E.OFFER, P)})


@dataclass(frozen=True, slots=True)
class NegotiationProcess(Process[State, Event]):
    """One side's knowledge of a contract negotiation."""

    TABLE: ClassVar[Mapping[tuple[State | None, Event, Role], State]] = TABLE
    TOLERATED: ClassVar[frozenset[tuple[State | None, Event, Role]]] = TOLERATED
    TERMINAL: ClassVar[frozenset[State]] = TERMINAL
    GONE: ClassVar[Event] = Event.TERMINATE
    ENDED: ClassVar[State] = State.TERMINATED
