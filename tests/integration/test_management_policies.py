"""Why somebody is let in or not, groups of business partners, and the verdicts that an exchange keeps to itself."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.exchange import catalog, negotiation_inbound
from connector.exchange.offer_ids import offer_id
from connector.policy.equality import fingerprint
from connector.policy.parse import parse_policy
from connector.policy.templates import templates
from connector.protocol.catalog import CatalogRequestMessage
from connector.protocol.errors import PeerError
from tests.integration.management_world import (
    OPEN,
    THEIR_BPN,
    THEIRS,
    World,
    asset_json,
    definition_json,
    world,
)

CX = "https://w3id.org/catenax/2025/9/policy/"
CONTEXT = {"@vocab": "https://w3id.org/edc/v0.0.1/ns/", "tx": "https://w3id.org/tractusx/v0.0.1/ns/"}
GROUPS = "/v3/business-partner-groups"


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as it:
        yield it


def needs(*constraints: tuple[str, str, Any], action: str = "use") -> dict[str, Any]:
    rows = [{"leftOperand": CX + left, "operator": op, "rightOperand": right} for left, op, right in constraints]
    return {"@type": "Set", "permission": [{"action": action, "constraint": rows}]}


MEMBERS = needs(("Membership", "eq", "active"), ("BusinessPartnerNumber", "isAnyOf", [THEIR_BPN]))
MEMBERSHIP = {
    "@context": ["https://www.w3.org/2018/credentials/v1"],
    "type": ["VerifiableCredential", "https://w3id.org/catenax/credentials/MembershipCredential"],
    "issuer": {"id": "did:web:authority"},
    "expirationDate": "2999-01-01T00:00:00Z",
    "credentialSubject": {"id": THEIRS, "holderIdentifier": THEIR_BPN},
}


async def ask(here: World, **question: Any) -> dict[str, Any]:
    told: dict[str, Any] = await here.ok("POST", "/v3/policies/explain", {"scope": "catalog", **question})
    return told


async def offered(here: World, *, access: dict[str, Any] = OPEN, terms: dict[str, Any] = OPEN) -> str:
    """Offer an asset; return the offer's id."""
    await here.ok("POST", "/v3/assets", asset_json("asset-1"))
    await here.ok("POST", "/v3/policydefinitions", {"@id": "access", "policy": access})
    await here.ok("POST", "/v3/policydefinitions", {"@id": "terms", "policy": terms})
    definition = definition_json("d", "access", "asset-1") | {"contractPolicyId": "terms"}
    await here.ok("POST", "/v3/contractdefinitions", definition)
    return offer_id("d", "asset-1", fingerprint(parse_policy(terms)))


# --- explain -----------------------------------------------------------------------------------------------------


async def test_each_constraint_says_what_was_needed_and_found(here: World) -> None:
    told = await ask(here, policy=MEMBERS, counterPartyId=THEIRS)
    assert (told["permitted"], told["bpn"], told["credentials"]) == (False, THEIR_BPN, [])
    missing, number = told["trace"]
    assert missing["pointer"] == "/permission/0/constraint/0"
    assert missing["needed"] == "Membership eq active"
    assert missing["found"] == "the counterparty shows no MembershipCredential"
    assert (missing["outcome"], missing["enforced"]) == ("unknown", True)
    assert missing["meaning"].startswith("A trusted issuer says")
    assert (number["outcome"], number["found"]) == ("met", f"by {THEIR_BPN}")
    assert told["inWords"][0].startswith(f"{THEIRS} ({THEIR_BPN}) is denied in the scope catalog: ")
    assert len(told["inWords"]) == 3
    assert THEIR_BPN not in told["publicReason"]


def jwt(doc: dict[str, Any]) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(doc).encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    "credential", [MEMBERSHIP, jwt({"vc": MEMBERSHIP}), jwt(MEMBERSHIP), "MembershipCredential"], ids=range(4)
)
async def test_pasted_credentials_are_taken_at_their_word(here: World, credential: object) -> None:
    told = await ask(here, policy=MEMBERS, counterPartyId=THEIRS, credentials=[credential])
    assert told["permitted"] is True
    assert told["credentials"][0]["types"] == ["MembershipCredential"]


async def test_pasted_credentials_bring_a_number_and_end(here: World) -> None:
    elsewhere = {**MEMBERSHIP, "credentialSubject": {"holderIdentifier": "BPNL0000000OTHER"}}
    told = await ask(here, policy=MEMBERS, credentials=[elsewhere])
    assert (told["permitted"], told["bpn"]) == (False, "BPNL0000000OTHER")
    late = await ask(here, policy=MEMBERS, counterPartyId=THEIRS, credentials=[MEMBERSHIP], at="2999-01-01T00:00:00Z")
    assert late["permitted"] is False
    assert "the MembershipCredential that the counterparty shows has ended" in late["reason"]


