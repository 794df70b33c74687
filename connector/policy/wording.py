"""Constraints as people read them; used in the reasons of a verdict and of a difference between offers."""

from typing import Final

from connector.policy.model import Condition, Constraint, Right, Rule, lexical
from connector.policy.vocabulary import operand_name

_LISTED: Final = 5
_LONGEST: Final = 400


def describe(condition: Condition) -> str:
    """Say a condition in one line, e.g. "BusinessPartnerNumber isAnyOf [BPNL1, BPNL2]"; long ones are cut."""
    return cut(_condition(condition))


def describe_rule(rule: Rule) -> str:
    """Say a rule in one line, e.g. "use if inForceDate lteq 2027-01-01T00:00:00Z"."""
    conditions = " and ".join(_condition(c) for c in rule.constraints[:_LISTED])
    return cut(f"{rule.action} if {conditions}" if conditions else f"{rule.action} without condition")


def describe_right(right: Right) -> str:
    """Say a right operand: a value as it is, a list in brackets with its first entries."""
    if not isinstance(right, tuple):
        return cut(lexical(right))
    more = [f"{len(right) - _LISTED} more"] if len(right) > _LISTED else []
    return f"[{', '.join([*(cut(lexical(v)) for v in right[:_LISTED]), *more])}]"


def operands_in(condition: Condition) -> list[str]:
    """Canonical names of the left operands below a condition, in order, each once."""
    if isinstance(condition, Constraint):
        return [operand_name(condition.left)]
    return list(dict.fromkeys(name for operand in condition.operands for name in operands_in(operand)))


def cut(text: str) -> str:
    """Shorten a text that came from a stranger to what fits in a log line."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _condition(condition: Condition) -> str:
    if isinstance(condition, Constraint):
        return f"{operand_name(condition.left)} {condition.operator} {describe_right(condition.right)}"
    joined = f" {condition.operator} ".join(_condition(operand) for operand in condition.operands[:_LISTED])
    more = f" {condition.operator} ..." if len(condition.operands) > _LISTED else ""
    return f"({joined}{more})" if joined else f"({condition.operator} of nothing)"
