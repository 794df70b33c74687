"""Who may see and use an offer, until when, and how the connector explains it."""

import json
from typing import Any

import pytest

from connector.policy.audience import audience
from connector.policy.circumstances import ProvenCredential
from connector.policy.dates import NAMES
from connector.policy.evaluate import Circumstances, Counterparty, Scope, evaluate
from connector.policy.legal import NAMES as LEGAL
from connector.policy.model import Constraint
from connector.policy.operands import OPERANDS
from connector.policy.parse import parse_policy
from connector.policy.vocabulary import OPERATORS, profile

US, OTHER = "BPNL00000000000A", "BPNL00000000000B"
HOUR, DAY = 3_600_000, 86_400_000
NOON = 20_454 * DAY + 12 * HOUR  # 2026-01-01T12:00Z
BPN = "BusinessPartnerNumber"


def at(
    now: int = NOON, *, scope: Scope = "negotiation", bpn: str | None = US, agreed: int | None = None
) -> Circumstances:
    return Circumstances(scope, Counterparty("did:web:us", bpn, {}), now, agreed)


def rule(*constraints: object, action: str = "use", **members: object) -> dict[str, Any]:
    return {"action": action, "constraint": list(constraints), **members}


def triple(left: str, operator: str, right: object) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def permit(*constraints: object) -> dict[str, Any]:
    return {"permission": [rule(*constraints)]}


def permitted(doc: object, circumstances: Circumstances | None = None) -> bool:
    return evaluate(parse_policy(doc), circumstances or at()).permitted


def reason(doc: object, circumstances: Circumstances | None = None) -> str:
    verdict = evaluate(parse_policy(doc), circumstances or at())
    assert not verdict.permitted
    assert verdict.denial in verdict.trace
    return verdict.reason


MET = triple(BPN, "eq", US)
UNMET = triple(BPN, "eq", OTHER)
UNKNOWN = triple("Mood", "eq", "good")


def test_a_policy_without_rules_permits() -> None:
    verdict = evaluate(parse_policy({}), at())
    assert (verdict.permitted, verdict.trace, verdict.reason) == (True, (), "the policy has no conditions")


@pytest.mark.parametrize(
    ("operator", "right", "met"),
    [
        ("eq", US, True),
        ("eq", OTHER, False),
        ("eq", [US, OTHER], False),
        ("neq", OTHER, True),
        ("neq", US, False),
        ("neq", [US, OTHER], False),
        ("in", [OTHER, US], True),
        ("isA", US, True),
        ("isAnyOf", [OTHER, US], True),
        ("isAnyOf", [OTHER], False),
        ("isAnyOf", f"{OTHER}, {US}", True),
        ("isPartOf", [OTHER, US], True),
        ("isAllOf", [US], True),
        ("isAllOf", [US, OTHER], False),
        ("hasPart", US, True),
        ("hasPart", OTHER, False),
        ("isNoneOf", [OTHER], True),
        ("isNoneOf", [OTHER, US], False),
    ],
)
@pytest.mark.parametrize(
    "namespace", ["", "tx:", "https://w3id.org/catenax/2025/9/policy/", "https://w3id.org/catenax/policy/"]
)
def test_business_partner_numbers(operator: str, right: object, met: bool, namespace: str) -> None:
    constraint = triple(namespace + BPN, operator, right)
    assert permitted(permit(constraint)) is met
    assert permitted({"prohibition": [rule(constraint)]}) is not met


