"""What two EDC 0.14.1 connectors said to each other, said to us: first as EDC's provider, then as its consumer.

Each recorded request is sent to a node as it was, but for the names that a run makes up (pids, offer and agreement
ids, addresses). We must answer what EDC answered, or the better thing that the standard asks for; those differences
are in `BETTER`, and nowhere else. What we send of our own accord must have the members that EDC's message had.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connector.exchange import negotiate, transfer
from connector.exchange import records as r
from connector.exchange.strategy import Act, Decision
from connector.policy.parse import parse_policy
from tests.conformance.official import TRANSCRIPT, faults
from tests.integration.dsp_world import DATED, Received, Reply, World, world

pytestmark = pytest.mark.skipif(not TRANSCRIPT.is_dir(), reason="the recorded messages (../shared/data) are not here")

OPEN, DATED_ASSET = "asset-dcd96d55a563", "asset-dd4af25b0281"
ADDRESS = {"consumer": "http://127.0.0.1:29199/protocol/2025-1", "provider": "http://127.0.0.1:19199/protocol/2025-1"}
BETTER = {
    "02": (201, "an opening message is answered with 201"),
    "06": (201, "an opening message is answered with 201"),
    "14": (201, "an opening message is answered with 201"),
    "17": (201, "an opening message is answered with 201"),
    "20": (201, "an opening message is answered with 201"),
    "31": (404, "a stranger learns nothing: the process looks as if it did not exist"),
}
"""Recorded exchanges whose status we answer differently, and why."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request with its answer."""

    number: str
    method: str
    path: str
    authorization: str | None
    body: Any
    status: int
    answer: Any


@cache
def recorded(number: str, folder: str = "") -> Exchange:
    (file,) = (TRANSCRIPT / folder).glob(f"{number}-*.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    request, response = record["request"], record["response"]
    path = request["path"].removeprefix("/protocol").removeprefix("/2025-1")
    token = dict(request["headers"]).get("Authorization")
    return Exchange(number, request["method"], path, token, request["body"], response["status"], response["body"])


@dataclass
class Stage:
    """A node in one of the two roles, and what the recorded names are called in this run."""

    us: World
    names: dict[str, str] = field(default_factory=dict)

    def adapt(self, recording: Any) -> Any:  # noqa: ANN401 - any JSON
        text = json.dumps(recording)
        for theirs, ours in self.names.items():
            text = text.replace(theirs, ours)
        return json.loads(text)

    async def replay(self, number: str, folder: str = "") -> Reply:
        """Send a recorded request and hold the answer against the recorded one."""
        sent = recorded(number, folder)
        path = self.adapt(sent.path)
        where = self.us.root + path if path.startswith("/.well-known") else path
        body = None if sent.body is None else json.dumps(self.adapt(sent.body)).encode()
        headers = {} if sent.authorization is None else {"Authorization": sent.authorization}
        reply = await self.us.ask(sent.method, where, body, as_=None, headers=headers)
        expected = BETTER[number][0] if number in BETTER and not folder else sent.status
        assert reply.status == expected, reply.body
        if isinstance(sent.answer, dict) and "@type" in sent.answer:
            assert reply.doc["@type"] == sent.answer["@type"]
            assert {k: v for k, v in reply.doc.items() if k == "state"} == {
                k: v for k, v in sent.answer.items() if k == "state"
            }
        return reply

    def same_form(self, got: Received, number: str, folder: str = "") -> None:
        """Hold a message of ours against the recorded one: path, type, members (EDC adds a context of its own)."""
        edc = recorded(number, folder)
        assert got.path == "/peer" + self.adapt(edc.path)
        ours, theirs = got.doc, self.adapt(edc.body)
        assert ours.keys() == theirs.keys()
        own = {"@context", "@id", "offer", "agreement", "dataAddress"}
        assert {k: v for k, v in ours.items() if k not in own} == {k: v for k, v in theirs.items() if k not in own}
        assert faults(ours) == []


# EDC's consumer asks us


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Stage]:
    async with world(tmp_path) as us:
        stage = Stage(us, {ADDRESS["consumer"]: us.peer.address})
        for asset, terms, number in ((OPEN, {}, "01"), (DATED_ASSET, DATED, "19")):
            offer = recorded(number).answer["dataset"][0]["hasPolicy"][0]["@id"]
            stage.names[offer] = await us.publish(asset, terms)
        yield stage


