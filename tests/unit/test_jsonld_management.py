"""Bodies of management requests as real clients send them, and assets as they come back."""

from typing import Any

import pytest

from connector.policy.parse import parse_policy
from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import CONTEXT, DCT, EDC, ODRL, TX
from connector.protocol.vocabulary import EDC_CONTEXT as EDC_DSPACE
from connector.semantics.contexts import (
    CX_ODRL_URL,
    CX_POLICY,
    CX_POLICY_LEGACY,
    CX_POLICY_URL,
    DSPACE_ODRL_URL,
    EDC_MANAGEMENT_2_URL,
    EDC_MANAGEMENT_URL,
    ODRL_URL,
    TX_POLICY_URL,
)
from connector.semantics.expansion import Limits
from connector.semantics.management import EDC_CONTEXT, compact_properties, read_document

VOCAB = {"@vocab": EDC}
COMMON, TAXONOMY = "https://w3id.org/catenax/ontology/common#", "https://w3id.org/catenax/taxonomy#"
SEMANTIC_ID = "https://admin-shell.io/aas/3/0/HasSemantics/semanticId"
SDK_CONTEXT = {
    "edc": EDC,
    "cx-common": COMMON,
    "cx-taxo": TAXONOMY,
    "dct": DCT,
    "aas-semantics": "https://admin-shell.io/aas/3/0/HasSemantics/",
}
SDK_ASSET: dict[str, Any] = {
    "@context": SDK_CONTEXT,
    "@type": "Asset",
    "@id": "ichub:asset:dtr:abc",
    "properties": {
        "dct:type": {"@id": "cx-taxo:SubmodelBundle"},
        "dct:subject": "cx-taxo:ReadAccess",
        "cx-common:version": "3.0",
        "aas-semantics:semanticId": {"@id": "urn:samm:io.catenax.battery.battery_pass:6.0.0#BatteryPass"},
    },
    "privateProperties": None,
    "dataAddress": {
        "@type": "DataAddress",
        "type": "HttpData",
        "baseUrl": "https://backend.example/api",
        "proxyPath": "true",
        "header:X-Api-Key": "secret",
        "edc:oauth2:tokenUrl": "https://idp.example/token",
    },
}
EDC_CLIENT_ASSET: dict[str, Any] = {
    "@context": VOCAB,
    "@id": "asset-1",
    "properties": {"name": "product", "contenttype": "application/json"},
    "dataAddress": {"type": "HttpData", "name": "t", "baseUrl": "https://backend", "proxyPath": "true", "authKey": "k"},
}
IC_HUB_ASSET: dict[str, Any] = {
    **SDK_ASSET,
    "privateProperties": {"owner": "me", "cx-common:internal": {"level": 2, "@type": "Note"}},
    "properties": {
        "dct:type": {"@id": f"{TAXONOMY}DigitalTwinRegistry"},
        "cx-common:version": "3.0",
        "asset:prop:type": "data.core.digitalTwinRegistry",
    },
}
BRUNO_ASSET: dict[str, Any] = {
    "@context": {**SDK_CONTEXT, **VOCAB},
    "@id": "urn:uuid:1",
    "properties": {"dct:type": {"@id": "cx-taxo:Submodel"}, "description": {"@value": "text", "@language": "en"}},
    "dataAddress": {"@type": "DataAddress", "type": "HttpData", "baseUrl": "https://backend"},
}
XSD_DATE = "http://www.w3.org/2001/XMLSchema#date"
CONSTRAINT = {"leftOperand": "FrameworkAgreement", "operator": "eq", "rightOperand": "DataExchangeGovernance:1.0"}


def answer(asset: dict[str, Any]) -> dict[str, Any]:
    """What a management view answers for an asset in plain form."""
    return {
        "@context": EDC_CONTEXT,
        "@type": "Asset",
        "@id": asset["@id"],
        "properties": compact_properties(asset["properties"], asset["@id"]),
        "privateProperties": compact_properties(asset.get("privateProperties", {})),
        "dataAddress": asset["dataAddress"],
    }


