"""Catalog Protocol: filters, what a catalog shows, what of a peer's catalog is understood, and paging."""

from typing import Any

import pytest

from connector.protocol.catalog import (
    MAX_DEPTH,
    CatalogError,
    CatalogRequestMessage,
    catalog_json,
    dataset_json,
    link_header,
    offer_json,
    parse_links,
    read_catalog,
    read_dataset,
    root_dataset_json,
    semantic_id_in,
    service_json,
)
from connector.protocol.errors import Invalid, PeerError
from connector.protocol.reading import MAX_TEXT
from connector.protocol.vocabulary import CONTEXT, DCAT, DCT, EDC, EDC_CONTEXT, HTTP_PULL, HTTP_PUSH

SERVICE = service_json("s", "https://p.example/dsp/2025-1")
OFFER = {"@id": "o", "permission": [{"action": "use"}]}
QUERY = {"offset": 0, "limit": 50, "filterExpression": [{"operandLeft": "a", "operator": "=", "operandRight": "b"}]}


def dataset(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"offers": [OFFER], "formats": [HTTP_PULL], "service": SERVICE} | changes
    return dataset_json("d", **given)


def catalog(**members: object) -> dict[str, Any]:
    return {"@context": CONTEXT, "@id": "c", "@type": "Catalog", "participantId": "did:web:p.example", **members}


class TestCatalogRequestMessage:
    def test_a_member_that_is_null_is_as_good_as_absent(self) -> None:
        doc = {"@context": CONTEXT, "@type": "CatalogRequestMessage"}
        message = CatalogRequestMessage.parse({**doc, "filter": {"@type": "QuerySpec", "limit": 5, "sortOrder": None}})
        assert message.filter == {"limit": 5}

    @pytest.mark.parametrize("members", [{}, {"filter": []}, {"filter": None}, {"filter": {}}])
    def test_may_come_without_filter(self, members: dict[str, object]) -> None:
        assert CatalogRequestMessage.parse({"@type": "CatalogRequestMessage", **members}).filter is None

    @pytest.mark.parametrize("sent", [{"@type": "QuerySpec", **QUERY}, [{"@type": "QuerySpec", **QUERY}]])
    def test_takes_one_query_spec(self, sent: object) -> None:
        assert CatalogRequestMessage.parse({"@type": "CatalogRequestMessage", "filter": sent}).filter == QUERY

    def test_writes_the_context_that_defines_the_filters_terms(self) -> None:
        body = CatalogRequestMessage(filter=QUERY).to_json()
        assert body["@context"] == [*CONTEXT, EDC_CONTEXT]
        assert CatalogRequestMessage.parse(body).filter == QUERY
        assert CatalogRequestMessage().to_json() == {"@context": CONTEXT, "@type": "CatalogRequestMessage"}

    @pytest.mark.parametrize(
        ("filters", "pointer"),
        [
            (["name = x"], "/filter/0"),
            ([{"limit": 5}], "/filter/0/@type"),
            ({"@type": "Sparql"}, "/filter/@type"),
            ([{"@type": "QuerySpec", "range": 1}], "/filter/0/range"),
            ([{"@type": "QuerySpec"}, {"@type": "QuerySpec"}], "/filter/1"),
        ],
    )
    def test_a_filter_that_would_be_overlooked_is_refused(self, filters: object, pointer: str) -> None:
        with pytest.raises(PeerError) as fault:
            CatalogRequestMessage.parse({"@type": "CatalogRequestMessage", "filter": filters})
        assert (fault.value.status, fault.value.pointer) == (400, pointer)


def test_a_catalog_error_has_no_pids() -> None:
    body = CatalogError(code="404", reason=("Dataset none does not exist",)).to_json()
    assert body == {
        "@context": CONTEXT,
        "@type": "CatalogError",
        "code": "404",
        "reason": ["Dataset none does not exist"],
    }
    assert CatalogError.parse(body).code == "404"


class TestOffers:
    def test_a_catalogs_offer_has_no_target(self) -> None:
        assert offer_json({**OFFER, "target": "d"}) == {"@type": "Offer", **OFFER}

    def test_an_offer_without_rules_has_no_rule_members(self) -> None:
        bare = {"@id": "o", "@type": "Offer", "permission": [], "prohibition": [], "obligation": [], "profile": []}
        assert offer_json(bare) == {"@id": "o", "@type": "Offer", "profile": []}

    def test_an_offer_needs_an_id(self) -> None:
        with pytest.raises(Invalid, match="@id"):
            offer_json({"permission": []})


