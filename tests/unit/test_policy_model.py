"""The two written forms of a policy: DSP 2025-1 (held against the published schema) and EDC v3."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from connector.policy.model import Constraint, LogicalConstraint, Policy, Rule, Scalar, lexical
from connector.policy.parse import parse_policy
from connector.protocol.errors import Invalid

SCHEMA = Path(__file__).resolve().parents[3] / "shared" / "data" / "dsp" / "negotiation" / "contract-schema.json"
UNTIL = Constraint("inForceDate", "lteq", "contractAgreement+7d")
DAYS = Constraint("DataUsageEndDurationDays", "eq", 30)
OFFER = Policy(
    (Rule("use", (LogicalConstraint("and", (UNTIL,)), DAYS)),),
    (Rule("use", (Constraint("x", "isAnyOf", ("a", 1, True)),)),),
    profile=("urn:p",),
    id="offer",
    kind="Offer",
    assigner="did:web:p",
    target="asset",
)


def test_the_dsp_form() -> None:
    assert OFFER.to_json() == {
        "@id": "offer",
        "@type": "Offer",
        "profile": "urn:p",
        "assigner": "did:web:p",
        "target": "asset",
        "permission": [
            {
                "action": "use",
                "constraint": [
                    {
                        "and": [
                            {"leftOperand": "inForceDate", "operator": "lteq", "rightOperand": "contractAgreement+7d"}
                        ]
                    },
                    {"leftOperand": "DataUsageEndDurationDays", "operator": "eq", "rightOperand": "30"},
                ],
            }
        ],
        "prohibition": [
            {
                "action": "use",
                "constraint": [{"leftOperand": "x", "operator": "isAnyOf", "rightOperand": ["a", "1", "true"]}],
            }
        ],
    }


def test_the_edc_form() -> None:
    assert OFFER.to_edc_json() == {
        "@id": "offer",
        "@type": "odrl:Offer",
        "odrl:permission": {
            "odrl:action": {"@id": "odrl:use"},
            "odrl:constraint": [
                {
                    "odrl:and": {
                        "odrl:leftOperand": {"@id": "inForceDate"},
                        "odrl:operator": {"@id": "odrl:lteq"},
                        "odrl:rightOperand": "contractAgreement+7d",
                    }
                },
                {
                    "odrl:leftOperand": {"@id": "DataUsageEndDurationDays"},
                    "odrl:operator": {"@id": "odrl:eq"},
                    "odrl:rightOperand": 30,
                },
            ],
        },
        "odrl:prohibition": {
            "odrl:action": {"@id": "odrl:use"},
            "odrl:constraint": {
                "odrl:leftOperand": {"@id": "x"},
                "odrl:operator": {"@id": "odrl:isAnyOf"},
                "odrl:rightOperand": ["a", 1, True],
            },
        },
        "odrl:obligation": [],
        "odrl:profile": {"@id": "urn:p"},
        "odrl:assigner": {"@id": "did:web:p"},
        "odrl:target": {"@id": "asset"},
    }


def test_a_policy_without_rules_keeps_its_lists_in_the_edc_form_only() -> None:
    assert Policy().to_json() == {"@type": "Set"}
    assert Policy().to_edc_json() == {
        "@type": "odrl:Set",
        "odrl:permission": [],
        "odrl:prohibition": [],
        "odrl:obligation": [],
    }


def test_overrides_set_and_leave_out_members() -> None:
    doc = OFFER.to_json(**{"@id": "agreement", "@type": "Agreement", "assignee": "did:web:c", "target": None})
    assert (doc["@id"], doc["@type"], doc["assignee"]) == ("agreement", "Agreement", "did:web:c")
    assert "target" not in doc


def test_several_profiles_are_a_list() -> None:
    assert Policy(profile=("a", "b")).to_json()["profile"] == ["a", "b"]


def test_the_action_access_has_its_own_namespace_in_the_edc_form() -> None:
    policy = Policy((Rule("access"),))
    assert policy.to_edc_json()["odrl:permission"] == {"odrl:action": {"@id": "cx-policy:access"}}
    assert policy.to_json()["permission"] == [{"action": "access"}]
    assert parse_policy(policy.to_edc_json()) == policy


@pytest.mark.parametrize(
    ("value", "text"),
    [("2", "2"), (2, "2"), (2.0, "2"), (2.5, "2.5"), (-1e20, "-1e+20"), (True, "true"), (False, "false")],
)
def test_lexical_forms(value: Scalar, text: str) -> None:
    assert lexical(value) == text


@pytest.mark.parametrize(
    "build",
    [
        lambda: Constraint("", "eq", "x"),
        lambda: Constraint("x", "", "x"),
        lambda: LogicalConstraint("nand", ()),
        lambda: Rule(""),
        lambda: Policy(kind="Ticket"),  # type: ignore[arg-type]
    ],
)
def test_constructors_refuse_what_is_no_policy(build: Callable[[], object]) -> None:
    with pytest.raises(Invalid):
        build()


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the reference data is not beside the repository")
@pytest.mark.parametrize(
    ("definition", "overrides"),
    [
        ("MessageOffer", {}),
        ("Offer", {"target": None}),
        ("Agreement", {"@type": "Agreement", "assignee": "did:web:c", "timestamp": "2026-01-01T00:00:00Z"}),
    ],
)
def test_the_dsp_form_is_valid_by_the_published_schema(definition: str, overrides: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_bytes())
    validator = jsonschema.Draft201909Validator({**schema, "allOf": [{"$ref": f"#/definitions/{definition}"}]})
    validator.validate(OFFER.to_json(**overrides))
