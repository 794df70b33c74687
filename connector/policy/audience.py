"""For whom an access policy is at all: what the catalog is indexed by, so that no offer is judged in vain.

Sound, not exact: a BPN that `evaluate` permits is always in the audience; one that is in it may still be denied.
"""

from functools import reduce
from typing import TypeAlias

from connector.policy import partner
from connector.policy.model import Condition, Constraint, Policy
from connector.policy.vocabulary import operand_name

_Audience: TypeAlias = frozenset[str] | None


def audience(policy: Policy) -> frozenset[str] | None:
    """The BPNs that can satisfy the policy, None if it does not restrict by BPN.

    All constraints of all permissions and obligations must hold, so they intersect; prohibitions are
    left to `evaluate`.
    """
    rules = (*policy.permission, *policy.obligation)
    return _all(*(_of(condition) for rule in rules for condition in rule.constraints))


def _of(condition: Condition) -> _Audience:
    if isinstance(condition, Constraint):
        return partner.admitted(condition) if operand_name(condition.left) == partner.NAME else None
    operands = [_of(operand) for operand in condition.operands]
    return _any(*operands) if condition.operator in {"or", "xone"} else _all(*operands)


def _all(*audiences: _Audience) -> _Audience:
    restricting = [audience for audience in audiences if audience is not None]
    return reduce(frozenset.intersection, restricting) if restricting else None


def _any(*audiences: _Audience) -> _Audience:
    united: frozenset[str] = frozenset()
    for one in audiences:
        if one is None:
            return None
        united |= one
    return united