@pytest.mark.parametrize(
    ("constraint", "bpn"),
    [
        (triple(BPN, "isNoneOf", [OTHER]), None),
        (triple(BPN, "eq", US), None),
        (triple(BPN, "isNoneOf", []), US),
        (triple(BPN, "eq", ","), US),
        (triple(BPN, "gt", US), US),
        (triple("Mood", "eq", "good"), US),
        (triple("urn:other:BusinessPartnerNumber", "eq", US), US),
        (triple("inForceDate", "lteq", "tomorrow"), US),
        (triple("inForceDate", "lteq", "2026-02-31T00:00:00Z"), US),
        (triple("inForceDate", "isAnyOf", "2027-01-01T00:00:00Z"), US),
        (triple("inForceDate", "lteq", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]), US),
        (triple("dateTime", "lteq", "contractAgreement+5d"), US),
        (triple("DataUsageEndDate", "gteq", "2027-01-01T00:00:00Z"), US),
        (triple("DataUsageEndDurationDays", "eq", 0), US),
        (triple("DataUsageEndDurationDays", "eq", "1.5"), US),
        (triple("DataUsageEndDurationDays", "lt", "5"), US),
        (MET | {"unit": "urn:u"}, US),
        ({"and": [MET], "unit": "urn:u"}, US),
    ],
)
def test_what_cannot_be_checked_denies_in_every_part(constraint: dict[str, Any], bpn: str | None) -> None:
    for part in ("permission", "prohibition", "obligation"):
        verdict = evaluate(parse_policy({part: [rule(constraint)]}), at(bpn=bpn))
        assert not verdict.permitted
        assert "cannot be checked" in verdict.reason


@pytest.mark.parametrize(
    ("constraint", "truth"),
    [
        ({"and": [MET, MET]}, True),
        ({"and": [MET, UNKNOWN]}, None),
        ({"and": [UNKNOWN, UNMET]}, False),
        ({"andSequence": [MET, UNMET]}, False),
        ({"and": []}, True),
        ({"or": [UNMET, MET]}, True),
        ({"or": [UNKNOWN, MET]}, True),
        ({"or": [UNKNOWN, UNMET]}, None),
        ({"or": [UNMET, UNMET]}, False),
        ({"or": []}, False),
        ({"xone": [UNMET, MET]}, True),
        ({"xone": [MET, MET]}, False),
        ({"xone": [MET, MET, UNKNOWN]}, False),
        ({"xone": [MET, UNKNOWN]}, None),
        ({"xone": [UNMET]}, False),
        ({"or": [{"and": [MET, UNMET]}, {"xone": [MET, UNMET]}]}, True),
    ],
)
def test_logic_has_three_values(constraint: dict[str, Any], truth: bool | None) -> None:
    verdict = evaluate(parse_policy(permit(constraint)), at())
    assert verdict.trace[0].truth is truth
    assert verdict.permitted is (truth is True)
    assert permitted({"prohibition": [rule(constraint)]}) is (truth is False)
    assert permitted({"obligation": [rule(constraint)]}) is (truth is True)


def test_every_permission_must_hold_as_in_edc() -> None:
    assert not permitted({"permission": [rule(MET), rule(UNMET)]})
    assert permitted({"permission": [rule(MET), rule(MET)]})


def test_a_prohibition_is_violated_when_all_its_constraints_are_true() -> None:
    assert permitted({"prohibition": [rule(MET, UNMET)]})
    assert reason({"prohibition": [rule(MET, MET)]}) == (
        "prohibition 1: use is forbidden, because all of its conditions are met"
    )


def test_a_prohibition_without_constraints_forbids() -> None:
    assert (
        reason({"prohibition": [rule(action="distribute")]})
        == "prohibition 1: distribute is forbidden without condition"
    )


def test_an_obligation_without_constraints_is_about_later_conduct() -> None:
    assert permitted({"obligation": [rule(action="delete")], **permit(MET)})


def test_a_permission_for_another_action_opens_nothing() -> None:
    assert reason({"permission": [rule(MET, action="print")]}) == (
        "permission 1: the action print is not understood, only use and access are"
    )
    assert permitted({"permission": [rule(MET, action="cx-policy:access")]})


@pytest.mark.parametrize("member", ["duty", "assignee", "urn:x:y"])
def test_a_rule_with_members_that_are_not_understood_opens_nothing(member: str) -> None:
    assert reason({"permission": [rule(MET, **{member: "x"})]}) == (
        f"permission 1: it has members that are not understood: {member}"
    )