def policy(context: object, body: dict[str, Any]) -> object:
    return read_document({"@context": context, "@id": "p", "policy": body})["policy"]


def no_processor(*_: object, **__: object) -> dict[str, Any]:
    raise AssertionError("the full processor ran")


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.semantics.management.expand", no_processor)


# contexts of the envelope


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize(
    "context",
    [
        VOCAB,
        {"edc": EDC},
        {},
        None,
        [],
        {"edc": EDC, "odrl": ODRL, "dct": "https://purl.org/dc/terms/"},
        EDC_MANAGEMENT_URL,
        [EDC_MANAGEMENT_2_URL],
        [TX_POLICY_URL, ODRL_URL, VOCAB],
        [CX_ODRL_URL, CX_POLICY_URL, VOCAB],
        [*CONTEXT, EDC_DSPACE],
        [DSPACE_ODRL_URL, CX_POLICY_URL],
        {"assigner": {"@type": "@id", "@id": "odrl:assigner"}, "odrl": ODRL},
    ],
)
def test_a_catalog_request_reads_the_same_under_every_context(context: object) -> None:
    criterion = {"@type": "CriterionDto", "operandLeft": f"{EDC}id", "operator": "=", "operandRight": "a-1"}
    request = {
        "@type": "CatalogRequest",
        "counterPartyAddress": "https://provider/dsp",
        "counterPartyId": "BPNL1",
        "protocol": "dataspace-protocol-http:2025-1",
        "additionalScopes": [],
        "querySpec": {"@type": "QuerySpec", "filterExpression": [criterion]},
    }
    assert read_document({"@context": context, **request}) == request


@pytest.mark.usefixtures("by_hand")
def test_the_context_may_be_absent_and_the_body_too() -> None:
    assert read_document({"state": "STARTED"}) == {"state": "STARTED"}
    assert read_document(None) == {}
    assert read_document({}) == {}


@pytest.mark.usefixtures("by_hand")
def test_members_may_be_prefixed_or_full() -> None:
    doc = {
        "@context": {"edc": EDC, "tx": TX, "other": "https://example.org/"},
        "@type": "tx:ConnectorParamsDiscoveryRequest",
        "tx:bpnl": "BPNL1",
        "edc:counterPartyAddress": "https://p/dsp",
        f"{EDC}counterPartyId": {"@value": "did:web:p"},
        "other:member": 1,
    }
    assert read_document(doc) == {
        "@type": "ConnectorParamsDiscoveryRequest",
        "bpnl": "BPNL1",
        "counterPartyAddress": "https://p/dsp",
        "counterPartyId": "did:web:p",
        "https://example.org/member": 1,
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("edc:CatalogRequest", "CatalogRequest"),
        ("odrl:ContractRequest", "ContractRequest"),
        (f"{EDC}TransferRequest", "TransferRequest"),
        ("TransferRequestDto", "TransferRequestDto"),
        (["Asset"], "Asset"),
        ("urn:uuid:asset-by-mistake", "urn:uuid:asset-by-mistake"),
    ],
)
def test_types_are_bare_and_never_refused(written: object, read: str) -> None:
    assert read_document({"@context": {"edc": EDC, "odrl": ODRL}, "@type": written}) == {"@type": read}


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("nothing", [None, [], {}])
def test_optional_members_may_be_nothing(nothing: object) -> None:
    doc = {
        "querySpec": nothing,
        "callbackAddresses": nothing,
        "additionalScopes": nothing,
        "privateProperties": nothing,
    }
    read = read_document({"@context": VOCAB, **doc})
    assert not any(read.values())
    assert set(read) <= set(doc)


