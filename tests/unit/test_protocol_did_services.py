"""DID service entries: how a participant's identity leads to its connector."""

import pytest

from connector.protocol.did_services import DID_CONTEXT, find_dsp_endpoints, service_entries

DID = "did:web:p.example"


def test_the_did_document_names_versions_and_catalog() -> None:
    assert service_entries(DID, "https://p.example/dsp/") == [
        {
            "id": "did:web:p.example#dsp",
            "type": "DataService",
            "serviceEndpoint": "https://p.example/dsp/.well-known/dspace-version",
        },
        {
            "id": "did:web:p.example#catalog",
            "type": "CatalogService",
            "serviceEndpoint": "https://p.example/dsp/2025-1/catalog",
        },
    ]
    assert DID_CONTEXT == ["https://w3id.org/dspace/2025/1/context.jsonld", "https://www.w3.org/ns/did/v1"]


def test_what_we_publish_is_found() -> None:
    assert find_dsp_endpoints({"service": service_entries(DID, "https://p.example/dsp")}) == ("https://p.example/dsp",)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://p.example/dsp",
        "https://p.example/dsp/.well-known/dspace-version",
        ["https://p.example/dsp/", "https://p.example/dsp/.well-known/dspace-version"],
        {"uri": "https://p.example/dsp"},
    ],
)
@pytest.mark.parametrize("kind", ["DataService", ["LinkedDomains", "DataService"]])
def test_every_form_of_an_entry_leads_to_the_root_once(kind: object, endpoint: object) -> None:
    document = {"service": [{"id": "#s", "type": kind, "serviceEndpoint": endpoint}]}
    assert find_dsp_endpoints(document) == ("https://p.example/dsp",)


def test_several_connectors_are_found_in_order() -> None:
    entries = [{"type": "DataService", "serviceEndpoint": f"https://p.example/{name}"} for name in ("b", "a", "b")]
    assert find_dsp_endpoints({"service": entries}) == ("https://p.example/b", "https://p.example/a")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"service": "x"},
        {"service": [{"type": "CredentialService", "serviceEndpoint": "https://p.example"}]},
        {"service": [{"type": "DataService"}]},
        {"service": [{"type": "DataService", "serviceEndpoint": ["ftp://p.example", 7, {"url": "x"}, "https://p\n"]}]},
    ],
)
def test_what_is_not_ours_is_passed_over(document: object) -> None:
    assert find_dsp_endpoints(document) == ()