def test_what_applies_after_a_breach_is_no_condition() -> None:
    assert permitted({"prohibition": [rule(UNMET, remedy=[rule(action="delete")])], **permit(MET | {"@id": "c1"})})


def test_odrl_members_of_the_policy_that_are_not_understood_deny_and_annotations_do_not() -> None:
    assert reason({"inheritFrom": "urn:p"}) == "policy: it has members that are not understood: inheritFrom"
    assert permitted({"dct:title": "open"})


INSTANT = "2026-01-01T12:00:00Z"


@pytest.mark.parametrize("name", ["inForceDate", "edc:inForceDate", "dateTime", "odrl:dateTime"])
@pytest.mark.parametrize(
    ("operator", "before", "on", "after"),
    [
        ("lt", True, False, False),
        ("lteq", True, True, False),
        ("leq", True, True, False),
        ("eq", False, True, False),
        ("neq", True, False, True),
        ("gteq", False, True, True),
        ("geq", False, True, True),
        ("gt", False, False, True),
    ],
)
def test_now_is_compared_with_an_instant(name: str, operator: str, before: bool, on: bool, after: bool) -> None:
    doc = permit(triple(name, operator, INSTANT))
    assert [permitted(doc, at(NOON + ms)) for ms in (-1, 0, 1)] == [before, on, after]


@pytest.mark.parametrize(
    "text", ["2026-01-01T12:00Z", "2026-01-01T13:00:00+01:00", "2026-01-01T12:00:00.000Z", "2026-01-01T12:00:00"]
)
def test_spellings_of_an_instant(text: str) -> None:
    assert permitted(permit(triple("dateTime", "eq", text)))


def test_a_date_without_time_is_the_start_of_its_day() -> None:
    assert permitted(permit(triple("dateTime", "eq", "2026-01-01")), at(NOON - 12 * HOUR))


@pytest.mark.parametrize("name", ["DataUsageEndDate", "DataProvisioningEndDate"])
@pytest.mark.parametrize(("operator", "last"), [("eq", 0), ("lteq", 0), ("lt", -1)])
@pytest.mark.parametrize("part", ["permission", "obligation"])
def test_end_dates_include_their_instant(name: str, operator: str, last: int, part: str) -> None:
    doc = {part: [rule(triple(name, operator, INSTANT))]}
    assert permitted(doc, at(NOON + last))
    assert not permitted(doc, at(NOON + last + 1))


@pytest.mark.parametrize("name", ["DataUsageEndDurationDays", "DataProvisioningEndDurationDays"])
@pytest.mark.parametrize("days", [2, "2"])
def test_durations_end_with_a_whole_day(name: str, days: object) -> None:
    doc = permit(triple(name, "eq", days))
    end = NOON + 12 * HOUR + 2 * DAY
    assert permitted(doc, at(end - 1, scope="transfer", agreed=NOON))
    assert not permitted(doc, at(end, scope="transfer", agreed=NOON))


@pytest.mark.parametrize(
    ("text", "ms"), [("30s", 30_000), ("5m", 300_000), ("2h", 2 * HOUR), ("1d", DAY), ("-1h", -HOUR)]
)
@pytest.mark.parametrize("agreement", ["contractAgreement", "contractagreement"])
def test_in_force_counted_from_the_agreement(text: str, ms: int, agreement: str) -> None:
    doc = permit(triple("inForceDate", "lteq", f"{agreement}+{text}"))
    assert permitted(doc, at(NOON + ms, scope="transfer", agreed=NOON))
    assert not permitted(doc, at(NOON + ms + 1, scope="transfer", agreed=NOON))


RELATIVE = [triple("inForceDate", op, "contractAgreement+1d") for op in ("lteq", "gteq")] + [
    triple("DataUsageEndDurationDays", "eq", 3)
]


