"""Reading messages against the official artefacts: contexts, schemas, examples, and what two EDC connectors said.

The referee for meaning is the JSON-LD processor with the official context files: a message and what we read from it
must expand to the same. Our own contexts must expand every official document as the official ones do.
"""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft201909Validator
from pyld import jsonld
from pyld.context_resolver import ContextResolver
from referencing import Registry, Resource

from connector.protocol.errors import PeerError
from connector.semantics.contexts import (
    CONTEXTS,
    CX_ODRL_URL,
    CX_POLICY_URL,
    DSPACE_ODRL_URL,
    DSPACE_URL,
    EDC_DSPACE_URL,
    EDC_MANAGEMENT_2_URL,
    EDC_MANAGEMENT_URL,
    EDC_URL,
    ODRL_URL,
    TX_AUTH_URL,
)
from connector.semantics.jsonld import read_message

DATA = Path(__file__).parents[3] / "shared" / "data"
DSP, TRANSCRIPT = DATA / "dsp", DATA / "edc-0.14.1-transcript"
pytestmark = pytest.mark.skipif(not DSP.is_dir(), reason="the official artefacts (../shared/data) are not here")

OFFICIAL = {
    DSPACE_URL: "dsp/context/dspace.jsonld",
    DSPACE_ODRL_URL: "dsp/context/odrl.jsonld",
    EDC_DSPACE_URL: "contexts/dspace-edc-context-v1.jsonld",
    EDC_URL: "contexts/edc-v1.jsonld",
    EDC_MANAGEMENT_URL: "contexts/edc-v1.jsonld",
    EDC_MANAGEMENT_2_URL: "contexts/management-context-v2.jsonld",
    ODRL_URL: "contexts/odrl.jsonld",
    CX_ODRL_URL: "contexts/cx-odrl.jsonld",
    CX_POLICY_URL: "contexts/cx-policy-v1.jsonld",
    TX_AUTH_URL: "contexts/tx-auth-v1.jsonld",
}
CATENA_X = "cx-policy/context/context.jsonld"
INLINE = {
    "dspace": "https://w3id.org/dspace/2025/1/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "odrl": "http://www.w3.org/ns/odrl/2/",
}


@cache
def official(url: str) -> dict[str, Any]:
    """What an official file says. Catena-X's and Tractus-X's copies of one context are joined, without the slip."""
    context: dict[str, Any] = json.loads((DATA / OFFICIAL[url]).read_text(encoding="utf-8"))["@context"]
    if url == CX_POLICY_URL:
        context = {**json.loads((DATA / CATENA_X).read_text(encoding="utf-8"))["@context"], **context}
        del context["odrl"]
    return context


def options(contexts: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    def load(url: str, _options: object = None) -> dict[str, Any]:
        return {"contextUrl": None, "documentUrl": url, "document": {"@context": copy.deepcopy(contexts(url))}}

    return {"base": None, "documentLoader": load, "contextResolver": ContextResolver({}, load)}


def meaning(doc: object) -> list[Any]:
    """Expand a document with the official contexts."""
    nodes: list[Any] = jsonld.expand(doc, options(official))
    return nodes


def our_meaning(doc: object) -> list[Any]:
    """Expand a document with the bundled contexts."""
    nodes: list[Any] = jsonld.expand(doc, options(CONTEXTS.__getitem__))
    return nodes


def compact(doc: object) -> dict[str, Any]:
    """Compact with the official context, as another JSON-LD peer would."""
    compacted: dict[str, Any] = jsonld.compact(doc, [DSPACE_URL], options(official))
    return compacted


@cache
def validator(kind: str) -> Draft201909Validator | None:
    """The official schema of a message type. Three schemas point at `#definitions/...` without a slash: mended here."""
    resources = []
    for path in DSP.glob("*/*-schema.json"):
        text = path.read_text(encoding="utf-8").replace("#definitions/", "#/definitions/")
        resources.append(Resource.from_contents(json.loads(text)))
    registry: Registry[Any] = Registry().with_resources((resource.id() or "", resource) for resource in resources)
    name = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind).strip("-")
    for resource in resources:
        if (resource.id() or "").endswith(f"/{name}-schema.json"):
            return Draft201909Validator(resource.contents, registry=registry)
    return None


def example_files() -> list[Any]:
    files = sorted(DSP.glob("*/example/*.json"))
    return [pytest.param(path, id=path.stem) for path in files if "@type" in path.read_text(encoding="utf-8")]