class TestDatasets:
    def test_each_format_is_a_distribution(self) -> None:
        shown = dataset(formats=[HTTP_PULL, HTTP_PUSH])
        assert [d["format"] for d in shown["distribution"]] == [HTTP_PULL, HTTP_PUSH]
        assert all(d["accessService"] == SERVICE and d["@type"] == "Distribution" for d in shown["distribution"])

    def test_properties_stand_under_full_iris(self) -> None:
        shown = dataset(properties={"name": "n", DCT + "type": {"@id": "t"}, "https://x.example/y": 1})
        assert shown[EDC + "name"] == "n"
        assert shown[DCT + "type"] == {"@id": "t"}
        assert shown["https://x.example/y"] == 1
        assert shown[EDC + "id"] == "d"

    def test_properties_cannot_change_what_the_dataset_says(self) -> None:
        evil = {"@id": "x", "@type": "y", DCAT + "distribution": [], "odrl:hasPolicy": [], EDC + "id": "x"}
        assert dataset(properties=evil) == dataset()

    @pytest.mark.parametrize("lack", [{"offers": []}, {"formats": []}])
    def test_without_offer_or_format_there_is_no_dataset(self, lack: dict[str, Any]) -> None:
        with pytest.raises(Invalid, match="cannot be in a catalog"):
            dataset(**lack)

    def test_offer_ids_are_unique(self) -> None:
        with pytest.raises(Invalid, match="same @id"):
            dataset(offers=[OFFER, OFFER])

    def test_a_dataset_alone_has_a_context(self) -> None:
        assert root_dataset_json(dataset()) == {"@context": CONTEXT, **dataset()}


class TestCatalogs:
    def test_an_empty_catalog_has_no_dataset_member(self) -> None:
        shown = catalog_json("c", participant_id="did:web:p.example", service=SERVICE, datasets=[])
        assert shown == catalog(service=[SERVICE])

    def test_a_catalog_is_read_back(self) -> None:
        shown = catalog_json("c", participant_id="did:web:p.example", service=SERVICE, datasets=[dataset()])
        view = read_catalog(shown)
        assert view.participant_id == "did:web:p.example"
        (only,) = view.datasets
        assert (only.id, only.formats) == ("d", (HTTP_PULL,))
        assert only.offers == ({"@type": "Offer", **OFFER},)
        assert only.properties == {EDC + "id": "d"}
        assert only.endpoint_url == "https://p.example/dsp/2025-1"


