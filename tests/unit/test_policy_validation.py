"""What is wrong with a policy before anybody is judged by it."""

import json
from pathlib import Path
from typing import Any

import pytest

from connector.policy.parse import parse_policy
from connector.policy.validation import check, departures, faults
from connector.protocol.errors import Invalid
from tests.conftest import SHARED_DATA

CX = "https://w3id.org/catenax/2025/9/policy/"
SAMPLES = SHARED_DATA / "cx-policy" / "samples"
FRAMEWORK = {"leftOperand": f"{CX}FrameworkAgreement", "operator": "eq", "rightOperand": "DataExchangeGovernance:1.0"}
UNLIMITED = {"leftOperand": "DataUsageEndDefinition", "operator": "eq", "rightOperand": "cx.dataUsageEnd.unlimited:1"}
END = {"leftOperand": "DataUsageEndDate", "operator": "eq", "rightOperand": "2030-01-01T00:00:00Z"}
EITHER = {"or": [FRAMEWORK]}
PURPOSE = {"leftOperand": f"{CX}UsagePurpose", "operator": "isAnyOf", "rightOperand": ["cx.circular.dpp:1"]}


def triple(left: str, operator: str, right: object) -> dict[str, Any]:
    return {"leftOperand": CX + left, "operator": operator, "rightOperand": right}


NOT_IN_ASIA = triple("AffiliatesRegion", "isAnyOf", ["cx.region.asia:1"])


def usage(*constraints: object, **members: object) -> dict[str, Any]:
    return {"permission": [{"action": "use", "constraint": [{"and": [FRAMEWORK, PURPOSE, *constraints]}]}], **members}


def access(*constraints: object) -> dict[str, Any]:
    return {"permission": [{"action": "access", "constraint": list(constraints)}]}


@pytest.mark.parametrize(
    ("constraint", "place"),
    [
        ({"leftOperand": "urn:x:Mood", "operator": "eq", "rightOperand": "good"}, ""),
        (triple("Membership", "neq", "active"), ""),
        (triple("FrameworkAgreement", "eq", "Data Exchange"), ""),
        (triple("DataUsageEndDate", "eq", "tomorrow"), ""),
        (triple("DataFrequency", "eq", "twice"), ""),
        (triple("UsagePurpose", "lt", ["x"]), ""),
        (triple("BusinessPartnerGroup", "isAnyOf", []), ""),
        ({"or": [triple("Membership", "eq", "active"), triple("Nonesuch", "eq", 1)]}, "/or/1"),
    ],
)
def test_what_nobody_can_check_is_a_fault_with_its_place(constraint: dict[str, Any], place: str) -> None:
    found = faults(parse_policy(usage(constraint)))
    assert [fault.pointer for fault in found] == [f"/permission/0/constraint/0/and/2{place}"]
    with pytest.raises(Invalid) as caught:
        check(parse_policy(usage(constraint)), "/policy")
    assert caught.value.pointer == f"/policy/permission/0/constraint/0/and/2{place}"


@pytest.mark.parametrize(
    ("doc", "place", "said"),
    [
        (usage(triple("BusinessPartnerNumber", "isAnyOf", ["BPNL00000000000A"])), "and/2/leftOperand", "BusinessP"),
        (usage(triple("UsageRestriction", "isAllOf", ["cx.thirdParty.forbidden:1"])), "and/2/leftOperand", "prohib"),
        (usage(triple("Warranty", "eq", "cx.warranty.some:1")), "and/2/rightOperand", "cx.warranty.none:1"),
        (usage(triple("AffiliatesBpnl", "isAnyOf", ["BPNL1"])), "and/2/rightOperand", "BPNL1 is not"),
        (usage(triple("DataUsageEndDate", "lteq", "2030-01-01T00:00:00Z")), "and/2/operator", "eq"),
        (usage(triple("DataUsageEndDate", "eq", "2030-01-01")), "and/2/rightOperand", "with offset"),
        (
            usage(UNLIMITED, END),
            "/permission/0",
            "exclude each other",
        ),
        (usage(PURPOSE), "/permission", "exactly one UsagePurpose"),
        ({"permission": [{"action": "use", "constraint": [EITHER, PURPOSE]}]}, "constraint/0/or", "by and"),
        ({"permission": [{"action": "use"}]}, "/permission", "FrameworkAgreement"),
        ({"permission": [{"action": "access"}, {"action": "use", "constraint": [FRAMEWORK, PURPOSE]}]}, "", "all for"),
        ({"prohibition": [{"action": "access", "constraint": [FRAMEWORK]}]}, "/prohibition/0", "permissions only"),
        (access(PURPOSE), "constraint/0/leftOperand", "UsagePurpose"),
    ],
)
def test_departures_from_the_profile(doc: dict[str, Any], place: str, said: str) -> None:
    found = departures(parse_policy(doc))
    assert any(fault.pointer.endswith(place) and said in fault.reason for fault in found), found
    check(parse_policy(doc))  # it does not say that it is of the profile
    if not faults(parse_policy(doc)):
        with pytest.raises(Invalid) as caught:
            check(parse_policy({**doc, "profile": f"{CX}profile2405"}), "/policy")
        assert caught.value.pointer == f"/policy{found[0].pointer}"


@pytest.mark.parametrize(
    "doc",
    [
        usage(),
        usage(triple("DataUsageEndDurationDays", "eq", 30)),
        usage(triple("DataUsageEndDurationDays", "eq", "30")),
        usage(obligation=[{"action": "use", "constraint": [triple("DataProvisioningEndDurationDays", "eq", 9)]}]),
        usage(prohibition=[{"action": "use", "constraint": [NOT_IN_ASIA]}]),
        access(triple("BusinessPartnerGroup", "isNoneOf", ["banned"]), triple("Membership", "eq", "active")),
        {},
    ],
)
def test_what_the_profile_allows(doc: dict[str, Any]) -> None:
    check(parse_policy({**doc, "profile": [f"{CX}profile2405"]}))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the official samples are not at {SAMPLES}")
@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.json")) if SAMPLES.is_dir() else [], ids=lambda file: file.stem)
def test_every_official_sample_is_understood(file: Path) -> None:
    try:
        doc = json.loads(file.read_bytes())
    except ValueError:
        pytest.skip("the published file is not JSON")
    if "leftOperand" in doc:
        part = (
            "obligation"
            if "provisioning" in file.stem
            else "prohibition"
            if "restriction" in file.stem
            else "permission"
        )
        doc = {part: [{"action": "use", "constraint": [doc]}]}
    assert faults(parse_policy({name: value for name, value in doc.items() if name != "@context"})) == []
