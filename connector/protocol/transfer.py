"""The transfer process state machine (DSP 2025-1, Transfer Process Protocol). The table is the specification.

One cell goes beyond the figure: STARTED, START by the provider. The figure lets either side resume with START; when the
consumer of a pull resumes, it has no address to offer, and the provider follows with a START of its own that carries a
fresh one. EDC does the same, and the question is open with the editors (DataspaceProtocol issue 167).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from connector.protocol.process import Process, Role


class State(StrEnum):
    """The states that both sides show (`state` of the TransferProcess object)."""

    REQUESTED = "REQUESTED"
    STARTED = "STARTED"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


class Event(StrEnum):
    """The messages that change a state, in order of precedence (`process`)."""

    REQUEST = "REQUEST"
    START = "START"
    SUSPEND = "SUSPEND"
    COMPLETE = "COMPLETE"
    TERMINATE = "TERMINATE"


S, E, C, P = State, Event, Role.CONSUMER, Role.PROVIDER
TERMINAL: Final = frozenset({S.COMPLETED, S.TERMINATED})

TABLE: Final[Mapping[tuple[State | None, Event, Role], State]] = {
    (None, E.REQUEST, C): S.REQUESTED,  # state before, message, its sender: state after
    (S.REQUESTED, E.START, P): S.STARTED,
    (S.STARTED, E.START, P): S.STARTED,
    **{(S.STARTED, E.SUSPEND, r): S.SUSPENDED for r in Role},
    **{(S.STARTED, E.COMPLETE, r): S.COMPLETED for r in Role},
    **{(S.SUSPENDED, E.START, r): S.STARTED for r in Role},
    **{(s, E.TERMINATE, r): S.TERMINATED for s in S if s not in TERMINAL for r in Role},
}


@dataclass(frozen=True, slots=True)
class TransferProcess(Process[State, Event]):
    """One side's knowledge of a transfer process."""

    TABLE: ClassVar[Mapping[tuple[State | None, Event, Role], State]] = TABLE
    TOLERATED: ClassVar[frozenset[tuple[State | None, Event, Role]]] = frozenset()
    TERMINAL: ClassVar[frozenset[State]] = TERMINAL
    GONE: ClassVar[Event] = Event.TERMINATE
    ENDED: ClassVar[State] = State.TERMINATED
