"""No JSON crashes the reader, nothing gets lost in it, and equality is exactly what it promises."""

import json
import random
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connector.policy.audience import audience
from connector.policy.equality import difference, fingerprint
from connector.policy.evaluate import Circumstances, Counterparty, ends_at, evaluate
from connector.policy.model import LogicalConstraint, Policy, Rule
from connector.policy.parse import parse_policy
from connector.protocol.errors import Invalid
from tests.property.policy_documents import AGREED_AT, any_policies, json_values, policy_like, respelled

ASKING = Circumstances("transfer", Counterparty("did:web:c", None, {}), AGREED_AT, AGREED_AT)


CONSTRAINTS = st.fixed_dictionaries(
    {
        "leftOperand": policy_like | st.sampled_from(("BusinessPartnerNumber", "inForceDate")),
        "operator": policy_like | st.just("eq"),
        "rightOperand": policy_like,
    },
    optional={"unit": policy_like},
)
RULES = st.fixed_dictionaries({"action": policy_like | st.just("use"), "constraint": CONSTRAINTS | policy_like})


@given(
    json_values | policy_like | st.fixed_dictionaries({"permission": RULES | policy_like}, optional={"x": policy_like})
)
def test_any_json_is_read_or_refused_with_a_place_that_exists(doc: object) -> None:
    try:
        policy = parse_policy(doc)
    except Invalid as refusal:
        follow(doc, refusal.pointer)
    else:
        exercise(policy)


def follow(doc: Any, pointer: str) -> None:  # noqa: ANN401 - any JSON
    for step in pointer.split("/")[1:]:
        doc = doc[int(step)] if isinstance(doc, list) else doc[step.replace("~1", "/").replace("~0", "~")]


def exercise(policy: Policy) -> None:
    assert parse_policy(policy.to_edc_json()) == policy
    assert difference(policy, parse_policy(policy.to_json())) is None
    json.dumps(policy.to_json())
    verdict = evaluate(policy, ASKING)
    assert verdict.permitted is (verdict.denial is None)
    assert all(step.text and step.public for step in verdict.trace)
    audience(policy)
    ends_at(policy, AGREED_AT)


@given(any_policies)
def test_both_forms_lose_nothing(policy: Policy) -> None:
    exercise(policy)


@given(any_policies, st.integers())
def test_another_spelling_is_the_same_offer(policy: Policy, seed: int) -> None:
    other = parse_policy(respelled(policy.to_json(), random.Random(seed)))  # noqa: S311 - a seed of hypothesis
    assert difference(policy, other) is None
    assert fingerprint(policy) == fingerprint(other)


@given(any_policies, any_policies)
def test_fingerprints_are_equal_exactly_when_there_is_no_difference(a: Policy, b: Policy) -> None:
    same = fingerprint(a) == fingerprint(b)
    assert (difference(a, b) is None) is same
    assert (difference(b, a) is None) is same


def with_rules(policy: Policy, part: str, rules: list[Rule]) -> Policy:
    members: dict[str, Any] = {part: tuple(rules)}
    return replace(policy, **members)


@given(any_policies, st.data())
def test_a_dropped_constraint_is_a_difference(policy: Policy, data: st.DataObject) -> None:
    places = [
        (part, r, c)
        for part in ("permission", "prohibition", "obligation")
        for r, rule in enumerate(getattr(policy, part))
        for c in range(len(rule.constraints))
    ]
    if not places:
        return
    part, r, c = data.draw(st.sampled_from(places))
    rules = list(getattr(policy, part))
    kept = rules[r].constraints
    rules[r] = replace(rules[r], constraints=kept[:c] + kept[c + 1 :])
    found = difference(policy, with_rules(policy, part, rules))
    assert found is not None
    assert found.startswith(f"/{part}")
    if isinstance(kept[c], LogicalConstraint) and kept[c].operands:
        rules[r] = replace(
            rules[r], constraints=(*kept[:c], replace(kept[c], operands=kept[c].operands[1:]), *kept[c + 1 :])
        )
        assert difference(policy, with_rules(policy, part, rules)) is not None
