from typing import Any

import pytest

from connector.client import ApiError, Offer, template
from connector.client.exchanging import by_id, one_dataset, reached
from connector.client.model import CHECKS, Catalog, Fetched, Negotiation, Timeline, Transfer, Verified
from connector.protocol.errors import Invalid, NotFound
from tests.unit.client_world import PROVIDER, Api, management

SEMANTIC = "urn:samm:io.catenax.pcf:7.0.0#Pcf"
RULES = {"permission": [{"action": "use"}]}
CATALOG: dict[str, Any] = {
    "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
    "@id": "c",
    "@type": "Catalog",
    "participantId": "did:web:maker.example",
    "service": [{"@id": "s", "@type": "DataService", "endpointURL": "https://maker.example/dsp/2025-1"}],
    "dataset": [
        {
            "@id": "d",
            "@type": "Dataset",
            "https://admin-shell.io/aas/3/0/HasSemantics/semanticId": {"@id": SEMANTIC},
            "hasPolicy": [{"@id": "o", "@type": "Offer", **RULES}],
            "distribution": [{"@type": "Distribution", "format": "HttpData-PULL", "accessService": "s"}],
        }
    ],
}


def negotiation(state: str = "FINALIZED", role: str = "CONSUMER", **more: Any) -> dict[str, Any]:
    return {"@id": "n", "@type": "ContractNegotiation", "state": state, "type": role, "assetId": "d", **more}


def test_a_catalog_is_read_with_offers_formats_and_semantic_id() -> None:
    found = one_dataset(Catalog.of(CATALOG), "d")
    assert (found.formats, found.semantic_id) == (("HttpData-PULL",), SEMANTIC)
    assert found.offers == (Offer("o", "d", {"@id": "o", "@type": "Offer", **RULES}),)


def test_what_is_no_catalog_is_refused_with_its_place() -> None:
    with pytest.raises(ApiError, match="participantId"):
        Catalog.of({"@type": "Catalog"})


def test_a_dataset_that_is_not_shown_is_refused_with_what_to_do() -> None:
    with pytest.raises(ApiError, match="does not offer x to this node: ask the provider for access"):
        one_dataset(Catalog.of(CATALOG), "x")


async def test_an_offer_is_sent_back_in_the_providers_words() -> None:
    api = Api()
    api.answer("POST /m/v3/contractnegotiations", negotiation(contractAgreementId="a"))
    async with management(api) as client:
        offer = one_dataset(Catalog.of(CATALOG), "d").offers[0]
        concluded = await client.negotiations.conclude(PROVIDER, offer, timeout_s=5)
    assert (concluded.agreement_id, api.asked[0].query) == ("a", {"wait": "FINALIZED", "timeout": "5"})
    sent = api.asked[0].body
    assert sent["policy"] == {"@id": "o", "@type": "Offer", "assigner": PROVIDER.id, "target": "d", **RULES}
    assert (sent["counterPartyId"], sent["counterPartyAddress"]) == (PROVIDER.id, PROVIDER.address)


async def test_obtain_is_catalog_contract_transfer_fetch_and_completion() -> None:
    api = Api()
    report = {name: {"ok": True, "detail": "fine"} for name in CHECKS}
    api.answer("POST /m/v3/catalog/request", CATALOG)
    api.answer("POST /m/v3/contractnegotiations", negotiation(contractAgreementId="a"))
    api.answer("POST /m/v3/transferprocesses", {"@id": "t", "state": "STARTED", "type": "CONSUMER"})
    api.answer(
        "POST /m/v3/transferprocesses/t/fetch",
        {"contentType": "application/json", "encoding": "json", "payload": {"x": 1}, "verification": report},
    )
    api.answer("POST /m/v3/transferprocesses/t/complete", b"", status=204)
    async with management(api) as client:
        fetched = await client.obtain(PROVIDER, "d", semantic_id=SEMANTIC)
    assert fetched.payload == {"x": 1}
    assert fetched.verified is not None
    assert fetched.verified.ok
    assert [asked.path.removeprefix("/m/v3") for asked in api.asked] == [
        "/catalog/request",
        "/contractnegotiations",
        "/transferprocesses",
        "/transferprocesses/t/fetch",
        "/transferprocesses/t/complete",
    ]
    assert api.asked[0].body["querySpec"]["filterExpression"][0]["operandRight"] == "d"
    assert api.asked[2].body["contractId"] == "a"
    assert api.asked[3].body["semanticId"] == SEMANTIC


async def test_obtain_ends_with_the_counterpartys_reason() -> None:
    api = Api()
    api.answer("POST /m/v3/catalog/request", CATALOG)
    api.answer("POST /m/v3/contractnegotiations", negotiation("TERMINATED", errorDetail="not for you"))
    async with management(api) as client:
        with pytest.raises(ApiError, match=r"negotiation of d was ended .*not for you"):
            await client.obtain(PROVIDER, "d")
    assert len(api.asked) == 2


def test_a_process_that_is_held_is_told_with_the_next_step() -> None:
    with pytest.raises(ApiError, match=r"negotiation n is still REQUESTED: .*'negotiation show'"):
        reached(Negotiation.of(negotiation("REQUESTED")), "FINALIZED")
    reached(Transfer.of({"@id": "t", "state": "STARTED"}), "STARTED")