BARE = {name: value for name, value in MEMBERSHIP.items() if name not in ("issuer", "validUntil", "expirationDate")}


@pytest.mark.parametrize(
    ("doc", "found"),
    [
        ({"vc": BARE, "iss": "did:web:x.example", "exp": 1_600_000_000}, "has ended"),
        ({"vc": BARE, "nbf": 32_000_000_000}, "is not valid yet"),
        ({"vc": BARE | {"expirationDate": "2999-01-01T00:00:00Z"}, "exp": 1_600_000_000.5}, "has ended"),
        ({"vc": BARE | {"expirationDate": "2020-01-01T00:00:00Z"}, "exp": 32_000_000_000}, "has ended"),
        (BARE | {"exp": 1_600_000_000}, "has ended"),
        ({"vc": BARE | {"issuanceDate": "2999-01-01T00:00:00Z"}}, "is not valid yet"),
        (
            {"vc": BARE, "iss": "did:web:x.example", "nbf": 1_600_000_000},
            "by a MembershipCredential of did:web:x.example",
        ),
    ],
    ids=range(7),
)
async def test_what_a_jwt_says_of_its_credential_counts(here: World, doc: dict[str, Any], found: str) -> None:
    """VC-DM 1.1, 6.3.1: the claims stand in place of the credential's members; of two times the stricter counts."""
    told = await ask(here, policy=MEMBERS, counterPartyId=THEIRS, credentials=[jwt(doc)])
    assert found in told["trace"][0]["found"]
    assert told["permitted"] is found.startswith("by")


async def test_a_partner_may_be_named_by_its_number(here: World) -> None:
    told = await ask(here, policy=MEMBERS, counterPartyId=THEIR_BPN, credentials=["MembershipCredential"])
    assert (told["permitted"], told["counterPartyId"], told["bpn"]) == (True, THEIRS, THEIR_BPN)


async def test_a_kept_policy_is_explained_by_its_id(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    assert (await ask(here, policyId="p"))["inWords"][0].startswith("did:web:somebody.example is permitted")
    assert (await here.call("POST", "/v3/policies/explain", {"policyId": "q", "scope": "catalog"})).status == 404


async def test_scopes_and_moments_are_those_of_the_question(here: World) -> None:
    lasting = needs(("DataUsageEndDurationDays", "eq", 1), ("DataFrequency", "eq", "cx.dataFrequency.once:1"))
    assert [s["outcome"] for s in (await ask(here, policy=lasting))["trace"]] == ["later", "later"]
    moment: dict[str, Any] = {"policy": lasting, "agreedAt": "2026-01-01T12:00:00Z"}
    told = await ask(here, **moment, scope="transfer.process", at="2026-01-02T23:59:59Z")
    assert [s["outcome"] for s in told["trace"]] == ["met", "met"]
    told = await ask(here, **moment, scope="transfer", at="2026-01-03T00:00:00Z", transfers=1)
    assert [s["outcome"] for s in told["trace"]] == ["unmet", "unmet"]
    told = await ask(here, policy=MEMBERS, scope="policy.monitor")
    assert [s["outcome"] for s in told["trace"]] == ["earlier", "earlier"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"policyId": "p"}, "/policyId"),
        ({"policy": None}, "/policyId"),
        ({"scope": "sometime"}, "/scope"),
        ({"credentials": {}}, "/credentials"),
        ({"credentials": ["A"] * 33}, "/credentials"),
        ({"credentials": ["A", 5]}, "/credentials/1"),
        ({"credentials": ["a.b.c"]}, "/credentials/0"),
        ({"credentials": [jwt({"vc": {"type": "A"}, "exp": "soon"})]}, "/credentials/0/exp"),
        ({"credentials": [jwt({"vc": {"type": "A"}, "nbf": 1e300})]}, "/credentials/0/nbf"),
        (
            {"credentials": [jwt({"vc": {"type": "A", "issuer": "did:web:a"}, "iss": "did:web:b"})]},
            "/credentials/0/iss",
        ),
        ({"credentials": [jwt({"vc": {"type": "A", "expirationDate": "soon"}})]}, "/credentials/0/expirationDate"),
        ({"credentials": [{"type": "VerifiableCredential"}]}, "/credentials/0/type"),
        ({"credentials": [{"type": "A", "credentialSubject": 1}]}, "/credentials/0/credentialSubject"),
        ({"credentials": [{"type": "A", "validUntil": "soon"}]}, "/credentials/0/validUntil"),
        ({"claims": []}, "/claims"),
        ({"groups": [1]}, "/groups"),
        ({"transfers": -1}, "/transfers"),
        ({"at": "soon"}, "/at"),
        ({"policy": {"permission": [{}]}}, "/policy/permission/0"),
    ],
)
async def test_a_question_that_cannot_be_read_is_400_with_its_place(
    here: World, change: dict[str, Any], path: str
) -> None:
    question = {"policy": OPEN, "scope": "catalog"} | change
    reply = await here.call("POST", "/v3/policies/explain", question)
    assert (reply.status, reply.error["path"]) == (400, path)


