"""EDC's state codes (EDC 0.14, `ContractNegotiationStates` and `TransferProcessStates`).

The management API shows the names and filters on the numbers; clients know both. A message of ours that has no answer
yet shows as EDC's state of sending it: AGREED with VERIFY pending is VERIFYING.
"""

from collections.abc import Mapping
from typing import Final

from connector.protocol import negotiation, transfer
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Role
from connector.protocol.transfer import TransferProcess

NEGOTIATION: Final[Mapping[str, int]] = {
    "INITIAL": 50,
    "REQUESTING": 100,
    "REQUESTED": 200,
    "OFFERING": 300,
    "OFFERED": 400,
    "ACCEPTING": 700,
    "ACCEPTED": 800,
    "AGREEING": 825,
    "AGREED": 850,
    "VERIFYING": 1050,
    "VERIFIED": 1100,
    "FINALIZING": 1150,
    "FINALIZED": 1200,
    "TERMINATING": 1300,
    "TERMINATED": 1400,
}
TRANSFER: Final[Mapping[str, int]] = {
    "INITIAL": 100,
    "PROVISIONING": 200,
    "PREPARATION_REQUESTED": 250,
    "PROVISIONED": 300,
    "REQUESTING": 400,
    "REQUESTED": 500,
    "STARTING": 550,
    "STARTUP_REQUESTED": 570,
    "STARTED": 600,
    "SUSPENDING": 650,
    "SUSPENDING_REQUESTED": 675,
    "SUSPENDED": 700,
    "RESUMING": 720,
    "RESUMED": 725,
    "COMPLETING": 750,
    "COMPLETING_REQUESTED": 775,
    "COMPLETED": 800,
    "TERMINATING": 825,
    "TERMINATING_REQUESTED": 840,
    "TERMINATED": 850,
    "DEPROVISIONING": 900,
    "DEPROVISIONING_REQUESTED": 950,
    "DEPROVISIONED": 1000,
}

_N, _T = negotiation.Event, transfer.Event
_NEGOTIATION_PENDING: Final[Mapping[negotiation.Event, str]] = {
    _N.REQUEST: "REQUESTING",
    _N.OFFER: "OFFERING",
    _N.ACCEPT: "ACCEPTING",
    _N.AGREE: "AGREEING",
    _N.VERIFY: "VERIFYING",
    _N.FINALIZE: "FINALIZING",
    _N.TERMINATE: "TERMINATING",
}
_TRANSFER_PENDING: Final[Mapping[transfer.Event, str]] = {
    _T.REQUEST: "REQUESTING",
    _T.START: "STARTING",
    _T.SUSPEND: "SUSPENDING",
    _T.COMPLETE: "COMPLETING",
    _T.TERMINATE: "TERMINATING",
}


def negotiation_state(process: NegotiationProcess) -> str:
    """EDC's name for where a negotiation is."""
    if process.pending is not None:
        return _NEGOTIATION_PENDING[process.pending.event]
    return process.state or "INITIAL"


def transfer_state(process: TransferProcess) -> str:
    """EDC's name for where a transfer is; a consumer's START is a resumption.

    A provider's second START (`protocol.transfer`) leads nowhere else: whoever waits for STARTED is there.
    """
    if process.pending is not None and process.after_pending is not process.state:
        resumes = process.pending.event is _T.START and process.us is Role.CONSUMER
        return "RESUMING" if resumes else _TRANSFER_PENDING[process.pending.event]
    return process.state or "INITIAL"
