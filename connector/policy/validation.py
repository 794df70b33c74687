"""What is wrong with a policy before anybody is judged by it: each fault with its place.

Two questions. Can all of it be checked here? What cannot be checked even for a counterparty of whom everything is known
would deny everybody, so it is a fault of any policy. Is it what the profile allows (Catena-X CX-0152 in the edition of
`policies/profile.json`)? Other connectors refuse a policy that is not. That counts for those that say they are of the
profile; for others it is advice, because policies of older guides and of other data spaces are judged here too.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from connector.policy.circumstances import Circumstances, Counterparty
from connector.policy.evaluate import evaluate
from connector.policy.model import Condition, Constraint, Policy, Rule
from connector.policy.values import texts
from connector.policy.vocabulary import edition, operand_name, profile
from connector.policy.wording import cut
from connector.protocol.errors import Invalid

_PARTS: Final = ("permission", "prohibition", "obligation")
_ANYBODY: Final = Circumstances("monitor", Counterparty("did:web:anybody.example", "BPNL000000000000", {}), 0, 0, 0)
_OF_ACCESS: Final = "access"
_OF_USAGE: Final = "usage"
_FRAMEWORK: Final = "FrameworkAgreement"
_PURPOSE: Final = "UsagePurpose"
_USAGE_NEEDS: Final = f"a usage policy needs a permission with {_FRAMEWORK} and exactly one {_PURPOSE}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at `pointer` (RFC 6901, in `Policy.to_json`; a list of one counts as a list)."""

    pointer: str
    reason: str

    @property
    def text(self) -> str:
        """Both in one line."""
        return f"{self.pointer or '/'}: {self.reason}"


def faults(policy: Policy) -> list[Fault]:
    """What can never be checked by this connector, and so would deny everybody."""
    steps = [step for step in evaluate(policy, _ANYBODY).trace if step.truth is None]
    around = {place for step in steps for place in _around(step.pointer)}
    return [Fault(step.pointer, step.text) for step in steps if step.pointer not in around]


def _around(pointer: str) -> Iterator[str]:
    """The places that a place is in: those are at fault only because this one is."""
    while pointer:
        pointer = pointer.rpartition("/")[0]
        yield pointer


def departures(policy: Policy) -> list[Fault]:
    """Where a policy is not what the profile allows."""
    rules = [
        (part, f"/{part}/{i}", rule) for part in _PARTS for i, rule in enumerate(getattr(policy, part))
    ]  # a policy without rules is an access policy that lets everybody in
    actions = {rule.action for _, _, rule in rules}
    found = [Fault(f"{at}/action", "the profile knows the actions access and use") for _, at, r in rules if _odd(r)]
    if len(actions) > 1:
        found.append(Fault("", "the rules of one policy are all for access or all for use"))
    scope = _OF_USAGE if "use" in actions else _OF_ACCESS
    for part, at, rule in rules:
        if scope == _OF_ACCESS and part != "permission":
            found.append(Fault(at, "an access policy has permissions only"))
        found += [fault for condition in _conditions(rule, at) for fault in _departures(*condition, part, scope)]
        found += _exclusive(rule, at)
    if scope == _OF_USAGE and not any(_complete(rule) for rule in policy.permission):
        found.append(Fault("/permission", _USAGE_NEEDS))
    return found


def check(policy: Policy, pointer: str = "") -> None:
    """Refuse a policy that can never be checked, or that is not what the profile it names allows.

    pointer: place of the policy in what was sent. Raise Invalid with the place of the first fault.
    """
    found = faults(policy)
    if not found and any(name.startswith(edition()["namespace"]) for name in policy.profile):
        found = departures(policy)
    if found:
        raise Invalid(cut(found[0].reason), pointer + found[0].pointer)


def _odd(rule: Rule) -> bool:
    return rule.action not in {"use", "access"}


def _conditions(rule: Rule, at: str) -> Iterator[tuple[Condition, str]]:
    """All conditions of a rule, each with its place."""
    waiting = deque((condition, f"{at}/constraint/{i}") for i, condition in enumerate(rule.constraints))
    while waiting:
        condition, place = waiting.popleft()
        yield condition, place
        if not isinstance(condition, Constraint):
            waiting += [(o, f"{place}/{condition.operator}/{i}") for i, o in enumerate(condition.operands)]


def _names(rule: Rule) -> list[str]:
    return [operand_name(c.left) for c, _ in _conditions(rule, "") if isinstance(c, Constraint)]


def _departures(condition: Condition, at: str, part: str, scope: str) -> Iterator[Fault]:
    if not isinstance(condition, Constraint):
        if condition.operator != "and":
            yield Fault(f"{at}/{condition.operator}", "the profile joins conditions by and, nothing else")
        return
    name = operand_name(condition.left)
    entry = profile().get(name)
    if entry is None or scope not in entry["scopes"]:
        yield Fault(f"{at}/leftOperand", f"the profile has no {cut(name)} in policies for {scope}")
        return
    if part not in entry["rules"]:
        yield Fault(f"{at}/leftOperand", f"{name} belongs into a {' or a '.join(entry['rules'])}, not into a {part}")
    allowed = entry.get("standardOperators", entry["operators"])
    if condition.operator not in allowed:
        yield Fault(f"{at}/operator", f"{name} goes with {' or '.join(allowed)}")
    yield from _values(condition, name, at, entry)


def _values(constraint: Constraint, name: str, at: str, entry: dict[str, Any]) -> Iterator[Fault]:
    for text in sorted(texts(constraint)):
        if "values" in entry and text not in entry["values"]:
            yield Fault(f"{at}/rightOperand", f"{name} is one of {', '.join(entry['values'])}, not {cut(text)}")
        if "pattern" in entry and not re.fullmatch(entry["pattern"], text):
            yield Fault(f"{at}/rightOperand", f"{cut(text)} is not what {name} takes: {entry['rightOperand']}")


def _exclusive(rule: Rule, at: str) -> Iterator[Fault]:
    names = set(_names(rule))
    for group in edition()["exclusive"]:
        if len(both := [name for name in group if name in names]) > 1:
            yield Fault(at, f"{' and '.join(both)} exclude each other: keep one")


def _complete(rule: Rule) -> bool:
    names = _names(rule)
    return _FRAMEWORK in names and names.count(_PURPOSE) == 1
