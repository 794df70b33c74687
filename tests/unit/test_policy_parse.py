"""Every way in which peers spell a policy gives the same policy; what cannot be read is refused with its place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.policy.equality import difference, fingerprint
from connector.policy.model import Condition, Constraint, LogicalConstraint, Policy, Rule
from connector.policy.parse import MAX_DEPTH, MAX_NODES, parse_policy
from connector.policy.vocabulary import data_file
from connector.protocol.errors import Invalid, NotFound

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ODRL = "http://www.w3.org/ns/odrl/2/"
TX = "https://w3id.org/tractusx/v0.0.1/ns/"

BARE = {
    "@id": "offer-1",
    "@type": "Offer",
    "target": "asset-1",
    "permission": [
        {
            "action": "use",
            "constraint": [
                {
                    "and": [
                        {"leftOperand": "BusinessPartnerNumber", "operator": "isAnyOf", "rightOperand": ["BPNL1"]},
                        {"leftOperand": "inForceDate", "operator": "lteq", "rightOperand": "2030-01-01T00:00:00Z"},
                    ]
                }
            ],
        }
    ],
}
PREFIXED = {
    "@context": {"odrl": ODRL},
    "@id": "offer-1",
    "@type": "odrl:Offer",
    "odrl:target": {"@id": "asset-1"},
    "odrl:permission": {
        "odrl:action": {"@id": "odrl:use"},
        "odrl:constraint": {
            "odrl:and": [
                {
                    "odrl:leftOperand": {"@id": "tx:BusinessPartnerNumber"},
                    "odrl:operator": {"@id": "odrl:isAnyOf"},
                    "odrl:rightOperand": "BPNL1",
                },
                {
                    "odrl:leftOperand": {"@id": "edc:inForceDate"},
                    "odrl:operator": {"@id": "odrl:leq"},
                    "odrl:rightOperand": {"@value": "2030-01-01T00:00:00Z", "@type": "xsd:dateTime"},
                },
            ]
        },
    },
    "odrl:prohibition": [],
    "odrl:obligation": [],
}
EXPANDED = [
    {
        "@id": "offer-1",
        "@type": [f"{ODRL}Offer"],
        f"{ODRL}target": [{"@id": "asset-1"}],
        f"{ODRL}permission": [
            {
                f"{ODRL}action": [{"@id": f"{ODRL}use"}],
                f"{ODRL}constraint": [
                    {
                        f"{ODRL}and": [
                            {
                                "@list": [
                                    {
                                        f"{ODRL}leftOperand": [{"@id": f"{TX}BusinessPartnerNumber"}],
                                        f"{ODRL}operator": [{"@id": f"{ODRL}isAnyOf"}],
                                        f"{ODRL}rightOperand": [{"@list": [{"@value": "BPNL1"}]}],
                                    },
                                    {
                                        f"{ODRL}leftOperand": [{"@id": "https://w3id.org/edc/v0.0.1/ns/inForceDate"}],
                                        f"{ODRL}operator": [{"@id": f"{ODRL}lteq"}],
                                        f"{ODRL}rightOperand": [{"@value": "2030-01-01T00:00:00Z"}],
                                    },
                                ]
                            }
                        ]
                    }
                ],
            }
        ],
    }
]


def of(constraint: object) -> dict[str, Any]:
    return {"permission": [{"action": "use", "constraint": constraint}]}


def the_constraint(constraint: object) -> Condition:
    return parse_policy(of(constraint)).permission[0].constraints[0]


def triple(right: object, left: object = "x", operator: object = "eq") -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


@pytest.mark.parametrize(
    "doc", [PREFIXED, EXPANDED, json.loads(json.dumps(PREFIXED).replace("odrl:", "https://www.w3.org/ns/odrl/2/"))]
)
def test_spellings_of_one_offer_are_one_offer(doc: object) -> None:
    bare, other = parse_policy(BARE), parse_policy(doc)
    assert (other.id, other.kind, other.target) == ("offer-1", "Offer", "asset-1")
    assert difference(bare, other) is None
    assert fingerprint(bare) == fingerprint(other)


def test_the_model_of_the_bare_form() -> None:
    assert parse_policy(BARE) == Policy(
        (
            Rule(
                "use",
                (
                    LogicalConstraint(
                        "and",
                        (
                            Constraint("BusinessPartnerNumber", "isAnyOf", ("BPNL1",)),
                            Constraint("inForceDate", "lteq", "2030-01-01T00:00:00Z"),
                        ),
                    ),
                ),
            ),
        ),
        id="offer-1",
        kind="Offer",
        target="asset-1",
    )


def test_bare_keys_in_a_prefixed_parent_as_the_sdk_sends_them_back() -> None:
    doc = {**PREFIXED, "@type": "Offer", "target": "asset-1", "permission": BARE["permission"]}
    del doc["odrl:permission"], doc["odrl:target"]
    assert difference(parse_policy(doc), parse_policy(BARE)) is None


@pytest.mark.parametrize(
    "action",
    [
        "use",
        "USE",
        "odrl:use",
        f"{ODRL}use",
        {"@id": "odrl:use"},
        {"odrl:type": "USE"},
        {"type": "use"},
        {"odrl:type": {"@id": "odrl:use"}},
        [{"@id": f"{ODRL}use", "@type": "odrl:Action"}][0] | {"@type": "Action"},
        [{"@id": f"{ODRL}use"}],
        {"odrl:type": "use", "odrl:includedIn": None},
    ],
)
def test_spellings_of_use(action: object) -> None:
    assert parse_policy({"permission": {"action": action}}).permission == (Rule("use"),)


@pytest.mark.parametrize("action", ["access", "cx-policy:access", "https://w3id.org/catenax/2025/9/policy/access"])
def test_spellings_of_access(action: str) -> None:
    assert parse_policy({"permission": {"action": action}}).permission == (Rule("access"),)


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("Set", "Set"),
        ("odrl:Set", "Set"),
        (f"{ODRL}Offer", "Offer"),
        (["Agreement"], "Agreement"),
        ("odrl:Policy", "Set"),
    ],
)
def test_spellings_of_the_type(spelling: object, kind: str) -> None:
    assert parse_policy({"@type": spelling}).kind == kind


def test_a_policy_without_type_is_a_set_without_conditions() -> None:
    assert parse_policy({}) == Policy()


@pytest.mark.parametrize("empty", [[], None])
def test_empty_lists_are_absent(empty: object) -> None:
    assert parse_policy({"permission": empty, "odrl:prohibition": empty}) == Policy()


@pytest.mark.parametrize(
    ("right", "read"),
    [
        ("a", "a"),
        (3, 3),
        (True, True),
        ({"@id": "urn:x"}, "urn:x"),
        ({"@value": 2.5}, 2.5),
        (["a", {"@value": "b"}], ("a", "b")),
        ({"@list": [1]}, (1,)),
        ({"@set": []}, ()),
        ({"@value": "5", "@type": "http://www.w3.org/2001/XMLSchema#integer"}, "5"),
    ],
)
def test_right_operands(right: object, read: object) -> None:
    assert the_constraint(triple(right)) == Constraint("x", "eq", read)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operator", "read"),
    [("odrl:eq", "eq"), ("geq", "gteq"), ("odrl:leq", "lteq"), ("IS_ANY_OF", "isAnyOf"), ("x:y", "x:y")],
)
def test_operators_have_odrl_names_and_strange_ones_stay(operator: str, read: str) -> None:
    assert the_constraint(triple("a", operator=operator)) == Constraint("x", read, "a")


@pytest.mark.parametrize("name", ["timestamp", "dspace:timestamp", "https://w3id.org/dspace/v0.8/timestamp"])
def test_the_agreement_carries_parties_and_time(name: str) -> None:
    policy = parse_policy({"@type": "odrl:Agreement", "odrl:assignee": "c", "odrl:assigner": {"@id": "p"}, name: "t"})
    assert (policy.assignee, policy.assigner, policy.timestamp) == ("c", "p", "t")


def test_members_of_a_rule_that_are_not_modelled_survive() -> None:
    duty = [{"action": "compensate", "constraint": [triple({"@value": "5.00"}, "payAmount")]}]
    doc = {"permission": [{"action": "use", "odrl:duty": duty, "@id": "r1", "@type": "Permission"}]}
    policy = parse_policy(doc)
    assert policy.to_json()["permission"] == [{"action": "use", "@id": "r1", "duty": duty}]
    assert parse_policy(policy.to_json()).permission == policy.permission
    assert parse_policy(policy.to_edc_json()) == policy


def test_a_refined_action_survives() -> None:
    action = {"rdf:value": {"@id": "odrl:print"}, "refinement": [triple(1200, "resolution", "lteq")]}
    policy = parse_policy({"permission": [{"action": action}]})
    assert policy.permission[0].action == "print"
    assert policy.to_json()["permission"][0]["action"] == action
    assert parse_policy(policy.to_edc_json()) == policy


def test_an_asset_collection_as_target_survives() -> None:
    target = {"@id": "urn:c", "@type": "AssetCollection", "refinement": [triple("a")]}
    policy = parse_policy({"target": target})
    assert (policy.target, policy.to_json()["target"]) == ("urn:c", target)


@pytest.mark.parametrize("member", ["unit", "dataType", "uid", "odrl:status"])
def test_members_of_a_constraint_that_are_not_modelled_survive(member: str) -> None:
    policy = parse_policy(of([triple("5") | {member: "urn:unit"}]))
    assert "urn:unit" in json.dumps(policy.to_json())
    assert parse_policy(policy.to_edc_json()) == policy


def test_members_of_the_policy_that_are_not_modelled_survive() -> None:
    policy = parse_policy({"conflict": {"@id": "odrl:perm"}, "dct:title": "x"})
    assert policy.to_json() == {"@type": "Set", "conflict": {"@id": "odrl:perm"}, "dct:title": "x"}
    assert policy.to_edc_json()["odrl:conflict"] == {"@id": "odrl:perm"}


def nested(depth: int) -> dict[str, Any]:
    node = triple("a")
    for _ in range(depth - 1):
        node = {"and": [node]}
    return of([node])


@pytest.mark.parametrize(
    ("doc", "pointer"),
    [
        (None, ""),
        ("x", ""),
        ([{}, {}], ""),
        ({"@type": "Ticket"}, "/@type"),
        ({"@type": 5}, "/@type"),
        ({"@id": ""}, "/@id"),
        ({"permission": "use"}, "/permission"),
        ({"permission": [{"action": "use"}, {}]}, "/permission/1"),
        ({"odrl:permission": [{"action": {}}]}, "/odrl:permission/0/action"),
        ({"permission": [{"action": ["use", "read"]}]}, "/permission/0/action"),
        ({f"{ODRL}permission": [{"action": ""}]}, "/http:~1~1www.w3.org~1ns~1odrl~12~1permission/0/action"),
        ({"permission": {"action": "odrl:"}}, "/permission/action"),
        (of([{}]), "/permission/0/constraint/0"),
        (of([[]]), "/permission/0/constraint/0"),
        (of({"leftOperand": "x", "operator": "eq"}), "/permission/0/constraint"),
        (of({"leftOperand": "x", "operator": "eq", "rightOperand": None}), "/permission/0/constraint"),
        (of([{"and": [], "or": []}]), "/permission/0/constraint/0"),
        (of([{"and": [triple("a")], **triple("b")}]), "/permission/0/constraint/0"),
        (of([{"or": [triple("a"), triple([["b"]])]}]), "/permission/0/constraint/0/or/1/rightOperand/0"),
        (of([triple({"name": "x"})]), "/permission/0/constraint/0/rightOperand"),
        (of([triple({"@value": "x", "@language": "de"})]), "/permission/0/constraint/0/rightOperand"),
        (of([triple(float("nan"))]), "/permission/0/constraint/0/rightOperand"),
        (of([triple(2**64)]), "/permission/0/constraint/0/rightOperand"),
        (of([triple("a", left=5)]), "/permission/0/constraint/0/leftOperand"),
        (of([triple("a", operator="odrl:")]), "/permission/0/constraint/0/operator"),
        (of([triple("a") | {"unit": [{"a/b": 2**70}]}]), "/permission/0/constraint/0/unit/0/a~1b"),
        ({"permission": [{"action": "use"}], "odrl:permission": [{"action": "read"}]}, "/odrl:permission"),
        ({"assigner": {"name": "x"}}, "/assigner"),
        (nested(MAX_DEPTH + 1), "/permission/0/constraint/0" + "/and/0" * MAX_DEPTH),
        (of([triple(["x"] * MAX_NODES)]), "/permission/0/constraint/0/rightOperand"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(doc: object, pointer: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_policy(doc)
    assert refusal.value.pointer == pointer


def test_pointers_start_where_the_policy_stands_in_the_message() -> None:
    with pytest.raises(Invalid) as refusal:
        parse_policy({"permission": [{}]}, "/offer")
    assert refusal.value.pointer == "/offer/permission/0"


def test_the_deepest_allowed_nesting_is_read() -> None:
    policy = parse_policy(nested(MAX_DEPTH))
    assert parse_policy(policy.to_json()) == policy


def test_a_deep_kept_member_is_refused() -> None:
    deep: object = "x"
    for _ in range(900):
        deep = [deep, deep] if deep == "x" else [deep, "x"]
    with pytest.raises(Invalid, match="nested more than"):
        parse_policy({"permission": [{"action": "use", "duty": deep}]})


@pytest.mark.parametrize("name", ["offer-open.json", "offer-by-bpn.json", "offer-by-bpn-until-date.json"])
def test_offer_templates_are_policies(name: str) -> None:
    doc = json.loads(data_file(name).read_bytes())
    policy = parse_policy(doc)
    assert policy.to_json() == doc
    assert policy.permission


def test_a_data_file_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match=r"nowhere\.json"):
        data_file("nowhere.json")


def policies_in(doc: object) -> Iterator[dict[str, Any]]:
    if isinstance(doc, dict):
        if str(doc.get("@type")).rpartition(":")[2] in {"Offer", "Agreement", "Set"}:
            yield doc
        for value in doc.values():
            yield from policies_in(value)
    elif isinstance(doc, list):
        for item in doc:
            yield from policies_in(item)


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the reference data is not beside the repository")
@pytest.mark.parametrize(("folder", "at_least"), [("dsp", 8), ("edc-0.14.1-transcript", 15), ("cx-policy", 4)])
def test_policies_of_the_specifications_and_of_a_real_edc_are_read(folder: str, at_least: int) -> None:
    read = 0
    for file in sorted((SHARED_DATA / folder).rglob("*.json")):
        for doc in policies_in(json.loads(file.read_bytes())) if "schema" not in file.name else ():
            policy = parse_policy(doc)
            assert parse_policy(policy.to_edc_json()) == policy, file
            assert difference(parse_policy(policy.to_json()), policy) is None, file
            read += 1
    assert read >= at_least


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the reference data is not beside the repository")
def test_constraint_samples_of_the_profile_are_read() -> None:
    files = sorted((SHARED_DATA / "cx-policy" / "samples").glob("*-constraint-sample.json"))
    assert files
    for file in files:
        sample = json.loads(file.read_bytes())
        assert the_constraint(sample).to_edc_json()["odrl:leftOperand"] == {"@id": sample["leftOperand"]}, file
