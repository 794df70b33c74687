"""The requests of the clients in the field, in their own spellings, and what each of them reads from the answers.

tractusx-sdk (jupiter and saturn), edc-client, pythia, the Digital Product Pass application, Industry Core Hub, and the
Bruno collections of tractus-x-umbrella.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.management_world import PEER_DSP, THEIR_BPN, THEIRS, VOCAB, World, query_json, said, world

EDC = VOCAB["@vocab"]
PROTOCOL = "dataspace-protocol-http:2025-1"
SATURN = [
    "https://w3id.org/catenax/2025/9/policy/odrl.jsonld",
    "https://w3id.org/catenax/2025/9/policy/context.jsonld",
    VOCAB,
]
JUPITER = [
    "https://w3id.org/tractusx/policy/v1.0.0",
    "http://www.w3.org/ns/odrl.jsonld",
    {"tx": "https://w3id.org/tractusx/v0.0.1/ns/", **VOCAB},
]
BRUNO = [
    "https://w3id.org/dspace/2025/1/odrl-profile.jsonld",
    "https://w3id.org/catenax/2025/9/policy/context.jsonld",
    VOCAB,
]
OFFER_ID = "ZGVm:YXNzZXQ=:" + "eA==" * 40


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def open_policy(here: World, ident: str) -> None:
    await here.ok("POST", "/v3/policydefinitions", {"@id": ident, "policy": {"@type": "Set"}})


async def take_over(here: World, negotiation: str) -> None:
    """The counterparty does its part until the contract is final."""
    await here.ok("GET", f"/v3/contractnegotiations/{negotiation}?wait=REQUESTED")
    await here.peer_agrees(negotiation)
    await here.ok("GET", f"/v3/contractnegotiations/{negotiation}?wait=VERIFIED")
    await here.peer_finalizes(negotiation)


# --- tractusx-sdk ------------------------------------------------------------------------------------------------

SDK_ASSET: dict[str, Any] = {
    "@context": {
        "edc": EDC,
        "cx-common": "https://w3id.org/catenax/ontology/common#",
        "cx-taxo": "https://w3id.org/catenax/taxonomy#",
        "dct": "http://purl.org/dc/terms/",
        "aas-semantics": "https://admin-shell.io/aas/3/0/HasSemantics/",
    },
    "@type": "Asset",
    "@id": "ichub:asset:dtr:1",
    "properties": {
        "dct:type": {"@id": "https://w3id.org/catenax/taxonomy#DigitalTwinRegistry"},
        "dct:subject": {"@id": "cx-taxo:DigitalTwinRegistry"},
        "cx-common:version": "3.0",
        "aas-semantics:semanticId": {
            "@id": "urn:samm:io.catenax.generic.digital_product_passport:6.1.0#DigitalProductPassport"
        },
    },
    "privateProperties": None,
    "dataAddress": {
        "@type": "DataAddress",
        "type": "HttpData",
        "baseUrl": "https://dtr.example/api/v3",
        "proxyQueryParams": "true",
        "proxyPath": "true",
        "proxyMethod": "true",
        "proxyBody": "true",
        "header:X-Api-Key": "backend-key",
        "edc:oauth2:tokenUrl": "https://idp.example/token",
    },
}


async def test_sdk_asset_is_found_by_its_type_and_version(here: World) -> None:
    assert (await here.ok("POST", "/v3/assets", SDK_ASSET))["@id"] == "ichub:asset:dtr:1"
    for criteria in (
        [("'http://purl.org/dc/terms/type'.'@id'", "=", "https://w3id.org/catenax/taxonomy#DigitalTwinRegistry")],
        [("https://w3id.org/catenax/ontology/common#version", "=", "3.0")],
        [(f"{EDC}id", "=", "ichub:asset:dtr:1")],
        [(f"{EDC}id", "like", "ichub:asset:%")],
    ):
        found = await here.ok("POST", "/v3/assets/request", query_json(*criteria))
        assert [a["@id"] for a in found] == ["ichub:asset:dtr:1"]


async def test_industry_core_hub_changes_a_header_and_writes_back_what_it_read(here: World) -> None:
    await here.ok("POST", "/v3/assets", SDK_ASSET)
    read = await here.ok("GET", "/v3/assets/ichub:asset:dtr:1")
    read["dataAddress"]["header:X-Api-Key"] = "new-key"
    assert (await here.call("PUT", "/v3/assets", read)).status == 204
    again = await here.ok("GET", "/v3/assets/ichub:asset:dtr:1")
    assert again["dataAddress"]["header:X-Api-Key"] == "new-key"
    assert again["properties"] == read["properties"]


async def test_sdk_jupiter_policy_is_understood(here: World) -> None:
    doc = {
        "@context": JUPITER,
        "@type": "PolicyDefinition",
        "@id": "access",
        "policy": {
            "@context": "http://www.w3.org/ns/odrl.jsonld",
            "@type": "odrl:Set",
            "odrl:permission": [
                {
                    "odrl:action": {"@id": "odrl:use"},
                    "odrl:constraint": {
                        "odrl:leftOperand": {"@id": "tx:BusinessPartnerNumber"},
                        "odrl:operator": {"@id": "odrl:eq"},
                        "odrl:rightOperand": THEIR_BPN,
                    },
                }
            ],
        },
    }
    await here.ok("POST", "/v3/policydefinitions", doc)
    assert (await here.ok("POST", "/v3/policydefinitions/access/validate"))["isValid"] is True
    asked = {"scope": "catalog", "counterPartyId": THEIRS}
    assert (await here.ok("POST", "/v3/policydefinitions/access/evaluate", asked))["permitted"] is True


async def test_sdk_saturn_policies_are_taken_and_replaced_by_the_collections_put(here: World) -> None:
    access = {
        "@context": SATURN,
        "@type": "PolicyDefinition",
        "@id": "access",
        "policy": {
            "@type": "Set",
            "permission": [
                {
                    "action": "access",
                    "constraint": [
                        {"leftOperand": "BusinessPartnerNumber", "operator": "isAnyOf", "rightOperand": [THEIR_BPN]}
                    ],
                }
            ],
        },
    }
    rows = [
        {"leftOperand": "Membership", "operator": "eq", "rightOperand": "active"},
        {"leftOperand": "FrameworkAgreement", "operator": "eq", "rightOperand": "DataExchangeGovernance:1.0"},
        {"leftOperand": "UsagePurpose", "operator": "isAnyOf", "rightOperand": ["cx.core.industrycore:1"]},
    ]
    usage = {
        "@context": SATURN,
        "@type": "PolicyDefinition",
        "@id": "usage",
        "policy": {"@type": "Set", "permission": [{"action": "use", "constraint": [{"and": rows}]}]},
    }
    await here.ok("POST", "/v3/policydefinitions", access)
    await here.ok("POST", "/v3/policydefinitions", usage)
    assert (await here.call("PUT", "/v3/policydefinitions", usage)).status == 204
    asked = {"scope": "catalog", "counterPartyId": THEIRS}
    assert (await here.ok("POST", "/v3/policydefinitions/access/evaluate", asked))["permitted"] is True
    named = str((await here.ok("GET", "/v3/policydefinitions/usage"))["policy"])
    assert all(word in named for word in ("Membership", "FrameworkAgreement", "UsagePurpose"))


async def test_sdk_contract_definition_and_bruno_contract_definition(here: World) -> None:
    await open_policy(here, "p")
    sdk = {
        "@context": VOCAB,
        "@type": "ContractDefinition",
        "@id": "sdk",
        "accessPolicyId": "p",
        "contractPolicyId": "p",
        "assetsSelector": [{"operandLeft": f"{EDC}id", "operator": "=", "operandRight": "a"}],
    }
    bruno = sdk | {
        "@context": {"edc": EDC},
        "@id": "bruno",
        "assetsSelector": {"@type": "CriterionDto", "operandLeft": f"{EDC}id", "operator": "=", "operandRight": "a"},
    }
    for doc in (sdk, bruno):
        await here.ok("POST", "/v3/contractdefinitions", doc)
    one, two = await here.ok("POST", "/v3/contractdefinitions/request")
    assert one["assetsSelector"] == two["assetsSelector"]


async def test_sdk_catalog_request(here: World) -> None:
    here.wire.answers["/catalog/request"] = said(200, {"@id": "c", "participantId": THEIRS})
    doc = {
        "@context": {"edc": EDC, "odrl": "http://www.w3.org/ns/odrl/2/", "dct": "https://purl.org/dc/terms/"},
        "@type": "CatalogRequest",
        "counterPartyAddress": PEER_DSP,
        "counterPartyId": THEIRS,
        "protocol": PROTOCOL,
        "additionalScopes": [],
        "querySpec": {
            "@context": VOCAB,
            "@type": "QuerySpec",
            "filterExpression": {
                "operandLeft": "'http://purl.org/dc/terms/type'.'@id'",
                "operator": "=",
                "operandRight": "https://w3id.org/catenax/taxonomy#DigitalTwinRegistry",
            },
        },
    }
    empty = {"@id": "c", "participantId": THEIRS, "dataset": []}  # without the list, assets_exists would say yes
    assert await here.ok("POST", "/v3/catalog/request", doc) == empty
    full = {"@id": "c", "participantId": THEIRS, "dcat:dataset": {"@id": "a"}}
    here.wire.answers["/catalog/request"] = said(200, full)
    assert await here.ok("POST", "/v3/catalog/request", doc) == full


def sdk_edr(assigner: object, context: object) -> dict[str, Any]:
    return {
        "@context": context,
        "@type": "ContractRequest",
        "counterPartyAddress": PEER_DSP,
        "protocol": PROTOCOL,
        "policy": {
            "@id": OFFER_ID,
            "@type": "odrl:Offer",
            "assigner": assigner,
            "target": {"@id": "their-asset"} if isinstance(assigner, dict) else "their-asset",
            "permission": [
                {
                    "action": "use",
                    "constraint": {"leftOperand": "Membership", "operator": "eq", "rightOperand": "active"},
                }
            ],
        },
        "callbackAddresses": [],
    }


@pytest.mark.parametrize("doc", [sdk_edr(THEIRS, JUPITER), sdk_edr({"@id": THEIRS}, SATURN)], ids=["jupiter", "saturn"])
async def test_sdk_walks_from_an_offer_to_a_token(here: World, doc: dict[str, Any]) -> None:
    negotiation = (await here.ok("POST", "/v3/edrs", doc))["@id"]
    await take_over(here, negotiation)
    assert (await here.ok("GET", f"/v3/contractnegotiations/{negotiation}/state"))["state"] == "FINALIZED"
    agreement = (await here.ok("GET", f"/v3/contractnegotiations/{negotiation}"))["contractAgreementId"]
    (transfer,) = await here.ok("POST", "/v3/transferprocesses/request", query_json(("contractId", "=", agreement)))
    await here.ok("GET", f"/v3/transferprocesses/{transfer['@id']}?wait=REQUESTED")
    await here.peer_starts(transfer["@id"])
    spec = {"offset": 0, "limit": 10, "sortField": "createdAt", "sortOrder": "DESC"}
    (entry,) = await here.ok(
        "POST", "/v3/edrs/request", query_json(("contractNegotiationId", "=", negotiation), **spec)
    )
    for key in ("@id", "@type", "@context", "providerId", "transferProcessId", "assetId", "agreementId", "createdAt"):
        assert entry[key]
    address = await here.ok("GET", f"/v3/edrs/{entry['transferProcessId']}/dataaddress?auto_refresh=True")
    assert (address["endpoint"], address["authorization"]) == ("https://theirs.example/public", "their-token")


async def test_sdk_goes_step_by_step(here: World) -> None:
    negotiation = (await here.ok("POST", "/v3/contractnegotiations", sdk_edr(THEIRS, JUPITER)))["@id"]
    await take_over(here, negotiation)
    doc = {
        "@context": VOCAB,
        "@type": "TransferRequest",
        "counterPartyAddress": PEER_DSP,
        "protocol": PROTOCOL,
        "contractId": "agreement-1",
        "transferType": "HttpData-PULL",
        "dataDestination": {"type": "HttpProxy"},
        "privateProperties": {},
        "callbackAddresses": [],
    }
    transfer = (await here.ok("POST", "/v3/transferprocesses", doc))["@id"]
    await here.ok("GET", f"/v3/transferprocesses/{transfer}?wait=REQUESTED")
    await here.peer_starts(transfer)
    assert (await here.ok("GET", f"/v3/transferprocesses/{transfer}/state"))["state"] == "STARTED"
    ending = {"@context": VOCAB, "@type": "TerminateTransfer", "reason": "done"}
    assert (await here.call("POST", f"/v3/transferprocesses/{transfer}/terminate", ending)).status == 204


# --- edc-client and pythia ---------------------------------------------------------------------------------------


async def test_edc_client_offers(here: World) -> None:
    asset = {
        "@context": VOCAB,
        "@id": "a",
        "properties": {"name": "product", "contenttype": "application/json"},
        "dataAddress": {"type": "HttpData", "name": "x", "baseUrl": "https://b.example", "proxyPath": "true"},
    }
    policy = {
        "@context": VOCAB,
        "@id": "p",
        "policy": {
            "@context": "http://www.w3.org/ns/odrl.jsonld",
            "@type": "Set",
            "permission": [],
            "prohibition": [],
            "obligation": [],
        },
    }
    definition = {
        "@context": VOCAB,
        "@id": "d",
        "accessPolicyId": "p",
        "contractPolicyId": "p",
        "assetsSelector": [
            {"operandLeft": {"@value": f"{EDC}id"}, "operator": {"@value": "="}, "operandRight": {"@value": "a"}}
        ],
    }
    assert (await here.ok("POST", "/v3/assets", asset))["@id"] == "a"
    assert (await here.ok("POST", "/v3/policydefinitions", policy))["@id"] == "p"
    assert (await here.ok("POST", "/v3/contractdefinitions", definition))["@id"] == "d"
    assert (await here.ok("POST", "/v3/contractdefinitions", definition | {"@id": "all", "assetsSelector": []}))[
        "@id"
    ] == "all"
    assert [a["properties"]["name"] for a in await here.ok("POST", "/v3/assets/request")] == ["product"]


async def test_edc_client_negotiates_and_transfers(here: World) -> None:
    ref = {"@type": "@id"}
    doc = {
        "@context": {
            **VOCAB,
            "odrl": "http://www.w3.org/ns/odrl/2/",
            "assigner": {"@id": "odrl:assigner", **ref},
            "target": {"@id": "odrl:target", **ref},
        },
        "counterPartyAddress": PEER_DSP,
        "protocol": PROTOCOL,
        "policy": {
            "@id": "offer",
            "@type": "http://www.w3.org/ns/odrl/2/Offer",
            "assigner": THEIRS,
            "target": "their-asset",
        },
    }
    negotiation = (await here.ok("POST", "/v3/contractnegotiations", doc))["@id"]
    await take_over(here, negotiation)
    shown = await here.ok("GET", f"/v3/contractnegotiations/{negotiation}")
    assert (shown["type"], shown["callbackAddresses"], shown["state"]) == ("CONSUMER", [], "FINALIZED")
    asked = {
        "@context": VOCAB,
        "@type": "TransferRequestDto",
        "contractId": shown["contractAgreementId"],
        "counterPartyAddress": PEER_DSP,
        "protocol": PROTOCOL,
        "transferType": "HttpData-PULL",
    }
    assert (await here.ok("POST", "/v3/transferprocesses", asked))["@id"]


async def test_edc_clients_models_of_an_id_a_state_and_a_data_plane(here: World) -> None:
    """They want `@context` to be a list of texts, and every data plane to have destination types."""
    published = ["https://w3id.org/edc/connector/management/v2"]
    assert (await here.ok("POST", "/v3/assets", SDK_ASSET))["@context"] == published
    doc = sdk_edr({"@id": THEIRS}, VOCAB) | {"counterPartyId": THEIRS}
    negotiation = await here.ok("POST", "/v3/contractnegotiations", doc)
    assert negotiation["@context"] == published
    assert (await here.ok("GET", f"/v3/contractnegotiations/{negotiation['@id']}/state"))["@context"] == published
    (plane,) = await here.ok("GET", "/v3/dataplanes")
    assert (plane["allowedDestTypes"], type(plane["@context"])) == (["HttpData"], dict)


async def test_pythia_negotiates_and_transfers(here: World) -> None:
    doc = {
        "@context": VOCAB,
        "@type": "ContractRequest",
        "counterPartyAddress": PEER_DSP,
        "counterPartyId": THEIRS,
        "protocol": PROTOCOL,
        "policy": {
            "@context": "http://www.w3.org/ns/odrl.jsonld",
            "@type": "Offer",
            "@id": "offer",
            "assigner": THEIRS,
            "target": "their-asset",
        },
        "callbackAddresses": [],
    }
    await take_over(here, (await here.ok("POST", "/v3/contractnegotiations", doc))["@id"])
    asked = {
        "@context": VOCAB,
        "@type": "TransferRequest",
        "connectorId": THEIRS,
        "counterPartyAddress": PEER_DSP,
        "contractId": "agreement-1",
        "assetId": "their-asset",
        "protocol": PROTOCOL,
        "transferType": "HttpData-PULL",
        "dataDestination": {"type": "HttpProxy"},
    }
    assert (await here.ok("POST", "/v3/transferprocesses", asked))["@id"]


# --- Digital Product Pass and Bruno ------------------------------------------------------------------------------


async def test_passport_viewer_hears_of_its_endpoint_by_callback(here: World) -> None:
    doc = sdk_edr(THEIRS, VOCAB) | {"@type": "odrl:ContractRequest"}
    await take_over(here, (await here.ok("POST", "/v3/contractnegotiations", doc))["@id"])
    asked = {
        "@context": {"odrl": "http://www.w3.org/ns/odrl/2/"},
        "@type": "urn:uuid:the-asset-by-mistake",
        "counterPartyAddress": PEER_DSP,
        "contractId": "agreement-1",
        "transferType": "HttpData-PULL",
        "managedResources": False,
        "dataDestination": {"type": "HttpProxy"},
        "callbackAddresses": [
            {
                "transactional": False,
                "uri": "https://viewer.example/endpoint/process-1",
                "events": ["transfer.process.started"],
            }
        ],
    }
    transfer = (await here.ok("POST", "/v3/transferprocesses?wait=REQUESTED", asked))["@id"]
    await here.peer_starts(transfer)
    told = await here.hooks.arrived("/endpoint/process-1", "TransferProcessStarted")
    address = told["payload"]["dataAddress"]["properties"]
    assert (address[f"{EDC}endpoint"], address[f"{EDC}authorization"]) == (
        "https://theirs.example/public",
        "their-token",
    )


async def test_bruno_policy_and_request_in_other_contexts(here: World) -> None:
    rows = [{"leftOperand": "FrameworkAgreement", "operator": "eq", "rightOperand": ["DataExchangeGovernance:1.0"]}]
    doc = {
        "@context": BRUNO,
        "@type": "PolicyDefinition",
        "@id": "usage",
        "policy": {"@type": "Set", "permission": [{"action": "use", "constraint": [{"and": rows}]}]},
    }
    await here.ok("POST", "/v3/policydefinitions", doc)
    edr = sdk_edr({"@id": THEIRS}, [*BRUNO, {"odrl": "http://www.w3.org/ns/odrl/2/"}])
    assert (await here.ok("POST", "/v3/edrs", edr))["@id"]


async def test_testlab_reads_409_from_a_duplicate(here: World) -> None:
    await here.ok("POST", "/v3/assets", SDK_ASSET)
    assert (await here.call("POST", "/v3/assets", SDK_ASSET)).status == 409
