"""For whom an access policy is at all: what the catalog is indexed by, so that no offer is judged in vain.

An audience is a set of BPNs and of groups, these as `group:<name>`. Sound, not exact: whoever `evaluate` permits is in
the audience by its number or by one of its groups; who is in it may still be denied.
"""

from functools import reduce
from typing import TypeAlias

from connector.policy import partner
from connector.policy.model import Condition, Constraint, Policy

_Audience: TypeAlias = frozenset[str] | None


def audience(policy: Policy) -> frozenset[str] | None:
    """Who can satisfy the policy, None if it restricts neither by BPN nor by group.

    All constraints of all permissions and obligations must hold, so they intersect; prohibitions are
    left to `evaluate`.
    """
    rules = (*policy.permission, *policy.obligation)
    return _all(*(_of(condition) for rule in rules for condition in rule.constraints))


def _of(condition: Condition) -> _Audience:
    if isinstance(condition, Constraint):
        return partner.admitted(condition)
    operands = [_of(operand) for operand in condition.operands]
    return _any(*operands) if condition.operator in {"or", "xone"} else _all(*operands)


def _all(*audiences: _Audience) -> _Audience:
    """Who is in all of them. Who is in which group is not known here: one audience with groups stands for all such."""
    restricting = [audience for audience in audiences if audience is not None]
    numbers = [a for a in restricting if not any(member.startswith(partner.IN_GROUP) for member in a)]
    if numbers:
        return reduce(frozenset.intersection, numbers)
    return min(restricting, key=len, default=None)


def _any(*audiences: _Audience) -> _Audience:
    united: frozenset[str] = frozenset()
    for one in audiences:
        if one is None:
            return None
        united |= one
    return united
