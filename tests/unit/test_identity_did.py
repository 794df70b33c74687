import json
from typing import Any

import pytest

from connector.identity.did import (
    MAX_METHODS,
    did_document,
    did_document_path,
    did_of_url,
    did_web_url,
    parse_did_document,
)
from connector.identity.keys import SigningKey
from connector.protocol.did_services import DID_CONTEXT, find_dsp_endpoints, service_entries
from connector.protocol.errors import Invalid, PeerError

DID = "did:web:consumer.example"
KEY = SigningKey.generate(DID)
OLD = SigningKey.generate(DID)


@pytest.mark.parametrize(
    ("did", "url"),
    [
        ("did:web:example.com", "https://example.com/.well-known/did.json"),
        ("did:web:localhost%3A8080", "https://localhost:8080/.well-known/did.json"),
        ("did:web:localhost%3a8080", "https://localhost:8080/.well-known/did.json"),
        ("did:web:example.com:user:alice", "https://example.com/user/alice/did.json"),
        ("did:web:example.com%3A8443:a%20b", "https://example.com:8443/a%20b/did.json"),
        ("did:web:127.0.0.1%3A8080:BPNL000000000001", "https://127.0.0.1:8080/BPNL000000000001/did.json"),
    ],
)
def test_a_did_web_says_where_its_document_lies(did: str, url: str) -> None:
    assert did_web_url(did) == url
    assert did_web_url(did, allow_http=True) == url.replace("https", "http", 1)
    assert did_document_path(did) == "/" + url.split("/", 3)[3]


@pytest.mark.parametrize(
    "did",
    [
        "",
        "did:web:",
        "did:key:z6Mk",
        "DID:web:example.com",
        "did:web:example.com:",
        "did:web:example.com::a",
        "did:web:example.com#key",
        "did:web:example.com?x=1",
        "did:web:example.com/path",
        "did:web:user@example.com",
        "did:web:user%40example.com",
        "did:web:example.com%3A",
        "did:web:example.com%3A0",
        "did:web:example.com%3A65536",
        "did:web:example.com%2Fpath",
        "did:web:a..b",
        "did:web:-example.com",
        "did:web:[::1]",
        "did:web:exämple.com",
        "did:web:example.com:..",
        "did:web:example.com:.",
        "did:web:example.com:%2e%2E",
        "did:web:example.com:a%2Fb",
        "did:web:example.com:a%5Cb",
        "did:web:example.com:a%0Ab",
        "did:web:example.com:a%00",
        "did:web:example.com:a%zz",
        "did:web:example.com\n",
        "did:web:" + "a" * 3000,
    ],
)
def test_what_is_no_did_web_is_refused(did: str) -> None:
    with pytest.raises(PeerError) as refusal:
        did_web_url(did)
    assert refusal.value.status == 401
    with pytest.raises(Invalid):
        did_document_path(did)


@pytest.mark.parametrize(
    ("url", "did"),
    [
        ("https://Example.com", "did:web:example.com"),
        ("https://example.com:443/", "did:web:example.com"),
        ("http://localhost:8080", "did:web:localhost%3A8080"),
        ("https://example.com/a/b/", "did:web:example.com:a:b"),
        ("https://example.com/.well-known/did.json", "did:web:example.com"),
        ("https://example.com/a/did.json", "did:web:example.com:a"),
    ],
)
def test_an_address_has_a_did(url: str, did: str) -> None:
    assert did_of_url(url) == did


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https://[::1]/",
        "https://[broken",
        "https://example.com:99999",
        "https://u:p@example.com",
        "https://example.com/?q",
        "https://example.com/#f",
        "https://example.com/a//b",
        "https://example.com/../b",
        "https://example.com/a:b",
    ],
)
def test_an_address_that_no_did_web_can_say_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        did_of_url(url)


