"""Spoilt documents on their way in: bytes, JSON, JSON-LD, message, use case.

First without a network, where only the two error families may leave, soon and with short reasons; then against a
running node, which must answer each of them.
"""

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from connector.exchange.query import parse_query
from connector.http.body import parse_json
from connector.http.management.reading import address, callbacks, optional_text, policy, properties, selector
from connector.policy.parse import parse_policy
from connector.protocol import negotiation_messages as n
from connector.protocol import transfer_messages as t
from connector.protocol.catalog import CatalogRequestMessage
from connector.protocol.errors import LocalError, PeerError
from connector.semantics.jsonld import read_message
from connector.semantics.management import read_document
from tests.fuzz.fuzz_world import PATIENCE_S, FuzzedNode, Known, bounded
from tests.fuzz.mutations import spoilt
from tests.integration.dsp_world import CONTEXT, EDC_CONTEXT, KEY, THEM, US, mock_token
from tests.integration.dsp_world import message as fresh_message

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")
"""Hypothesis notices the node, which draws its jitter on the other thread."""
EDC = "https://w3id.org/edc/v0.0.1/ns/"
LONGEST_REASON = 4096
"""Characters of an error that a stranger can make us write."""
SLOWEST_S = 2.0
"""For reading one document of at most 200 kB, on a busy machine."""
RULE = {
    "action": "use",
    "constraint": [
        {
            "and": [
                {"leftOperand": "inForceDate", "operator": "lteq", "rightOperand": "contractAgreement+30d"},
                {"leftOperand": f"{EDC}BusinessPartnerNumber", "operator": "isAnyOf", "rightOperand": ["A", "B"]},
            ]
        }
    ],
}
TERMS: dict[str, Any] = {"permission": [RULE], "prohibition": [], "obligation": [{"action": "odrl:attribute"}]}
PIDS = {"consumerPid": "c-1", "providerPid": "p-1"}
ADDRESS = {
    "@type": "DataAddress",
    "endpointType": "https://w3id.org/idsa/v4.1/HTTP",
    "endpoint": "http://127.0.0.1:9/",
    "endpointProperties": [{"@type": "EndpointProperty", "name": "authorization", "value": "x"}],
}
FILTER = {
    "@type": "QuerySpec",
    "offset": 0,
    "limit": 10,
    "sortOrder": "ASC",
    "filterExpression": [{"operandLeft": f"'{EDC}type'.'@id'", "operator": "in", "operandRight": ["a", 1, True]}],
}


def message(kind: str, **members: object) -> dict[str, Any]:
    return fresh_message(kind, id="known:message", **members)


def offer() -> dict[str, Any]:
    return {
        "@id": "known:offer",
        "@type": "Offer",
        "target": "known:asset",
        "assigner": US,
        **TERMS,
    }