async def test_templates_are_listed_with_their_meaning(here: World) -> None:
    rows = (await here.ok("GET", "/v3/policies/templates"))["templates"]
    assert [row["name"] for row in rows] == [template.name for template in templates()]
    for row in rows:
        assert len(row["meaning"].split()) > 15
        await here.ok("POST", "/v3/policydefinitions", {"@id": row["name"], "policy": row["policy"]})


# --- groups ------------------------------------------------------------------------------------------------------


async def test_groups_in_the_form_of_tractus_x(here: World) -> None:
    doc = {"@context": CONTEXT, "@id": THEIR_BPN, "tx:groups": ["gold", "lead", "gold"]}
    assert (await here.call("POST", GROUPS, doc)).status == 204
    assert (await here.call("POST", GROUPS, doc)).status == 409
    shown = await here.ok("GET", f"{GROUPS}/{THEIR_BPN}")
    assert (shown["@id"], shown["tx:groups"]) == (THEIR_BPN, ["gold", "lead"])
    assert (await here.call("PUT", GROUPS, {**doc, "tx:groups": "lead"})).status == 204
    assert (await here.ok("GET", f"{GROUPS}/groups"))["tx:groups"] == ["lead"]
    assert (await here.ok("GET", f"{GROUPS}/group/lead"))["tx:bpns"] == [THEIR_BPN]
    assert (await here.call("GET", f"{GROUPS}/group/gold")).status == 404
    assert (await here.call("DELETE", f"{GROUPS}/{THEIR_BPN}")).status == 204
    for method, path, body in (
        ("GET", f"{GROUPS}/{THEIR_BPN}", None),
        ("DELETE", f"{GROUPS}/{THEIR_BPN}", None),
        ("PUT", GROUPS, doc),
    ):
        assert (await here.call(method, path, body)).status == 404
    assert (await here.ok("GET", f"{GROUPS}/groups"))["tx:groups"] == []


@pytest.mark.parametrize(
    ("doc", "path"),
    [
        ({"tx:groups": ["a"]}, "/@id"),
        ({"@id": "b"}, "/tx:groups"),
        ({"@id": "b", "tx:groups": [1]}, "/tx:groups"),
        ({"@id": "b", "tx:groups": ["a,b"]}, "/groups/0"),
        ({"@id": "b", "tx:groups": [str(n) for n in range(201)]}, "/groups"),
    ],
)
async def test_groups_that_cannot_be_are_400(here: World, doc: dict[str, Any], path: str) -> None:
    reply = await here.call("POST", GROUPS, {"@context": CONTEXT, **doc})
    assert (reply.status, reply.error["path"]) == (400, path)


@pytest.mark.parametrize("named", [THEIR_BPN, THEIRS])
async def test_an_offer_for_a_group_follows_its_members_at_once(here: World, named: str) -> None:
    await offered(here, access=needs(("BusinessPartnerGroup", "isAnyOf", ["gold"]), action="access"))

    assert not await visible(here)
    await here.ok("POST", GROUPS, {"@context": CONTEXT, "@id": named, "tx:groups": ["gold"]})
    assert await visible(here)
    told = await ask(here, policyId="access", counterPartyId=THEIRS)
    assert (told["permitted"], told["groups"]) == (True, ["gold"])
    assert (await ask(here, policyId="access", counterPartyId=THEIRS, groups=[]))["permitted"] is False
    await here.ok("PUT", GROUPS, {"@context": CONTEXT, "@id": named, "tx:groups": ["lead"]})
    assert not await visible(here)


async def visible(here: World) -> bool:
    page = await catalog.serve(here.node, here.peer, CatalogRequestMessage())
    return bool(page.document.get("dataset"))


