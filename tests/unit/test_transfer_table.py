"""Every cell of the transfer table against a second list, typed from the standard (DSP 2025-1, clause 8).

The list below is the text of the clause, row by row, plus the extension that `connector.protocol.transfer` names.
Whatever is not in it has to be refused, on both sides, by every means.
"""

from itertools import product

import pytest

from connector.protocol.errors import Conflict, PeerError
from connector.protocol.process import Role
from connector.protocol.transfer import Event, State, TransferProcess

CLAUSE = """
    INITIAL    REQUEST    CONSUMER  REQUESTED
    REQUESTED  START      PROVIDER  STARTED
    STARTED    SUSPEND    CONSUMER  SUSPENDED
    STARTED    SUSPEND    PROVIDER  SUSPENDED
    STARTED    COMPLETE   CONSUMER  COMPLETED
    STARTED    COMPLETE   PROVIDER  COMPLETED
    SUSPENDED  START      CONSUMER  STARTED
    SUSPENDED  START      PROVIDER  STARTED
    REQUESTED  TERMINATE  CONSUMER  TERMINATED
    REQUESTED  TERMINATE  PROVIDER  TERMINATED
    STARTED    TERMINATE  CONSUMER  TERMINATED
    STARTED    TERMINATE  PROVIDER  TERMINATED
    SUSPENDED  TERMINATE  CONSUMER  TERMINATED
    SUSPENDED  TERMINATE  PROVIDER  TERMINATED
"""
EXTENSION = """
    STARTED    START      PROVIDER  STARTED
"""
LEGAL = {
    (state, event, sender): after
    for state, event, sender, after in (row.split() for row in (CLAUSE + EXTENSION).split("\n") if row.strip())
}
CELLS = list(product(["INITIAL", *State], Event, Role))


def at(us: Role, state: str) -> TransferProcess:
    return TransferProcess(us, None if state == "INITIAL" else State(state))


def test_the_list_has_a_row_for_each_arrow() -> None:
    assert len(LEGAL) == 15


@pytest.mark.parametrize(("state", "event", "sender"), CELLS)
def test_what_arrives_is_taken_or_refused(state: str, event: Event, sender: Role) -> None:
    receiver = at(sender.other, state)
    if (state, event, sender) in LEGAL:
        after = receiver.receive(event, "m")
        assert (after.state, after.pending, after.seen) == (LEGAL[state, event, sender], None, ("m",))
    else:
        with pytest.raises(PeerError, match=f"{event} from the {sender.lower()} is not legal in state {state}") as no:
            receiver.receive(event, "m")
        assert no.value.status == 400


@pytest.mark.parametrize(("state", "event", "sender"), CELLS)
def test_what_is_sent_takes_effect_or_cannot_be_sent(state: str, event: Event, sender: Role) -> None:
    ours = at(sender, state)
    if (state, event, sender) in LEGAL:
        assert ours.send(event, "m").answered("m", ok=True).state == LEGAL[state, event, sender]
    else:
        with pytest.raises(Conflict, match=f"{event} is not possible in state {state} as {sender.lower()}"):
            ours.send(event, "m")


@pytest.mark.parametrize("us", Role)
def test_two_states_are_the_end(us: Role) -> None:
    assert [state for state in State if at(us, state).over] == [State.COMPLETED, State.TERMINATED]