@pytest.mark.parametrize("constraint", RELATIVE)
@pytest.mark.parametrize("part", ["permission", "prohibition", "obligation"])
def test_what_counts_from_the_agreement_does_not_prevent_it(constraint: dict[str, Any], part: str) -> None:
    doc = {part: [rule(constraint)]}
    assert permitted(doc, at(scope="catalog"))
    assert permitted(doc, at(scope="negotiation"))
    assert "when the agreement was concluded is not known" in reason(doc, at(scope="transfer"))


@pytest.mark.parametrize(
    ("doc", "said", "public"),
    [
        (
            permit(triple(BPN, "isAnyOf", [OTHER])),
            f"permission 1: BusinessPartnerNumber isAnyOf [{OTHER}] is not met by {US}",
            "permission 1: the condition on BusinessPartnerNumber is not met",
        ),
        (
            {"permission": [rule(MET), rule({"and": [MET, {"and": [UNMET, UNKNOWN]}]})]},
            f"permission 2: BusinessPartnerNumber eq {OTHER} is not met by {US}",
            "permission 2: the condition on BusinessPartnerNumber is not met",
        ),
        (
            permit({"or": [UNMET, triple("dateTime", "lt", INSTANT)]}),
            (
                f"permission 1: (BusinessPartnerNumber eq {OTHER} or dateTime lt {INSTANT}) is not met by {US}; "
                "at 2026-01-01T12:00:00.000Z"
            ),
            "permission 1: the condition on BusinessPartnerNumber, dateTime is not met",
        ),
        (
            permit({"or": [UNMET, UNKNOWN]}),
            (
                f"permission 1: (BusinessPartnerNumber eq {OTHER} or Mood eq good) cannot be checked: "
                "the operand Mood is not known"
            ),
            "permission 1: the condition on BusinessPartnerNumber, Mood cannot be checked",
        ),
        (
            permit(triple(BPN, "gt", US)),
            (
                f"permission 1: BusinessPartnerNumber gt {US} cannot be checked: BusinessPartnerNumber knows the "
                "operators isAnyOf, isNoneOf, eq, neq, in, isA, isAllOf, hasPart, isPartOf"
            ),
            "permission 1: the condition on BusinessPartnerNumber cannot be checked",
        ),
        (
            {"prohibition": [rule(triple("tx:BusinessPartnerNumber", "eq", US))]},
            f"prohibition 1: BusinessPartnerNumber eq {US} is met by {US}, which is forbidden",
            "prohibition 1: the condition on BusinessPartnerNumber forbids it",
        ),
        (
            {"prohibition": [rule({"or": [UNMET, MET]})]},
            f"prohibition 1: BusinessPartnerNumber eq {US} is met by {US}, which is forbidden",
            "prohibition 1: the condition on BusinessPartnerNumber forbids it",
        ),
        (
            {"prohibition": [rule(MET, UNKNOWN)]},
            "prohibition 1: Mood eq good cannot be checked: the operand Mood is not known",
            "prohibition 1: the condition on Mood cannot be checked",
        ),
        (
            {"obligation": [rule(triple("DataProvisioningEndDate", "eq", "2025-01-01T00:00:00Z"))]},
            "obligation 1: DataProvisioningEndDate eq 2025-01-01T00:00:00Z is not met at 2026-01-01T12:00:00.000Z",
            "obligation 1: the condition on DataProvisioningEndDate is not met",
        ),
        (
            {"prohibition": [rule()]},
            "prohibition 1: use is forbidden without condition",
            "prohibition 1: the rule cannot be fulfilled here",
        ),
    ],
)
def test_the_reason_names_the_first_denial(doc: dict[str, Any], said: str, public: str) -> None:
    verdict = evaluate(parse_policy(doc), at())
    assert (verdict.reason, verdict.public_reason) == (said, public)


def test_long_lists_are_shortened() -> None:
    doc = permit(triple(BPN, "isAnyOf", [f"BPNL{i:012}" for i in range(1000)]))
    assert "BPNL000000000004, 995 more] is not met" in reason(doc)