class TestReading:
    def test_single_objects_count_as_arrays(self) -> None:
        lone = {
            "@id": "d",
            "hasPolicy": OFFER,
            "distribution": {"format": {"@id": HTTP_PULL}, "accessService": SERVICE},
            "edc:name": "n",
        }
        (only,) = read_catalog(catalog(dataset=lone)).datasets
        assert (only.offers, only.formats, only.properties) == ((OFFER,), (HTTP_PULL,), {"edc:name": "n"})

    def test_a_dataset_may_be_all_but_empty(self) -> None:
        view = read_dataset({"@id": "d"})
        assert (view.offers, view.formats, view.endpoint_url) == ((), (), None)

    @pytest.mark.parametrize(
        ("properties", "expected"),
        [
            ({"aas-semantics:semanticId": {"@id": "urn:m"}}, "urn:m"),
            ({"https://admin-shell.io/aas/3/0/HasSemantics/semanticId": ["", "urn:m", "urn:n"]}, "urn:m"),
            ({"semanticId": "x" * (MAX_TEXT + 1)}, None),
            ({"semanticId": {"keys": []}}, None),
            ({"name": "semanticId"}, None),
        ],
    )
    def test_the_aspect_model_of_a_dataset_is_read_under_any_prefix(
        self, properties: dict[str, object], expected: str | None
    ) -> None:
        assert semantic_id_in(properties) == expected

    @pytest.mark.parametrize("access", ["s", {"@id": "s"}, [{"@id": "s"}]])
    def test_a_service_is_found_by_its_id(self, access: object) -> None:
        entry = {"@id": "d", "distribution": [{"format": "f", "accessService": access}]}
        services = [service_json("other", "https://other.example"), SERVICE]
        (only,) = read_catalog(catalog(dataset=[entry], service=services)).datasets
        assert only.endpoint_url == "https://p.example/dsp/2025-1"

    @pytest.mark.parametrize("access", ["unknown", None])
    def test_the_catalogs_service_stands_in_for_one_that_is_not_found(self, access: object) -> None:
        entry = {"@id": "d", "distribution": [{"format": "f", "accessService": access}]}
        (only,) = read_catalog(catalog(dataset=[entry], service=[SERVICE])).datasets
        assert only.endpoint_url == "https://p.example/dsp/2025-1"

    def test_nested_catalogs_are_read_with_the_nearest_service(self) -> None:
        inner = {"@id": "i", "@type": "Catalog", "service": [service_json("n", "https://n.example")]}
        outer = catalog(service=[SERVICE], dataset=[{"@id": "d"}], catalog=[{**inner, "dataset": [{"@id": "e"}]}])
        assert [(found.id, found.endpoint_url) for found in read_catalog(outer).datasets] == [
            ("d", "https://p.example/dsp/2025-1"),
            ("e", "https://n.example"),
        ]

    def test_catalogs_are_not_nested_without_end(self) -> None:
        doc: dict[str, Any] = {"dataset": [{"@id": "d"}]}
        for _ in range(MAX_DEPTH - 1):
            doc = {"catalog": [doc]}
        assert len(read_catalog(catalog(**doc)).datasets) == 1
        with pytest.raises(PeerError, match="deeper than 8") as fault:
            read_catalog(catalog(catalog=[doc]))
        assert fault.value.pointer == "/catalog/0" * MAX_DEPTH

    @pytest.mark.parametrize(
        ("members", "pointer"),
        [
            ({"participantId": None}, "/participantId"),
            ({"@type": "Dataset"}, "/@type"),
            ({"dataset": ["d"]}, "/dataset/0"),
            ({"dataset": [{}]}, "/dataset/0/@id"),
            ({"dataset": {"@id": 7}}, "/dataset/@id"),
            ({"dataset": [{"@id": "d", "hasPolicy": [{}]}]}, "/dataset/0/hasPolicy/0/@id"),
            ({"dataset": [{"@id": "d", "distribution": [{}]}]}, "/dataset/0/distribution/0/format"),
            ({"service": [{"@id": "s"}]}, "/service/0/endpointURL"),
            (
                {"dataset": [{"@id": "d", "distribution": {"format": "f", "accessService": 7}}]},
                "/dataset/0/distribution/accessService",
            ),
            ({"catalog": [{"dataset": [{}]}]}, "/catalog/0/dataset/0/@id"),
        ],
    )
    def test_what_cannot_be_understood_is_named(self, members: dict[str, object], pointer: str) -> None:
        with pytest.raises(PeerError) as fault:
            read_catalog(catalog(**members))
        assert (fault.value.status, fault.value.pointer) == (400, pointer)


class TestLinks:
    def test_the_page_before_has_both_names(self) -> None:
        header = link_header(next_url="https://p/c?2", previous_url="https://p/c?0")
        assert header == '<https://p/c?2>; rel="next", <https://p/c?0>; rel="previous", <https://p/c?0>; rel="prev"'
        assert parse_links([header]) == {"next": "https://p/c?2", "previous": "https://p/c?0"}

    def test_a_page_alone_has_no_header(self) -> None:
        assert link_header() is None

    @pytest.mark.parametrize("url", ["https://p/\r\nX: y", "https://p/>; rel=x", 'https://p/"', "https://p/ü"])
    def test_a_url_cannot_break_out(self, url: str) -> None:
        with pytest.raises(Invalid, match="percent-encoded"):
            link_header(next_url=url)

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([], {}),
            (["<u>; rel=next"], {"next": "u"}),
            (['<u> ; title="a, b" ; REL = next'], {"next": "u"}),
            (['<u>; title="; rel=prev, \\"<x>"; rel="next"'], {"next": "u"}),
            (['<a,b>;rel="next prev"'], {"next": "a,b", "previous": "a,b"}),
            (["<a>; rel=next", "<b>; rel=prev"], {"next": "a", "previous": "b"}),
            (["<a>; rel=next, <b>; rel=next"], {"next": "a"}),
            (["<a>; crossorigin; rel=NEXT"], {"next": "a"}),
            (["<a>", "<a>; rel", '<a>; title="x"', "garbage"], {}),
        ],
    )
    def test_headers_may_be_repeated_or_hold_lists(self, values: list[str], expected: dict[str, str]) -> None:
        assert parse_links(values) == expected
