"""When a policy ends by itself, so that a timer can be set to the exact moment instead of asking again and again.

Dates are the only operands that change while nothing happens. A policy whose dates are joined by "and" ends exactly at
the moment returned; where a date stands beside other operands under or/xone, whether it ends depends on those, and the
first moment at which one of these dates turns is returned. So the answer is never too late.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from connector.policy import dates
from connector.policy.model import Condition, Constraint, Policy, Rule

_EXACT: Final = 64
"""With more turns than this, as only a hostile policy has, every turn counts: early again, but quick."""

_Dated: TypeAlias = tuple[dates.Limit, int]


def ends_at(policy: Policy, agreed_at: int, after: int | None = None) -> int | None:
    """First moment at which a date can turn the policy false, None if none does. All in milliseconds since the epoch.

    agreed_at: when the agreement was concluded.
    after: only moments later than this; to go on when `evaluate` still permits at the moment returned before.
    """
    ends = (
        end
        for part in ("permission", "prohibition", "obligation")
        for rule in getattr(policy, part)
        for end in _ends(rule, agreed_at, forbids=part == "prohibition")
        if after is None or end > after
    )
    return min(ends, default=None)


def _ends(rule: Rule, agreed_at: int, *, forbids: bool) -> Iterator[int]:
    """The moments at which the rule may turn from fulfilled to not fulfilled, in order."""
    turns = sorted({turn for c in rule.constraints for dated in _dates(c, agreed_at) for turn in _turns(*dated)})
    if len(turns) > _EXACT or any(_is_mixed(c, agreed_at) for c in rule.constraints):
        yield from turns
        return
    for turn in turns:
        before, then = (all(_holds(c, now, agreed_at) for c in rule.constraints) for now in (turn - 1, turn))
        if before is not forbids and then is forbids:
            yield turn


def _turns(limit: dates.Limit, instant: int) -> Iterator[int]:
    """The moments at which one constraint changes its truth."""
    for moment in (instant, instant + 1):
        if limit.holds(moment - 1, instant) is not limit.holds(moment, instant):
            yield moment


def _dates(condition: Condition, agreed_at: int) -> Iterator[_Dated]:
    """The date constraints below a condition, each with its instant."""
    if not isinstance(condition, Constraint):
        for operand in condition.operands:
            yield from _dates(operand, agreed_at)
    elif (limit := dates.read(condition)) is not None and (instant := limit.instant(agreed_at)) is not None:
        yield limit, instant


def _is_mixed(condition: Condition, agreed_at: int) -> bool:
    """Whether a date stands beside something else under or/xone."""
    if isinstance(condition, Constraint):
        return False
    if condition.operator in {"or", "xone"}:
        dated = [any(_dates(operand, agreed_at)) for operand in condition.operands]
        if any(dated) and not all(_is_dated(operand, agreed_at) for operand in condition.operands):
            return True
    return any(_is_mixed(operand, agreed_at) for operand in condition.operands)


def _is_dated(condition: Condition, agreed_at: int) -> bool:
    """Whether all constraints below a condition are dates."""
    if isinstance(condition, Constraint):
        return any(_dates(condition, agreed_at))
    return all(_is_dated(operand, agreed_at) for operand in condition.operands)


def _holds(condition: Condition, now: int, agreed_at: int) -> bool:
    """Truth of a condition that is not mixed; what is not a date does not change, and counts as fulfilled."""
    dated = any(_dates(condition, agreed_at))
    if not dated and not _is_dated(condition, agreed_at):
        return True
    if isinstance(condition, Constraint):
        return all(limit.holds(now, instant) for limit, instant in _dates(condition, agreed_at))
    values = [_holds(operand, now, agreed_at) for operand in condition.operands]
    if condition.operator == "xone":
        return values.count(True) == 1
    return any(values) if condition.operator == "or" else all(values)
