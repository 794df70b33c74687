"""Catalogs, negotiations, agreements, and what cannot be delivered, through the API."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connector.protocol.errors import Unreachable
from tests.integration.management_world import (
    OPEN,
    OUR_BPN,
    OURS,
    PEER_DSP,
    THEIR_BPN,
    THEIRS,
    VOCAB,
    Said,
    World,
    contract_json,
    query_json,
    said,
    world,
)

CN, TP = "/v3/contractnegotiations", "/v3/transferprocesses"


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def manual() -> AsyncIterator[World]:
    async with world(manual=True) as made:
        yield made


def counterparty(**members: Any) -> dict[str, Any]:
    return {"@context": VOCAB, "counterPartyAddress": PEER_DSP, "counterPartyId": THEIRS, **members}


# --- catalog -----------------------------------------------------------------------------------------------------


async def test_catalog_is_handed_through_byte_for_byte(here: World) -> None:
    theirs = b'{ "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],"dataset" :[]  }'
    here.wire.answers["/catalog/request"] = Said(200, theirs)
    url = here.listener.url + "/management/v3/catalog/request"
    async with here.session.post(url, json=counterparty(), headers={"X-Api-Key": "the-operators-key"}) as response:
        assert await response.read() == theirs
        assert response.content_type == "application/json"


async def test_query_goes_to_the_counterparty(here: World) -> None:
    here.wire.answers["/catalog/request"] = said(200, {"dataset": []})
    spec = query_json(("https://w3id.org/edc/v0.0.1/ns/id", "=", "a"), limit=5)
    await here.ok("POST", "/v3/catalog/request", counterparty(querySpec=spec, additionalScopes=[]))
    sent = here.wire.bodies("/catalog/request")[0]
    assert sent["@type"] == "CatalogRequestMessage"
    assert "operandLeft" in str(sent["filter"])


async def test_bpn_of_a_known_partner_stands_for_its_did(here: World) -> None:
    here.wire.answers["/catalog/request"] = said(200, {"dataset": []})
    await here.ok("POST", "/v3/catalog/request", counterparty(counterPartyId=THEIR_BPN))


async def test_own_bpn_is_not_taken_for_the_counterpartys(here: World) -> None:
    here.wire.answers["/catalog/request"] = said(200, {"dataset": []})
    await here.ok("POST", "/v3/catalog/request", counterparty(counterPartyId=OUR_BPN))
    assert here.wire.sent[-1].url == f"{PEER_DSP}/catalog/request"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"counterPartyAddress": None}, "/counterPartyAddress"),
        ({"counterPartyAddress": "http://inside.example"}, "/counterPartyAddress"),
        ({"counterPartyId": None}, "/counterPartyId"),
        ({"protocol": "dataspace-protocol-http"}, "/protocol"),
        ({"querySpec": {"limit": "all"}}, "/querySpec/limit"),
        ({"querySpec": "all"}, "/querySpec"),
    ],
)
async def test_wrong_catalog_request_is_400(here: World, change: dict[str, Any], path: str) -> None:
    reply = await here.call("POST", "/v3/catalog/request", counterparty() | change)
    assert (reply.status, reply.error["path"]) == (400, path)
    assert here.wire.sent == []


async def test_silent_counterparty_is_502(here: World) -> None:
    here.wire.answers["/catalog/request"] = Unreachable("no answer within 10 s")
    reply = await here.call("POST", "/v3/catalog/request", counterparty())
    assert (reply.status, reply.error["type"]) == (502, "BadGateway")


async def test_dataset_is_asked_for_by_its_id(here: World) -> None:
    here.wire.answers["/catalog/datasets/a%3A1"] = said(200, {"@id": "a:1"})
    assert (await here.ok("POST", "/v3/catalog/dataset/request", counterparty(**{"@id": "a:1"})))["@id"] == "a:1"
    assert (await here.call("POST", "/v3/catalog/dataset/request", counterparty())).error["path"] == "/@id"


# --- negotiations ------------------------------------------------------------------------------------------------


async def test_contract_is_requested_and_waited_for(here: World) -> None:
    created = await here.ok("POST", CN, contract_json())
    assert created["@type"] == "IdResponse"
    ident = created["@id"]
    asked = await here.ok("GET", f"{CN}/{ident}?wait=REQUESTED")
    assert (asked["state"], asked["type"], asked["counterPartyId"]) == ("REQUESTED", "CONSUMER", THEIRS)
    assert (asked["correlationId"], asked["callbackAddresses"]) == (f"their-{ident}", [])
    waiting = asyncio.create_task(here.ok("GET", f"{CN}/{ident}?wait=FINALIZED,VERIFIED&timeout=20"))
    await here.peer_agrees(ident)
    assert (await waiting)["state"] == "VERIFIED"
    await here.peer_finalizes(ident)
    assert (await here.ok("GET", f"{CN}/{ident}/state"))["state"] == "FINALIZED"
    agreement = await here.ok("GET", f"{CN}/{ident}/agreement")
    assert (agreement["providerId"], agreement["consumerId"], agreement["assetId"]) == (THEIRS, OURS, "their-asset")
    assert agreement["policy"]["@type"] == "odrl:Agreement"


async def test_wait_on_create_answers_with_the_negotiation(here: World) -> None:
    shown = await here.ok("POST", f"{CN}?wait=REQUESTED&timeout=5", contract_json())
    assert (shown["@type"], shown["state"]) == ("ContractNegotiation", "REQUESTED")


async def test_wait_ends_with_the_process_or_the_time(here: World) -> None:
    here.wire.answers["/negotiations/request"] = said(400, {"@type": "ContractNegotiationError", "reason": ["no"]})
    ended = await here.ok("POST", f"{CN}?wait=FINALIZED&timeout=60", contract_json())
    assert ended["state"] == "TERMINATED"
    assert "no" in ended["errorDetail"]
    here.wire.answers.clear()
    open_still = await here.ok("POST", f"{CN}?wait=FINALIZED&timeout=0.05", contract_json())
    assert open_still["state"] in ("REQUESTING", "REQUESTED")


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("wait=DONE", "/wait"),
        ("wait=", "/wait"),
        ("wait=STARTED", "/wait"),
        ("wait=FINALIZED&timeout=61", "/timeout"),
        ("wait=FINALIZED&timeout=-1", "/timeout"),
        ("wait=FINALIZED&timeout=nan", "/timeout"),
        ("wait=FINALIZED&timeout=soon", "/timeout"),
    ],
)
async def test_wrong_wait_is_400_and_starts_nothing(here: World, query: str, path: str) -> None:
    reply = await here.call("POST", f"{CN}?{query}", contract_json())
    assert (reply.status, reply.error["path"]) == (400, path)
    assert await here.ok("POST", f"{CN}/request") == []


async def test_provider_is_the_assigner_if_nobody_says(here: World) -> None:
    doc = contract_json()
    doc["policy"]["assigner"] = {"@id": THEIRS}
    shown = await here.ok("POST", f"{CN}?wait=REQUESTED", doc)
    assert shown["counterPartyId"] == THEIRS
    del doc["policy"]["assigner"]
    assert (await here.call("POST", CN, doc)).error["path"] == "/counterPartyId"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"policy": None}, "/policy"),
        ({"policy": {"@id": "o", "assigner": THEIRS}}, "/policy/target"),
        ({"policy": {"assigner": THEIRS, "target": "a"}}, "/policy/@id"),
        ({"callbackAddresses": [{"uri": "ftp://x"}]}, "/callbackAddresses/0/uri"),
        ({"callbackAddresses": [{"uri": "https://x", "events": [5]}]}, "/callbackAddresses/0/events"),
        ({"callbackAddresses": [{"uri": "https://x", "authKey": 5}]}, "/callbackAddresses/0/authKey"),
        ({"callbackAddresses": ["https://x"]}, "/callbackAddresses/0"),
        ({"counterPartyAddress": "http://inside.example"}, "/counterPartyAddress"),
        ({"protocol": "dataspace-protocol-http"}, "/protocol"),
    ],
)
async def test_wrong_contract_request_is_400(here: World, change: dict[str, Any], path: str) -> None:
    reply = await here.call("POST", CN, contract_json() | change)
    assert (reply.status, reply.error["path"]) == (400, path)


async def test_callbacks_are_told_and_shown(here: World) -> None:
    doc = contract_json(callbackAddresses=[{"uri": "https://erp.example/in", "events": ["contract.negotiation"]}])
    shown = await here.ok("POST", f"{CN}?wait=REQUESTED", doc)
    assert shown["callbackAddresses"][0]["uri"] == "https://erp.example/in"
    await here.peer_agrees(shown["@id"])
    told = await here.hooks.arrived("/in", "ContractNegotiationAgreed")
    assert told["payload"]["contractNegotiationId"] == shown["@id"]


async def test_terminate_tells_the_counterparty_why(here: World) -> None:
    ident = (await here.ok("POST", f"{CN}?wait=REQUESTED", contract_json()))["@id"]
    doc = {"@context": VOCAB, "@type": "TerminateNegotiation", "@id": ident, "reason": "changed my mind"}
    assert (await here.call("POST", f"{CN}/{ident}/terminate", doc)).status == 204
    assert (await here.ok("GET", f"{CN}/{ident}?wait=TERMINATED"))["state"] == "TERMINATED"
    assert here.wire.bodies("/termination")[0]["reason"] == ["changed my mind"]
    again = await here.call("POST", f"{CN}/{ident}/terminate", doc)
    assert (again.status, again.error["type"]) == (409, "ObjectConflict")


async def test_terminate_needs_a_reason(here: World) -> None:
    ident = (await here.ok("POST", CN, contract_json()))["@id"]
    assert (await here.call("POST", f"{CN}/{ident}/terminate", {})).error["path"] == "/reason"


async def test_terminated_negotiation_can_be_forgotten(here: World) -> None:
    ident = (await here.ok("POST", f"{CN}?wait=REQUESTED", contract_json()))["@id"]
    assert (await here.call("DELETE", f"{CN}/{ident}")).status == 409
    await here.ok("POST", f"{CN}/{ident}/terminate", {"reason": "test"})
    await here.ok("GET", f"{CN}/{ident}?wait=TERMINATED")
    await here.ok("DELETE", f"{CN}/{ident}")
    assert (await here.call("GET", f"{CN}/{ident}")).status == 404


@pytest.mark.parametrize("rest", ["", "/state", "/agreement", "/timeline"])
async def test_unknown_negotiation_is_404(here: World, rest: str) -> None:
    assert (await here.call("GET", f"{CN}/none{rest}")).status == 404


async def test_agreement_is_404_while_there_is_none(here: World) -> None:
    ident = (await here.ok("POST", f"{CN}?wait=REQUESTED", contract_json()))["@id"]
    reply = await here.call("GET", f"{CN}/{ident}/agreement")
    assert reply.status == 404
    assert "REQUESTED" in reply.error["message"]


async def test_negotiations_are_found_by_state_and_counterparty(here: World) -> None:
    await here.contract()
    await here.ok("POST", f"{CN}?wait=REQUESTED", contract_json("other"))
    for state in ("FINALIZED", 1200):
        found = await here.ok(
            "POST", f"{CN}/request", query_json(("state", "=", state), ("counterPartyId", "=", THEIRS))
        )
        assert [n["assetId"] for n in found] == ["their-asset"]
    assert (await here.call("POST", f"{CN}/request", query_json(("nonsense", "=", 1)))).status == 400


# --- a person decides --------------------------------------------------------------------------------------------


async def test_provider_agrees_and_finalizes_by_hand(manual: World) -> None:
    ident = await manual.peer_requests(await manual.offer())
    assert (await manual.ok("GET", f"{CN}/{ident}/state"))["state"] == "REQUESTED"
    early = await manual.call("POST", f"{CN}/{ident}/finalize")
    assert early.status == 409
    await manual.ok("POST", f"{CN}/{ident}/agree")
    await manual.ok("GET", f"{CN}/{ident}?wait=AGREED")
    await manual.peer_verifies(ident)
    await manual.ok("POST", f"{CN}/{ident}/finalize")
    assert (await manual.ok("GET", f"{CN}/{ident}?wait=FINALIZED"))["state"] == "FINALIZED"


async def test_provider_offers_other_terms_by_hand(manual: World) -> None:
    ident = await manual.peer_requests(await manual.offer())
    stricter = {"@type": "Offer", "prohibition": [{"action": "distribute"}]}
    await manual.ok("POST", f"{CN}/{ident}/offer", {"@context": VOCAB, "policy": stricter})
    await manual.ok("GET", f"{CN}/{ident}?wait=OFFERED")
    assert manual.wire.bodies("/offers")[0]["offer"]["prohibition"][0]["action"] == "distribute"


async def test_offer_without_terms_repeats_what_lies_on_the_table(manual: World) -> None:
    ident = await manual.peer_requests(await manual.offer())
    await manual.ok("POST", f"{CN}/{ident}/offer")
    await manual.ok("GET", f"{CN}/{ident}?wait=OFFERED")
    assert manual.wire.bodies("/offers")[0]["offer"]["permission"] == OPEN["permission"]


async def test_provider_begins_with_an_offer(manual: World) -> None:
    await manual.offer()
    doc = counterparty(contractDefinitionId="def-asset-1", assetId="asset-1")
    shown = await manual.ok("POST", f"{CN}/offers?wait=OFFERED", doc)
    assert (shown["type"], shown["state"], shown["assetId"]) == ("PROVIDER", "OFFERED", "asset-1")
    missing = await manual.call("POST", f"{CN}/offers", doc | {"assetId": "none"})
    assert missing.status == 404
    assert (await manual.call("POST", f"{CN}/offers", counterparty())).error["path"] == "/contractDefinitionId"


async def test_consumer_counters_accepts_and_verifies_by_hand(manual: World) -> None:
    ident = (await manual.ok("POST", f"{CN}?wait=REQUESTED", contract_json()))["@id"]
    await manual.peer_offers(ident)
    await manual.ok("POST", f"{CN}/{ident}/counteroffer", {"@context": VOCAB, "policy": {**OPEN, "@type": "Offer"}})
    assert (await manual.ok("GET", f"{CN}/{ident}?wait=REQUESTED"))["state"] == "REQUESTED"
    await manual.peer_offers(ident)
    await manual.ok("POST", f"{CN}/{ident}/accept")
    await manual.ok("GET", f"{CN}/{ident}?wait=ACCEPTED")
    await manual.peer_agrees(ident)
    await manual.ok("POST", f"{CN}/{ident}/verify")
    assert (await manual.ok("GET", f"{CN}/{ident}?wait=VERIFIED"))["state"] == "VERIFIED"


async def test_decision_on_an_unknown_negotiation_is_404(manual: World) -> None:
    for verb in ("agree", "accept", "verify", "finalize", "offer", "counteroffer"):
        assert (await manual.call("POST", f"{CN}/none/{verb}")).status == 404


# --- why it does not go on ---------------------------------------------------------------------------------------


async def test_timeline_tells_whose_turn_it_is(manual: World) -> None:
    ident = await manual.peer_requests(await manual.offer())
    told = await manual.ok("GET", f"{CN}/{ident}/timeline")
    assert told["state"] == "REQUESTED"
    assert told["moves"] == {"ours": ["AGREE", "OFFER", "TERMINATE"], "theirs": ["TERMINATE"]}
    assert told["awaits"] == "this node or its operator to send AGREE or OFFER"
    assert told["history"][0]["what"] == "peer:REQUEST"
    assert told["history"][0]["at"] == "2026-09-21T14:13:20.000Z"


async def test_timeline_shows_what_the_counterparty_answered_and_the_next_try(manual: World) -> None:
    manual.wire.answers["/agreement"] = said(503, {"@type": "ContractNegotiationError", "reason": ["too busy"]})
    ident = await manual.peer_requests(await manual.offer())
    manual.clock.stopped = True
    await manual.ok("POST", f"{CN}/{ident}/agree")
    await manual.clock.awaited.wait()
    told = await manual.ok("GET", f"{CN}/{ident}/timeline")
    assert (told["state"], told["pending"]["event"]) == ("AGREEING", "AGREE")
    assert told["awaits"] == "the counterparty's answer to our AGREE"
    (message,) = told["undelivered"]
    assert (message["attempts"], message["dead"]) == (1, False)
    assert "too busy" in message["lastError"]
    assert message["nextRetry"] > "2026-09-21T14:13:20.000Z"


async def test_timeline_of_what_has_ended(here: World) -> None:
    ident = await here.contract()
    told = await here.ok("GET", f"{CN}/{ident}/timeline")
    assert (told["awaits"], told["undelivered"], told["timers"]) == ("nothing: this has ended", [], [])


# --- dead letters ------------------------------------------------------------------------------------------------


async def dead_letter(here: World) -> tuple[str, dict[str, Any]]:
    """A negotiation whose first message nobody takes."""
    here.wire.answers["/negotiations/request"] = Unreachable("connection refused")
    ident = (await here.ok("POST", CN, contract_json()))["@id"]
    letters: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not letters:
            letters = await here.ok("GET", "/v3/deadletters")
    return ident, letters[0]


async def test_dead_letter_is_shown_and_sent_again(here: World) -> None:
    ident, letter = await dead_letter(here)
    assert (letter["topic"], letter["kind"], letter["event"]) == (ident, "negotiation", "REQUEST")
    assert "connection refused" in letter["lastError"]
    told = await here.ok("GET", f"{CN}/{ident}/timeline")
    assert told["undelivered"][0]["dead"] is True
    assert "nextRetry" not in told["undelivered"][0]
    here.wire.answers.clear()
    await here.ok("POST", f"/v3/deadletters/{letter['@id']}/retry")
    assert (await here.ok("GET", f"{CN}/{ident}?wait=REQUESTED"))["state"] == "REQUESTED"
    assert await here.ok("POST", "/v3/deadletters/request") == []


async def test_dead_letter_can_be_discarded(here: World) -> None:
    _, letter = await dead_letter(here)
    page = await here.call("POST", "/v3/deadletters/request", query_json(("kind", "=", "negotiation")))
    assert page.headers["X-Total-Count"] == "1"
    await here.ok("DELETE", f"/v3/deadletters/{letter['@id']}")
    assert (await here.call("DELETE", f"/v3/deadletters/{letter['@id']}")).status == 404
    assert (await here.call("POST", f"/v3/deadletters/{letter['@id']}/retry")).status == 404


async def test_message_that_is_still_tried_is_no_dead_letter(here: World) -> None:
    here.clock.stopped = True
    here.wire.answers["/negotiations/request"] = Unreachable("connection refused")
    ident = (await here.ok("POST", CN, contract_json()))["@id"]
    message = (await here.ok("GET", f"{CN}/{ident}/timeline"))["pending"]["messageId"]
    assert await here.ok("GET", "/v3/deadletters") == []
    assert (await here.call("POST", f"/v3/deadletters/{message}/retry")).status == 409
    assert (await here.call("DELETE", f"/v3/deadletters/{message}")).status == 409


# --- agreements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/v3/contractagreements", "/contractagreements", "/v3//contractagreements"])
async def test_agreements_are_found_with_and_without_version(here: World, base: str) -> None:
    negotiation = await here.contract()
    query = query_json(("assetId", "=", "their-asset"), sortField="contractSigningDate", sortOrder="ASC", limit=100)
    found = await here.ok("POST", f"{base}/request", query)
    assert [a["@id"] for a in found] == ["agreement-1"]
    assert found[0]["contractSigningDate"] == here.clock.at // 1000
    assert await here.ok("GET", f"{base}/agreement-1") == found[0]
    assert (await here.ok("GET", f"{base}/agreement-1/negotiation"))["@id"] == negotiation
    assert (await here.call("GET", f"{base}/none")).status == 404


@pytest.mark.parametrize("base", ["/v3/contractagreements", "/contractagreements"])
async def test_retired_agreement_ends_its_transfers_and_allows_no_new_one(here: World, base: str) -> None:
    _, agreement = await here.sold()
    transfer = await here.peer_pulls(agreement)
    await here.ok("GET", f"{TP}/{transfer}?wait=STARTED")
    doc = {
        "@context": {"tx": "https://w3id.org/tractusx/v0.0.1/ns/", "edc": VOCAB["@vocab"]},
        "edc:agreementId": agreement,
        "tx:reason": "the battery was recalled",
    }
    assert (await here.call("POST", f"{base}/retirements", doc)).status == 204
    assert (await here.ok("GET", f"{TP}/{transfer}?wait=TERMINATED"))["state"] == "TERMINATED"
    assert (await here.call("POST", f"{base}/retirements", doc)).status == 409
    (entry,) = await here.ok("POST", f"{base}/retirements/request", query_json(("agreementId", "=", agreement)))
    assert (entry["agreementId"], entry["tx:reason"]) == (agreement, "the battery was recalled")
    assert entry["tx:agreementRetirementDate"] == here.clock.at // 1000
    assert (await here.call("DELETE", f"{base}/retirements/{agreement}")).status == 204
    assert await here.ok("POST", f"{base}/retirements/request") == []
    assert (await here.call("DELETE", f"{base}/retirements/{agreement}")).status == 409
    assert (await here.call("POST", f"{base}/retirements", {"agreementId": "none", "reason": "x"})).status == 404


async def test_retirement_needs_agreement_and_reason(here: World) -> None:
    path = "/v3/contractagreements/retirements"
    assert (await here.call("POST", path, {"reason": "x"})).error["path"] == "/agreementId"
    assert (await here.call("POST", path, {"agreementId": "x"})).error["path"] == "/reason"
