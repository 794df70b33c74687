"""Assets, policies, contract definitions, payloads and secrets through the API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from connector.demo_data import FOOTPRINT_SEMANTIC_ID as PCF
from connector.demo_data import PASSPORT_SEMANTIC_ID, footprint, tampered
from connector.exchange.records import PolicyDefinition
from connector.policy.parse import parse_policy
from tests.integration.management_world import (
    EDC,
    OPEN,
    OUR_BPN,
    THEIR_BPN,
    THEIRS,
    VOCAB,
    World,
    asset_json,
    definition_json,
    query_json,
    world,
)


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as made:
        yield made


# --- assets ------------------------------------------------------------------------------------------------------


async def test_created_asset_is_answered_with_its_id_and_time(here: World) -> None:
    reply = await here.call("POST", "/v3/assets", asset_json("a"))
    assert reply.status == 200
    assert (reply.body["@id"], reply.body["@type"], reply.body["createdAt"]) == ("a", "IdResponse", here.clock.at)


async def test_asset_without_id_gets_one(here: World) -> None:
    created = await here.ok("POST", "/v3/assets", {"properties": {}})
    assert (await here.ok("GET", f"/v3/assets/{created['@id']}"))["properties"] == {"id": created["@id"]}


async def test_second_asset_of_an_id_is_409(here: World) -> None:
    await here.ok("POST", "/v3/assets", asset_json("a"))
    reply = await here.call("POST", "/v3/assets", asset_json("a"))
    assert (reply.status, reply.error["type"], reply.error["path"]) == (409, "ObjectConflict", "/@id")


async def test_asset_put_back_as_it_was_read_is_the_same(here: World) -> None:
    await here.ok(
        "POST",
        "/v3/assets",
        {
            "@context": {
                "edc": EDC,
                "dct": "http://purl.org/dc/terms/",
                "cx-taxo": "https://w3id.org/catenax/taxonomy#",
            },
            "@id": "ichub:asset:1",
            "properties": {"dct:type": {"@id": "cx-taxo:SubmodelBundle"}, "name": "n", "nested": {"dct:a": [1, 2]}},
            "privateProperties": {"edc:secretNote": "x", "dct:subject": "y"},
            "dataAddress": {
                "@type": "DataAddress",
                "type": "HttpData",
                "baseUrl": "https://backend.example",
                "proxyPath": True,
                "header:X-Api-Key": "s3cret",
                "edc:oauth2:tokenUrl": "https://idp.example",
            },
        },
    )
    before = await here.ok("GET", "/v3/assets/ichub:asset:1")
    assert before["dataAddress"]["header:X-Api-Key"] == "s3cret"
    assert before["dataAddress"]["proxyPath"] == "true"
    assert before["properties"]["http://purl.org/dc/terms/type"] == {
        "@id": "https://w3id.org/catenax/taxonomy#SubmodelBundle"
    }
    here.clock.at += 1000
    await here.ok("PUT", "/v3/assets", before)
    assert await here.ok("GET", "/v3/assets/ichub:asset:1") == before


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"properties": None}, "/properties"),
        ({"properties": "text"}, "/properties"),
        ({"privateProperties": {"name": "twice"}}, f"/properties/{EDC}name"),
        ({"dataAddress": {"baseUrl": "https://b"}}, "/dataAddress/type"),
        ({"dataAddress": {"type": "HttpData", "x/y": {"a": 1}}}, "/dataAddress/x~1y"),
        ({"dataAddress": "text"}, "/dataAddress"),
        ({"@id": "  "}, "/@id"),
        ({"@id": 5}, "/@id"),
    ],
)
async def test_wrong_asset_is_400_and_names_the_place(here: World, change: dict[str, Any], path: str) -> None:
    reply = await here.call("POST", "/v3/assets", asset_json("a") | change)
    assert (reply.status, reply.error["type"], reply.error["path"]) == (400, "ValidationFailure", path)
    assert await here.ok("POST", "/v3/assets/request") == []


async def test_change_of_an_unknown_asset_is_404(here: World) -> None:
    assert (await here.call("PUT", "/v3/assets", asset_json("a"))).status == 404
    assert (await here.call("PUT", "/v3/assets", {"properties": {}})).error["path"] == "/@id"


async def test_deleted_asset_is_gone(here: World) -> None:
    await here.ok("POST", "/v3/assets", asset_json("a"))
    assert (await here.call("DELETE", "/v3/assets/a")).status == 204
    assert (await here.call("DELETE", "/v3/assets/a")).status == 404


async def test_asset_under_an_agreement_cannot_be_deleted(here: World) -> None:
    await here.sold("asset-1")
    reply = await here.call("DELETE", "/v3/assets/asset-1")
    assert reply.status == 409
    assert "agreement" in reply.error["message"]


async def test_query_gives_a_page_and_the_total(here: World) -> None:
    for i in range(5):
        await here.ok("POST", "/v3/assets", asset_json(f"a{i}"))
    reply = await here.call("POST", "/v3/assets/request", query_json(limit=2, offset=1, sortField="id"))
    assert [a["@id"] for a in reply.body] == ["a1", "a2"]
    assert reply.headers["X-Total-Count"] == "5"
    some = await here.call("POST", "/v3/assets/request", query_json((EDC + "id", "in", ["a1", "a4"])))
    assert ([a["@id"] for a in some.body], some.headers["X-Total-Count"]) == (["a1", "a4"], "2")


async def test_query_without_body_gives_the_first_page(here: World) -> None:
    await here.ok("POST", "/v3/assets", asset_json("a"))
    assert [a["@id"] for a in await here.ok("POST", "/v3/assets/request")] == ["a"]


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"limit": 0}, "/limit"),
        ({"offset": -1}, "/offset"),
        ({"sortOrder": "UP"}, "/sortOrder"),
        (
            {"filterExpression": {"operandLeft": "id", "operator": "~", "operandRight": "a"}},
            "/filterExpression/0/operator",
        ),
        ({"filterExpression": [{"operandLeft": "id", "operator": "="}]}, "/filterExpression/0/operandRight"),
    ],
)
async def test_wrong_query_is_400(here: World, members: dict[str, Any], path: str) -> None:
    reply = await here.call("POST", "/v3/assets/request", {"@context": VOCAB, **members})
    assert (reply.status, reply.error["path"]) == (400, path)


# --- policy definitions ------------------------------------------------------------------------------------------


def policy(*constraints: tuple[str, str, Any], action: str = "use") -> dict[str, Any]:
    rows = [dict(zip(("leftOperand", "operator", "rightOperand"), c, strict=True)) for c in constraints]
    return {"@type": "Set", "permission": [{"action": action, "constraint": rows}]}


def for_partner(bpn: str = THEIR_BPN) -> dict[str, Any]:
    return policy(("https://w3id.org/catenax/2025/9/policy/BusinessPartnerNumber", "isAnyOf", [bpn]))


async def test_policy_is_shown_in_edcs_prefixed_form(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": "p", "policy": for_partner()})
    shown = (await here.ok("GET", "/v3/policydefinitions/p"))["policy"]
    assert shown["@type"] == "odrl:Set"
    assert shown["odrl:permission"]["odrl:action"] == {"@id": "odrl:use"}
    assert (shown["odrl:prohibition"], shown["odrl:obligation"]) == ([], [])


@pytest.mark.parametrize("path", ["/v3/policydefinitions", "/v3/policydefinitions/p"])
async def test_policy_is_replaced_with_the_id_in_the_path_or_in_the_body(here: World, path: str) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    doc = {"@id": "p", "policy": for_partner(), "privateProperties": {"note": "n"}}
    assert (await here.call("PUT", path, doc)).status == 204
    shown = await here.ok("GET", "/v3/policydefinitions/p")
    assert "odrl:constraint" in shown["policy"]["odrl:permission"]
    assert shown["privateProperties"] == {"note": "n"}


async def test_policy_that_was_read_can_be_put_back(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": "p", "policy": for_partner()})
    before = await here.ok("GET", "/v3/policydefinitions/p")
    await here.ok("PUT", "/v3/policydefinitions/p", before)
    assert await here.ok("GET", "/v3/policydefinitions/p") == before


async def test_body_must_not_contradict_the_path(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    reply = await here.call("PUT", "/v3/policydefinitions/p", {"@id": "q", "policy": OPEN})
    assert (reply.status, reply.error["path"]) == (400, "/@id")


@pytest.mark.parametrize(
    ("doc", "path"),
    [({}, "/policy"), ({"policy": {"permission": [{"action": 5}]}}, "/policy/permission/0/action")],
)
async def test_wrong_policy_is_400_with_its_place(here: World, doc: dict[str, Any], path: str) -> None:
    reply = await here.call("POST", "/v3/policydefinitions", doc)
    assert (reply.status, reply.error["path"]) == (400, path)


async def test_policy_in_use_cannot_be_deleted(here: World) -> None:
    await here.offer()
    assert (await here.call("DELETE", "/v3/policydefinitions/open-asset-1")).status == 409
    await here.ok("DELETE", "/v3/contractdefinitions/def-asset-1")
    assert (await here.call("DELETE", "/v3/policydefinitions/open-asset-1")).status == 204
    assert await here.ok("POST", "/v3/policydefinitions/request") == []


async def test_understood_policy_is_valid(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": "p", "policy": for_partner()})
    answer = await here.ok("POST", "/v3/policydefinitions/p/validate")
    assert (answer["isValid"], answer["errors"]) == (True, [])


async def keep(here: World, doc: dict[str, Any]) -> None:
    """Keep a policy that would not be taken any more, as one from before may be there."""
    await here.node.store.run(lambda tx: tx.policies.add(PolicyDefinition("p", 1, parse_policy(doc))))


async def test_what_can_never_be_checked_is_refused_with_its_place(here: World) -> None:
    odd = policy(("inForceDate", "gteq", "2024-01-01"), ("PhaseOfTheMoon", "eq", "full"))
    reply = await here.call("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": "p", "policy": odd})
    assert (reply.status, reply.error["path"]) == (400, "/policy/permission/0/constraint/1")
    assert "PhaseOfTheMoon" in reply.error["message"]
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    assert (await here.call("PUT", "/v3/policydefinitions/p", {"policy": odd})).status == 400


async def test_who_names_the_profile_is_held_to_it(here: World) -> None:
    named = {**for_partner(), "profile": "https://w3id.org/catenax/2025/9/policy/profile"}
    reply = await here.call("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": "p", "policy": named})
    assert (reply.status, reply.error["path"]) == (400, "/policy/permission/0/constraint/0/leftOperand")
    await here.ok("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": "p", "policy": for_partner()})
    told = await here.ok("POST", "/v3/policydefinitions/p/validate")
    assert (told["isValid"], len(told["advice"])) == (True, 2)


async def test_what_can_never_be_checked_is_an_error_with_its_place(here: World) -> None:
    odd = policy(("inForceDate", "gteq", "2024-01-01"), ("PhaseOfTheMoon", "eq", "full"))
    await keep(here, odd)
    answer = await here.ok("POST", "/v3/policydefinitions/p/validate")
    assert answer["isValid"] is False
    assert len(answer["errors"]) == 1
    assert answer["errors"][0].startswith("/permission/0/constraint/1: ")
    assert "PhaseOfTheMoon" in answer["errors"][0]


async def test_inside_of_a_logical_constraint_only_the_faulty_operand_is_named(here: World) -> None:
    inner = policy(("inForceDate", "gteq", "2024-01-01"), ("PhaseOfTheMoon", "eq", "full"))
    either = {
        "@type": "Set",
        "permission": [{"action": "use", "constraint": {"or": inner["permission"][0]["constraint"]}}],
    }
    await keep(here, either)
    answer = await here.ok("POST", "/v3/policydefinitions/p/validate")
    assert [e.partition(": ")[0] for e in answer["errors"]] == ["/permission/0/constraint/0/or/1"]
    plan = await here.ok("POST", "/v3/policydefinitions/p/evaluationplan", {"policyScope": "catalog"})
    (logical,) = plan["permissionSteps"][0]["constraintSteps"]
    assert (logical["@type"], "denies" in logical) == ("OrConstraintStep", False)
    assert ["denies" in step for step in logical["constraintSteps"]] == [False, True]


async def test_plan_shows_what_is_checked_by_which_function(here: World) -> None:
    odd = policy(("inForceDate", "gteq", "2024-01-01"), ("PhaseOfTheMoon", "eq", "full"))
    await keep(here, odd)
    plan = await here.ok("POST", "/v3/policydefinitions/p/evaluationplan", {"policyScope": "contract.negotiation"})
    known, unknown = plan["permissionSteps"][0]["constraintSteps"]
    assert known["functionName"] == "inForceDate"
    assert "denies" not in known
    assert "functionName" not in unknown
    assert "PhaseOfTheMoon" in unknown["denies"]
    assert (plan["prohibitionSteps"], plan["obligationSteps"]) == ([], [])


@pytest.mark.parametrize("doc", [{}, {"policyScope": "elsewhere"}])
async def test_plan_needs_a_scope(here: World, doc: dict[str, Any]) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    reply = await here.call("POST", "/v3/policydefinitions/p/evaluationplan", doc)
    assert (reply.status, reply.error["path"]) == (400, "/policyScope")


async def test_dry_run_says_what_would_be_decided_and_why(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": "p", "policy": for_partner()})
    path = "/v3/policydefinitions/p/evaluate"
    good = await here.ok("POST", path, {"scope": "catalog", "counterPartyId": THEIRS})
    assert (good["permitted"], good["bpn"]) == (True, THEIR_BPN)
    bad = await here.ok("POST", path, {"scope": "catalog", "counterPartyId": THEIRS, "bpn": OUR_BPN})
    assert bad["permitted"] is False
    assert OUR_BPN in bad["reason"]
    assert THEIR_BPN not in bad["publicReason"]
    assert [(s["pointer"], s["truth"]) for s in bad["trace"]] == [("/permission/0/constraint/0", False)]
    unknown = await here.ok("POST", path, {"scope": "catalog", "counterPartyId": "did:web:stranger.example"})
    assert (unknown["permitted"], unknown["trace"][0]["truth"]) == (False, None)


@pytest.mark.parametrize(
    ("at", "permitted"),
    [
        ("2026-01-01T00:00:00Z", True),
        ("2028-01-01", False),
        (1_767_225_600_000, True),
        ("2028-01-01T00:00:00+02:00", False),
    ],
)
async def test_dry_run_at_another_time(here: World, at: object, *, permitted: bool) -> None:
    dated = policy(("inForceDate", "lteq", "2027-01-01T00:00:00Z"))
    await here.ok("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": "p", "policy": dated})
    asked = {"scope": "transfer", "counterPartyId": THEIRS, "at": at}
    assert (await here.ok("POST", "/v3/policydefinitions/p/evaluate", asked))["permitted"] is permitted


@pytest.mark.parametrize(
    ("doc", "path"),
    [
        ({"counterPartyId": THEIRS}, "/policyScope"),
        ({"scope": "nowhere", "counterPartyId": THEIRS}, "/scope"),
        ({"scope": "catalog"}, "/counterPartyId"),
        ({"scope": "catalog", "counterPartyId": THEIRS, "at": "soon"}, "/at"),
        ({"scope": "catalog", "counterPartyId": THEIRS, "at": True}, "/at"),
    ],
)
async def test_wrong_dry_run_is_400(here: World, doc: dict[str, Any], path: str) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    reply = await here.call("POST", "/v3/policydefinitions/p/evaluate", doc)
    assert (reply.status, reply.error["path"]) == (400, path)


# --- contract definitions ----------------------------------------------------------------------------------------


async def test_definition_round_trips(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    await here.ok("POST", "/v3/contractdefinitions", definition_json("d", "p", "a"))
    shown = await here.ok("GET", "/v3/contractdefinitions/d")
    assert shown["assetsSelector"] == [
        {"@type": "Criterion", "operandLeft": EDC + "id", "operator": "=", "operandRight": "a"}
    ]
    for path in ("/v3/contractdefinitions", "/v3/contractdefinitions/d"):
        await here.ok("PUT", path, shown)
    assert await here.ok("POST", "/v3/contractdefinitions/request") == [shown]
    await here.ok("DELETE", "/v3/contractdefinitions/d")
    assert (await here.call("GET", "/v3/contractdefinitions/d")).status == 404


async def test_missing_policy_is_refused_instead_of_offering_nothing(here: World) -> None:
    reply = await here.call("POST", "/v3/contractdefinitions", definition_json("d", "none", "a"))
    assert (reply.status, reply.error["path"], reply.error["invalidValue"]) == (400, "/accessPolicyId", "none")


async def test_empty_selector_is_done_with_a_notice(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    created = await here.call("POST", "/v3/contractdefinitions", definition_json("d", "p"))
    changed = await here.call("PUT", "/v3/contractdefinitions", definition_json("d", "p"))
    assert "every asset" in created.headers["X-Connector-Notice"]
    assert "every asset" in changed.headers["X-Connector-Notice"]
    precise = await here.call("PUT", "/v3/contractdefinitions/d", definition_json("d", "p", "a"))
    assert "X-Connector-Notice" not in precise.headers


async def test_forgotten_selector_is_refused(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    doc = {k: v for k, v in definition_json("d", "p").items() if k != "assetsSelector"}
    reply = await here.call("POST", "/v3/contractdefinitions", doc)
    assert (reply.status, reply.error["path"]) == (400, "/assetsSelector")


async def test_selector_may_be_one_criterion(here: World) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": "p", "policy": OPEN})
    one = definition_json("d", "p", "a")["assetsSelector"][0]
    await here.ok("POST", "/v3/contractdefinitions", definition_json("d", "p") | {"assetsSelector": one})
    assert len((await here.ok("GET", "/v3/contractdefinitions/d"))["assetsSelector"]) == 1


# --- payloads ----------------------------------------------------------------------------------------------------


async def test_published_payload_is_an_asset_with_a_signature(here: World) -> None:
    asked = {"@context": VOCAB, "semanticId": PCF, "payload": footprint(), "properties": {"name": "footprint"}}
    published = await here.ok("PUT", "/v3/payloads/pcf-1", asked)
    assert published["semanticId"] == PCF
    assert published["digest"].startswith("sha-256=")
    assert published == await here.ok("GET", "/v3/payloads/pcf-1")
    asset = await here.ok("GET", "/v3/assets/pcf-1")
    assert asset["dataAddress"]["type"] == "PassportStore"
    assert asset["properties"]["name"] == "footprint"


async def test_payload_that_does_not_fit_is_refused_with_its_place(here: World) -> None:
    broken, place = tampered()
    asked = {"semanticId": PASSPORT_SEMANTIC_ID, "payload": broken}
    reply = await here.call("PUT", "/v3/payloads/passport-1", asked)
    assert (reply.status, reply.error["path"]) == (400, f"/payload{place}")
    assert (await here.call("GET", "/v3/assets/passport-1")).status == 404


@pytest.mark.parametrize("doc", [{"semanticId": PCF}, {}])
async def test_payload_must_be_there(here: World, doc: dict[str, Any]) -> None:
    assert (await here.call("PUT", "/v3/payloads/pcf-1", doc)).error["path"] == "/payload"


async def test_payload_needs_a_semantic_id_that_may_stand_in_the_properties(here: World) -> None:
    key = "https://admin-shell.io/aas/3/0/HasSemantics/semanticId"
    assert (await here.call("PUT", "/v3/payloads/x", {"payload": footprint()})).error["path"].endswith("semanticId")
    named = {"properties": {key: {"@id": PCF}}, "payload": footprint()}
    assert (await here.ok("PUT", "/v3/payloads/x", named))["semanticId"] == PCF


# --- secrets -----------------------------------------------------------------------------------------------------


async def test_secret_lives_and_dies(here: World) -> None:
    await here.ok("POST", "/v3/secrets", {"@context": VOCAB, "@type": "Secret", "@id": "s", "value": "one"})
    assert (await here.call("POST", "/v3/secrets", {"@id": "s", "value": "two"})).status == 409
    await here.ok("PUT", "/v3/secrets", {"@id": "s", "value": "three"})
    shown = await here.call("GET", "/v3/secrets/s")
    assert (shown.body["value"], shown.headers["Cache-Control"]) == ("three", "no-store")
    await here.ok("DELETE", "/v3/secrets/s")
    assert (await here.call("GET", "/v3/secrets/s")).status == 404
    assert (await here.call("PUT", "/v3/secrets", {"@id": "s", "value": "four"})).status == 404


@pytest.mark.parametrize("value", [None, "", 5])
async def test_secret_without_a_text_is_refused_and_not_repeated(here: World, value: object) -> None:
    reply = await here.call("POST", "/v3/secrets", {"@id": "s", "value": value})
    assert (reply.status, reply.error["path"], reply.error["invalidValue"]) == (400, "/value", None)
