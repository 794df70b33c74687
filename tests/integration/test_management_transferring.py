"""Transfers, endpoint data references and fetched data through the API."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connector.demo_data import PASSPORT_SEMANTIC_ID, passports, tampered
from connector.protocol.errors import Unreachable
from tests.integration.management_world import (
    PEER_DSP,
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


# --- transfers ---------------------------------------------------------------------------------------------------


def transfer_json(agreement: str = "agreement-1", **members: Any) -> dict[str, Any]:
    doc = {"@context": VOCAB, "@type": "TransferRequest", "contractId": agreement, "transferType": "HttpData-PULL"}
    return doc | {"counterPartyAddress": PEER_DSP, "protocol": "dataspace-protocol-http:2025-1", **members}


async def test_pull_is_started_suspended_resumed_and_completed(here: World) -> None:
    await here.contract()
    shown = await here.ok("POST", f"{TP}?wait=REQUESTED", transfer_json(privateProperties={"note": "n"}))
    ident = shown["@id"]
    assert (shown["@type"], shown["state"], shown["assetId"]) == ("TransferProcess", "REQUESTED", "their-asset")
    assert shown["privateProperties"] == {"note": "n"}
    waiting = asyncio.create_task(here.ok("GET", f"{TP}/{ident}?wait=STARTED&timeout=20"))
    await here.peer_starts(ident)
    assert (await waiting)["state"] == "STARTED"
    assert (await here.call("POST", f"{TP}/{ident}/suspend", {"reason": " "})).error["path"] == "/reason"
    await here.ok("POST", f"{TP}/{ident}/suspend", {"@context": VOCAB, "reason": "lunch"})
    assert (await here.ok("GET", f"{TP}/{ident}?wait=SUSPENDED"))["state"] == "SUSPENDED"
    assert (await here.call("GET", f"/v3/edrs/{ident}/dataaddress")).status == 404
    await here.ok("POST", f"{TP}/{ident}/resume")
    assert (await here.ok("GET", f"{TP}/{ident}?wait=STARTED"))["state"] == "STARTED"
    assert (await here.call("POST", f"{TP}/{ident}/deprovision")).status == 409
    await here.ok("POST", f"{TP}/{ident}/complete")
    assert (await here.ok("GET", f"{TP}/{ident}?wait=COMPLETED"))["state"] == "COMPLETED"
    assert (await here.ok("GET", f"{TP}/{ident}/state"))["state"] == "COMPLETED"
    assert (await here.call("POST", f"{TP}/{ident}/deprovision")).status == 204
    assert (await here.call("POST", f"{TP}/{ident}/resume")).status == 409


async def test_suspend_and_terminate_need_no_reason(here: World) -> None:
    await here.contract()
    ident = await here.pull()
    await here.ok("POST", f"{TP}/{ident}/suspend")  # without a body
    assert (await here.ok("GET", f"{TP}/{ident}?wait=SUSPENDED"))["state"] == "SUSPENDED"
    await here.ok("POST", f"{TP}/{ident}/terminate", {"@type": "TerminateTransfer", "state": "TERMINATED"})
    assert (await here.ok("GET", f"{TP}/{ident}?wait=TERMINATED"))["state"] == "TERMINATED"
    (suspension,), (termination,) = here.wire.bodies("/suspension"), here.wire.bodies("/termination")
    assert "reason" not in suspension | termination


async def test_terminated_pull_takes_its_reference_along(here: World) -> None:
    await here.contract()
    ident = await here.pull()
    await here.ok("POST", f"{TP}/{ident}/terminate", {"@type": "TerminateTransfer", "reason": "done"})
    ended = await here.ok("GET", f"{TP}/{ident}?wait=TERMINATED")
    assert (ended["state"], ended["errorDetail"]) == ("TERMINATED", "done")
    assert (await here.call("GET", f"/v3/edrs/{ident}/dataaddress")).status == 404


async def test_provider_starts_a_transfer_by_hand(manual: World) -> None:
    ident = await manual.peer_requests(await manual.offer())
    await manual.ok("POST", f"{CN}/{ident}/agree")
    agreement = (await manual.ok("GET", f"{CN}/{ident}?wait=AGREED"))["contractAgreementId"]
    await manual.peer_verifies(ident)
    await manual.ok("POST", f"{CN}/{ident}/finalize")
    await manual.ok("GET", f"{CN}/{ident}?wait=FINALIZED")
    transfer = await manual.peer_pulls(agreement)
    assert (await manual.ok("GET", f"{TP}/{transfer}/timeline"))["moves"]["ours"] == ["START", "TERMINATE"]
    await manual.ok("POST", f"{TP}/{transfer}/start")
    assert (await manual.ok("GET", f"{TP}/{transfer}?wait=STARTED"))["state"] == "STARTED"


@pytest.mark.parametrize(
    ("change", "status", "path"),
    [
        ({"contractId": None}, 400, "/contractId"),
        ({"contractId": "none"}, 404, None),
        ({"transferType": None}, 400, "/transferType"),
        ({"transferType": "HttpData-PUSH"}, 400, "/dataDestination/baseUrl"),
        ({"dataDestination": {"baseUrl": "x"}}, 400, "/dataDestination/type"),
        ({"protocol": "dataspace-protocol-http"}, 400, "/protocol"),
        ({"counterPartyAddress": "http://inside.example"}, 400, "/counterPartyAddress"),
    ],
)
async def test_wrong_transfer_request(here: World, change: dict[str, Any], status: int, path: str | None) -> None:
    await here.contract()
    reply = await here.call("POST", TP, transfer_json() | change)
    assert (reply.status, reply.error["path"]) == (status, path)


async def test_transfers_are_found_by_contract_id_and_unknown_fields_are_400(here: World) -> None:
    await here.contract()
    ident = await here.pull()
    found = await here.ok("POST", f"{TP}/request", query_json(("contractId", "=", "agreement-1")))
    assert [t["@id"] for t in found] == [ident]
    for field in ("contractAgreementId", "agreementId"):
        reply = await here.call("POST", f"{TP}/request", query_json((field, "=", "agreement-1")))
        assert reply.status == 400
        assert "contractId" in reply.error["message"]


@pytest.mark.parametrize("rest", ["", "/state", "/timeline"])
async def test_unknown_transfer_is_404(here: World, rest: str) -> None:
    assert (await here.call("GET", f"{TP}/none{rest}")).status == 404
    assert (await here.call("POST", f"{TP}/none/deprovision")).status == 404


# --- endpoint data references ------------------------------------------------------------------------------------


async def test_one_call_leads_to_an_endpoint_and_a_token(here: World) -> None:
    negotiation = (await here.ok("POST", "/v3/edrs", contract_json()))["@id"]
    await here.ok("GET", f"{CN}/{negotiation}?wait=REQUESTED")
    await here.peer_agrees(negotiation)
    await here.ok("GET", f"{CN}/{negotiation}?wait=VERIFIED")
    await here.peer_finalizes(negotiation)
    (transfer,) = await here.ok("POST", f"{TP}/request", query_json(("contractId", "=", "agreement-1")))
    await here.ok("GET", f"{TP}/{transfer['@id']}?wait=REQUESTED")
    await here.peer_starts(transfer["@id"])
    (entry,) = await here.ok("POST", "/v3/edrs/request", query_json(("contractNegotiationId", "=", negotiation)))
    assert entry["@id"] == entry["transferProcessId"] == transfer["@id"]
    assert (entry["providerId"], entry["assetId"], entry["agreementId"]) == (THEIRS, "their-asset", "agreement-1")
    reply = await here.call("GET", f"/v3/edrs/{transfer['@id']}/dataaddress")
    assert (reply.body["endpoint"], reply.body["authorization"]) == ("https://theirs.example/public", "their-token")
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "refreshed"),
    [
        ("", 1),
        ("?auto_refresh=True", 1),
        ("?auto_refresh=true", 1),
        ("?auto_refresh=false", 0),
        ("?auto_refresh=False", 0),
    ],
)
async def test_token_is_refreshed_unless_told_not_to(here: World, query: str, refreshed: int) -> None:
    await here.contract()
    ident = await here.pull(refreshToken="r-1", refreshEndpoint="https://theirs.example/public/token", expiresIn="300")
    address = await here.ok("GET", f"/v3/edrs/{ident}/dataaddress{query}")
    assert here.refresher.refreshed == refreshed
    assert address["authorization"] == ("token-1" if refreshed else "their-token")
    assert (address["tx-auth:refreshToken"], address["tx-auth:expiresIn"]) == ("r-1", "300")


async def test_auto_refresh_is_true_or_false(here: World) -> None:
    reply = await here.call("GET", "/v3/edrs/x/dataaddress?auto_refresh=maybe")
    assert (reply.status, reply.error["path"]) == (400, "/auto_refresh")


async def test_refresh_can_be_forced_if_the_provider_allows_it(here: World) -> None:
    await here.contract()
    ident = await here.pull(refreshToken="r-1")
    assert (await here.ok("POST", f"/v3/edrs/{ident}/refresh"))["authorization"] == "token-1"
    other = await here.pull()
    assert (await here.call("POST", f"/v3/edrs/{other}/refresh")).status == 409
    assert (await here.call("POST", "/v3/edrs/none/refresh")).status == 404


async def test_forgotten_reference_leaves_the_transfer_running(here: World) -> None:
    await here.contract()
    ident = await here.pull()
    assert (await here.call("DELETE", f"/v3/edrs/{ident}")).status == 204
    assert (await here.call("DELETE", f"/v3/edrs/{ident}")).status == 404
    assert (await here.ok("GET", f"{TP}/{ident}/state"))["state"] == "STARTED"


# --- fetching ----------------------------------------------------------------------------------------------------


async def test_fetched_passport_comes_with_its_verification(here: World) -> None:
    await here.contract()
    ident = await here.pull()
    here.wire.answers["/public/passport"] = here.sealed(passports()[0], PASSPORT_SEMANTIC_ID)
    got = await here.ok("POST", f"{TP}/{ident}/fetch", {"path": "/passport", "semanticId": PASSPORT_SEMANTIC_ID})
    assert got["ok"] is True
    assert {name: check["ok"] for name, check in got["verification"].items()} == {
        "digest": True,
        "signature": True,
        "signer": True,
        "schema": True,
    }
    assert (got["encoding"], got["payload"]) == ("json", passports()[0])
    assert here.wire.sent[-1].headers["Authorization"] == "their-token"


async def test_payload_that_was_changed_on_the_way_is_not_ok(here: World) -> None:
    await here.contract()
    ident = await here.pull()
    sealed = here.sealed(passports()[0], PASSPORT_SEMANTIC_ID)
    here.wire.answers["/public"] = Said(200, sealed.body.replace(b"NMC", b"LFP"), sealed.headers)
    got = await here.ok("POST", f"{TP}/{ident}/fetch")
    assert got["ok"] is False
    assert (got["verification"]["digest"]["ok"], got["verification"]["signature"]["ok"]) == (False, False)


@pytest.mark.parametrize(("kind", "body"), [("image/png", b"\x89PNG"), ("application/json", b"{broken")])
async def test_what_is_no_json_comes_as_base64_and_without_a_verdict(here: World, kind: str, body: bytes) -> None:
    await here.contract()
    ident = await here.pull()
    here.wire.answers["/public"] = Said(200, body, {"Content-Type": kind})
    got = await here.ok("POST", f"{TP}/{ident}/fetch", {})
    assert (got["encoding"], got["ok"], got["verification"]) == ("base64", None, None)
    reason = f"the data is {kind} and not JSON" if kind == "image/png" else "nobody says which model this is"
    assert got["model"]["verdict"] == "not checked"
    assert got["model"]["reason"].startswith(reason)


PLAIN = {"Content-Type": "application/json"}
DATASET = "/catalog/datasets/their-asset"


def dataset(semantic_id: str | None) -> Said:
    named = {} if semantic_id is None else {"aas-semantics:semanticId": {"@id": semantic_id}}
    return said(200, {"@id": "their-asset", "@type": "Dataset", **named})


def asked(here: World) -> int:
    """How often the provider was asked for the dataset."""
    return sum(sent.url.endswith(DATASET) for sent in here.wire.sent)


@pytest.mark.parametrize(
    ("payload", "named", "verdict", "ok"),
    [
        (passports()[0], PASSPORT_SEMANTIC_ID, "valid", None),
        (tampered()[0], PASSPORT_SEMANTIC_ID, "invalid", False),
        (passports()[0], "urn:samm:example:1.0.0#None", "unknown model", None),
        (passports()[0], None, "not checked", None),
    ],
)
async def test_data_without_proof_is_held_to_the_model_that_the_catalog_names(
    here: World, payload: object, named: str | None, verdict: str, ok: bool | None
) -> None:
    await here.contract()
    ident = await here.pull()
    here.wire.answers |= {"/public": Said(200, json.dumps(payload).encode(), PLAIN), DATASET: dataset(named)}
    got = await here.ok("POST", f"{TP}/{ident}/fetch")
    model = got["model"]
    assert (model["verdict"], model["semanticId"], got["ok"], got["verification"]) == (verdict, named, ok, None)
    assert model["namedBy"] == (None if named is None else "catalog")
    assert [row["pointer"] for row in model["faults"]] == ([tampered()[1]] if ok is False else [])
    await here.ok("POST", f"{TP}/{ident}/fetch")
    assert asked(here) == 1
    here.clock.at += 15 * 60_000
    await here.ok("POST", f"{TP}/{ident}/fetch")
    assert asked(here) == 2


async def test_a_catalog_that_passed_by_is_not_asked_again(here: World) -> None:
    await here.contract()
    ident = await here.pull()
    here.wire.answers |= {"/public": Said(200, b"{}", PLAIN), DATASET: dataset(PASSPORT_SEMANTIC_ID)}
    body = {"@id": "their-asset", "counterPartyAddress": PEER_DSP, "counterPartyId": THEIRS}
    await here.ok("POST", "/v3/catalog/dataset/request", {"@type": "DatasetRequest", **body})
    got = await here.ok("POST", f"{TP}/{ident}/fetch")
    assert (got["model"]["verdict"], got["model"]["namedBy"], asked(here)) == ("invalid", "catalog", 1)


@pytest.mark.parametrize("answer", [Said(404), Unreachable("nobody is there")])
async def test_a_catalog_that_does_not_answer_is_said_and_left_alone(here: World, answer: Said | Exception) -> None:
    await here.contract()
    ident = await here.pull()
    here.wire.answers |= {"/public": Said(200, b"{}", PLAIN), DATASET: answer}
    for _ in range(2):
        got = await here.ok("POST", f"{TP}/{ident}/fetch")
        assert (got["ok"], got["model"]["verdict"]) == (None, "not checked")
        assert got["model"]["reason"].startswith("nobody says which model this is")
    assert asked(here) == 1


async def test_data_that_says_what_it_is_costs_no_question(here: World) -> None:
    await here.contract()
    ident = await here.pull()
    here.wire.answers["/public"] = here.sealed(passports()[0], PASSPORT_SEMANTIC_ID)
    got = await here.ok("POST", f"{TP}/{ident}/fetch")
    assert (got["ok"], got["model"]["verdict"], got["model"]["namedBy"]) == (True, "valid", "payload")
    got = await here.ok("POST", f"{TP}/{ident}/fetch", {"semanticId": PASSPORT_SEMANTIC_ID})
    assert (got["ok"], got["model"]["verdict"], got["model"]["namedBy"]) == (True, "valid", "request")
    here.wire.answers["/public"] = Said(200, b"a;b", {"Content-Type": "text/csv"})
    await here.ok("POST", f"{TP}/{ident}/fetch")
    assert asked(here) == 0


async def test_data_that_contradicts_its_catalog_is_invalid_once_the_catalog_insists(here: World) -> None:
    """The catalog is asked again first: the asset may have got another model since it was read."""
    await here.contract()
    ident = await here.pull()
    other = "urn:samm:io.catenax.pcf:7.0.0#Pcf"
    here.wire.answers |= {"/public": Said(200, b"{}", PLAIN), DATASET: dataset(other)}
    await here.ok("POST", f"{TP}/{ident}/fetch")
    here.wire.answers["/public"] = here.sealed(passports()[0], PASSPORT_SEMANTIC_ID)
    got = await here.ok("POST", f"{TP}/{ident}/fetch")
    assert (got["ok"], got["model"]["verdict"], got["model"]["semanticId"]) == (False, "invalid", other)
    assert f"declared as {PASSPORT_SEMANTIC_ID}" in got["model"]["reason"]
    here.wire.answers[DATASET] = dataset(PASSPORT_SEMANTIC_ID)
    got = await here.ok("POST", f"{TP}/{ident}/fetch")
    assert (got["ok"], got["model"]["verdict"], asked(here)) == (True, "valid", 3)


async def test_fetch_that_fails_says_how(here: World) -> None:
    assert (await here.call("POST", f"{TP}/none/fetch")).status == 404
    await here.contract()
    ident = await here.pull()
    here.wire.answers["/public"] = Said(403, b"revoked")
    refused = await here.call("POST", f"{TP}/{ident}/fetch")
    assert (refused.status, refused.error["type"]) == (502, "BadGateway")
    assert "403" in refused.error["message"]
    astray = await here.call("POST", f"{TP}/{ident}/fetch", {"path": "@evil.example/"})
    assert (astray.status, astray.error["path"]) == (400, "/path")


async def test_endpoint_that_may_not_be_called_is_the_counterpartys_fault(here: World) -> None:
    await here.contract()
    ident = await here.pull(endpoint="http://169.254.169.254/latest")
    reply = await here.call("POST", f"{TP}/{ident}/fetch")
    assert (reply.status, reply.error["type"]) == (502, "BadGateway")
