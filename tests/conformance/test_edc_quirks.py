"""What the standard, the conformance kit and EDC do differently, one test for each trap (numbers: a list of 50 traps).

The first digits of a test's name are the trap's number; what concerns other versions of the protocol, or only the
internals of a kit, has no test. Every message that the node sends here is held against the official schema too.
"""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connector.exchange import catalog, negotiate, negotiation_inbound, transfer
from connector.exchange.records import Peer
from connector.exchange.strategy import Act, Decision
from connector.http.server import serve
from connector.policy.parse import parse_policy
from connector.protocol.catalog import parse_links, read_catalog
from connector.protocol.messages import Message
from tests.integration.dsp_world import (
    CONTEXT,
    DATED,
    EDC_CONTEXT,
    STRANGER,
    THEM,
    US,
    USE,
    Reply,
    World,
    message,
    mock_token,
    world,
)

EDC = "https://w3id.org/edc/v0.0.1/ns/"
TX_AUTH = "https://w3id.org/tractusx/auth/"
DSPACE = "https://w3id.org/dspace/2025/1/"
CX = "https://w3id.org/catenax/2025/9/policy/"
INLINE = {"dspace": DSPACE, "odrl": "http://www.w3.org/ns/odrl/2/", "edc": EDC}


@pytest.fixture
async def us(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as there:
        yield there


def pids(consumer: str, provider: str) -> dict[str, str]:
    return {"consumerPid": consumer, "providerPid": provider}


def event(name: str, consumer: str, provider: str) -> dict[str, Any]:
    return message("ContractNegotiationEventMessage", **pids(consumer, provider), eventType=name)


def query(**members: object) -> dict[str, Any]:
    return {"@context": EDC_CONTEXT, "@type": "CatalogRequestMessage", "filter": [{"@type": "QuerySpec", **members}]}


def criterion(left: str, operator: str, right: object) -> dict[str, Any]:
    return {"@type": "Criterion", "operandLeft": left, "operator": operator, "operandRight": right}


def ids(reply: Reply) -> list[str]:
    return [dataset["@id"] for dataset in reply.doc.get("dataset", [])]


# 1 to 30: the standard, the kit and EDC against each other


async def test_01_illegal_transition_is_400_with_both_pids_and_changes_nothing(us: World) -> None:
    pid, _ = await us.as_provider()
    before = await us.everything()
    refused = await us.post(f"/negotiations/{pid}/events", event("ACCEPTED", "cp-1", pid))
    assert (refused.status, refused.doc["@type"], refused.doc["code"]) == (400, "ContractNegotiationError", "400")
    assert (refused.doc["consumerPid"], refused.doc["providerPid"]) == ("cp-1", pid)
    assert "FINALIZED" in refused.told
    assert await us.everything() == before


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_01_a_refusal_of_our_message_ends_the_negotiation(us: World, status: int) -> None:
    us.peer.answer("ContractAgreementMessage", status)
    offer = await us.publish()
    pid = (await us.post("/negotiations/request", us.request(us.offer(offer)))).doc["providerPid"]
    await us.peer.next("ContractAgreementMessage")
    told = await us.peer.next("ContractNegotiationTerminationMessage")
    assert str(status) in told.doc["reason"][0]
    await us.settled(pid, "TERMINATED")


async def test_02_a_409_is_tried_again_with_the_same_message(us: World) -> None:
    us.peer.answer("ContractAgreementMessage", 409)
    offer = await us.publish()
    pid = (await us.post("/negotiations/request", us.request(us.offer(offer)))).doc["providerPid"]
    first = await us.peer.next("ContractAgreementMessage")
    look = await us.peer.next("GET")
    assert look.path == "/peer/negotiations/cp-1"
    second = await us.peer.next("ContractAgreementMessage")
    assert second.doc == first.doc
    await us.settled(pid, "AGREED")


async def test_02_a_409_from_a_peer_that_has_taken_it_already_is_a_success(us: World) -> None:
    us.peer.answer("ContractAgreementMessage", 409)
    offer = await us.publish()

    async def take(doc: dict[str, Any]) -> None:
        found = message("ContractNegotiation", **pids("cp-1", doc["providerPid"]), state="AGREED")
        us.peer.states["/negotiations/cp-1"] = found

    us.peer.before["ContractAgreementMessage"] = take
    pid = (await us.post("/negotiations/request", us.request(us.offer(offer)))).doc["providerPid"]
    await us.settled(pid, "AGREED")
    assert [got.method for got in us.peer.got] == ["POST", "GET"]


async def test_03_trouble_of_our_own_is_503_never_4xx_or_500(us: World) -> None:
    pid, _ = await us.as_provider()
    await us.running.node.store.close()
    for refused in (
        await us.get(f"/negotiations/{pid}"),
        await us.post("/catalog/request", message("CatalogRequestMessage")),
        await us.post("/negotiations/request", us.request(us.offer("x"), "cp-2")),
    ):
        assert refused.status == 503
        assert "database" not in refused.told


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_04_we_answer_201_and_take_any_2xx(us: World, status: int) -> None:
    offer = await us.publish()
    assert (await us.post("/negotiations/request", us.request(us.offer(offer)))).status == 201

    async def answer(doc: dict[str, Any]) -> None:
        found = message("ContractNegotiation", **pids(doc["consumerPid"], "theirs"), state="REQUESTED")
        us.peer.answer("ContractRequestMessage", status, found)

    await us.peer.next("ContractAgreementMessage")
    us.peer.before["ContractRequestMessage"] = answer
    await us.settled(pid := await us.ask_for(), "REQUESTED")
    assert (await us.negotiation(pid)).peer_pid == "theirs"


async def test_05_a_foreign_process_looks_like_none_and_a_missing_token_is_401(us: World) -> None:
    pid, agreement = await us.as_provider()
    moved, _ = await us.started(agreement)
    for path in (f"/negotiations/{pid}", f"/transfers/{moved}"):
        foreign, none = await us.get(path, as_=STRANGER), await us.get(path[:-1], as_=STRANGER)
        assert (foreign.status, none.status) == (404, 404)
        assert foreign.doc == none.doc
        assert (await us.get(path, as_=None)).status == 401
        assert (await us.get(path)).status == 200


async def test_06_an_agreement_may_overtake_the_answer_to_our_request(us: World) -> None:
    async def agree(doc: dict[str, Any]) -> None:
        taken = await us.post(f"/negotiations/{doc['consumerPid']}/agreement", us.agreement(doc["consumerPid"]))
        assert taken.status == 200

    us.peer.before["ContractRequestMessage"] = agree
    pid = await us.ask_for()
    verification = await us.peer.next("ContractAgreementVerificationMessage")
    assert verification.doc["providerPid"] == f"pp-{pid}"
    await us.settled(pid, "VERIFIED")


async def test_06_a_start_may_overtake_the_answer_to_our_transfer_request(us: World) -> None:
    _, agreement = await us.as_consumer()

    async def start(doc: dict[str, Any]) -> None:
        pid = doc["consumerPid"]
        begun = message("TransferStartMessage", **pids(pid, f"pp-{pid}"), dataAddress=address("t"))
        assert (await us.post(f"/transfers/{pid}/start", begun)).status == 200

    us.peer.before["TransferRequestMessage"] = start
    begun = await transfer.request(us.running.node, transfer.Order(agreement, "HttpData-PULL"))
    await us.peer.next("TransferRequestMessage")
    await us.settled(begun.id, "STARTED")


async def test_06_we_answer_before_we_send_the_next_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EDC gives up when our agreement comes before our answer: nothing leaves, however slow the answer is."""
    seen: list[int] = []
    take = negotiation_inbound.receive_request

    async def take_slowly(*args: Any) -> Message:
        shown = await take(*args)
        for _ in range(5):  # more than enough for a message that could leave
            async with here.session.get(f"{here.peer.root}/somewhere"):
                pass
        seen.append(len(here.peer.got))
        return shown

    monkeypatch.setattr(negotiation_inbound, "receive_request", take_slowly)
    async with world(tmp_path) as here:
        here.peer.pages["/somewhere"] = {}
        opened = await here.post("/negotiations/request", here.request(here.offer(await here.publish())))
        assert (opened.status, seen) == (201, [0])
        await here.peer.next("ContractAgreementMessage")


async def test_07_a_consumer_shows_its_transfer(us: World) -> None:
    _, agreement = await us.as_consumer()
    pid = await us.pull(agreement)
    shown = await us.get(f"/transfers/{pid}")
    assert (shown.status, shown.doc["state"], shown.doc["consumerPid"]) == (200, "REQUESTED", pid)


async def test_08_a_provider_answers_a_consumers_resumption_with_a_start_and_a_new_address(us: World) -> None:
    _, agreement = await us.as_provider()
    pid, first = await us.started(agreement)
    paused = message("TransferSuspensionMessage", **pids("ct-1", pid), reason=["a pause"])
    assert (await us.post(f"/transfers/{pid}/suspension", paused)).status == 200
    resumed = message("TransferStartMessage", **pids("ct-1", pid))
    assert (await us.post(f"/transfers/{pid}/start", resumed)).status == 200
    second = await us.peer.next("TransferStartMessage")
    assert second.doc["dataAddress"] != first.doc["dataAddress"]
    await us.settled(pid, "STARTED")


async def test_08_a_consumer_takes_a_new_address_after_a_suspension(us: World) -> None:
    _, agreement = await us.as_consumer()
    pid = await us.pull(agreement)
    both = pids(pid, f"pp-{pid}")

    async def token() -> str | None:
        edr = await us.running.node.store.read(lambda tx: tx.edrs.find(pid))
        return edr.address["authorization"] if edr else None

    for name in ("one", "two"):
        started = message("TransferStartMessage", **both, dataAddress=address(name))
        assert (await us.post(f"/transfers/{pid}/start", started)).status == 200
        assert await token() == name
        await us.post(f"/transfers/{pid}/suspension", message("TransferSuspensionMessage", **both))
        assert await token() is None


async def test_09_a_provider_may_replace_its_offer(us: World) -> None:
    opened = await us.post("/negotiations/offers", initial_offer(us))
    pid = opened.doc["consumerPid"]
    again = message("ContractOfferMessage", **pids(pid, "pp-1"), offer=us.offer("offer-2", terms=DATED, assigner=THEM))
    assert (await us.post(f"/negotiations/{pid}/offers", again)).status == 200
    found = await us.negotiation(pid)
    assert (found.process.state, found.offer.id) == ("OFFERED", "offer-2")


def initial_offer(us: World) -> dict[str, Any]:
    offer = us.offer("offer-1", assigner=THEM)
    return message("ContractOfferMessage", providerPid="pp-1", offer=offer, callbackAddress=us.peer.address)


async def test_10_a_provider_may_begin(us: World) -> None:
    opened = await us.post("/negotiations/offers", initial_offer(us))
    assert (opened.status, opened.doc["state"], opened.doc["providerPid"]) == (201, "OFFERED", "pp-1")
    await negotiate.act(us.running.node, opened.doc["consumerPid"], Decision(Act.ACCEPT))
    accepted = await us.peer.next("ContractNegotiationEventMessage")
    assert (accepted.path, accepted.doc["eventType"]) == ("/peer/negotiations/pp-1/events", "ACCEPTED")


async def test_10_we_may_begin_as_provider(us: World) -> None:
    offer = await us.publish()
    begun = await negotiate.offer(us.running.node, Peer(THEM, us.peer.address), "def-asset-1", "asset-1")
    sent = await us.peer.next("ContractOfferMessage")
    assert (sent.path, sent.doc["offer"]["@id"]) == ("/peer/negotiations/offers", offer)
    assert sent.doc["callbackAddress"] == us.running.node.dsp_address
    await us.settled(begun.id, "OFFERED")
    accepted = event("ACCEPTED", f"cp-{begun.id}", begun.id)
    assert (await us.post(f"/negotiations/{begun.id}/events", accepted)).status == 200
    await us.peer.next("ContractAgreementMessage")


async def test_11_a_counter_offer_has_no_callback_address_and_one_that_has_is_taken(us: World) -> None:
    opened = await us.post("/negotiations/offers", initial_offer(us))
    await negotiate.act(us.running.node, opened.doc["consumerPid"], Decision(Act.REQUEST))
    sent = await us.peer.next("ContractRequestMessage")
    assert "callbackAddress" not in sent.doc
    assert sent.doc["providerPid"] == "pp-1"

    offer = await us.publish()
    begun = await negotiate.offer(us.running.node, Peer(THEM, us.peer.address), "def-asset-1", "asset-1")
    await us.peer.next("ContractOfferMessage")
    await us.settled(begun.id, "OFFERED")
    both = us.request(us.offer(offer), f"cp-{begun.id}", providerPid=begun.id)
    assert (await us.post(f"/negotiations/{begun.id}/request", both)).status == 200


@pytest.mark.parametrize("slashes", ["", "/", "//"])
async def test_12_a_callback_address_may_end_with_slashes(us: World, slashes: str) -> None:
    offer = await us.publish()
    request = us.request(us.offer(offer), callbackAddress=us.peer.address + slashes)
    assert (await us.post("/negotiations/request", request)).status == 201
    assert (await us.peer.next("ContractAgreementMessage")).path == "/peer/negotiations/cp-1/agreement"


async def test_12_our_addresses_end_without_slash_and_are_found_with_a_double_one(us: World) -> None:
    await us.publish()
    document = (await us.post("//catalog/request", message("CatalogRequestMessage"))).doc
    assert not document["service"][0]["endpointURL"].endswith("/")
    assert (await us.get(f"{us.root}//.well-known/dspace-version")).status == 200
    assert (await us.get("//negotiations//none")).doc["@type"] == "ContractNegotiationError"


async def test_13_pages_are_linked_both_ways_under_all_names_and_are_asked_for_with_post(us: World) -> None:
    for n in range(5):
        await us.publish(f"asset-{n}")
    doc, seen, url = query(limit=2), [], "/catalog/request"
    back: list[str] = []
    while url:
        reply = await us.post(url, doc)
        assert reply.status == 200
        seen.append(ids(reply))
        header = reply.headers.getall("Link", [])
        links = parse_links(header)
        assert ('rel="prev"' in "".join(header)) is ('rel="previous"' in "".join(header)) is (len(seen) > 1)
        back.append(links.get("previous", "").replace("http://provider.test", us.running.public.url))
        url = links.get("next", "").replace("http://provider.test", us.running.public.url)
    assert seen == [["asset-0", "asset-1"], ["asset-2", "asset-3"], ["asset-4"]]
    assert ids(await us.post(back[2], doc)) == seen[1]
    assert ids(await us.post(back[1], doc)) == seen[0]


async def test_13_a_foreign_page_token_is_400(us: World) -> None:
    for token in ("x", "1.", "-1", "9" * 30, "1" * 5000):
        refused = await us.post(f"/catalog/request?page={token}", message("CatalogRequestMessage"))
        assert (refused.status, refused.doc["@type"]) == (400, "CatalogError")


async def test_14_without_a_filter_everything_is_on_one_page(us: World) -> None:
    for n in range(55):
        await us.publish(f"asset-{n:02}")
    reply = await us.post("/catalog/request", message("CatalogRequestMessage"))
    assert len(ids(reply)) == 55
    assert "Link" not in reply.headers


@pytest.mark.parametrize(
    "members",
    [
        {"filterExpression": [criterion(EDC + "id", "=", "asset-2")]},
        {"filterExpression": criterion("id", "in", ["asset-2"])},
        {"filterExpression": [criterion("https://example.com/colour", "=", "red")], "limit": 50, "sortOrder": "ASC"},
        {"limit": 1, "offset": 1},
    ],
)
async def test_15_edcs_query_is_applied(us: World, members: dict[str, Any]) -> None:
    await us.publish("asset-1")
    await us.publish("asset-2", properties={"https://example.com/colour": "red"})
    assert ids(await us.post("/catalog/request", query(**members))) == ["asset-2"]


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ([{"@type": "SparqlQuery"}], "/filter/0/@type"),
        ([{"@type": "QuerySpec", "sparql": "select"}], "/filter/0/sparql"),
        ([{"@type": "QuerySpec", "limit": 0}], "/filter/0/limit"),
        ([{"@type": "QuerySpec", "limit": "ten"}], "/filter/0/limit"),
        ([{"@type": "QuerySpec", "sortField": "id"}], "/filter/0/sortField"),
        ([{"@type": "QuerySpec", "filterExpression": [criterion("id", "resembles", "x")]}], "0/operator"),
        ([{"@type": "QuerySpec"}, {"@type": "QuerySpec"}], "/filter/1"),
        (["everything"], "/filter/0"),
        ("everything", "/filter"),
    ],
)
async def test_15_what_cannot_be_applied_is_400_with_its_place(us: World, sent: object, place: str) -> None:
    refused = await us.post("/catalog/request", query() | {"filter": sent})
    assert (refused.status, refused.doc["@type"]) == (400, "CatalogError")
    assert place in refused.told


async def test_16_the_service_of_a_distribution_is_an_object_and_either_form_is_read(us: World) -> None:
    await us.publish()
    document = (await us.post("/catalog/request", message("CatalogRequestMessage"))).doc
    service = document["service"][0]
    for distribution in document["dataset"][0]["distribution"]:
        assert distribution["accessService"] == service
    document["dataset"][0]["distribution"] = [
        {"@type": "Distribution", "format": "HttpData-PULL", "accessService": service["@id"]}
    ]
    assert read_catalog(document).datasets[0].endpoint_url == us.running.node.dsp_address


async def test_17_a_pull_address_says_everything_under_every_name(us: World) -> None:
    _, agreement = await us.as_provider()
    _, begun = await us.started(agreement)
    found = begun.doc["dataAddress"]
    named = {p["name"]: p["value"] for p in found["endpointProperties"]}
    assert found["endpointType"] == named[EDC + "endpointType"] == "https://w3id.org/idsa/v4.1/HTTP"
    assert found["endpoint"] == named[EDC + "endpoint"] == "http://provider.test/public"
    assert named["authorization"] == named[EDC + "authorization"]
    assert named["authType"] == named[EDC + "authType"] == "bearer"


def address(token: str, name: str = EDC, **more: object) -> dict[str, Any]:
    """A data address as EDC sends it; `name` begins its property names."""
    properties = [(name + "endpoint", "https://data.example/public"), (name + "authorization", token)]
    listed = [{"@type": "EndpointProperty", "name": key, "value": value} for key, value in properties]
    return {
        "@type": "DataAddress",
        "endpointType": "https://w3id.org/idsa/v4.1/HTTP",
        "endpointProperties": listed,
        **more,
    }


@pytest.mark.parametrize("name", ["", EDC, "edc:"])
async def test_17_an_address_is_read_under_every_name(us: World, name: str) -> None:
    _, agreement = await us.as_consumer()
    pid = await us.pull(agreement)
    started = message("TransferStartMessage", **pids(pid, f"pp-{pid}"), dataAddress=address("t", name))
    assert (await us.post(f"/transfers/{pid}/start", started)).status == 200
    edr = await us.running.node.store.read(lambda tx: tx.edrs.get(pid))
    assert (edr.address["endpoint"], edr.address["authorization"]) == ("https://data.example/public", "t")


async def test_18_tractus_x_consumers_are_told_how_to_refresh(us: World) -> None:
    _, agreement = await us.as_provider()
    _, begun = await us.started(agreement)
    named = {p["name"]: p["value"] for p in begun.doc["dataAddress"]["endpointProperties"]}
    assert named[TX_AUTH + "refreshEndpoint"] == "http://provider.test/public/token"
    assert (named[TX_AUTH + "refreshAudience"], named[TX_AUTH + "audience"]) == (US, THEM)
    assert named[TX_AUTH + "expiresIn"] == "300"
    assert named[TX_AUTH + "refreshToken"]


async def test_19_an_empty_reason_is_left_out_and_one_that_comes_is_taken(us: World) -> None:
    _, agreement = await us.as_provider()
    pid, _ = await us.started(agreement)
    await transfer.act(us.running.node, pid, Decision(Act.SUSPEND))
    assert "reason" not in (await us.peer.next("TransferSuspensionMessage")).doc
    await us.settled(pid, "SUSPENDED")
    ended = message("TransferTerminationMessage", **pids("ct-1", pid), reason=[])
    assert (await us.post(f"/transfers/{pid}/termination", ended)).status == 200


async def test_20_the_agreement_repeats_the_terms_and_profile_that_were_asked_for(us: World) -> None:
    terms = DATED | {"profile": "https://w3id.org/catenax/2025/9/policy/profile"}
    offer = await us.publish(terms=terms)
    offered = (await us.get("/catalog/datasets/asset-1")).doc["hasPolicy"][0]
    await us.post("/negotiations/request", us.request({**offered, "target": "asset-1", "assigner": US}))
    agreed = (await us.peer.next("ContractAgreementMessage")).doc["agreement"]
    for key in ("profile", "permission"):
        assert agreed[key] == offered[key]
    assert offered["@id"] == offer
    assert (agreed["assigner"], agreed["assignee"], agreed["target"]) == (US, THEM, "asset-1")


async def test_21_the_assigner_is_who_the_token_names(us: World) -> None:
    offer = await us.publish()
    await us.post("/negotiations/request", us.request(us.offer(offer)))
    got = await us.peer.next("ContractAgreementMessage")
    assert json.loads(got.headers["Authorization"])["clientId"] == got.doc["agreement"]["assigner"]

    pid = await us.ask_for()
    await us.settled(pid, "REQUESTED")
    refused = await us.post(f"/negotiations/{pid}/agreement", us.agreement(pid, assigner=STRANGER))
    assert refused.status == 400
    assert "/agreement/assigner" in refused.told


async def test_22_a_foreign_offer_id_comes_back_unchanged(us: World) -> None:
    opaque = "ZGVmaW5pdGlvbi1kY2Q=:YXNzZXQtZGNkOTZkNTVhNTYz:Nzc5MTcz+/=="
    pid = await us.ask_for(offer=opaque)
    assert us.peer.got[-1].doc["offer"]["@id"] == opaque
    await us.settled(pid, "REQUESTED")
    again = message("ContractOfferMessage", **pids(pid, f"pp-{pid}"), offer=us.offer(opaque, assigner=THEM))
    assert (await us.post(f"/negotiations/{pid}/offers", again)).status == 200
    await us.peer.next("ContractNegotiationEventMessage")
    await us.settled(pid, "ACCEPTED")


async def test_24_an_agreement_has_its_time_in_utc_and_one_without_is_taken(us: World) -> None:
    offer = await us.publish()
    await us.post("/negotiations/request", us.request(us.offer(offer)))
    stamp = (await us.peer.next("ContractAgreementMessage")).doc["agreement"]["timestamp"]
    assert stamp.endswith("Z")
    assert abs(datetime.fromisoformat(stamp).timestamp() * 1000 - us.running.node.clock.now()) < 60_000

    pid = await us.ask_for()
    await us.settled(pid, "REQUESTED")
    bare = us.agreement(pid)
    del bare["agreement"]["timestamp"]
    assert (await us.post(f"/negotiations/{pid}/agreement", bare)).status == 200


async def test_25_our_retry_after_a_fault_keeps_its_id(us: World) -> None:
    us.peer.answer("ContractAgreementMessage", 503)
    offer = await us.publish()
    opened = await us.post("/negotiations/request", us.request(us.offer(offer)))
    first, second = [await us.peer.next("ContractAgreementMessage") for _ in range(2)]
    assert first.doc["@id"] == second.doc["@id"]
    assert first.doc == second.doc
    await us.settled(opened.doc["providerPid"], "AGREED")


@pytest.mark.parametrize("id", ["b728", None])
async def test_25_their_retry_is_answered_as_before_and_done_once(us: World, id: str | None) -> None:  # noqa: A002 - @id
    offer = await us.publish()
    request = us.request(us.offer(offer), id=id)
    opened = await us.post("/negotiations/request", request)
    pid = opened.doc["providerPid"]
    await us.peer.next("ContractAgreementMessage")
    await us.settled(pid, "AGREED")
    again = await us.post("/negotiations/request", request)
    assert (again.status, again.doc["providerPid"], again.doc["state"]) == (201, pid, "AGREED")
    verified = message("ContractAgreementVerificationMessage", **pids("cp-1", pid), id=id and f"{id}-2")
    assert (await us.post(f"/negotiations/{pid}/agreement/verification", verified)).status == 200
    await us.peer.next("ContractNegotiationEventMessage")
    await us.settled(pid, "FINALIZED")
    before = await us.everything()
    assert (await us.post(f"/negotiations/{pid}/agreement/verification", verified)).status == 200
    assert await us.everything() == before


async def test_25_a_transfer_request_that_comes_twice_opens_one_transfer(us: World) -> None:
    _, agreement = await us.as_provider()
    pid, _ = await us.started(agreement)
    doc = message(
        "TransferRequestMessage",
        consumerPid="ct-1",
        agreementId=agreement,
        format="HttpData-PULL",
        callbackAddress=us.peer.address,
    )
    again = await us.post("/transfers/request", doc)
    assert (again.status, again.doc["providerPid"], again.doc["state"]) == (201, pid, "STARTED")


async def test_26_the_pid_of_the_path_must_be_in_the_message(us: World) -> None:
    pid, _ = await us.as_provider()
    other = await us.ask_for()
    before = await us.everything()
    for consumer, provider in (("cp-1", "x"), ("x", pid), (other, "cp-1")):
        ended = message("ContractNegotiationTerminationMessage", **pids(consumer, provider))
        refused = await us.post(f"/negotiations/{pid}/termination", ended)
        assert refused.status == 400
        assert "Pid)" in refused.told
    after = await us.everything()
    assert (after["negotiations"][0], after["agreements"]) == (before["negotiations"][0], before["agreements"])


async def test_27_edcs_error_without_pids_tells_us_why(us: World) -> None:
    why = {"@context": EDC_CONTEXT, "@type": "ContractNegotiationError", "code": "400", "reason": ["it is Sunday"]}
    us.peer.answer("ContractRequestMessage", 400, why)
    ended = await us.settled(await us.ask_for(), "TERMINATED")
    assert "it is Sunday" in (ended.error or "")


async def test_28_acknowledgements_are_empty_json(us: World) -> None:
    offer = await us.publish()
    opened = await us.post("/negotiations/request", us.request(us.offer(offer)))
    pid = opened.doc["providerPid"]
    await us.peer.next("ContractAgreementMessage")  # answered with 200 and nothing
    await us.settled(pid, "AGREED")
    verified = message("ContractAgreementVerificationMessage", **pids("cp-1", pid))
    taken = await us.post(f"/negotiations/{pid}/agreement/verification", verified)
    assert (taken.status, taken.body) == (200, b"")
    assert taken.headers["Content-Type"].startswith("application/json")
    assert taken.headers["Content-Length"] == "0"


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer "])
async def test_29_a_token_comes_with_or_without_its_scheme(us: World, scheme: str) -> None:
    us.token = lambda who: scheme + mock_token(who)
    assert (await us.post("/catalog/request", message("CatalogRequestMessage"))).status == 200


async def test_30_no_message_in_any_state_is_a_500(us: World) -> None:
    """Every message of the bindings to a negotiation and a transfer that are over: refused, never failed."""
    pid, agreement = await us.as_provider()
    moved, _ = await us.started(agreement)
    end = message("TransferTerminationMessage", **pids("ct-1", moved))
    assert (await us.post(f"/transfers/{moved}/termination", end)).status == 200
    before = await us.everything()
    both, offer = pids("cp-1", pid), us.offer("x")
    messages = {
        "request": message("ContractRequestMessage", **both, offer=offer),
        "offers": message("ContractOfferMessage", **both, offer=offer),
        "events": event("FINALIZED", "cp-1", pid),
        "agreement": us.agreement("cp-1") | both,
        "agreement/verification": message("ContractAgreementVerificationMessage", **both),
        "termination": message("ContractNegotiationTerminationMessage", **both),
    }
    for path, doc in messages.items():
        refused = 200 if path == "agreement/verification" and doc["@id"] in str(before) else 400
        assert (await us.post(f"/negotiations/{pid}/{path}", doc)).status == refused, path
    for kind, path in (("Start", "start"), ("Suspension", "suspension"), ("Completion", "completion")):
        doc = message(f"Transfer{kind}Message", **pids("ct-1", moved))
        assert (await us.post(f"/transfers/{moved}/{path}", doc)).status == 400, path
    assert await us.everything() == before


# 31 to 39: the shape of policies


async def test_31_the_target_stands_beside_the_offer_in_a_catalog_and_inside_it_in_a_message(us: World) -> None:
    await us.publish(terms=DATED)
    offered = (await us.get("/catalog/datasets/asset-1")).doc["hasPolicy"][0]
    assert "target" not in json.dumps(offered)
    await us.ask_for(terms=DATED)
    sent = us.peer.got[-1].doc["offer"]
    assert sent["target"] == "asset-1"
    assert "target" not in json.dumps(sent["permission"])


def one(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The JSON with every list of one replaced by what is in it."""
    if isinstance(value, list) and len(value) == 1:
        return one(value[0])
    if isinstance(value, dict):
        return {key: v if key == "@context" else one(v) for key, v in value.items()}
    return value


LOGICAL: dict[str, Any] = {
    "permission": [
        {
            "action": "use",
            "constraint": [
                {
                    "and": [
                        {"leftOperand": EDC + "inForceDate", "operator": "gteq", "rightOperand": "2020-01-01T00:00:00Z"}
                    ]
                }
            ],
        }
    ]
}
LISTED: dict[str, Any] = {
    "permission": [
        {
            "action": "use",
            "constraint": [
                {
                    "leftOperand": CX + "BusinessPartnerNumber",
                    "operator": "isAnyOf",
                    "rightOperand": ["BPNL00000000THEM"],
                }
            ],
        }
    ]
}


@pytest.mark.parametrize("terms", [USE, DATED, LOGICAL, LISTED])
async def test_32_to_34_lists_of_one_may_arrive_as_what_is_in_them(us: World, terms: dict[str, Any]) -> None:
    await us.publish(terms=terms)
    offered = (await us.get("/catalog/datasets/asset-1")).doc["hasPolicy"][0]  # itself held against the schema
    assert isinstance(offered["permission"], list)
    sent = us.request(one({**offered, "target": "asset-1"}))
    assert (await us.post("/negotiations/request", sent)).status == 201
    agreed = (await us.peer.next("ContractAgreementMessage")).doc["agreement"]
    assert agreed["permission"][0]["action"] == "use"
    assert isinstance(agreed["permission"][0].get("constraint", []), list)


NUMBERED: dict[str, Any] = {
    "permission": [
        {"action": "use", "constraint": [{"leftOperand": EDC + "count", "operator": "lteq", "rightOperand": 5}]}
    ]
}


async def test_35_numbers_leave_as_text_and_arrive_as_either(us: World) -> None:
    await us.publish(terms=NUMBERED)
    offered = (await us.get("/catalog/datasets/asset-1")).doc["hasPolicy"][0]
    assert offered["permission"][0]["constraint"][0]["rightOperand"] == "5"
    pid = await us.ask_for(terms=NUMBERED)
    await us.settled(pid, "REQUESTED")
    assert (await us.post(f"/negotiations/{pid}/agreement", us.agreement(pid, terms=NUMBERED))).status == 200


@pytest.mark.parametrize("action", ["use", "odrl:use", {"@id": "odrl:use"}, {"@id": "http://www.w3.org/ns/odrl/2/use"}])
async def test_36_an_action_may_be_an_object(us: World, action: object) -> None:
    offer = await us.publish()
    sent = us.request(us.offer(offer, terms={"permission": [{"action": action}]}))
    assert (await us.post("/negotiations/request", sent)).status == 201
    assert (await us.peer.next("ContractAgreementMessage")).doc["agreement"]["permission"] == [{"action": "use"}]


async def test_37_a_single_profile_is_one_string(us: World) -> None:
    await us.publish(terms=USE | {"profile": ["https://w3id.org/catenax/2025/9/policy/profile"]})
    offered = (await us.get("/catalog/datasets/asset-1")).doc["hasPolicy"][0]
    assert offered["profile"] == "https://w3id.org/catenax/2025/9/policy/profile"


async def test_38_everything_in_a_catalog_has_its_type(us: World) -> None:
    await us.publish()
    document = (await us.post("/catalog/request", message("CatalogRequestMessage"))).doc
    dataset = document["dataset"][0]
    typed = [document, dataset, *dataset["hasPolicy"], *dataset["distribution"], *document["service"]]
    assert {node["@type"] for node in typed} == {"Catalog", "Dataset", "Offer", "Distribution", "DataService"}
    assert all(d["accessService"]["@type"] == "DataService" for d in dataset["distribution"])


# 40 to 50: JSON-LD


async def test_40_names_that_are_no_iris_stay_what_they_are(us: World) -> None:
    """An inline context sends the message through the whole JSON-LD processor, which knows a base address."""
    _, agreement = await us.as_provider()
    doc = message(
        "TransferRequestMessage",
        consumerPid="6feea4f6-53b0-4663-853d-1154a164e2cd",
        agreementId=agreement,
        format="HttpData-PULL",
        callbackAddress=us.peer.address,
    )
    opened = await us.post("/transfers/request", doc | {"@context": [*CONTEXT, INLINE]})
    assert (opened.status, opened.doc["consumerPid"]) == (201, "6feea4f6-53b0-4663-853d-1154a164e2cd")


@pytest.mark.parametrize("context", [CONTEXT[0], CONTEXT, EDC_CONTEXT, [*CONTEXT, INLINE]])
async def test_41_a_context_may_be_one_address_or_a_list(us: World, context: object) -> None:
    asked = await us.post("/catalog/request", {"@context": context, "@type": "CatalogRequestMessage"})
    assert asked.status == 200
    assert isinstance(asked.doc["@context"], list)


async def test_44_an_unknown_context_is_named_and_never_fetched(us: World) -> None:
    foreign = f"{us.peer.root}/context.jsonld"
    refused = await us.post("/catalog/request", {"@context": [*CONTEXT, foreign], "@type": "CatalogRequestMessage"})
    assert refused.status == 400
    assert foreign in refused.told
    assert us.peer.got == []


@pytest.mark.parametrize(
    "context",
    [
        [*CONTEXT, "https://w3id.org/tractusx/policy/v1.0.0"],
        [*CONTEXT, "https://w3id.org/catenax/2025/9/policy/context.jsonld"],
        [*CONTEXT, "https://w3id.org/tractusx/auth/v1.0.0"],
    ],
)
async def test_44_the_contexts_of_the_field_are_known(us: World, context: list[str]) -> None:
    asked = await us.post("/catalog/request", {"@context": context, "@type": "CatalogRequestMessage"})
    assert asked.status == 200, asked.told


async def test_45_only_the_standards_own_context_is_sent(us: World) -> None:
    _, agreement = await us.as_provider()
    await us.started(agreement)
    shown = await us.post("/catalog/request", query(limit=5))
    assert shown.doc["@context"] == CONTEXT
    assert all(got.doc["@context"] == CONTEXT for got in us.peer.got)


async def test_45_a_filter_brings_edcs_context_along(us: World) -> None:
    us.peer.answer("CatalogRequestMessage", 200, {"@type": "Catalog"})
    await catalog.ask(us.running.node, Peer(THEM, us.peer.address), {"limit": 5})
    assert (await us.peer.next("CatalogRequestMessage")).doc["@context"] == EDC_CONTEXT


async def test_46_values_may_be_references_and_names_may_have_prefixes(us: World) -> None:
    offer = await us.publish(terms=DATED)
    (rule,) = DATED["permission"]
    (condition,) = rule["constraint"]
    spelled = {
        "@context": INLINE,
        "@id": "urn:uuid:1",
        "@type": "dspace:ContractRequestMessage",
        "dspace:consumerPid": {"@id": "cp-1"},
        "dspace:callbackAddress": {"@value": us.peer.address},
        "dspace:offer": {
            "@id": offer,
            "@type": "odrl:Offer",
            "odrl:assigner": {"@id": US},
            "odrl:target": {"@id": "asset-1"},
            "odrl:permission": {
                "odrl:action": {"@id": "odrl:use"},
                "odrl:constraint": {
                    "odrl:leftOperand": {"@id": "edc:inForceDate"},
                    "odrl:operator": {"@id": "odrl:gteq"},
                    "odrl:rightOperand": condition["rightOperand"],
                },
            },
        },
    }
    opened = await us.post("/negotiations/request", spelled)
    assert (opened.status, opened.doc.get("consumerPid")) == (201, "cp-1"), opened.body
    agreed = (await us.peer.next("ContractAgreementMessage")).doc["agreement"]
    assert (agreed["target"], len(agreed["permission"][0]["constraint"])) == ("asset-1", 1)


@pytest.mark.parametrize(
    "why",
    [
        {"code": "E1", "reason": ["weil"]},
        {"code": 17, "reason": "weil"},
        {"reason": [{"@value": "weil", "@language": "en"}, {"message": "weil"}]},
        {"reason": {"@value": "weil"}},
        {},
    ],
)
async def test_47_codes_and_reasons_come_in_many_shapes(us: World, why: dict[str, Any]) -> None:
    pid = await us.ask_for()
    await us.settled(pid, "REQUESTED")
    ended = message("ContractNegotiationTerminationMessage", **pids(pid, f"pp-{pid}"), **why)
    assert (await us.post(f"/negotiations/{pid}/termination", ended)).status == 200
    error = (await us.negotiation(pid)).error or ""
    assert ("weil" in error) is ("reason" in why)


async def test_48_an_acknowledgement_may_have_any_content_type(us: World) -> None:
    async def answer(request: web.Request) -> web.Response:
        doc = await request.json()
        body = message("ContractNegotiation", **pids(doc["consumerPid"], "theirs"), state="REQUESTED")
        return web.Response(text=json.dumps(body), content_type="text/plain")

    app = web.Application()
    app.router.add_post("/negotiations/request", answer)
    odd = await serve(app, "127.0.0.1", 0)
    try:
        policy = parse_policy(us.offer("o", assigner=THEM))
        begun = await negotiate.request(us.running.node, negotiate.Contract(Peer(THEM, odd.url), policy))
        await us.settled(begun.id, "REQUESTED")
    finally:
        await odd.close()


async def test_49_a_peers_base_path_is_its_own(us: World) -> None:
    offer = await us.publish()
    base = f"{us.peer.root}/tenant-7/dsp/v1"
    assert (await us.post("/negotiations/request", us.request(us.offer(offer), callbackAddress=base))).status == 201
    assert (await us.peer.next()).path == "/tenant-7/dsp/v1/negotiations/cp-1/agreement"


@pytest.mark.parametrize("state", ["REQUESTED", "dspace:REQUESTED", DSPACE + "REQUESTED"])
async def test_50_a_state_may_come_with_its_namespace_and_leaves_without(us: World, state: str) -> None:
    async def answer(doc: dict[str, Any]) -> None:
        shown = message("ContractNegotiation", **pids(doc["consumerPid"], "theirs"), state=state)
        us.peer.answer("ContractRequestMessage", 200, shown)

    us.peer.before["ContractRequestMessage"] = answer
    pid = await us.ask_for()
    await us.settled(pid, "REQUESTED")
    assert (await us.get(f"/negotiations/{pid}")).doc["state"] == "REQUESTED"