def test_the_trace_goes_on_after_a_denial_and_follows_the_document() -> None:
    doc = {
        "permission": [rule({"or": [UNMET, MET]}, UNMET), rule()],
        "obligation": [rule(action="delete"), rule(RELATIVE[0])],
    }
    trace = evaluate(parse_policy(doc), at()).trace
    assert [(step.pointer, step.truth) for step in trace] == [
        ("/permission/0/constraint/0", True),
        ("/permission/0/constraint/0/or/0", False),
        ("/permission/0/constraint/0/or/1", True),
        ("/permission/0/constraint/1", False),
        ("/permission/1", True),
        ("/obligation/0", True),
        ("/obligation/1/constraint/0", True),
    ]
    assert trace[4].text == "permission 2: use is permitted without condition"
    assert trace[6].text == (
        "obligation 2: inForceDate lteq contractAgreement+1d is left open for now: it counts from an agreement, "
        "and there is none yet"
    )


def test_a_permitted_verdict_says_so() -> None:
    verdict = evaluate(parse_policy(permit(MET)), at())
    assert (verdict.reason, verdict.public_reason, verdict.denial) == ("every condition is met", "permitted", None)


def test_the_public_reason_never_quotes_the_policy() -> None:
    hidden = "BPNLHIDDENHIDDEN"
    constraint = {"or": [triple(BPN, "isAnyOf", [hidden]), {"and": [triple("Mood", "eq", hidden)]}]}
    for part in ("permission", "prohibition", "obligation"):
        verdict = evaluate(parse_policy({part: [rule(constraint, triple(BPN, "eq", hidden))]}), at())
        assert hidden not in verdict.public_reason


SAMPLES = {
    BPN: US,
    "Membership": "active",
    "Dismantler": "active",
    "FrameworkAgreement": "DataExchangeGovernance:1.0",
    "DataFrequency": "cx.dataFrequency.once:1",
}
DISMANTLER = ProvenCredential(
    "urn:uuid:d",
    ("DismantlerCredential", "MembershipCredential"),
    "did:web:authority",
    {"activityType": "vehicleDismantle", "allowedVehicleBrands": ["A", "B"]},
    None,
)
GOVERNANCE = ProvenCredential(
    None, ("DataExchangeGovernanceCredential",), "did:web:authority", {"contractVersion": "1.0"}, NOON + DAY
)


def sample(operand: str) -> object:
    return SAMPLES.get(operand, 5 if operand.endswith("Days") else INSTANT)


def test_the_profile_describes_the_operands_that_there_are() -> None:
    described = profile()
    assert described.keys() == OPERANDS.keys()
    assert {BPN, *NAMES} < OPERANDS.keys()
    us = Counterparty("did:web:us", US, {}, (DISMANTLER, GOVERNANCE), frozenset({"g"}))
    circumstances = Circumstances("transfer", us, NOON, NOON, used=0)
    for name, operand in OPERANDS.items():
        spellings = [namespace + name for namespace in described[name]["namespaces"]]
        assert spellings
        for operator in OPERATORS:
            for spelling in spellings:
                finding = operand(Constraint(spelling, operator, sample(name)), circumstances)  # type: ignore[arg-type]
                understood = finding.truth is not None or finding.waived == "legal"
                assert understood is (operator in described[name]["operators"]), (spelling, operator, finding)
        assert described[name]["enforced"] is (name not in LEGAL)
        assert described[name]["meaning"]
        assert set(described[name]["rules"]) <= {"permission", "prohibition", "obligation"}
        assert set(described[name].get("standardOperators", ())) <= set(described[name]["operators"])


def shown(*credentials: ProvenCredential, scope: Scope = "transfer", **known: Any) -> Circumstances:
    return Circumstances(scope, Counterparty("did:web:us", known.pop("bpn", US), {}, credentials, **known), NOON, NOON)


