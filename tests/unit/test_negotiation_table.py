"""Every cell of the negotiation table against a second list, typed from the standard (DSP 2025-1, clause 7).

The list below is the text of the clause, row by row, plus the two extensions that `connector.protocol.negotiation`
names. Whatever is not in it has to be refused, on both sides, by every means.
"""

from itertools import product

import pytest

from connector.protocol.errors import Conflict, PeerError
from connector.protocol.negotiation import Event, NegotiationProcess, State
from connector.protocol.process import Role

CLAUSE = """
    INITIAL    REQUEST    CONSUMER  REQUESTED
    INITIAL    OFFER      PROVIDER  OFFERED
    REQUESTED  OFFER      PROVIDER  OFFERED
    REQUESTED  AGREE      PROVIDER  AGREED
    OFFERED    REQUEST    CONSUMER  REQUESTED
    OFFERED    ACCEPT     CONSUMER  ACCEPTED
    ACCEPTED   AGREE      PROVIDER  AGREED
    AGREED     VERIFY     CONSUMER  VERIFIED
    VERIFIED   FINALIZE   PROVIDER  FINALIZED
    REQUESTED  TERMINATE  CONSUMER  TERMINATED
    REQUESTED  TERMINATE  PROVIDER  TERMINATED
    OFFERED    TERMINATE  CONSUMER  TERMINATED
    OFFERED    TERMINATE  PROVIDER  TERMINATED
    ACCEPTED   TERMINATE  PROVIDER  TERMINATED
    AGREED     TERMINATE  CONSUMER  TERMINATED
    VERIFIED   TERMINATE  PROVIDER  TERMINATED
"""
EXTENSIONS = """
    ACCEPTED   TERMINATE  CONSUMER  TERMINATED
    AGREED     TERMINATE  PROVIDER  TERMINATED
    VERIFIED   TERMINATE  CONSUMER  TERMINATED
"""
ONLY_TAKEN = """
    OFFERED    OFFER      PROVIDER  OFFERED
"""


def read(text: str) -> dict[tuple[str, str, str], str]:
    return {
        (state, event, sender): after
        for state, event, sender, after in (row.split() for row in text.split("\n") if row.strip())
    }


TAKEN = read(CLAUSE + EXTENSIONS + ONLY_TAKEN)
SENT = read(CLAUSE + EXTENSIONS)
CELLS = list(product(["INITIAL", *State], Event, Role))


def at(us: Role, state: str) -> NegotiationProcess:
    return NegotiationProcess(us, None if state == "INITIAL" else State(state))


def test_the_list_has_a_row_for_each_arrow() -> None:
    assert len(TAKEN) == 20


@pytest.mark.parametrize(("state", "event", "sender"), CELLS)
def test_what_arrives_is_taken_or_refused(state: str, event: Event, sender: Role) -> None:
    receiver = at(sender.other, state)
    if (state, event, sender) in TAKEN:
        after = receiver.receive(event, "m")
        assert (after.state, after.pending, after.seen) == (TAKEN[state, event, sender], None, ("m",))
    else:
        with pytest.raises(PeerError, match=f"{event} from the {sender.lower()} is not legal in state {state}") as no:
            receiver.receive(event, "m")
        assert no.value.status == 400


@pytest.mark.parametrize(("state", "event", "sender"), CELLS)
def test_what_is_sent_takes_effect_or_cannot_be_sent(state: str, event: Event, sender: Role) -> None:
    ours = at(sender, state)
    if (state, event, sender) in SENT:
        assert ours.send(event, "m").answered("m", ok=True).state == SENT[state, event, sender]
    else:
        with pytest.raises(Conflict, match=f"{event} is not possible in state {state} as {sender.lower()}"):
            ours.send(event, "m")


@pytest.mark.parametrize("us", Role)
def test_two_states_are_the_end(us: Role) -> None:
    assert [state for state in State if at(us, state).over] == [State.FINALIZED, State.TERMINATED]
