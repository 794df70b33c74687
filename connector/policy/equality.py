"""Whether two policies make the same offer (DSP 2025-1, negotiation: the provider agrees to what it has offered).

Clients send an offer back re-typed, re-keyed and re-ordered; EDC as a consumer refuses an agreement that differs and
EDC as a provider does not look. So the comparison forgives every spelling and order that means the same, and nothing
else: a dropped constraint is a different offer.

Not compared: type, id, assigner, assignee, target and timestamp of the policy, and ids and types inside rules; they say
who, what and when, not on which terms. Sets in ODRL's sense have no order: rules, constraints, operands (except of
andSequence), lists on the right (where a repeated entry says nothing either), profiles. A list of one is its entry.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from connector.policy.model import Condition, Constraint, LogicalConstraint, Policy, Right, Rule, lexical
from connector.policy.vocabulary import operand_name, without_odrl
from connector.policy.wording import cut, describe, describe_right, describe_rule

_Node: TypeAlias = Rule | Condition
_IDENTIFYING: Final = ("@id", "@type")
_WRAPPERS: Final = frozenset({"@id", "@value", "@list", "@set"})


def fingerprint(policy: Policy) -> str:
    """SHA-256 (hex) of the canonical terms: equal for two policies iff `difference` is None. Stable over releases."""
    return hashlib.sha256(_policy_text(policy).encode()).hexdigest()


def difference(a: Policy, b: Policy) -> str | None:
    """Say where the terms of `a` ("here") and `b` ("there") first differ, or None if they make the same offer.

    The sentence starts with the RFC 6901 place in `a.to_json()`. It quotes the terms: for the two parties only.
    """
    if _policy_text(a) == _policy_text(b):
        return None
    if _profile_text(a) != _profile_text(b):
        return f"/profile: {describe_right(a.profile)} here, {describe_right(b.profile)} there"
    for part in ("permission", "prohibition", "obligation"):
        if (found := _in_set(getattr(a, part), getattr(b, part), f"/{part}")) is not None:
            return found
    return _in_rest(a.rest, b.rest, "")


def _in_set(here: Sequence[_Node], there: Sequence[_Node], at: str) -> str | None:
    """First difference of two sets: what is equal is paired, then what is about the same thing is compared."""
    ours, theirs = _unmatched(here, there), _unmatched(there, here)
    for index, node in ours:
        if all(_subject(node) != _subject(other) for _, other in theirs):
            return f"{at}/{index}: {_say(node)} here, nothing there"
    if ours:
        index, node = ours[0]
        return _in_node(node, next(o for _, o in theirs if _subject(o) == _subject(node)), f"{at}/{index}")
    return f"{at}: nothing here, {_say(theirs[0][1])} there" if theirs else None


def _unmatched(nodes: Sequence[_Node], others: Sequence[_Node]) -> list[tuple[int, _Node]]:
    """Nodes, with their index, that are left when each takes one equal node out of the others."""
    free = Counter(map(_text, others))
    left = []
    for index, node in enumerate(nodes):
        text = _text(node)
        if free[text]:
            free[text] -= 1
        else:
            left.append((index, node))
    return left


def _in_node(a: _Node, b: _Node, at: str) -> str:
    """First difference of two nodes on one subject that are known to differ."""
    found = None
    if isinstance(a, Rule) and isinstance(b, Rule):
        found = _in_set(a.constraints, b.constraints, f"{at}/constraint")
    elif isinstance(a, LogicalConstraint) and isinstance(b, LogicalConstraint):
        found = _in_set(a.operands, b.operands, f"{at}/{a.operator}")
        if found is None and _rest_text(a.rest) == _rest_text(b.rest):
            found = f"{at}/{a.operator}: in another order there"
    elif isinstance(a, Constraint) and isinstance(b, Constraint):
        if a.operator != b.operator:
            found = f"{at}/operator: {a.operator!r} here, {b.operator!r} there"
        elif _right_text(a.right) != _right_text(b.right):
            found = f"{at}/rightOperand: {_quoted(a.right)} here, {_quoted(b.right)} there"
    return found if found is not None else _in_rest(a.rest, b.rest, at)


def _in_rest(a: str, b: str, at: str) -> str:
    return f"{at or '/'}: other members {cut(_rest_text(a)) or '{}'} here, {cut(_rest_text(b)) or '{}'} there"


def _subject(node: _Node) -> str:
    """What a node is about; two nodes on different subjects are not compared in detail."""
    if isinstance(node, Constraint):
        return operand_name(node.left)
    return f"/{node.action if isinstance(node, Rule) else node.operator}"


def _say(node: _Node) -> str:
    return describe_rule(node) if isinstance(node, Rule) else describe(node)


def _quoted(right: Right) -> str:
    return describe_right(right) if isinstance(right, tuple) else repr(describe_right(right))


# The canonical texts are JSON, joined from the canonical texts of the parts; equal text means equal terms.


def _policy_text(policy: Policy) -> str:
    parts = (policy.permission, policy.prohibition, policy.obligation)
    texts = ",".join(f"[{','.join(sorted(map(_text, rules)))}]" for rules in parts)
    return f"[{_profile_text(policy)},{texts},{_rest_text(policy.rest) or 0}]"


def _profile_text(policy: Policy) -> str:
    return json.dumps(sorted(set(policy.profile)))


def _text(node: _Node) -> str:
    rest = _rest_text(node.rest) or 0
    if isinstance(node, Constraint):
        head = json.dumps([operand_name(node.left), node.operator])
        return f"[{head},{_right_text(node.right)},{rest}]"
    if isinstance(node, Rule):
        return f"[{json.dumps(node.action)},[{','.join(sorted(map(_text, node.constraints)))}],{rest}]"
    operands = [_text(operand) for operand in node.operands]
    if node.operator != "andSequence":
        operands.sort()
    return f'["/{node.operator}",[{",".join(operands)}],{rest}]'


def _right_text(right: Right) -> str:
    if isinstance(right, tuple):
        return json.dumps(sorted({lexical(value) for value in right}))
    return json.dumps([lexical(right)])


def _rest_text(rest: str) -> str:
    """Canonical text of the members that are not modelled, or "" if they only identify."""
    if not rest:
        return ""
    members = {name: _levelled(value) for name, value in json.loads(rest).items() if name not in _IDENTIFYING}
    return json.dumps(members, sort_keys=True) if members else ""


def _levelled(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Remove what JSON-LD lets a peer write in several ways: wrappers, lists of one, prefixes, numbers as texts."""
    if isinstance(value, list):
        return _levelled(value[0]) if len(value) == 1 else [_levelled(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and value.keys() <= _WRAPPERS:
            return _levelled(next(iter(value.values())))
        return {name: _levelled(item) for name, item in value.items()}
    if isinstance(value, str):
        return without_odrl(value)
    return None if value is None else lexical(value)