@pytest.mark.parametrize(
    ("left", "operator", "right", "met"),
    [
        ("Membership", "eq", "active", True),
        ("https://w3id.org/catenax/policy/Membership", "eq", "active", True),
        ("Dismantler", "eq", "active", True),
        ("Dismantler.activityType", "isAnyOf", ["vehicleDismantle", "vehicleScrap"], True),
        ("Dismantler.activityType", "eq", "vehicleScrap", False),
        ("Dismantler.allowedBrands", "isAnyOf", "B, C", True),
        ("Dismantler.allowedBrands", "isAllOf", ["A", "B", "C"], False),
        ("Dismantler.allowedBrands", "isNoneOf", ["A"], False),
        ("FrameworkAgreement", "eq", "DataExchangeGovernance:1.0", True),
        ("FrameworkAgreement", "eq", ["DataExchangeGovernance"], True),
        ("FrameworkAgreement", "eq", "dataExchangeGovernance:2.0", False),
        ("FrameworkAgreement.dataExchangeGovernance", "eq", "active:1.0", True),
        ("FrameworkAgreement.dataExchangeGovernance", "eq", "active", True),
        ("FrameworkAgreement.pcf", "eq", "active", None),
        ("FrameworkAgreement.pcf", "eq", "passive", None),
        ("FrameworkAgreement", "eq", "a b", None),
        ("Membership", "neq", "active", None),
        ("Membership", "eq", "passive", None),
    ],
)
def test_what_a_credential_answers(left: str, operator: str, right: object, met: bool | None) -> None:
    step = evaluate(parse_policy(permit(triple(left, operator, right))), shown(DISMANTLER, GOVERNANCE)).trace[0]
    assert step.truth is met
    assert permitted(permit(triple(left, operator, right)), shown(DISMANTLER, GOVERNANCE)) is (met is True)


def test_what_was_not_shown_proves_nothing() -> None:
    member = triple("Membership", "eq", "active")
    assert not permitted(permit(member), shown(GOVERNANCE))
    assert not permitted({"prohibition": [rule(member)]}, shown(GOVERNANCE))
    assert "the counterparty shows no MembershipCredential" in reason(permit(member), shown(GOVERNANCE))


def test_a_token_that_claims_a_membership_proves_nothing() -> None:
    claims = {"Membership": "active", "vc": {"type": ["MembershipCredential"]}}
    boaster = Circumstances("catalog", Counterparty("did:web:us", US, claims), NOON)
    assert not permitted(permit(triple("Membership", "eq", "active")), boaster)


def test_a_credential_that_has_ended_is_none() -> None:
    governed = permit(triple("FrameworkAgreement", "eq", "DataExchangeGovernance"))
    party = Counterparty("did:web:us", US, {}, (GOVERNANCE,))
    assert permitted(governed, Circumstances("transfer", party, NOON + DAY - 1))
    late = Circumstances("transfer", party, NOON + DAY)
    assert not permitted(governed, late)
    assert "the DataExchangeGovernanceCredential that the counterparty shows has ended" in reason(governed, late)


def test_while_an_agreement_runs_only_what_can_be_judged_denies() -> None:
    member, until = triple("Membership", "eq", "active"), triple("inForceDate", "lteq", "2026-01-01T12:00:00Z")
    unknown = shown(scope="monitor", bpn=None)
    verdict = evaluate(parse_policy(permit(member, triple(BPN, "eq", OTHER), until)), unknown)
    assert verdict.permitted
    assert [step.waived for step in verdict.trace] == ["earlier", "earlier", None]
    assert not permitted(permit(triple(BPN, "eq", OTHER)), shown(scope="monitor"))
    assert not permitted(permit(member), shown(GOVERNANCE, scope="monitor"))
    assert not permitted(permit(member, UNKNOWN), unknown)
    assert not permitted({"prohibition": [rule(triple("inForceDate", "gteq", "2026-01-01T12:00:00Z"))]}, unknown)