# --- what an exchange keeps to itself ----------------------------------------------------------------------------

FRIEND = "BPNL00000FRIEND0"


async def timeline(here: World, negotiation: str) -> list[dict[str, Any]]:
    told = await here.ok("GET", f"/v3/contractnegotiations/{negotiation}/timeline")
    return [entry for entry in told["history"] if "judged" in entry]


async def told_to_the_peer(here: World, negotiation: str, state: str) -> str:
    """Everything that has left for the counterparty, and all that it can ask for, once a state is reached."""
    await here.ok("GET", f"/v3/contractnegotiations/{negotiation}?wait={state}")
    shown = await negotiation_inbound.show(here.node, here.peer, negotiation)
    return json.dumps([shown.to_json(), *(message.body for message in here.wire.sent)])


async def test_every_verdict_of_an_exchange_stands_in_its_timeline_and_nowhere_else(here: World) -> None:
    secret = needs(("BusinessPartnerNumber", "isAnyOf", [THEIR_BPN, FRIEND]), action="access")
    ident = await offered(here, access=secret)
    negotiation = await here.peer_requests(ident)
    access, terms = await timeline(here, negotiation)
    assert (access["what"], access["judged"]["permitted"]) == ("policy:catalog", True)
    assert FRIEND in access["judged"]["trace"][0]["needed"]
    assert (terms["what"], terms["judged"]["scope"], terms["detail"]) == (
        "policy:negotiation",
        "negotiation",
        "permitted: every condition is met",
    )
    told = await told_to_the_peer(here, negotiation, "AGREED")
    assert "ContractAgreementMessage" in told
    assert FRIEND not in told
    assert "judged" not in told


async def test_a_denial_is_explained_to_us_and_not_to_the_counterparty(here: World) -> None:
    terms = needs(("Membership", "eq", "active"), ("BusinessPartnerGroup", "isNoneOf", ["bad payers"]))
    await here.ok("POST", GROUPS, {"@context": CONTEXT, "@id": THEIR_BPN, "tx:groups": ["bad payers"]})
    negotiation = await here.peer_requests(await offered(here, terms=terms), terms=terms)
    (denied,) = [entry for entry in await timeline(here, negotiation) if not entry["judged"]["permitted"]]
    assert denied["detail"].startswith("denied: permission 1: Membership eq active cannot be checked")
    outcomes = [(step["outcome"], step["found"]) for step in denied["judged"]["trace"]]
    assert outcomes[1] == ("unmet", f"by {THEIR_BPN}, which is in bad payers")
    told = await told_to_the_peer(here, negotiation, "TERMINATED")
    assert "ContractNegotiationTerminationMessage" in told
    assert "the condition on Membership cannot be checked" in told
    assert "shows no" not in told
    assert THEIR_BPN not in told


async def test_an_offer_that_is_not_for_who_asks_looks_as_if_it_did_not_exist(here: World) -> None:
    ident = await offered(here, access=needs(("Membership", "eq", "active"), action="access"))
    with capture_logs() as logs, pytest.raises(PeerError) as caught:
        await here.peer_requests(ident)
    assert caught.value.status == 404
    with pytest.raises(PeerError) as other:
        await here.peer_requests(offer_id("nonesuch", "asset-1", "f"))
    assert (other.value.status, other.value.reason) == (caught.value.status, caught.value.reason)
    (line,) = [line for line in logs if line["event"] == "an offer is not for who asks"]
    assert "shows no MembershipCredential" in line["reason"]


async def test_data_that_may_be_had_once_is_had_once(here: World) -> None:
    terms = needs(("DataFrequency", "eq", "cx.dataFrequency.once:1"))
    negotiation = await here.peer_requests(await offered(here, terms=terms), terms=terms)
    agreed = await here.ok("GET", f"/v3/contractnegotiations/{negotiation}?wait=AGREED")
    await here.peer_verifies(negotiation)
    await here.ok("GET", f"/v3/contractnegotiations/{negotiation}?wait=FINALIZED")
    agreement = agreed["contractAgreementId"]

    states = []
    for pid in ("one", "two", "three"):
        transfer = await here.peer_pulls(agreement, pid)
        reached = await here.ok("GET", f"/v3/transferprocesses/{transfer}?wait=STARTED,TERMINATED")
        states.append(reached["state"])
    assert states == ["STARTED", "TERMINATED", "TERMINATED"]
    kept = await here.node.store.read(lambda tx: tx.agreements.get(agreement))
    assert kept.used_by is not None
