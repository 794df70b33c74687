"""Whether an agreement still permits what runs under it, asked between the counterparty's messages.

Dates have timers (`transfer_moves.agreement_ended`). What else may change - a credential that is revoked, a group that
a partner has left - is asked when the consumer wants a new access token, which is every few minutes. What nobody can
know at that moment is left as it was found before: credentials of somebody who never had to show any, a BPN that no
directory has. A transfer that is refused a token is not terminated: what was revoked can be given back.
"""

from typing import Final

from connector.exchange.moves import Judgements
from connector.exchange.ports import Caller, Tx
from connector.exchange.records import Transfer
from connector.exchange.terms import counterparty
from connector.policy.circumstances import Circumstances
from connector.policy.evaluate import evaluate

_NOTED: Final = "policy:monitor"


def still_permits(tx: Tx, transfer: Transfer, caller: Caller, now: int) -> bool:
    """Judge the agreement of a running transfer for its consumer. A refusal is noted in its timeline, once in a row."""
    agreement = tx.agreements.get(transfer.agreement_id)
    party = counterparty(tx, caller)
    verdict = evaluate(agreement.policy, Circumstances("monitor", party, now, agreement.created_at))
    if not verdict.permitted and [entry.what for entry in transfer.history[-1:]] != [_NOTED]:
        judgements = Judgements()
        judgements.take("monitor", verdict)
        tx.transfers.save(judgements.noted(transfer, now))
    return verdict.permitted
