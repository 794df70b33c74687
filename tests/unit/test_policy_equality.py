"""The same terms in other words are the same offer; other terms are not, and the first difference is named."""

from typing import Any

import pytest

from connector.policy.equality import difference, fingerprint
from connector.policy.parse import parse_policy

BPN = {"leftOperand": "BusinessPartnerNumber", "operator": "isAnyOf", "rightOperand": ["BPNL1", "BPNL2"]}
DATE = {"leftOperand": "inForceDate", "operator": "lteq", "rightOperand": "2030-01-01T00:00:00Z"}
DAYS = {"leftOperand": "DataUsageEndDurationDays", "operator": "eq", "rightOperand": 30}


def permit(*constraints: Any, **members: Any) -> dict[str, Any]:
    return {"permission": [{"action": "use", "constraint": list(constraints)}], **members}


def compare(a: object, b: object) -> str | None:
    here, there = parse_policy(a), parse_policy(b)
    found = difference(here, there)
    assert (fingerprint(here) == fingerprint(there)) is (found is None)
    assert (difference(there, here) is None) is (found is None)
    return found


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (permit(BPN, DATE), permit(DATE, BPN)),
        (permit({"and": [BPN, DATE]}), permit({"and": [DATE, BPN]})),
        (permit({"xone": [BPN, DATE]}), permit({"xone": [DATE, BPN]})),
        (permit(BPN), permit(BPN | {"rightOperand": ["BPNL2", "BPNL1", "BPNL2"]})),
        (permit(DATE), permit(DATE | {"rightOperand": [DATE["rightOperand"]]})),
        (permit(DAYS), permit(DAYS | {"rightOperand": "30"})),
        (permit(DAYS), permit(DAYS | {"rightOperand": 30.0})),
        (permit(BPN), permit(BPN | {"leftOperand": "https://w3id.org/catenax/policy/BusinessPartnerNumber"})),
        (permit(BPN), permit(BPN | {"leftOperand": "tx:BusinessPartnerNumber", "@type": "AtomicConstraint"})),
        (permit(BPN), permit(BPN, **{"@id": "x", "@type": "Offer", "assigner": "p", "assignee": "c", "target": "t"})),
        (permit(BPN), permit(BPN, prohibition=[], obligation=[])),
        (permit(BPN), permit(BPN | {"@id": "_:b0"})),
        (permit(BPN, profile="p"), permit(BPN, profile=["p"])),
        (permit(BPN, profile=["p", "q"]), permit(BPN, profile=["q", "p"])),
        (permit(BPN | {"unit": "u"}), permit(BPN | {"odrl:unit": [{"@id": "u"}]})),
        (permit(BPN | {"unit": 1}), permit(BPN | {"unit": "1"})),
        (
            {"permission": [{"action": "use"}, permit(BPN)["permission"][0]]},
            {"permission": [*permit(BPN)["permission"], {"action": "use"}]},
        ),
        ({}, {"permission": []}),
    ],
)
def test_the_same_terms(a: object, b: object) -> None:
    assert compare(a, b) is None


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (
            permit(BPN, DATE),
            permit(BPN),
            "/permission/0/constraint/1: inForceDate lteq 2030-01-01T00:00:00Z here, nothing there",
        ),
        (
            permit(BPN),
            permit(BPN, DATE),
            "/permission/0/constraint: nothing here, inForceDate lteq 2030-01-01T00:00:00Z there",
        ),
        (permit(BPN), {}, "/permission/0: use if BusinessPartnerNumber isAnyOf [BPNL1, BPNL2] here, nothing there"),
        ({}, permit(), "/permission: nothing here, use without condition there"),
        (
            permit({"and": [BPN, DATE]}),
            permit({"and": [BPN, DATE | {"rightOperand": "2031-01-01T00:00:00Z"}]}),
            "/permission/0/constraint/0/and/1/rightOperand: '2030-01-01T00:00:00Z' here, '2031-01-01T00:00:00Z' there",
        ),
        (
            permit(BPN),
            permit(BPN | {"rightOperand": ["BPNL1"]}),
            "/permission/0/constraint/0/rightOperand: [BPNL1, BPNL2] here, [BPNL1] there",
        ),
        (
            permit(DATE),
            permit(DATE | {"operator": "lt"}),
            "/permission/0/constraint/0/operator: 'lteq' here, 'lt' there",
        ),
        (
            permit({"and": [BPN, DATE]}),
            permit({"or": [BPN, DATE]}),
            (
                "/permission/0/constraint/0: (BusinessPartnerNumber isAnyOf [BPNL1, BPNL2] and inForceDate lteq "
                "2030-01-01T00:00:00Z) here, nothing there"
            ),
        ),
        (
            permit({"andSequence": [BPN, DATE]}),
            permit({"andSequence": [DATE, BPN]}),
            "/permission/0/constraint/0/andSequence: in another order there",
        ),
        (
            {"permission": [{"action": "use"}]},
            {"permission": [{"action": "print"}]},
            "/permission/0: use without condition here, nothing there",
        ),
        (
            {"permission": [{"action": "use"}]},
            {"prohibition": [{"action": "use"}]},
            "/permission/0: use without condition here, nothing there",
        ),
        (permit(profile="p"), permit(), "/profile: [p] here, [] there"),
        (
            permit(DATE),
            permit(DATE, DATE),
            "/permission/0/constraint: nothing here, inForceDate lteq 2030-01-01T00:00:00Z there",
        ),
        (
            permit(BPN),
            permit(BPN | {"unit": "u"}),
            '/permission/0/constraint/0: other members {} here, {"unit": "u"} there',
        ),
        ({"conflict": "odrl:perm"}, {}, '/: other members {"conflict": "perm"} here, {} there'),
        (
            {"permission": [{"action": "use", "duty": [{"action": "compensate"}]}]},
            {"permission": [{"action": "use"}]},
            '/permission/0: other members {"duty": {"action": "compensate"}} here, {} there',
        ),
        (
            permit(DAYS | {"rightOperand": True}),
            permit(DAYS | {"rightOperand": 1}),
            "/permission/0/constraint/0/rightOperand: 'true' here, '1' there",
        ),
    ],
)
def test_the_first_difference_is_named(a: object, b: object, said: str) -> None:
    assert compare(a, b) == said


def test_an_operand_of_an_unknown_namespace_is_another_operand() -> None:
    assert compare(permit(BPN), permit(BPN | {"leftOperand": "urn:x:BusinessPartnerNumber"})) is not None


def test_a_rule_within_another_part_is_not_the_same_rule() -> None:
    assert compare({"obligation": [{"action": "use"}]}, {"permission": [{"action": "use"}]}) is not None


def test_fingerprints_are_stable() -> None:
    assert (
        fingerprint(parse_policy(permit(BPN, DATE)))
        == "f6dbb145e8d17e29629b796fc0c02f6f2fdd7e7d89096e3a9c577505dc4e298c"
    )