@pytest.mark.parametrize(
    ("role", "state", "step"),
    [
        ("PROVIDER", "REQUESTED", "agree"),
        ("CONSUMER", "OFFERED", "accept"),
        ("PROVIDER", "ACCEPTED", "agree"),
        ("CONSUMER", "AGREED", "verify"),
        ("PROVIDER", "VERIFIED", "finalize"),
    ],
)
async def test_approval_takes_the_step_towards_the_contract(role: str, state: str, step: str) -> None:
    api = Api()
    api.answer("GET /m/v3/contractnegotiations/n", negotiation(state, role))
    api.answer(f"POST /m/v3/contractnegotiations/n/{step}", b"", status=204)
    async with management(api) as client:
        assert await client.negotiations.approve("n") == step


@pytest.mark.parametrize(("role", "state"), [("CONSUMER", "REQUESTED"), ("PROVIDER", "FINALIZED")])
async def test_approval_is_refused_where_it_is_not_our_turn(role: str, state: str) -> None:
    api = Api()
    api.answer("GET /m/v3/contractnegotiations/n", negotiation(state, role))
    async with management(api) as client:
        with pytest.raises(ApiError, match="nothing is to be approved"):
            await client.negotiations.approve("n")
    assert len(api.asked) == 1


def test_a_check_that_the_report_leaves_out_has_failed() -> None:
    report = {name: {"ok": True, "detail": ""} for name in CHECKS[:-1]}
    verified = Verified.of(report)
    assert not verified.ok
    assert [check.name for check in verified.failed] == [CHECKS[-1]]
    assert not Verified.of({**report, CHECKS[-1]: {"ok": "true"}}).ok  # only true is true


def test_data_of_other_kinds_comes_as_bytes_and_unproven() -> None:
    fetched = Fetched.of({"contentType": "text/csv", "encoding": "base64", "payload": "YTti", "verification": None})
    assert (fetched.payload, fetched.verified, fetched.ok) == (b"a;b", None, None)
    assert (fetched.model.verdict, fetched.model.reason) == ("not checked", "the report does not say")


def test_a_timeline_tells_what_could_not_be_delivered() -> None:
    doc = {
        "state": "REQUESTING",
        "awaits": "the counterparty's answer",
        "history": [{"at": "2026-11-22T00:00:00.000Z", "what": "initiated"}],
        "undelivered": [{"event": "REQUEST", "lastError": "no answer"}, {"event": "REQUEST"}],
    }
    timeline = Timeline.of(doc)
    assert timeline.undelivered == ("REQUEST: no answer", "REQUEST: under way")
    assert timeline.history[0].what == "initiated"


async def test_a_push_names_its_destination() -> None:
    api = Api()
    api.answer("POST /m/v3/transferprocesses", {"@id": "t"})
    async with management(api) as client:
        assert await client.transfers.start("a", transfer_type="HttpData-PUSH", destination={"baseUrl": "http://x"})
    assert api.asked[0].body["dataDestination"] == {"type": "HttpData", "baseUrl": "http://x"}


async def test_a_provider_is_found_from_its_root_address() -> None:
    api = Api()
    names = {"counterPartyId": PROVIDER.id, "counterPartyAddress": PROVIDER.address}
    answer = {f"https://w3id.org/edc/v0.0.1/ns/{name}": value for name, value in names.items()}
    api.answer("POST /m/v3/connectordiscovery/dspversionparams", answer)
    async with management(api) as client:
        assert await client.catalogs.locate("BPNL000HELVION01", "https://maker.example/dsp") == PROVIDER


async def test_put_makes_what_is_not_there_yet() -> None:
    api = Api()
    api.answer("POST /m/v3/policydefinitions", {"@id": "p"})
    async with management(api) as client:
        await client.policies.put("p", RULES)
    assert [(a.method, a.path) for a in api.asked] == [
        ("PUT", "/m/v3/policydefinitions/p"),
        ("POST", "/m/v3/policydefinitions"),
    ]


async def test_put_does_not_hide_another_refusal() -> None:
    api = Api()
    api.answer("PUT /m/v3/contractdefinitions", [{"message": "there is no policy p"}], status=400)
    async with management(api) as client:
        with pytest.raises(ApiError, match="there is no policy p"):
            await client.definitions.put("d", access_policy="p", contract_policy="p", assets=["a"])
    assert len(api.asked) == 1


async def test_an_offer_keeps_given_policies_and_names_existing_ones() -> None:
    api = Api()
    api.answer("PUT /m/v3/policydefinitions/o-access", b"", status=204)
    api.answer("PUT /m/v3/contractdefinitions", b"", status=204)
    async with management(api) as client:
        await client.offer("o", ["a", "b"], access=template("by-bpn", ["BPNL000AURELIS01"]), contract="terms")
    kept, definition = (asked.body for asked in api.asked)
    assert kept["policy"]["permission"][0]["constraint"][0]["rightOperand"] == ["BPNL000AURELIS01"]
    assert (definition["accessPolicyId"], definition["contractPolicyId"]) == ("o-access", "terms")
    assert definition["assetsSelector"][0]["operandRight"] == ["a", "b"]


def test_templates_say_whom_they_are_about() -> None:
    assert template("open") == {"@type": "Set", "permission": [{"action": "use"}]}
    nested = template("by-bpn-until-date", ["B1", "B2"])["permission"][0]["constraint"][0]["and"]
    assert nested[0]["rightOperand"] == ["B1", "B2"]
    assert nested[1]["rightOperand"].startswith("2030")
    with pytest.raises(Invalid, match="at least one BPN"):
        template("by-bpn")
    with pytest.raises(Invalid, match="names no partners"):
        template("open", ["B1"])
    with pytest.raises(NotFound):
        template("nonesuch")


def test_one_dataset_is_asked_for_by_its_id() -> None:
    spec = by_id("d")
    assert (spec.limit, spec.criteria[0].right) == (1, "d")