async def negotiated(stage: Stage) -> None:
    """02 to 05."""
    opened = await stage.replay("02")
    stage.names[recorded("02").answer["providerPid"]] = opened.doc["providerPid"]
    agreed = await stage.us.peer.next("ContractAgreementMessage")
    stage.names[recorded("03").body["agreement"]["@id"]] = agreed.doc["agreement"]["@id"]
    stage.same_form(agreed, "03")
    edc = stage.adapt(recorded("03").body["agreement"])
    assert {**agreed.doc["agreement"], "timestamp": ""} == {**edc, "timestamp": ""}
    await stage.replay("04")
    stage.same_form(await stage.us.peer.next("ContractNegotiationEventMessage"), "05")
    await stage.us.settled(opened.doc["providerPid"], "FINALIZED")


async def transferred(stage: Stage, request: str, start: str) -> str:
    """Ask for the data: 06 and 07, 14 and 15, 17 and 18."""
    opened = await stage.replay(request)
    pid: str = opened.doc["providerPid"]
    stage.names[recorded(request).answer["providerPid"]] = pid
    same_address(stage, await stage.us.peer.next("TransferStartMessage"), start)
    await stage.us.settled(pid, "STARTED")
    return pid


def same_address(stage: Stage, got: Received, number: str) -> None:
    """Hold a start message against EDC's: every property that EDC sends is there."""
    stage.same_form(got, number)
    ours, theirs = got.doc["dataAddress"], recorded(number).body["dataAddress"]
    assert ours["endpointType"] == theirs["endpointType"]
    names = {p["name"] for p in ours["endpointProperties"]}
    assert {p["name"] for p in theirs["endpointProperties"]} <= names


async def test_edcs_consumer_gets_its_contract_and_its_data(provider: Stage) -> None:
    us = provider.us
    catalog = (await provider.replay("01")).doc
    (dataset,) = catalog["dataset"]
    edc = recorded("01").answer
    assert catalog["participantId"] == edc["participantId"]
    assert (dataset["@id"], dataset["hasPolicy"][0].keys()) == (OPEN, edc["dataset"][0]["hasPolicy"][0].keys())
    formats = {d["format"] for d in edc["dataset"][0]["distribution"]}
    assert {d["format"] for d in dataset["distribution"]} == formats
    await negotiated(provider)

    pid = await transferred(provider, "06", "07")
    await provider.replay("08")  # the consumer suspends and resumes
    await us.settled(pid, "SUSPENDED")
    await provider.replay("09")
    same_address(provider, await us.peer.next("TransferStartMessage"), "10")
    await us.settled(pid, "STARTED")
    why = recorded("11").body["reason"]
    await transfer.act(us.running.node, pid, Decision(Act.SUSPEND, reasons=tuple(why)))  # we do
    provider.same_form(await us.peer.next("TransferSuspensionMessage"), "11")
    await us.settled(pid, "SUSPENDED")
    await transfer.act(us.running.node, pid, Decision(Act.START))
    same_address(provider, await us.peer.next("TransferStartMessage"), "12")
    await us.settled(pid, "STARTED")
    await provider.replay("13")
    await us.settled(pid, "TERMINATED")

    pid = await transferred(provider, "14", "15")
    why = recorded("16").body["reason"]
    await transfer.act(us.running.node, pid, Decision(Act.TERMINATE, reasons=tuple(why)))
    provider.same_form(await us.peer.next("TransferTerminationMessage"), "16")
    await us.settled(pid, "TERMINATED")
    await transferred(provider, "17", "18")

    await provider.replay("29")
    await provider.replay("30")
    await provider.replay("31")


