"""The script player: what the node under test does in each case of the Dataspace Protocol TCK.

The kit does not say which case it plays; it names a dataset, and each case has its own. A script says what to do when
something has happened: the name of the peer's message, or that of ours with "sent" when the peer has taken it; the
second time with "again". What a script does not mention is held, so a case also proves that nothing else is done.

An asset without a script is negotiated and transferred as always: that is how the agreements are made that the transfer
cases need (`run.py`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from typing_extensions import override

from connector.exchange.strategy import (
    HOLD,
    Act,
    AutomaticNegotiation,
    Decision,
    NegotiationStrategy,
    NegotiationView,
    TransferStrategy,
    TransferView,
    terminate,
)

PAUSE_MS: Final = 350
"""The kit listens for the next message only some 100 ms after the last one: an immediate one would find nobody."""

OFFER, AGREE, FINALIZE = Decision(Act.OFFER), Decision(Act.AGREE), Decision(Act.FINALIZE)
COUNTER, ACCEPT, VERIFY = Decision(Act.REQUEST), Decision(Act.ACCEPT), Decision(Act.VERIFY)
START, SUSPEND, COMPLETE = Decision(Act.START), Decision(Act.SUSPEND), Decision(Act.COMPLETE)
TERMINATE = terminate("the script of this case ends here")
Script = Mapping[str, Decision]

PROVIDING: Final[Mapping[str, Script]] = {
    "ACN0101": {"REQUEST": OFFER},
    "ACN0102": {"REQUEST": OFFER, "REQUEST again": TERMINATE},
    "ACN0103": {"REQUEST": OFFER, "ACCEPT": AGREE, "VERIFY": FINALIZE},
    "ACN0104": {"REQUEST": AGREE, "VERIFY": FINALIZE},
    "ACN0201": {"REQUEST": TERMINATE},
    "ACN0202": {},
    "ACN0203": {"REQUEST": AGREE},
    "ACN0204": {"REQUEST": OFFER},
    "ACN0205": {"REQUEST": OFFER, "OFFER sent": TERMINATE},
    "ACN0206": {"REQUEST": OFFER, "ACCEPT": TERMINATE},
    "ACN0207": {"REQUEST": AGREE, "VERIFY": TERMINATE},
    "ACN0301": {"REQUEST": AGREE, "VERIFY": FINALIZE},
    "ACN0302": {"REQUEST": OFFER},
    "ACN0303": {"REQUEST": OFFER},
    "ACN0304": {"REQUEST": OFFER},
}
CONSUMING: Final[Mapping[str, Script]] = {
    "ACNC0101": {"OFFER": ACCEPT, "AGREE": VERIFY},
    "ACNC0102": {"OFFER": COUNTER},
    "ACNC0103": {"OFFER": TERMINATE},
    "ACNC0104": {"AGREE": VERIFY},
    "ACNC0201": {},
    "ACNC0202": {"REQUEST sent": TERMINATE},
    "ACNC0203": {"AGREE": TERMINATE},
    "ACNC0204": {},
    "ACNC0205": {"OFFER": ACCEPT},
    "ACNC0206": {"AGREE": VERIFY},
    "ACNC0301": {},
    "ACNC0302": {},
    "ACNC0303": {},
    "ACNC0304": {"OFFER": ACCEPT},
    "ACNC0305": {"OFFER": ACCEPT},
    "ACNC0306": {"OFFER": ACCEPT},
}
SENDING: Final[Mapping[str, Script]] = {
    "ATP0101": {"REQUEST": START, "START sent": TERMINATE},
    "ATP0102": {"REQUEST": START, "START sent": COMPLETE},
    "ATP0103": {"REQUEST": START, "START sent": SUSPEND, "SUSPEND sent": TERMINATE},
    "ATP0104": {"REQUEST": START, "START sent": SUSPEND, "SUSPEND sent": START, "START sent again": COMPLETE},
    "ATP0105": {"REQUEST": TERMINATE},
    "ATP0201": {"REQUEST": START},
    "ATP0202": {"REQUEST": START},
    "ATP0203": {"REQUEST": START},
    "ATP0205": {},
    "ATP0301": {},
    "ATP0302": {},
    "ATP0303": {"REQUEST": START},
    "ATP0304": {"REQUEST": START},
    "ATP0305": {"REQUEST": START},
    "ATP0306": {"REQUEST": START},
}
RECEIVING: Final[Mapping[str, Script]] = {
    "ATPC0101": {},
    "ATPC0102": {},
    "ATPC0103": {},
    "ATPC0104": {},
    "ATPC0105": {},
    "ATPC0201": {"START": TERMINATE},
    "ATPC0202": {"START": COMPLETE},
    "ATPC0203": {"START": SUSPEND, "SUSPEND sent": TERMINATE},
    "ATPC0205": {"REQUEST sent": TERMINATE},
    "ATPC0301": {},
    "ATPC0302": {},
    "ATPC0303": {},
    "ATPC0304": {},
    "ATPC0305": {},
    "ATPC0306": {},
}
NEGOTIATING: Final = {**PROVIDING, **CONSUMING}
TRANSFERRING: Final = {**SENDING, **RECEIVING}


class Player:
    """Reads scripts. It counts what has happened to each process: a script may tell the first time from the second."""

    def __init__(self) -> None:
        self._happened: Counter[tuple[str, str]] = Counter()

    def next(self, script: Script, view: NegotiationView | TransferView) -> Decision:
        """What the script does now."""
        what = f"{view.event} sent" if view.ours else str(view.event)
        self._happened[view.id, what] += 1
        again = " again" * (self._happened[view.id, what] - 1)
        decision = script.get(what + again, HOLD)
        return decision if decision is HOLD else replace(decision, after_ms=PAUSE_MS)


class Negotiations(NegotiationStrategy):
    """Plays the cases CN and CN_C."""

    def __init__(self) -> None:
        self._player = Player()
        self._otherwise = AutomaticNegotiation()

    @override
    def decide(self, view: NegotiationView) -> Decision:
        script = NEGOTIATING.get(view.offer.target or "")
        return self._otherwise.decide(view) if script is None else self._player.next(script, view)


class Transfers(TransferStrategy):
    """Plays the cases TP and TP_C."""

    def __init__(self) -> None:
        self._player = Player()

    @override
    def decide(self, view: TransferView) -> Decision:
        return self._player.next(TRANSFERRING[view.asset_id], view)
