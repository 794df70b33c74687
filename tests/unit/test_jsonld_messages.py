"""Messages of peers in every JSON-LD spelling: plain, prefixed, wrapped, expanded, under inline contexts."""

import copy
import subprocess
import sys
from typing import Any

import pytest

from connector.protocol.errors import PeerError
from connector.protocol.vocabulary import CONTEXT, EDC, EDC_CONTEXT
from connector.semantics import contexts, expansion
from connector.semantics.contexts import CX_POLICY, CX_POLICY_URL, TX_POLICY_URL
from connector.semantics.expansion import Limits
from connector.semantics.jsonld import read_message

DSPACE, ODRL = "https://w3id.org/dspace/2025/1/", "http://www.w3.org/ns/odrl/2/"
INLINE = {"dspace": DSPACE, "odrl": ODRL, "dct": "http://purl.org/dc/terms/", "dcat": "http://www.w3.org/ns/dcat#"}
PLAIN: dict[str, Any] = {
    "@context": CONTEXT,
    "@id": "urn:uuid:1",
    "@type": "ContractRequestMessage",
    "consumerPid": "c-1",
    "callbackAddress": "https://consumer.example/dsp",
    "offer": {
        "@id": "offer-1",
        "@type": "Offer",
        "target": "asset-1",
        "assigner": "did:web:provider.example",
        "permission": [
            {
                "action": "use",
                "constraint": [
                    {"and": [{"leftOperand": "dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}]}
                ],
            }
        ],
    },
}
PREFIXED: dict[str, Any] = {
    "@id": "urn:uuid:1",
    "@type": "dspace:ContractRequestMessage",
    "dspace:consumerPid": {"@id": "c-1"},
    "dspace:callbackAddress": "https://consumer.example/dsp",
    "dspace:offer": {
        "@id": "offer-1",
        "@type": "odrl:Offer",
        "odrl:target": {"@id": "asset-1"},
        "odrl:assigner": {"@id": "did:web:provider.example"},
        "odrl:permission": {
            "odrl:action": {"@id": "odrl:use"},
            "odrl:constraint": {
                "odrl:and": {
                    "odrl:leftOperand": {"@id": "odrl:dateTime"},
                    "odrl:operator": {"@id": "odrl:lteq"},
                    "odrl:rightOperand": {"@value": "2027-01-01T00:00:00Z"},
                }
            },
        },
    },
}
DATE_TIME = f"{ODRL}dateTime"  # a left operand of ODRL, but not a term of the protocol's ODRL profile


def with_full_operand() -> dict[str, Any]:
    doc = copy.deepcopy(PLAIN)
    doc["offer"]["permission"][0]["constraint"][0]["and"][0]["leftOperand"] = DATE_TIME
    return doc


def no_processor(*_: object, **__: object) -> dict[str, Any]:
    raise AssertionError("the full processor ran")


def refused(doc: object, **limits: int) -> PeerError:
    with pytest.raises(PeerError) as caught:
        read_message(doc, limits=Limits(**limits))
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize("context", [CONTEXT, CONTEXT[0], [*CONTEXT, EDC_CONTEXT]], ids=["list", "string", "edc"])
def test_a_plain_message_comes_back_as_it_is(context: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.semantics.jsonld.expand", no_processor)
    doc = {**PLAIN, "@context": context}
    assert read_message(doc) == {**PLAIN, "@context": context if isinstance(context, list) else [context]}


def test_a_prefixed_message_under_known_contexts_needs_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.semantics.jsonld.expand", no_processor)
    assert read_message({**PREFIXED, "@context": CONTEXT}) == with_full_operand()


def test_a_prefixed_message_under_an_inline_context() -> None:
    assert read_message({**PREFIXED, "@context": INLINE}) == with_full_operand()


def test_an_inline_context_may_use_any_prefix() -> None:
    doc = {
        "@context": {"p": DSPACE, "pid": {"@id": "p:consumerPid", "@type": "@id"}, "to": "p:callbackAddress"},
        "@type": ["p:TransferRequestMessage"],
        "pid": "c-1",
        "to": "https://consumer.example/dsp",
        "p:agreementId": {"@id": "urn:agreement"},
    }
    assert read_message(doc) == {
        "@context": CONTEXT,
        "@type": "TransferRequestMessage",
        "consumerPid": "c-1",
        "callbackAddress": "https://consumer.example/dsp",
        "agreementId": "urn:agreement",
    }


def test_expanded_json_ld_without_any_context() -> None:
    doc = [{"@type": [f"{DSPACE}TransferCompletionMessage"], f"{DSPACE}consumerPid": [{"@id": "c-1"}]}]
    expected = {"@context": CONTEXT, "@type": "TransferCompletionMessage", "consumerPid": "c-1"}
    assert read_message(doc) == expected
    assert read_message(doc[0]) == expected


def test_bare_ids_and_formats_are_not_resolved_against_an_address() -> None:
    doc = {
        "@context": [*CONTEXT, {}],  # the empty inline context sends it through the full processor
        "@type": "TransferRequestMessage",
        "consumerPid": "6feea4f6-53b0-4663-853d-1154a164e2cd",
        "agreementId": "agreement 1",
        "format": "HttpData-PULL",
    }
    assert read_message(doc) == {**doc, "@context": CONTEXT}


def test_single_values_of_sets_become_lists() -> None:
    doc = {
        "@context": CONTEXT,
        "@type": "Catalog",
        "participantId": {"@id": "did:web:p"},
        "service": {"@id": "s-1", "@type": "DataService", "endpointURL": {"@value": "https://p/dsp"}},
        "dataset": {
            "@id": "a-1",
            "@type": "Dataset",
            "hasPolicy": {"@id": "o-1", "@type": "Offer", "permission": {"action": "use"}},
            "distribution": {"@type": "Distribution", "dct:format": {"@id": "HttpData-PULL"}, "accessService": "s-1"},
        },
    }
    assert read_message(doc) == {
        "@context": CONTEXT,
        "@type": "Catalog",
        "participantId": "did:web:p",
        "service": [{"@id": "s-1", "@type": "DataService", "endpointURL": "https://p/dsp"}],
        "dataset": [
            {
                "@id": "a-1",
                "@type": "Dataset",
                "hasPolicy": [{"@id": "o-1", "@type": "Offer", "permission": [{"action": "use"}]}],
                "distribution": [{"@type": "Distribution", "format": "HttpData-PULL", "accessService": "s-1"}],
            }
        ],
    }


def test_the_dataset_of_a_request_is_one_identifier() -> None:
    doc = {"@context": CONTEXT, "@type": "dspace:DatasetRequestMessage", "dspace:dataset": {"@id": "a-1"}}
    assert read_message(doc) == {"@context": CONTEXT, "@type": "DatasetRequestMessage", "dataset": "a-1"}


@pytest.mark.parametrize("spelling", ["ACCEPTED", "dspace:ACCEPTED", f"{DSPACE}ACCEPTED", {"@id": "dspace:ACCEPTED"}])
def test_events_are_bare_words(spelling: object) -> None:
    doc = {"@context": CONTEXT, "@type": "ContractNegotiationEventMessage", "eventType": spelling}
    assert read_message(doc)["eventType"] == "ACCEPTED"


@pytest.mark.parametrize(
    ("context", "written", "read"),
    [
        (CX_POLICY_URL, "FrameworkAgreement", f"{CX_POLICY}FrameworkAgreement"),
        (CX_POLICY_URL, "cx-policy:FrameworkAgreement", f"{CX_POLICY}FrameworkAgreement"),
        (TX_POLICY_URL, "FrameworkAgreement", "https://w3id.org/catenax/policy/FrameworkAgreement"),
        (EDC_CONTEXT, "inForceDate", f"{EDC}inForceDate"),
        (EDC_CONTEXT, "FrameworkAgreement", "FrameworkAgreement"),
    ],
)
def test_left_operands_mean_the_same_without_the_other_context(context: str, written: str, read: str) -> None:
    rule = {"action": "use", "constraint": [{"leftOperand": written, "operator": "eq", "rightOperand": "x"}]}
    doc = {"@context": [*CONTEXT, context], "@type": "ContractOfferMessage", "offer": {"permission": [rule]}}
    for variant in (doc, {**doc, "@context": [*CONTEXT, context, {}]}):
        assert read_message(variant)["offer"]["permission"][0]["constraint"][0]["leftOperand"] == read


@pytest.mark.parametrize("value", ["gold", 5, True, ["a", "b"], {"@value": "2027-01-01", "@type": "xsd:date"}])
def test_right_operands_stay_as_they_are(value: object) -> None:
    constraint = {"leftOperand": "spatial", "operator": "isAnyOf", "rightOperand": value}
    offer = {"@id": "o", "@type": "Offer", "permission": [{"action": "use", "constraint": [constraint]}]}
    doc = {"@context": CONTEXT, "@type": "ContractOfferMessage", "offer": offer}
    assert read_message(doc)["offer"]["permission"][0]["constraint"][0]["rightOperand"] == value


def test_right_operands_are_taken_out_of_their_wrappers() -> None:
    values = ({"@value": "x"}, {"@list": [{"@value": "x"}, "y"]}, {"@set": ["x", "y"]})
    rules = [{"action": "use", "constraint": [{"leftOperand": "l", "rightOperand": value}]} for value in values]
    doc = {"@context": CONTEXT, "@type": "ContractOfferMessage", "offer": {"permission": rules}}
    read = [rule["constraint"][0]["rightOperand"] for rule in read_message(doc)["offer"]["permission"]]
    assert read == ["x", ["x", "y"], ["x", "y"]]


def test_an_action_with_a_refinement_keeps_it() -> None:
    action = {"@id": "odrl:use", "odrl:refinement": {"x": 1}}
    doc = {"@context": CONTEXT, "@type": "ContractOfferMessage", "offer": {"permission": {"action": action}}}
    assert read_message(doc)["offer"]["permission"] == [{"action": {"@id": "use", "odrl:refinement": {"x": 1}}}]


def test_properties_of_a_dataset_stay_as_sent() -> None:
    extra = {"dct:type": {"@id": "https://w3id.org/catenax/taxonomy#Submodel"}, "edc:name": "n", "id": "a-1"}
    dataset = {"@id": "a-1", "@type": "Dataset", **extra}
    doc = {"@context": [*CONTEXT, EDC_CONTEXT], "@type": "Catalog", "dataset": [dataset]}
    assert read_message(doc) == doc


def test_edcs_query_is_bare_under_every_context() -> None:
    criterion = {"@type": "Criterion", "operandLeft": f"{EDC}id", "operator": "=", "operandRight": "a-1"}
    query = {"@type": "QuerySpec", "offset": 0, "limit": 50, "filterExpression": [criterion]}
    doc = {"@context": [*CONTEXT, EDC_CONTEXT], "@type": "CatalogRequestMessage", "filter": [query]}
    assert read_message(doc) == doc
    assert read_message({**doc, "@context": [*doc["@context"], {}]})["filter"] == [query]


def test_null_is_absent_and_empty_sets_stay() -> None:
    doc = {"@context": CONTEXT, "@type": "CatalogRequestMessage", "filter": [], "callbackAddress": None}
    assert read_message(doc) == {"@context": CONTEXT, "@type": "CatalogRequestMessage", "filter": []}


def test_further_types_do_not_hide_the_protocols() -> None:
    doc = {"@context": CONTEXT, "@type": ["ex:Audited", "dspace:TransferProcess"], "state": "STARTED"}
    assert read_message(doc)["@type"] == "TransferProcess"


def test_the_document_is_not_changed() -> None:
    doc = {**copy.deepcopy(PREFIXED), "@context": CONTEXT}
    before = copy.deepcopy(doc)
    read_message(doc)
    assert doc == before


@pytest.mark.parametrize("doc", [None, 1, "https://w3id.org/dspace/2025/1/context.jsonld", True])
def test_only_objects_are_messages(doc: object) -> None:
    assert "JSON object" in refused(doc).reason


@pytest.mark.parametrize("doc", [{"@type": "TransferProcess", "state": "STARTED"}, {"@context": EDC_CONTEXT, "a": 1}])
def test_without_the_protocols_context_nothing_has_a_meaning(doc: object) -> None:
    error = refused(doc)
    assert error.pointer == "/@context"


@pytest.mark.parametrize("doc", [{"@context": None}, {}, [], [1]])
def test_a_message_says_something(doc: object) -> None:
    refused(doc)


def test_several_objects_are_not_a_message() -> None:
    node = {"@type": [f"{DSPACE}TransferProcess"], f"{DSPACE}state": [{"@id": f"{DSPACE}STARTED"}]}
    assert "several" in refused([node, node]).reason


@pytest.mark.parametrize(
    ("context", "pointer"),
    [
        ("https://evil.example/c.jsonld", "/@context"),
        ([*CONTEXT, "https://evil.example/c.jsonld"], "/@context/1"),
        ([*CONTEXT, {"@import": "https://evil.example/c.jsonld"}], "/@context/1/@import"),
        ([*CONTEXT, {"x": {"@id": "dspace:x", "@context": "https://evil.example/c.jsonld"}}], "/@context/1/x/@context"),
    ],
)
def test_an_unknown_context_is_refused_by_name(context: object, pointer: str) -> None:
    error = refused({**PLAIN, "@context": context})
    assert "https://evil.example/c.jsonld" in error.reason
    assert error.pointer == pointer


def test_an_unknown_context_deep_inside_is_found() -> None:
    doc = {**PLAIN, "offer": {**PLAIN["offer"], "a/b": [{"@context": "https://evil.example/c.jsonld"}]}}
    assert refused(doc).pointer == "/offer/a~1b/0/@context"


def test_a_context_inside_the_message_is_honoured() -> None:
    doc = copy.deepcopy(PLAIN)
    doc["offer"]["@context"] = {"goods": "odrl:target"}
    doc["offer"]["goods"] = {"@id": doc["offer"].pop("target")}
    assert read_message(doc)["offer"]["target"] == "asset-1"


def test_two_spellings_of_one_member_are_refused() -> None:
    doc = {**PLAIN, "dspace:consumerPid": "c-2"}
    assert "consumerPid" in refused(doc).reason


@pytest.mark.parametrize("opening", ['{"a":', "["], ids=["objects", "lists"])
def test_deep_nesting_is_refused_before_anything_reads_it(opening: str) -> None:
    value: object = 1
    for _ in range(5_000):
        value = {"a": value} if opening.startswith("{") else [value]
    error = refused({**PLAIN, "x": value})
    assert "deeper than 64" in error.reason
    assert error.pointer.startswith("/x")


def test_depth_is_counted_exactly() -> None:
    doc = {"@context": CONTEXT, "@type": "TransferProcess", "x": [[1]]}  # the context's list is as deep as x
    assert read_message(doc, limits=Limits(depth=3)) == doc
    refused(doc, depth=2)


def test_the_full_processor_meets_no_huge_document() -> None:
    many = [{"@id": str(i)} for i in range(12_000)]
    plain = {"@context": CONTEXT, "@type": "Catalog", "dataset": many}
    assert len(read_message(plain)["dataset"]) == 12_000
    assert "10000 values" in refused({**plain, "@context": [*CONTEXT, {}]}).reason


@pytest.mark.parametrize("more", [[], [{}]], ids=["known", "inline"])
def test_a_pile_of_contexts_is_refused(more: list[Any]) -> None:
    assert "64 JSON-LD contexts" in refused({**PLAIN, "@context": [*CONTEXT * 100, *more]}).reason


@pytest.mark.parametrize(
    "context",
    [
        [*CONTEXT, {"@vocab": 1}],
        [*CONTEXT, {"ContractRequestMessage": "dspace:TransferProcess"}],  # a protected term
        [*CONTEXT, {"a": "b:c", "b": "a:c"}],
        [*CONTEXT, 5],
        {f"t{i}": f"t{i + 1}:x" for i in range(2_000)},  # a chain that ends nowhere
    ],
    ids=["vocab", "protected", "cycle", "number", "chain"],
)
def test_broken_contexts_are_the_peers_fault(context: object) -> None:
    error = refused({**PLAIN, "@context": context})
    assert "JSON-LD" in error.reason or "@context" in error.reason


def test_the_bundled_contexts_are_not_written_to() -> None:
    before = copy.deepcopy(dict(contexts.CONTEXTS))
    for url in (contexts.DSPACE_ODRL_URL, contexts.CX_ODRL_URL, contexts.EDC_DSPACE_URL):
        assert read_message({**PLAIN, "@context": [url, *CONTEXT, url, {}]})["offer"]["target"] == "asset-1"
    assert before == contexts.CONTEXTS


def test_the_full_processor_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, connector.semantics.jsonld, connector.semantics.management; sys.exit('pyld' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - fixed text


def test_the_limits_are_those_documented() -> None:
    assert Limits(depth=64, nodes=10_000, contexts=64) == expansion.LIMITS


@pytest.mark.parametrize("inner", [{"action": "odrl:use"}, [{"action": "odrl:use"}], [[{"action": "odrl:use"}]]])
def test_a_value_object_hides_no_rule(inner: object) -> None:
    """Only scalars are values; what was inside would have come out without its names being read."""
    message = read_message({**PLAIN, "offer": {**PLAIN["offer"], "obligation": {"@value": inner}}})
    assert message["offer"]["obligation"] == [{"@value": inner}]
    assert read_message(message) == message