def test_our_document_is_what_every_party_accepts() -> None:
    services = service_entries(DID, "https://consumer.example/dsp")
    doc = did_document(DID, [KEY, OLD], services)
    assert doc["id"] == DID
    assert set(DID_CONTEXT) <= set(doc["@context"])
    assert doc["verificationMethod"][0] == {
        "id": KEY.kid,
        "type": "JsonWebKey2020",
        "controller": DID,
        "publicKeyJwk": KEY.public_jwk(),
    }
    for relationship in ("authentication", "assertionMethod", "capabilityInvocation"):
        assert doc[relationship] == [KEY.kid, OLD.kid]
    assert doc["service"][0] == {
        "id": f"{DID}#dsp",
        "type": "DataService",
        "serviceEndpoint": "https://consumer.example/dsp/.well-known/dspace-version",
    }
    assert doc["service"][1]["type"] == "CatalogService"
    assert "d" not in doc["verificationMethod"][0]["publicKeyJwk"]


def test_our_document_can_be_read_back() -> None:
    doc = json.loads(json.dumps(did_document(DID, [KEY, OLD], service_entries(DID, "https://consumer.example/dsp"))))
    parsed = parse_did_document(doc, DID)
    assert set(parsed.methods) == {KEY.kid, OLD.kid}
    assert parsed.relationships["capabilityInvocation"] == {KEY.kid, OLD.kid}
    assert find_dsp_endpoints(parsed.json) == ("https://consumer.example/dsp",)


def method(identifier: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "type": "JsonWebKey2020",
        "controller": DID,
        "publicKeyJwk": KEY.public_jwk(),
        **changes,
    }


def test_methods_may_be_relative_embedded_or_both() -> None:
    doc = {
        "id": DID,
        "verificationMethod": [method("#key-1", type="JsonWebKey")],
        "capabilityInvocation": ["#key-1", method(f"{DID}#key-2")],
        "authentication": [method("#key-2", id=f"{DID}#key-2")],
    }
    parsed = parse_did_document(doc, DID)
    assert set(parsed.methods) == {f"{DID}#key-1", f"{DID}#key-2"}
    assert parsed.relationships == {
        "capabilityInvocation": {f"{DID}#key-1", f"{DID}#key-2"},
        "authentication": {f"{DID}#key-2"},
    }


def test_a_key_of_an_unknown_kind_does_not_hide_the_others() -> None:
    multikey = {"id": "#mk", "type": "Multikey", "controller": DID, "publicKeyMultibase": "z6Mk"}
    parsed = parse_did_document({"id": DID, "verificationMethod": [multikey, method("#key-1")]}, DID)
    assert parsed.methods[f"{DID}#mk"] is None
    assert parsed.methods[f"{DID}#key-1"] is not None


def test_methods_of_others_are_left_out() -> None:
    foreign = [method("did:web:other.example#key-1"), method("#key-1", controller="did:web:other.example")]
    assert parse_did_document({"id": DID, "verificationMethod": foreign}, DID).methods == {}


@pytest.mark.parametrize(
    ("doc", "place"),
    [
        ([], ""),
        ({}, "/id"),
        ({"id": "did:web:other.example"}, "/id"),
        ({"id": [DID]}, "/id"),
        ({"id": DID, "verificationMethod": {}}, "/verificationMethod"),
        ({"id": DID, "verificationMethod": ["#key-1"]}, "/verificationMethod/0"),
        ({"id": DID, "verificationMethod": [{}]}, "/verificationMethod/0"),
        ({"id": DID, "verificationMethod": [method("")]}, "/verificationMethod/0"),
        (
            {"id": DID, "verificationMethod": [method("#a"), method(f"{DID}#a", publicKeyJwk=OLD.public_jwk())]},
            "/verificationMethod/1/id",
        ),
        ({"id": DID, "verificationMethod": [method("#a")] * (MAX_METHODS + 1)}, "/verificationMethod"),
        ({"id": DID, "capabilityInvocation": "#key-1"}, "/capabilityInvocation"),
        ({"id": DID, "capabilityInvocation": [5]}, "/capabilityInvocation/0"),
        ({"id": DID, "assertionMethod": [{}]}, "/assertionMethod/0"),
    ],
)
def test_a_document_at_odds_with_itself_is_refused_with_the_place(doc: object, place: str) -> None:
    with pytest.raises(PeerError) as refusal:
        parse_did_document(doc, DID)
    assert (refusal.value.status, refusal.value.pointer) == (401, place)