def dsp() -> dict[str, tuple[type[Any], dict[str, Any]]]:
    """A valid message for each path of the protocol."""
    where = {"callbackAddress": "known:address"}
    contract = {"consumerPid": "known:contract", "providerPid": "known:contract's"}
    agreement = {"@id": "ag-1", "@type": "Agreement", "target": "a-1", "assigner": THEM, "assignee": US, **TERMS}
    agreement |= {"timestamp": "2026-11-22T00:46:01Z"}
    own, pull = "known:negotiation", "known:pull"
    ours = {"consumerPid": "known:negotiation's", "providerPid": own}
    theirs = {"consumerPid": pull, "providerPid": "known:pull's"}
    reason = {"code": "1", "reason": ["because", {"a": 1}]}
    request = {
        "agreementId": "known:agreement",
        "format": "HttpData-PUSH",
        "dataAddress": ADDRESS,
        **where,
    }
    asked = {"consumerPid": "known:asked", "providerPid": "known:asked's"}
    return {
        "/catalog/request": (CatalogRequestMessage, message("CatalogRequestMessage", filter=FILTER)),
        "/negotiations/request": (
            n.ContractRequestMessage,
            message("ContractRequestMessage", consumerPid="c-1", offer=offer(), **where),
        ),
        "/negotiations/offers": (
            n.ContractOfferMessage,
            message("ContractOfferMessage", providerPid="p-1", offer=offer(), **where),
        ),
        f"/negotiations/{asked['consumerPid']}/offers": (
            n.ContractOfferMessage,
            message("ContractOfferMessage", **asked, offer=offer()),
        ),
        f"/negotiations/{asked['consumerPid']}/agreement": (
            n.ContractAgreementMessage,
            message("ContractAgreementMessage", **asked, agreement=agreement),
        ),
        f"/negotiations/{own}/agreement/verification": (
            n.ContractAgreementVerificationMessage,
            message("ContractAgreementVerificationMessage", **ours),
        ),
        f"/negotiations/{contract['consumerPid']}/events": (
            n.ContractNegotiationEventMessage,
            message("ContractNegotiationEventMessage", **contract, eventType="FINALIZED"),
        ),
        f"/negotiations/{own}/termination": (
            n.ContractNegotiationTerminationMessage,
            message("ContractNegotiationTerminationMessage", **ours, **reason),
        ),
        "/transfers/request": (
            t.TransferRequestMessage,
            message("TransferRequestMessage", consumerPid="t-1", **request),
        ),
        f"/transfers/{pull}/start": (
            t.TransferStartMessage,
            message("TransferStartMessage", **theirs, dataAddress=ADDRESS),
        ),
        f"/transfers/{pull}/suspension": (
            t.TransferSuspensionMessage,
            message("TransferSuspensionMessage", **theirs, **reason),
        ),
        f"/transfers/{pull}/completion": (t.TransferCompletionMessage, message("TransferCompletionMessage", **theirs)),
        f"/transfers/{pull}/termination": (
            t.TransferTerminationMessage,
            message("TransferTerminationMessage", **theirs, **reason),
        ),
    }


def management() -> dict[str, tuple[Callable[[dict[str, Any]], object], dict[str, Any]]]:
    """A valid body for the management API's paths that take much, and what reads it there."""
    vocab = {"@context": {"@vocab": EDC, "odrl": "http://www.w3.org/ns/odrl/2/"}}
    data = {"type": "HttpData", "baseUrl": "http://127.0.0.1:9/", "header:x-a": "b", "proxyPath": "true"}
    described = {"name": "A", "http://purl.org/dc/terms/type": {"@id": "cx-taxo:X"}, "n": [1, 2.5, True, {"a": "b"}]}
    peer = {
        "counterPartyAddress": "known:address",
        "protocol": "dataspace-protocol-http:2025-1",
    }
    hooks = {"callbackAddresses": [{"uri": "http://127.0.0.1:9/", "events": ["transfer"], "transactional": False}]}
    policies = {"accessPolicyId": "known:policy", "contractPolicyId": "known:policy"}
    query = {k: v for k, v in FILTER.items() if k != "@type"} | {"sortField": "createdAt"}
    assets = {"operandLeft": "id", "operator": "=", "operandRight": "a"}
    return {
        "/v3/assets": (
            lambda doc: (properties(doc, "properties"), address(doc, "dataAddress"), optional_text(doc, "@id")),
            {**vocab, "@type": "Asset", "properties": described, "privateProperties": described, "dataAddress": data},
        ),
        "/v3/policydefinitions": (policy, {**vocab, "policy": {"@type": "Set", **TERMS}}),
        "/v3/contractdefinitions": (selector, {**vocab, **policies, "assetsSelector": [assets]}),
        "/v3/assets/request": (parse_query, {**vocab, **query}),
        "/v3/contractnegotiations/request": (
            parse_query,
            {**vocab, "filterExpression": [{**assets, "operandLeft": "state"}]},
        ),
        "/v3/contractnegotiations": (
            lambda doc: (policy(doc), callbacks(doc)),
            {**vocab, **peer, **hooks, "policy": {**offer(), "assigner": THEM}},
        ),
        "/v3/transferprocesses": (
            lambda doc: (address(doc, "dataDestination"), callbacks(doc)),
            {**vocab, **peer, **hooks, "contractId": "known:owned", "transferType": "HttpData-PULL"},
        ),
        "/v3/catalog/request": (lambda doc: parse_query(doc.get("querySpec")), {**vocab, **peer, "querySpec": FILTER}),
        "/v3/secrets": (lambda doc: optional_text(doc, "value"), {**vocab, "@id": "s", "value": "hidden"}),
    }