@pytest.mark.usefixtures("by_hand")
def test_one_object_stands_for_a_list_of_one() -> None:
    criterion = {"operandLeft": "id", "operator": "=", "operandRight": "a"}
    read = read_document(
        {
            "assetsSelector": criterion,
            "querySpec": {"@context": VOCAB, "filterExpression": criterion},
            "callbackAddresses": {"uri": "https://c", "events": "transfer.process.started", "transactional": False},
            "additionalScopes": "scope",
        }
    )
    assert read == {
        "assetsSelector": [criterion],
        "querySpec": {"filterExpression": [criterion]},
        "callbackAddresses": [{"uri": "https://c", "events": ["transfer.process.started"], "transactional": False}],
        "additionalScopes": ["scope"],
    }


@pytest.mark.usefixtures("by_hand")
def test_operands_may_be_value_objects_and_lists() -> None:
    criterion = {"operandLeft": {"@value": "id"}, "operator": {"@value": "in"}, "operandRight": ["a", {"@value": "b"}]}
    assert read_document({"assetsSelector": [criterion]}) == {
        "assetsSelector": [{"operandLeft": "id", "operator": "in", "operandRight": ["a", "b"]}]
    }
    assert read_document({"operandRight": {"@list": ["a", "b"]}}) == {"operandRight": ["a", "b"]}


def test_another_vocabulary_is_another_meaning() -> None:
    read = read_document({"@context": {"@vocab": "https://example.org/", "edc": EDC}, "assetId": 1, "edc:state": "x"})
    assert read == {"https://example.org/assetId": 1, "state": "x"}


def test_two_spellings_of_one_member_are_refused() -> None:
    with pytest.raises(Invalid, match="policy is there twice"):
        read_document({"policy": {"permission": []}, "edc:policy": {}})
    with pytest.raises(Invalid, match="prohibition is there twice"):
        read_document({"policy": {"prohibition": [], "odrl:prohibition": []}})


# properties


@pytest.mark.usefixtures("by_hand")
def test_property_keys_and_references_are_expanded() -> None:
    assert read_document(SDK_ASSET)["properties"] == {
        f"{DCT}type": {"@id": f"{TAXONOMY}SubmodelBundle"},
        f"{DCT}subject": "cx-taxo:ReadAccess",
        f"{COMMON}version": "3.0",
        SEMANTIC_ID: {"@id": "urn:samm:io.catenax.battery.battery_pass:6.0.0#BatteryPass"},
    }


@pytest.mark.usefixtures("by_hand")
def test_bare_property_keys_are_edcs() -> None:
    assert read_document(EDC_CLIENT_ASSET)["properties"] == {
        f"{EDC}name": "product",
        f"{EDC}contenttype": "application/json",
    }


@pytest.mark.parametrize("extra", [{}, {"unused": {"@reverse": "dct:isPartOf"}}], ids=["by hand", "full processor"])
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("text", "text"),
        (5, 5),
        (1.5, 1.5),
        (False, False),
        ("", ""),
        ({"@value": "text"}, "text"),
        ({"@value": "text", "@type": "xsd:string"}, "text"),
        ({"@value": "2027-01-01", "@type": "xsd:date"}, {"@value": "2027-01-01", "@type": XSD_DATE}),
        ({"@value": "Text", "@language": "de"}, {"@value": "Text", "@language": "de"}),
        (["a", "b"], ["a", "b"]),
        (["a"], "a"),
        ([], []),
        (["a", None, {"@value": "b"}], ["a", "b"]),
        ({"@set": ["a", "b"]}, ["a", "b"]),
        ({"@list": ["a", {"@value": "b"}]}, {"@list": ["a", "b"]}),
        ({"@id": "dct:x"}, {"@id": f"{DCT}x"}),
        ({"@id": "relative"}, {"@id": "relative"}),
        ({"a": {"dct:b": [1, 2]}}, {f"{EDC}a": {f"{DCT}b": [1, 2]}}),
        ({"@type": "Note", "@id": "urn:n", "x": None}, {"@type": f"{EDC}Note", "@id": "urn:n"}),
        ({"@type": ["Note", "dct:Text"]}, {"@type": [f"{EDC}Note", f"{DCT}Text"]}),
    ],
)
def test_values_are_simplified_json_ld(written: object, read: object, extra: dict[str, Any]) -> None:
    context = {"dct": DCT, "xsd": "http://www.w3.org/2001/XMLSchema#", **extra}
    doc = {"@context": context, "@id": "a", "properties": {"p": written}}
    assert read_document(doc) == {"@id": "a", "properties": {f"{EDC}p": read}}