@pytest.mark.parametrize(
    ("operator", "right", "met"),
    [
        ("isAnyOf", ["gold", "silver"], True),
        ("isAnyOf", "iron, gold", True),
        ("isAnyOf", ["iron"], False),
        ("isNoneOf", ["iron"], True),
        ("isNoneOf", ["gold"], False),
        ("isAllOf", ["gold", "lead"], True),
        ("isAllOf", ["gold", "iron"], False),
        ("eq", ["lead", "gold"], True),
        ("neq", ["lead", "gold"], False),
        ("in", ["gold"], True),
        ("isAnyOf", [], None),
        ("hasPart", ["gold"], None),
    ],
)
def test_groups_of_the_counterparty(operator: str, right: object, met: bool | None) -> None:
    doc = permit(triple("BusinessPartnerGroup", operator, right))
    circumstances = shown(groups=frozenset({"gold", "lead"}))
    assert evaluate(parse_policy(doc), circumstances).trace[0].truth is met
    admitted = audience(parse_policy(doc))
    if met and admitted is not None:
        assert admitted & {"group:gold", "group:lead"}


def test_who_is_not_known_is_not_known_to_be_in_no_group() -> None:
    doc = permit(triple("BusinessPartnerGroup", "isNoneOf", ["banned"]))
    assert permitted(doc, shown())
    assert not permitted(doc, shown(bpn=None))
    assert permitted(doc, shown(bpn=None, groups=frozenset({"friends"})))


@pytest.mark.parametrize(
    ("scope", "used", "truth", "waived"),
    [
        ("negotiation", None, True, "later"),
        ("catalog", None, True, "later"),
        ("transfer", 0, True, None),
        ("transfer", 1, False, None),
        ("transfer", None, None, None),
        ("monitor", None, True, "earlier"),
    ],
)
def test_once_is_one_transfer(scope: Scope, used: int | None, truth: bool | None, waived: str | None) -> None:
    doc = permit(triple("DataFrequency", "eq", "cx.dataFrequency.once:1"))
    circumstances = Circumstances(scope, Counterparty("did:web:us", US, {}), NOON, NOON, used=used)
    step = evaluate(parse_policy(doc), circumstances).trace[0]
    assert (step.truth, step.waived) == (truth, waived)
    unlimited = permit(triple("DataFrequency", "eq", "cx.dataFrequency.unlimited:1"))
    assert permitted(unlimited, circumstances)


@pytest.mark.parametrize("name", sorted(LEGAL))
def test_legal_text_stands_in_nobodys_way_and_is_listed_as_such(name: str) -> None:
    said = triple(f"https://w3id.org/catenax/2025/9/policy/{name}", profile()[name]["operators"][0], ["cx.x:1"])
    for part in ("permission", "prohibition", "obligation"):
        verdict = evaluate(parse_policy({part: [rule(said)]}), at())
        assert verdict.permitted, part
        assert [step.outcome for step in verdict.trace] == ["legal"]
        assert "is legal text: both sides agree to it" in verdict.trace[0].text
    misread = triple(name, "hasPart", ["cx.x:1"])
    assert not permitted(permit(misread))
    assert not permitted({"prohibition": [rule(misread)]})


def test_a_trace_says_what_was_needed_and_what_was_found() -> None:
    verdict = evaluate(parse_policy(permit(MET, triple("Membership", "eq", "active"))), at())
    told = verdict.to_json()
    assert told["permitted"] is False
    assert told["trace"][0] == {
        "pointer": "/permission/0/constraint/0",
        "needed": f"{BPN} eq {US}",
        "found": f"by {US}",
        "outcome": "met",
        "truth": True,
        "text": f"permission 1: {BPN} eq {US} is met by {US}",
    }
    assert (told["trace"][1]["outcome"], told["trace"][1]["truth"]) == ("unknown", None)
    assert verdict.to_json(at_most=1)["more"] == 1


def test_an_offer_read_from_text_is_judged() -> None:
    text = json.dumps(permit(triple("https://w3id.org/tractusx/v0.0.1/ns/BusinessPartnerNumber", "eq", US)))
    assert permitted(json.loads(text))
