"""What names mean under the contexts that clients write, without the full processor."""

import pytest

from connector.protocol.vocabulary import DCT, EDC, ODRL
from connector.semantics.contexts import CONTEXTS, CX_POLICY, CX_POLICY_URL, EDC_URL, ODRL_URL, TX_POLICY_URL
from connector.semantics.scope import Scope, Term, UnreadContextError


@pytest.mark.parametrize(
    ("context", "name", "iri"),
    [
        ({}, "name", f"{EDC}name"),
        ({}, "dct:type", f"{DCT}type"),
        ({"dct": "https://purl.org/dc/terms/"}, "dct:type", "https://purl.org/dc/terms/type"),
        ({}, "header:X-Api-Key", "header:X-Api-Key"),
        ({}, "https://example.org/a", "https://example.org/a"),
        ({"https": "urn:no"}, "https://example.org/a", "https://example.org/a"),
        ({}, "@id", "@id"),
        ({"type": "@type"}, "type", "@type"),
        ({"@vocab": "https://example.org/"}, "name", "https://example.org/name"),
        ({"@vocab": "odrl:"}, "name", f"{ODRL}name"),
        ({"name": "dct:title"}, "name", f"{DCT}title"),
        ({"t": "dct", "dct": DCT}, "t:type", f"{DCT}type"),
        ({"p": {"@id": "https://example.org/"}}, "p:a", "p:a"),
        ({"p": {"@id": "https://example.org/", "@prefix": True}}, "p:a", "https://example.org/a"),
        ({"p": "https://example.org"}, "p:a", "p:a"),
        ({"a": "b:c", "b": "https://example.org/"}, "a", "https://example.org/c"),
        ({"a": "b:c", "b": "https://example.org"}, "a", "b:c"),
        ({"dct:type": {"@type": "@id"}}, "dct:type", f"{DCT}type"),
        ({"name": "name"}, "name", f"{EDC}name"),
        ({"name": {"@container": ["@set"]}}, "name", f"{EDC}name"),
        ([{"a": "urn:x:"}, {"b": "a:y"}], "b", "urn:x:y"),
        ([{"a": "urn:x"}, None], "a", f"{EDC}a"),
        (ODRL_URL, "uid", "@id"),
        (ODRL_URL, "permission", f"{ODRL}permission"),
        ([CX_POLICY_URL], "Membership", f"{CX_POLICY}Membership"),
        ([CX_POLICY_URL, TX_POLICY_URL], "Membership", "https://w3id.org/catenax/policy/Membership"),
        (EDC_URL, "anything", f"{EDC}anything"),
    ],
)
def test_a_name_under_a_context(context: object, name: str, iri: str) -> None:
    assert Scope().within(context).key(name) == iri


def test_a_term_may_turn_strings_into_references() -> None:
    scope = Scope().within({"assigner": {"@id": "odrl:assigner", "@type": "@id"}})
    assert scope.terms["assigner"] == Term(f"{ODRL}assigner", "@id")
    assert scope.inline == {"assigner"}


def test_terms_of_a_later_published_context_are_not_the_documents_own() -> None:
    assert not Scope().within([{"permission": "urn:x"}, ODRL_URL]).inline


@pytest.mark.parametrize(
    "context",
    [
        {"@base": "https://example.org/"},
        {"@import": CX_POLICY_URL},
        {"@language": "de"},
        {"@vocab": None},
        {"@vocab": "relative"},
        {"a": None},
        {"a": 1},
        {"a": {"@reverse": "dct:hasPart"}},
        {"a": {"@id": "dct:a", "@container": "@list"}},
        {"a": {"@id": "dct:a", "@type": "@json"}},
        {"a": {"@id": "dct:a", "@context": {"b": "dct:b"}}},
        {"a": {"@id": None}},
        {"a": "b:x", "b": "a:x"},
        {f"t{i}": f"t{i + 1}:x" for i in range(100)},
        1,
        [["nested"]],
    ],
)
def test_what_goes_beyond_is_left_to_the_full_processor(context: object) -> None:
    with pytest.raises(UnreadContextError):
        Scope().within(context)


@pytest.mark.parametrize("url", CONTEXTS)
def test_every_bundled_context_can_be_read(url: str) -> None:
    assert Scope().within(url).terms
