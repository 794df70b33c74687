"""The messages against the official artefacts: JSON schemas, examples, and what two EDC connectors really said."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft201909Validator, ValidationError
from referencing import Registry, Resource

from connector.protocol import catalog, negotiation_messages, transfer_messages
from connector.protocol.catalog import read_catalog, read_dataset, root_dataset_json
from connector.protocol.did_services import find_dsp_endpoints, service_entries
from connector.protocol.errors import PeerError
from connector.protocol.negotiation import State as NegotiationState
from connector.protocol.reading import term
from connector.protocol.transfer import State as TransferState
from connector.protocol.versions import choose_version, parse_versions
from connector.protocol.vocabulary import CONTEXT, DCAT, DCT, DSPACE, ODRL
from tests.property.protocol_documents import MESSAGES, UNHURRIED, catalogs, datasets, version_documents

DATA = Path(__file__).parents[3] / "shared" / "data"
DSP, TRANSCRIPT = DATA / "dsp", DATA / "edc-0.14.1-transcript"
pytestmark = pytest.mark.skipif(not DSP.is_dir(), reason="the official artefacts (../shared/data) are not here")

SCHEMA_OF = {
    "ContractNegotiation": "negotiation/contract-negotiation-schema.json",
    "ContractNegotiationError": "negotiation/contract-negotiation-error-schema.json",
    "ContractRequestMessage": "negotiation/contract-request-message-schema.json",
    "ContractOfferMessage": "negotiation/contract-offer-message-schema.json",
    "ContractAgreementMessage": "negotiation/contract-agreement-message-schema.json",
    "ContractAgreementVerificationMessage": "negotiation/contract-agreement-verification-message-schema.json",
    "ContractNegotiationEventMessage": "negotiation/contract-negotiation-event-message-schema.json",
    "ContractNegotiationTerminationMessage": "negotiation/contract-negotiation-termination-message-schema.json",
    "TransferRequestMessage": "transfer/transfer-request-message-schema.json",
    "TransferStartMessage": "transfer/transfer-start-message-schema.json",
    "TransferSuspensionMessage": "transfer/transfer-suspension-message-schema.json",
    "TransferCompletionMessage": "transfer/transfer-completion-message-schema.json",
    "TransferTerminationMessage": "transfer/transfer-termination-message-schema.json",
    "TransferProcess": "transfer/transfer-process-schema.json",
    "TransferError": "transfer/transfer-error-schema.json",
    "CatalogRequestMessage": "catalog/catalog-request-message-schema.json",
    "CatalogError": "catalog/catalog-error-schema.json",
}
READERS: dict[str, Callable[[Any], Any]] = {
    **{kind.__name__: kind.parse for kind in MESSAGES},
    "Catalog": read_catalog,
    "Dataset": read_dataset,
}


@cache
def registry() -> Registry[Any]:
    """All schemas by their id. Three of them point at `#definitions/...` without a slash: mended here."""
    resources = []
    for path in DSP.glob("*/*-schema.json"):
        source = path.read_text(encoding="utf-8").replace("#definitions/", "#/definitions/")
        resources.append(Resource.from_contents(json.loads(source)))
    return Registry().with_resources((resource.id() or "", resource) for resource in resources)


@cache
def validator(name: str) -> Draft201909Validator:
    schema = registry().contents(f"{DSPACE}{name}")
    return Draft201909Validator(schema, registry=registry())


def exchanges() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted(TRANSCRIPT.glob("*.json"))] + [
        pytest.param(path, id=f"race-{path.stem}") for path in sorted(TRANSCRIPT.glob("race-early-start/*.json"))
    ]


def examples(folder: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted((DSP / folder / "example").glob("*.json"))]


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(UNHURRIED, max_examples=40)
def test_messages_we_write_fulfil_their_schema(kind: type[Any], data: st.DataObject) -> None:
    validator(SCHEMA_OF[kind.__name__]).validate(data.draw(MESSAGES[kind]).to_json())


@given(catalogs)
@settings(UNHURRIED, max_examples=40)
def test_catalogs_we_write_fulfil_their_schema(doc: dict[str, Any]) -> None:
    validator("catalog/catalog-schema.json").validate(doc)


@given(datasets)
@settings(UNHURRIED, max_examples=40)
def test_datasets_we_write_fulfil_their_schema(dataset: dict[str, Any]) -> None:
    validator("catalog/dataset-schema.json").validate(root_dataset_json(dataset))


@given(version_documents)
@settings(UNHURRIED, max_examples=40)
def test_version_documents_we_write_fulfil_their_schema(doc: dict[str, Any]) -> None:
    validator("common/protocol-version-schema.json").validate(doc)


@pytest.mark.parametrize("path", [*examples("negotiation"), *examples("transfer")])
def test_official_message_examples_come_back_unchanged(path: Path) -> None:
    doc = json.loads(path.read_text(encoding="utf-8"))
    assert READERS[doc["@type"]](doc).to_json() == doc


@pytest.mark.parametrize("name", ["catalog.json", "nested-catalog.json", "dataset.json"])
def test_official_catalog_examples_are_read(name: str) -> None:
    doc = json.loads((DSP / "catalog" / "example" / name).read_text(encoding="utf-8"))
    view = READERS[doc["@type"]](doc)
    sets = [view] if doc["@type"] == "Dataset" else view.datasets
    assert len(sets) == (0 if name == "nested-catalog.json" else 1)
    assert all(s.formats == ("HttpData-PULL",) and s.endpoint_url == "https://provider-a.com/connector" for s in sets)


def test_official_catalog_messages_are_read() -> None:
    request = json.loads((DSP / "catalog/example/catalog-request-message.json").read_text(encoding="utf-8"))
    assert catalog.CatalogRequestMessage.parse(request).filter is None
    error = json.loads((DSP / "catalog/example/catalog-error.json").read_text(encoding="utf-8"))
    assert catalog.CatalogError.parse(error).to_json() == error


def test_the_official_version_document_is_read() -> None:
    doc = json.loads((DSP / "common/example/protocol-version.json").read_text(encoding="utf-8"))
    entries = parse_versions(doc)
    assert [entry.to_json() for entry in entries] == doc["protocolVersions"]
    assert choose_version(entries).path == "/different/path/2025-1"  # the one that says DCP


def test_did_service_entries_look_like_the_official_examples() -> None:
    data, whole = service_entries("did:web:bar.example.com", "https://bar.example.com/some/path")
    example = json.loads((DSP / "common/example/dataservice-did-service.json").read_text(encoding="utf-8"))
    assert {key: data[key] for key in ("type", "serviceEndpoint")} == {
        key: example[key] for key in ("type", "serviceEndpoint")
    }
    assert find_dsp_endpoints({"service": [example]}) == ("https://bar.example.com/some/path",)
    validator("common/did-service-schema.json").validate(whole)
    with pytest.raises(ValidationError):  # if this ends, the schema was mended: validate `data` as well
        validator("common/did-service-schema.json").validate(example)


@pytest.mark.parametrize("path", exchanges())
def test_what_edc_said_is_read(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    request, answer = record["request"]["body"], record["response"]["body"]
    if isinstance(answer, dict) and answer.get("reason") != ["Bad request."]:
        read(answer)
    if isinstance(request, dict) and answer and (isinstance(answer, str) or answer.get("reason") == ["Bad request."]):
        with pytest.raises(PeerError):  # what was malformed for EDC is malformed for us
            read(request)
    elif request is not None:
        read(request)


def read(body: dict[str, Any]) -> None:
    if "protocolVersions" in body:
        assert choose_version(parse_versions(body)).path == "/2025-1"
    else:
        READERS[body.get("@type", "CatalogRequestMessage")](body)


def test_edcs_pull_address_is_found_under_every_name() -> None:
    record = json.loads((TRANSCRIPT / "07-provider-TransferStartMessage-200.json").read_text(encoding="utf-8"))
    address = transfer_messages.TransferStartMessage.parse(record["request"]["body"]).data_address
    assert address is not None
    assert address.get("endpoint") == "http://127.0.0.1:19291/public"
    assert address.get("authType") == "bearer"
    assert (address.get("authorization") or "").count(".") == 2


def test_states_are_those_of_the_schemas() -> None:
    for name, states in (
        ("negotiation/contract-negotiation", NegotiationState),
        ("transfer/transfer-process", TransferState),
    ):
        schema = registry().contents(f"{DSPACE}{name}-schema.json")
        (body,) = schema["definitions"].values()
        assert set(body["properties"]["state"]["enum"]) == set(states)
    schema = registry().contents(f"{DSPACE}negotiation/contract-negotiation-event-message-schema.json")
    (body,) = schema["definitions"].values()
    assert tuple(body["properties"]["eventType"]["enum"]) == negotiation_messages.EVENT_TYPES


def test_namespaces_are_those_of_the_official_context() -> None:
    context = json.loads((DSP / "context/dspace.jsonld").read_text(encoding="utf-8"))["@context"]
    assert [context[prefix] for prefix in ("dspace", "dcat", "dct", "odrl")] == [DSPACE, DCAT, DCT, ODRL]
    assert [term(context[p] + "x") + term(f"{p}:x") for p in ("dspace", "dcat", "dct", "odrl")] == ["xx"] * 4
    assert CONTEXT == ["https://w3id.org/dspace/2025/1/context.jsonld"]