def test_a_property_without_a_value_is_absent() -> None:
    assert read_document({"properties": {"a": None, "b": {"@value": None}}}) == {"properties": {}}


def test_terms_of_the_client_are_honoured() -> None:
    context = {
        "dct": DCT,
        "kind": {"@id": "dct:type", "@type": "@id"},
        "status": {"@id": "dct:status", "@type": "@vocab"},
        "title": "dct:title",
        "cx-taxo": TAXONOMY,
    }
    properties = {"kind": "cx-taxo:Submodel", "status": ["open", "dct:x"], "title": "t", "dct:type": {"@id": "urn:b"}}
    assert read_document({"@context": context, "properties": properties})["properties"] == {
        f"{DCT}type": [{"@id": f"{TAXONOMY}Submodel"}, {"@id": "urn:b"}],
        f"{DCT}status": [{"@id": f"{EDC}open"}, {"@id": f"{DCT}x"}],
        f"{DCT}title": "t",
    }


def test_scoped_definitions_go_through_the_full_processor() -> None:
    context = {"properties": {"@id": "edc:properties", "@context": {"name": "dct:title"}}, "edc": EDC, "dct": DCT}
    doc = {"@context": context, "@id": "edc:my-id", "properties": {"name": "n", "other": "o"}, "name": "outside"}
    assert read_document(doc) == {
        "@id": "edc:my-id",
        "properties": {f"{DCT}title": "n", f"{EDC}other": "o"},
        "name": "outside",
    }


# data addresses


@pytest.mark.usefixtures("by_hand")
def test_data_addresses_keep_the_keys_of_their_data_plane() -> None:
    assert read_document(SDK_ASSET)["dataAddress"] == {
        "@type": "DataAddress",
        "type": "HttpData",
        "baseUrl": "https://backend.example/api",
        "proxyPath": "true",
        "header:X-Api-Key": "secret",
        "oauth2:tokenUrl": "https://idp.example/token",
    }


def test_data_addresses_hold_strings() -> None:
    address = {"a": True, "b": False, "c": 5, "d": {"@value": "x"}, "e": {"@id": "y"}, "f": ["z"], "g": None, "h": ""}
    read = read_document({"dataDestination": {**address, f"{EDC}type": "HttpProxy", "cx-common:k": "v"}})
    assert read["dataDestination"] == {
        "a": "true",
        "b": "false",
        "c": "5",
        "d": "x",
        "e": "y",
        "f": "z",
        "h": "",
        "type": "HttpProxy",
        "cx-common:k": "v",
    }


def test_a_context_with_the_keyword_type_does_not_eat_the_type_of_an_address() -> None:
    doc = {"@context": [ODRL_URL, {"type": "@type"}], "dataDestination": {"type": "HttpProxy"}}
    assert read_document(doc) == {"dataDestination": {"type": "HttpProxy"}}


def test_a_data_address_survives_the_full_processor() -> None:
    context = {**SDK_CONTEXT, "unused": {"@reverse": "dct:isPartOf"}}
    assert read_document({**SDK_ASSET, "@context": context}) == read_document(SDK_ASSET)