def bodies() -> list[Any]:
    """Every body with a type in the 2025-1 transcript; EDC's `{}` and its HTML answer are no messages."""
    found = []
    for path in sorted(TRANSCRIPT.glob("*.json")) + sorted(TRANSCRIPT.glob("race-early-start/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for part in ("request", "response"):
            body = record[part]["body"]
            if isinstance(body, dict) and "@type" in body:
                race = "race-" if path.parent != TRANSCRIPT else ""
                found.append(pytest.param(body, id=f"{race}{path.stem}-{part}"))
    return found


def read(path: Path) -> dict[str, Any]:
    doc: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return doc


def test_there_is_something_to_read() -> None:
    assert len(example_files()) == 24
    assert len(bodies()) > 50


@pytest.mark.parametrize("path", example_files())
def test_official_examples_are_read_as_they_are(path: Path) -> None:
    assert read_message(read(path)) == read(path)


@pytest.mark.parametrize("path", example_files())
def test_official_examples_survive_the_full_processor(path: Path) -> None:
    doc = read(path)
    assert read_message({**doc, "@context": [*doc["@context"], {}]}) == doc


@pytest.mark.parametrize("path", example_files())
def test_official_examples_are_read_from_expanded_json_ld(path: Path) -> None:
    assert read_message(meaning(read(path))) == read(path)


@pytest.mark.parametrize("path", example_files())
def test_official_examples_are_read_from_what_a_processor_compacts(path: Path) -> None:
    assert read_message(compact(read(path))) == read(path)


@pytest.mark.parametrize("path", example_files())
def test_official_examples_are_read_from_prefixed_json_ld(path: Path) -> None:
    doc = jsonld.compact(meaning(read(path)), INLINE, {"base": None})
    assert any(":" in key for key in doc)
    assert read_message(doc) == read(path)


@pytest.mark.parametrize("path", example_files())
def test_what_we_read_from_examples_fulfils_the_schema(path: Path) -> None:
    doc = read_message(meaning(read(path)))
    schema = validator(doc["@type"])
    assert schema is not None
    schema.validate(doc)


@pytest.mark.parametrize("body", bodies())
def test_what_edc_said_keeps_its_meaning(body: dict[str, Any]) -> None:
    assert meaning(read_message(body)) == meaning(body)


@pytest.mark.parametrize("body", bodies())
def test_what_edc_said_means_the_same_under_our_context_alone(body: dict[str, Any]) -> None:
    full = read_message({**body, "@context": [*body["@context"], {}]})
    assert full["@context"] == [DSPACE_URL]
    if body["@type"] != "CatalogRequestMessage":  # its QuerySpec is defined by EDC's context only
        assert meaning(full) == meaning(body)


@pytest.mark.parametrize("body", bodies())
def test_both_ways_of_reading_agree(body: dict[str, Any]) -> None:
    plain, full = read_message(body), read_message({**body, "@context": [*body["@context"], {}]})
    assert known(plain) == known(full)


def known(value: object) -> object:
    """Leave out EDC's own properties of a dataset, which the two ways may spell differently, and the context."""
    if isinstance(value, list):
        return [known(item) for item in value]
    if isinstance(value, dict):
        rest = {k: v for k, v in value.items() if k not in {"@context", "id"}}
        return {k: known(v) for k, v in rest.items() if not k.startswith(("edc:", "https://w3id.org/edc/"))}
    return value


@pytest.mark.parametrize("body", bodies())
def test_what_edc_said_fulfils_the_schema_after_reading(body: dict[str, Any]) -> None:
    schema = validator(body["@type"])
    assert schema is not None
    assert schema.is_valid(read_message(body)) is not incomplete(body)


def incomplete(body: dict[str, Any]) -> bool:
    """EDC leaves out what the schemas require: rules of an offer without any, process ids of an error."""
    kind = body["@type"]
    asked_by_hand = body.keys() == {"@context", "@type"} and kind != "CatalogRequestMessage"
    without_rules = any("permission" not in policy for policy in policies(body))
    without_pids = kind in {"ContractNegotiationError", "TransferError"} and "providerPid" not in body
    return asked_by_hand or without_rules or without_pids


def policies(value: object) -> Iterator[dict[str, Any]]:
    """Every offer and agreement in a document."""
    if isinstance(value, dict) and value.get("@type") in {"Offer", "Agreement"}:
        yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from policies(part)


@pytest.mark.parametrize("dialect", ["dsp-0.8", "dsp-2024-1"])
def test_other_dialects_are_told_what_is_missing(dialect: str) -> None:
    files = sorted(TRANSCRIPT.glob(f"{dialect}/*.json"))
    assert files
    for path in files:
        with pytest.raises(PeerError) as caught:
            read_message(read(path)["request"]["body"])
        assert caught.value.status == 400


@pytest.mark.parametrize("path", example_files())
def test_our_contexts_mean_what_the_official_ones_mean(path: Path) -> None:
    assert our_meaning(read(path)) == meaning(read(path))


@pytest.mark.parametrize("body", bodies())
def test_our_contexts_read_edc_as_the_official_ones_do(body: dict[str, Any]) -> None:
    assert our_meaning(body) == meaning(body)


def policy_files() -> list[Any]:
    files = sorted((DATA / "cx-policy" / "samples").glob("*.json"))
    return [pytest.param(path, id=path.stem) for path in files]


@pytest.mark.parametrize("path", policy_files())
@pytest.mark.parametrize("profile", [CX_ODRL_URL, ODRL_URL])
def test_our_contexts_read_policies_as_the_official_ones_do(path: Path, profile: str) -> None:
    sample = {**read(path), "@context": [profile, CX_POLICY_URL]}
    assert our_meaning(sample) == meaning(sample)


REQUESTS: dict[str, dict[str, Any]] = {
    "Asset": {
        "properties": {"name": "n", "conformsTo": "https://example.org/spec", "dct:type": {"@id": "edc:x"}},
        "privateProperties": {"secret": 1},
        "dataAddress": {"@type": "DataAddress", "type": "HttpData", "baseUrl": "https://backend", "header:X": "1"},
    },
    "PolicyDefinition": {"policy": {"@type": "Set", "permission": [{"action": "use"}]}},
    "ContractDefinition": {
        "accessPolicyId": "a",
        "contractPolicyId": "c",
        "assetsSelector": [{"@type": "Criterion", "operandLeft": "id", "operator": "=", "operandRight": "x"}],
    },
    "QuerySpec": {"limit": 1, "offset": 2, "sortField": "id", "sortOrder": "ASC", "filterExpression": []},
    "ContractRequest": {
        "counterPartyAddress": "https://p/dsp",
        "protocol": "dataspace-protocol-http:2025-1",
        "policy": {"@type": "Offer", "@id": "o", "assigner": "p", "target": "t", "prohibition": []},
        "callbackAddresses": [
            {"@type": "CallbackAddress", "uri": "https://c", "events": ["x"], "transactional": False}
        ],
    },
    "TransferRequest": {
        "counterPartyAddress": "https://p/dsp",
        "contractId": "c",
        "protocol": "p",
        "transferType": "HttpData-PULL",
        "dataDestination": {"@type": "DataAddress", "type": "HttpProxy"},
        "privateProperties": {"a": "b"},
    },
    "TerminateTransfer": {"reason": "r"},
    "TerminateNegotiation": {"reason": "r"},
    "SuspendTransfer": {"reason": "r"},
}


@pytest.mark.parametrize("url", [EDC_MANAGEMENT_2_URL, EDC_MANAGEMENT_URL])
@pytest.mark.parametrize("kind", REQUESTS)
def test_our_management_contexts_mean_what_edcs_mean(kind: str, url: str) -> None:
    doc = {"@context": [url], "@type": kind, "@id": "urn:x", **REQUESTS[kind]}
    assert meaning(doc)
    assert our_meaning(doc) == meaning(doc)


def test_a_data_address_with_refresh_terms_means_the_same() -> None:
    doc = {"@context": [TX_AUTH_URL], "@id": "urn:x", "refreshToken": "t", "expiresIn": "300", "audience": "did:web:x"}
    assert our_meaning(doc) == meaning(doc)


def test_the_published_slips_are_still_there() -> None:
    """If one of these fails, its source was mended and our deviation can go."""
    assert official(ODRL_URL)["neq"] == "odrl:neg"
    assert official(EDC_MANAGEMENT_2_URL)["CatalogRequest"]["@id"] == "edc:DatasetRequest"
    assert json.loads((DATA / CATENA_X).read_text(encoding="utf-8"))["@context"]["odrl"].endswith("odrl.jsonld")


@pytest.mark.parametrize("url", [url for url in OFFICIAL if url not in {EDC_MANAGEMENT_2_URL, DSPACE_URL}])
def test_our_terms_have_the_official_iris(url: str) -> None:
    """Term by term, which the examples alone do not reach."""
    theirs = official(url)
    extra = {"neq"} if url == ODRL_URL else set()
    names = [n for n in CONTEXTS[url] if n in theirs and not n.startswith("@") and n not in extra]
    assert len(names) >= 5
    for name in names:
        as_member = {"@context": url, "@id": "urn:x", name: {"@id": "urn:y"}}
        as_type = {"@context": url, "@id": "urn:x", "@type": name, "urn:p": 1}
        for doc in (as_member, as_type):
            try:
                expected = meaning(doc)
            except jsonld.JsonLdError:  # `uid` and `type` are keywords and take no object
                assert CONTEXTS[url][name] == theirs[name]
            else:
                assert our_meaning(doc) == expected, name