async def test_a_provider_compares_the_terms_itself(provider: Stage) -> None:
    """EDC agrees to its own terms and leaves the refusal to the consumer (20 to 22); we say at once what is missing."""
    catalog = (await provider.replay("19")).doc
    (rule,) = catalog["dataset"][0]["hasPolicy"][0]["permission"]
    assert "inForceDate" in rule["constraint"][0]["leftOperand"]
    opened = await provider.replay("20")
    ended = await provider.us.peer.next("ContractNegotiationTerminationMessage")
    assert ended.doc["providerPid"] == opened.doc["providerPid"]
    assert "permission" in ended.doc["reason"][0]
    assert (await provider.us.everything())["agreements"] == []


async def test_a_rule_less_offer_has_the_members_that_edcs_has(provider: Stage) -> None:
    found = (await provider.replay("24")).doc
    assert found["@id"] == OPEN
    assert found["hasPolicy"][0].keys() == recorded("24").answer["hasPolicy"][0].keys()


async def test_the_version_is_found(provider: Stage) -> None:
    entry = {"version": "2025-1", "path": "/2025-1", "binding": "HTTPS"}
    assert entry in (await provider.replay("25")).doc["protocolVersions"]


async def test_everything_is_in_the_unfiltered_catalog(provider: Stage) -> None:
    found = (await provider.replay("39")).doc["dataset"]
    assert {d["@id"] for d in found} == {OPEN, DATED_ASSET}


@pytest.mark.parametrize(
    ("number", "place"),
    [
        ("23", "/offer/@id"),
        *[(number, "") for number in ("26", "28", "32", "33", "34")],
        ("27", "/clientId"),
        ("35", "/consumerPid"),
        ("36", "/consumerPid"),
        ("37", "/@type"),
    ],
)
async def test_what_edc_refuses_is_refused_with_its_place(provider: Stage, number: str, place: str) -> None:
    before = await provider.us.everything()
    refused = await provider.replay(number)
    assert refused.doc["code"] == str(refused.status)
    assert place in refused.told
    assert "Bad request" not in refused.told
    assert await provider.us.everything() == before


async def test_where_edc_answers_a_web_page_we_answer_json(provider: Stage) -> None:
    assert recorded("38").answer.startswith("<html>")
    refused = await provider.replay("38")
    assert (refused.doc["@type"], refused.doc["code"]) == ("CatalogError", "400")
    assert "/@context" in refused.told


def test_every_recorded_request_of_the_consumer_is_replayed() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for file in TRANSCRIPT.glob("*-consumer-*.json"):
        assert f'"{file.name[:2]}"' in source, file.name


# EDC's provider answers us


@pytest.fixture
async def consumer(tmp_path: Path) -> AsyncIterator[Stage]:
    node = {"did": "consumer", "bpn": "BPNL00000000THEM"}
    async with world(tmp_path, node=node, public={"url": "http://consumer.test"}) as us:
        yield Stage(us, {ADDRESS["consumer"]: us.running.node.dsp_address})


async def asked(stage: Stage, number: str) -> str:
    """Ask for what EDC's consumer asked for, and answer as EDC's provider did."""
    edc = recorded(number)
    offer = parse_policy(edc.body["offer"])

    async def answer(doc: dict[str, Any]) -> None:
        stage.names[edc.body["consumerPid"]] = doc["consumerPid"]
        stage.us.peer.answer("ContractRequestMessage", edc.status, stage.adapt(edc.answer))

    stage.us.peer.before["ContractRequestMessage"] = answer
    peer = r.Peer("provider", stage.us.peer.address)
    begun = await negotiate.request(stage.us.running.node, negotiate.Contract(peer, offer))
    got = await stage.us.peer.next("ContractRequestMessage")
    stage.same_form(got, number)
    assert got.doc["offer"] == edc.body["offer"]
    await stage.us.settled(begun.id, "REQUESTED")
    return begun.id


async def pulled(stage: Stage, number: str) -> str:
    """Ask for the data as EDC's consumer did, and answer as EDC's provider did."""
    edc = recorded(number)

    async def answer(doc: dict[str, Any]) -> None:
        stage.names[edc.body["consumerPid"]] = doc["consumerPid"]
        stage.us.peer.answer("TransferRequestMessage", edc.status, stage.adapt(edc.answer))

    stage.us.peer.before["TransferRequestMessage"] = answer
    order = transfer.Order(edc.body["agreementId"], "HttpData-PULL")
    begun = await transfer.request(stage.us.running.node, order)
    stage.same_form(await stage.us.peer.next("TransferRequestMessage"), number)
    await stage.us.settled(begun.id, "REQUESTED")
    return begun.id