# policies


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize(
    ("context", "operand"),
    [
        ([TX_POLICY_URL, ODRL_URL, {"tx": TX, **VOCAB}], f"{CX_POLICY_LEGACY}FrameworkAgreement"),
        ([CX_ODRL_URL, CX_POLICY_URL, VOCAB], f"{CX_POLICY}FrameworkAgreement"),
        ([DSPACE_ODRL_URL, CX_POLICY_URL], f"{CX_POLICY}FrameworkAgreement"),
        (VOCAB, "FrameworkAgreement"),
        ({"FrameworkAgreement": "cx-policy:FrameworkAgreement"}, f"{CX_POLICY}FrameworkAgreement"),
    ],
)
def test_the_context_says_what_a_left_operand_is(context: object, operand: str) -> None:
    body = {"@type": "Set", "permission": [{"action": "use", "constraint": {"and": [CONSTRAINT]}}]}
    resolved = {**CONSTRAINT, "leftOperand": operand}
    assert policy(context, body) == {
        "@type": "Set",
        "permission": [{"action": "use", "constraint": {"and": [resolved]}}],
    }


@pytest.mark.usefixtures("by_hand")
def test_a_policy_may_bring_its_own_context() -> None:
    inner = {"@context": ODRL_URL, "uid": "urn:p", "@type": "odrl:Set", "permission": [], "odrl:prohibition": []}
    assert policy(VOCAB, inner) == {"@id": "urn:p", "@type": "Set", "permission": [], "prohibition": []}


@pytest.mark.usefixtures("by_hand")
def test_a_prefixed_policy_becomes_bare() -> None:
    body = {
        "@type": f"{ODRL}Offer",
        "@id": "offer:1",
        "profile": "cx-policy:profile2405",
        "odrl:assigner": {"@id": "BPNL1"},
        "odrl:target": "a-1",
        "odrl:permission": {
            "odrl:action": {"odrl:type": {"@id": f"{ODRL}use"}},
            "odrl:constraint": {
                "odrl:leftOperand": {"@id": "cx-policy:Membership"},
                "odrl:operator": {"@id": "odrl:eq"},
                "odrl:rightOperand": {"@value": "active"},
            },
        },
    }
    assert policy({"cx-policy": CX_POLICY_LEGACY, "odrl": ODRL}, body) == {
        "@type": "Offer",
        "@id": "offer:1",
        "profile": f"{CX_POLICY_LEGACY}profile2405",
        "assigner": {"@id": "BPNL1"},
        "target": "a-1",
        "permission": {
            "action": {"type": {"@id": "use"}},
            "constraint": {
                "leftOperand": {"@id": f"{CX_POLICY_LEGACY}Membership"},
                "operator": {"@id": "eq"},
                "rightOperand": {"@value": "active"},
            },
        },
    }


@pytest.mark.usefixtures("by_hand")
def test_id_typed_terms_of_edc_client() -> None:
    context = {
        **VOCAB,
        "odrl": ODRL,
        "assigner": {"@type": "@id", "@id": "odrl:assigner"},
        "target": {"@type": "@id", "@id": "odrl:target"},
    }
    body = {"@id": "o", "@type": f"{ODRL}Offer", "assigner": "did:web:p", "target": "asset-1"}
    assert policy(context, body) == {**body, "@type": "Offer"}


def test_profiles_and_actions_may_be_several() -> None:
    body = {"profile": ["cx-policy:p1", {"@id": "cx-policy:p2"}, 1], "permission": [{"action": ["odrl:use", "x"]}]}
    assert policy({}, body) == {
        "profile": [f"{CX_POLICY}p1", {"@id": f"{CX_POLICY}p2"}, 1],
        "permission": [{"action": ["use", "x"]}],
    }


def test_an_action_with_a_refinement_keeps_it() -> None:
    action = {"@id": "odrl:use", "odrl:refinement": {"odrl:leftOperand": "odrl:count"}}
    resolved = {"@id": "use", "refinement": {"leftOperand": "count"}}
    assert policy({}, {"permission": [{"odrl:action": action}]}) == {"permission": [{"action": resolved}]}


def test_a_renamed_rule_is_read_as_what_it_is() -> None:
    context = {"permission": "odrl:prohibition", "use": "https://example.org/watch"}
    assert policy(context, {"permission": [{"action": "use"}]}) == {
        "prohibition": [{"action": "https://example.org/watch"}]
    }