def assert_read_or_refused(body: bytes, read: Callable[[object], object]) -> None:
    began, told = time.perf_counter(), ""
    try:
        read(parse_json(body))
    except (PeerError, LocalError) as refusal:
        told = str(refusal)
    assert time.perf_counter() - began < SLOWEST_S
    assert len(told) <= LONGEST_REASON


CONTEXTS = st.sampled_from([CONTEXT, EDC_CONTEXT, [*CONTEXT, {"@vocab": "x:"}], [*CONTEXT, {"a": "b:"}]])


@pytest.mark.parametrize("path", dsp())
def test_no_message_of_a_stranger_leaves_the_error_families(path: str) -> None:
    kind, doc = dsp()[path]

    @bounded(10, few=12)
    @given(body=CONTEXTS.flatmap(lambda context: spoilt({**doc, "@context": context})))
    def attack(body: bytes) -> None:

        def read(found: object) -> None:
            parsed = kind.parse(read_message(found))
            written = orjson.dumps(parsed.to_json())
            assert kind.parse(read_message(orjson.loads(written))).to_json() == parsed.to_json()
            for member in ("offer", "agreement"):
                if hasattr(parsed, member):
                    parse_policy(getattr(parsed, member), f"/{member}")

        assert_read_or_refused(body, read)

    attack()


@pytest.mark.parametrize("path", management())
def test_no_body_of_an_operator_leaves_the_error_families(path: str) -> None:
    read, doc = management()[path]

    @bounded(10, few=12)
    @given(body=spoilt(doc))
    def attack(body: bytes) -> None:
        assert_read_or_refused(body, lambda found: read(read_document(found)))

    attack()


def aimed(body: bytes, known: Known) -> bytes:
    """The bytes with real names for the stand-ins, and an id of its own for each message."""
    for name, value in {**known, "message": str(uuid.uuid4())}.items():
        body = body.replace(f'known:{name}"'.encode(), f'{value}"'.encode())
    return body


def assert_answered(fuzzed: FuzzedNode, answer: requests.Response) -> None:
    assert answer.status_code < 500 or answer.status_code in (502, 503), answer.text
    assert len(answer.content) <= 2 * LONGEST_REASON or answer.status_code < 300
    assert answer.elapsed.total_seconds() < PATIENCE_S
    if answer.content:
        answer.json()
    assert fuzzed.surprises() == []


@pytest.mark.parametrize("path", dsp())
def test_the_protocol_answers_spoilt_messages(fuzzed: FuzzedNode, known: Known, path: str) -> None:
    base, headers = f"{fuzzed.public}/api/v1/dsp/2025-1", {"Authorization": mock_token(THEM)}
    doc = dsp()[path][1]
    url = base + re.sub("known:([a-z]+)", lambda word: known[word[1]], path)
    with requests.Session() as session:

        @bounded(3, few=5)
        @given(body=spoilt(doc))
        def attack(body: bytes) -> None:
            assert_answered(fuzzed, session.post(url, aimed(body, known), headers=headers, timeout=PATIENCE_S))

        attack()


@pytest.mark.parametrize("path", management())
def test_the_management_api_answers_spoilt_bodies(fuzzed: FuzzedNode, known: Known, path: str) -> None:
    doc = management()[path][1]
    with requests.Session() as session:

        @bounded(3, few=5)
        @given(body=spoilt(doc))
        def attack(body: bytes) -> None:
            url, headers = fuzzed.management + path, {"X-Api-Key": KEY}
            assert_answered(fuzzed, session.post(url, aimed(body, known), headers=headers, timeout=PATIENCE_S))

        attack()