async def contracted(stage: Stage) -> str:
    """02 to 05."""
    pid = await asked(stage, "02")
    await stage.replay("03")
    stage.same_form(await stage.us.peer.next("ContractAgreementVerificationMessage"), "04")
    await stage.us.settled(pid, "VERIFIED")
    await stage.replay("05")
    await stage.us.settled(pid, "FINALIZED")
    return pid


async def token(stage: Stage, pid: str) -> str | None:
    edr = await stage.us.running.node.store.read(lambda tx: tx.edrs.find(pid))
    return edr.address["authorization"] if edr else None


def token_in(number: str) -> str:
    (found,) = (
        str(p["value"])
        for p in recorded(number).body["dataAddress"]["endpointProperties"]
        if p["name"].endswith("/authorization")
    )
    return found


async def test_edcs_provider_gives_us_a_contract_and_its_data(consumer: Stage) -> None:
    us = consumer.us
    await contracted(consumer)

    pid = await pulled(consumer, "06")
    await consumer.replay("07")
    assert await token(consumer, pid) == token_in("07")
    why = recorded("08").body["reason"]
    await transfer.act(us.running.node, pid, Decision(Act.SUSPEND, reasons=tuple(why)))
    consumer.same_form(await us.peer.next("TransferSuspensionMessage"), "08")
    await us.settled(pid, "SUSPENDED")
    await transfer.act(us.running.node, pid, Decision(Act.START))
    consumer.same_form(await us.peer.next("TransferStartMessage"), "09")
    await us.settled(pid, "STARTED")
    await consumer.replay("10")
    assert await token(consumer, pid) == token_in("10")
    await consumer.replay("11")
    assert await token(consumer, pid) is None
    await consumer.replay("12")
    assert await token(consumer, pid) == token_in("12")
    why = recorded("13").body["reason"]
    await transfer.act(us.running.node, pid, Decision(Act.TERMINATE, reasons=tuple(why)))
    consumer.same_form(await us.peer.next("TransferTerminationMessage"), "13")
    await us.settled(pid, "TERMINATED")

    pid = await pulled(consumer, "14")
    await consumer.replay("15")
    await consumer.replay("16")
    ended = await us.settled(pid, "TERMINATED")
    assert recorded("16").body["reason"][0] in (ended.error or "")
    assert await token(consumer, pid) is None
    pid = await pulled(consumer, "17")
    await consumer.replay("18")
    assert await token(consumer, pid) == token_in("18")


async def test_an_agreement_with_other_terms_is_refused(consumer: Stage) -> None:
    pid = await asked(consumer, "20")
    refused = await consumer.replay("21")
    assert "permission" in refused.told
    assert (await consumer.us.everything())["agreements"] == []
    await consumer.replay("22")
    await consumer.us.settled(pid, "TERMINATED")


async def test_a_start_that_overtakes_the_answer_is_taken_where_edc_says_409(consumer: Stage) -> None:
    """`race-early-start`: EDC's consumer refuses it and EDC's provider gives up."""
    await contracted(consumer)
    request = recorded("01", "race-early-start")
    start = recorded("02", "race-early-start")
    assert start.status == 409

    async def overtake(doc: dict[str, Any]) -> None:
        consumer.names[request.body["consumerPid"]] = doc["consumerPid"]
        path = consumer.adapt(start.path)
        taken = await consumer.us.post(path, consumer.adapt(start.body), as_="provider")
        assert taken.status == 200
        consumer.us.peer.answer("TransferRequestMessage", request.status, consumer.adapt(request.answer))

    consumer.us.peer.before["TransferRequestMessage"] = overtake
    order = transfer.Order(recorded("06").body["agreementId"], "HttpData-PULL")
    begun = await transfer.request(consumer.us.running.node, order)
    await consumer.us.peer.next("TransferRequestMessage")
    await consumer.us.settled(begun.id, "STARTED")
    assert await token(consumer, begun.id) is not None
    await consumer.replay("04", "race-early-start")
    await consumer.us.settled(begun.id, "TERMINATED")