OFFERS: list[Any] = [
    (VOCAB, {"@type": "Offer", "permission": [{"action": "use", "constraint": [CONSTRAINT]}]}),
    (VOCAB, {"@type": "odrl:Offer", "odrl:permission": {"action": "use", "constraint": CONSTRAINT}}),
    (
        [ODRL_URL, VOCAB],
        {"@type": "Offer", "permission": {"odrl:action": {"@id": "odrl:use"}, "constraint": CONSTRAINT}},
    ),
    (
        {"odrl": ODRL, "unused": {"@reverse": "odrl:x"}},
        {"@type": "odrl:Offer", "odrl:permission": [{"odrl:action": "use", "odrl:constraint": [CONSTRAINT]}]},
    ),
]


@pytest.mark.parametrize(("context", "body"), OFFERS)
def test_every_spelling_parses_to_the_same_policy(context: object, body: dict[str, Any]) -> None:
    plain = {"@type": "Offer", "permission": [{"action": "use", "constraint": [CONSTRAINT]}]}
    assert parse_policy(policy(context, body)) == parse_policy(plain)


# there and back


@pytest.mark.parametrize("asset", [SDK_ASSET, EDC_CLIENT_ASSET, IC_HUB_ASSET, BRUNO_ASSET])
def test_an_asset_survives_create_read_and_put(asset: dict[str, Any]) -> None:
    created = read_document(asset)
    put = read_document(answer(created))
    with_id = {**created["properties"], f"{EDC}id": created["@id"]}
    assert put["properties"] == with_id
    assert put["privateProperties"] == created.get("privateProperties", {})
    assert put["dataAddress"] == created["dataAddress"]
    assert read_document(answer(put)) == put


def test_answers_have_edcs_names_bare_and_all_others_full() -> None:
    read = read_document(IC_HUB_ASSET)
    assert compact_properties(read["properties"], "a") == {
        f"{DCT}type": {"@id": f"{TAXONOMY}DigitalTwinRegistry"},
        f"{COMMON}version": "3.0",
        "asset:prop:type": "data.core.digitalTwinRegistry",
        "id": "a",
    }
    assert compact_properties(read["privateProperties"]) == {
        "owner": "me",
        f"{COMMON}internal": {"level": 2, "@type": f"{EDC}Note"},
    }


@pytest.mark.parametrize("name", ["a:b", "edc", "@id", "", "odrl"])
def test_names_that_would_be_read_as_something_else_stay_full(name: str) -> None:
    properties = {f"{EDC}{name}": 1}
    assert compact_properties(properties) == properties
    assert read_document({"@context": EDC_CONTEXT, "properties": properties})["properties"] == properties


# refusals


@pytest.mark.parametrize("doc", [[], "x", 1, True])
def test_only_objects_are_requests(doc: object) -> None:
    with pytest.raises(Invalid, match="JSON object"):
        read_document(doc)


@pytest.mark.parametrize(
    ("doc", "pointer"),
    [
        ({"@context": "https://evil.example/c"}, "/@context"),
        ({"@context": [VOCAB, "https://evil.example/c"]}, "/@context/1"),
        ({"policy": {"@context": "https://evil.example/c"}}, "/policy/@context"),
    ],
)
def test_an_unknown_context_is_refused_by_name(doc: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid, match=r"https://evil\.example/c") as caught:
        read_document(doc)
    assert caught.value.pointer == pointer


def test_limits_hold() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(Invalid, match="deeper than 64"):
        read_document(deep)
    with pytest.raises(Invalid, match="more than 3 values"):
        read_document({"@context": {"a": {"@reverse": "edc:b"}}, "x": 1}, limits=Limits(nodes=3))


def test_a_broken_context_is_refused() -> None:
    with pytest.raises(Invalid, match="not valid JSON-LD"):
        read_document({"@context": {"a": {"@id": 5}}, "a": 1})
