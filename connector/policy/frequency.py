"""The operand DataFrequency: how often the data may be transferred under one agreement (Catena-X CX-0152).

`once` is one transfer: whatever happens within it (pauses, retries, requests with its tokens) is that one. Tractus-X
does not enforce it.
"""

from typing import Final

from connector.policy.circumstances import Circumstances, Finding
from connector.policy.model import Constraint, Policy
from connector.policy.values import one_text
from connector.policy.wording import operands_in

NAME: Final = "DataFrequency"
_ONCE: Final = frozenset({"cx.dataFrequency.once:1", "cx.dataFrequency.once"})
_UNLIMITED: Final = frozenset({"cx.dataFrequency.unlimited:1", "cx.dataFrequency.unlimited"})


def limits(policy: Policy) -> bool:
    """Whether the policy says how often, so that transfers have to be counted."""
    rules = (*policy.permission, *policy.prohibition, *policy.obligation)
    return any(NAME in operands_in(condition) for rule in rules for condition in rule.constraints)


def check(constraint: Constraint, circumstances: Circumstances) -> Finding:
    """Compare the transfers that there have been with what is allowed."""
    allowed = one_text(constraint)
    if constraint.operator != "eq" or allowed not in _ONCE | _UNLIMITED:
        return Finding(None, f"{NAME} knows eq with cx.dataFrequency.once:1 or cx.dataFrequency.unlimited:1")
    if allowed in _UNLIMITED:
        return Finding(truth=True, found="by any number of transfers")
    if circumstances.scope == "monitor":
        return Finding(None, "it was checked when the transfer began", waived="earlier")
    if circumstances.scope != "transfer":
        return Finding(None, "it counts the transfers under an agreement, and there is none yet", waived="later")
    if circumstances.used is None:
        return Finding(None, "nobody has counted the transfers under this agreement")
    return Finding(circumstances.used == 0, f"with {circumstances.used} other transfers started under this agreement")
