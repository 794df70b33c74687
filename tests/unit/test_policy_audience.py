"""For whom an access policy is at all, as far as the policy alone says it."""

from typing import Any

import pytest

from connector.policy.audience import audience
from connector.policy.parse import parse_policy


def bpn(operator: str, right: object, left: str = "BusinessPartnerNumber") -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


A, AB, BC = bpn("eq", "A"), bpn("isAnyOf", ["A", "B"]), bpn("tx:in", "B,C") | {"operator": "in"}
DATE = bpn("lteq", "2030-01-01T00:00:00Z", "inForceDate")


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        ([], None),
        ([DATE], None),
        ([A], {"A"}),
        ([AB], {"A", "B"}),
        ([BC], {"B", "C"}),
        ([bpn("isAllOf", ["A"])], {"A"}),
        ([bpn("isAllOf", ["A", "B"])], set()),
        ([bpn("isNoneOf", ["A"])], None),
        ([bpn("neq", "A")], None),
        ([bpn("isAnyOf", [])], set()),
        ([AB, BC], {"B"}),
        ([AB, DATE], {"A", "B"}),
        ([{"and": [AB, BC]}], {"B"}),
        ([{"andSequence": [A, DATE]}], {"A"}),
        ([{"or": [A, BC]}], {"A", "B", "C"}),
        ([{"or": [A, DATE]}], None),
        ([{"xone": [A, BC]}], {"A", "B", "C"}),
        ([{"or": [A, {"and": [AB, BC]}]}], {"A", "B"}),
        ([bpn("eq", "A", "https://w3id.org/tractusx/v0.0.1/ns/BusinessPartnerNumber")], {"A"}),
        ([bpn("eq", "A", "urn:x:BusinessPartnerNumber")], None),
    ],
)
def test_the_audience_of_a_permission(constraints: list[object], expected: set[str] | None) -> None:
    doc = {"permission": [{"action": "access", "constraint": constraints}]}
    assert audience(parse_policy(doc)) == (None if expected is None else frozenset(expected))


def test_rules_intersect_and_prohibitions_are_left_to_the_evaluation() -> None:
    doc = {
        "permission": [{"action": "use", "constraint": [AB]}, {"action": "use", "constraint": [BC]}],
        "prohibition": [{"action": "use", "constraint": [bpn("eq", "B")]}],
    }
    assert audience(parse_policy(doc)) == frozenset("B")


def test_whom_a_prohibition_names_is_not_whom_the_policy_is_for() -> None:
    doc = {"prohibition": [{"action": "use", "constraint": [bpn("eq", "B")]}]}
    assert audience(parse_policy(doc)) is None


def test_a_policy_without_rules_is_for_everybody() -> None:
    assert audience(parse_policy({})) is None
