"""Twins over HTTP, with real nodes: a passport is found by what stands on the battery, by whom it is meant for."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from yarl import URL

from connector.client import ApiError, template
from connector.dataplane import passports as passport_source
from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.exchange import passport_fetch
from connector.exchange.ports import Tx
from connector.exchange.query import QuerySpec
from connector.exchange.twins import REGISTRY, twin_id
from connector.identity.did import keys_in
from connector.passport.report import Bundle, verify
from connector.twins.calls import write_id
from tests.integration.passport_world import AUTHORITY, KEY, MAKER, OEM, RECYCLER, STRANGER, Party, World, world

PASSPORT = passports()[0]
IDENT = PASSPORT["metadata"]["passportIdentifier"]
SERIAL = "HVE78-2026-0000417"
MODEL = "HV-E78-811-A"
CODE = f"CX:{MODEL}:{SERIAL}"
LINKS = [{"name": "manufacturerPartId", "value": MODEL}, {"name": "partInstanceId", "value": SERIAL}]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, MAKER, OEM, RECYCLER, STRANGER, AUTHORITY) as made:
        await made[MAKER].client.passports.publish(PASSPORT, made.offers)
        yield made


@dataclass(frozen=True)
class Registry:
    """The maker's registry, as one reader asks it over HTTP."""

    session: ClientSession
    url: str
    headers: dict[str, str]

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        sent = {
            **self.headers,
            "Content-Type": "application/json",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=sent) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None


async def reading(nodes: World, reader: str, session: ClientSession) -> Registry:
    """The way of any consumer: catalog, contract, transfer, token."""
    client = nodes[reader].client
    transfer = await client.pull(await client.agree(await nodes.maker(reader), REGISTRY))
    address = await client.edrs.address(transfer)
    return Registry(session, address.endpoint, {"Authorization": address.authorization})


def owned(party: Party, session: ClientSession) -> Registry:
    return Registry(session, f"{party.running.management.url}/twins/api/v3", {"X-Api-Key": KEY})


async def test_a_reader_finds_its_twin_by_both_numbers_and_sees_nobody_else(nodes: World) -> None:
    async with ClientSession() as session:
        registry = await reading(nodes, OEM, session)
        assert await registry.ask("POST", "/lookup/shellsByAssetLink", LINKS) == (
            200,
            {"paging_metadata": {}, "result": [twin_id(IDENT)]},
        )
        status, shell = await registry.ask("GET", f"/shell-descriptors/{write_id(twin_id(IDENT))}")
        assert (status, shell["globalAssetId"]) == (200, IDENT)
        keys = [k["value"] for i in shell["specificAssetIds"] for k in i["externalSubjectId"]["keys"]]
        assert set(keys) == {nodes[OEM].bpn}
        for prefix in ("/api/v3", "/api/v3.1"):
            assert (await registry.ask("GET", f"{prefix}/shell-descriptors"))[1]["result"] == [shell]


async def test_the_descriptor_says_where_to_negotiate_and_where_the_token_is_good(nodes: World) -> None:
    async with ClientSession() as session:
        registry = await reading(nodes, OEM, session)
        _, found = await registry.ask("GET", f"/shell-descriptors/{write_id(twin_id(IDENT))}/submodel-descriptors")
        (submodel,) = found["result"]
        assert submodel["semanticId"]["keys"][0]["value"] == PASSPORT_SEMANTIC_ID
        node = nodes[MAKER].running.node
        root = node.dsp_address.removesuffix("/2025-1")
        assert {e["interface"]: e["protocolInformation"]["href"] for e in submodel["endpoints"]} == {
            "SUBMODEL-3.0": f"{registry.url}/submodel",
            "SUBMODEL-VALUE-3.1": f"{registry.url}/submodel/$value",
        }
        for endpoint in submodel["endpoints"]:
            assert endpoint["protocolInformation"]["subprotocol"] == "DSP"
            assert endpoint["protocolInformation"]["subprotocolBody"] == f"id={IDENT};dspEndpoint={root}"
        for path in ("/submodel", "/submodel/$value"):
            status, _, body = await nodes.pulled(OEM, IDENT, path)
            assert (status, json.loads(body)["identification"]["idDmc"]) == (200, PASSPORT["identification"]["idDmc"])


async def test_for_a_stranger_there_is_no_twin_whatever_it_calls_itself(nodes: World) -> None:
    async with ClientSession() as session:
        registry = await reading(nodes, STRANGER, session)
        empty: Any = (200, {"paging_metadata": {}, "result": []})
        claims = {"Edc_Bpn": nodes[OEM].bpn}
        assert await registry.ask("POST", "/lookup/shellsByAssetLink", LINKS, **claims) == empty
        assert await registry.ask("GET", "/shell-descriptors", **claims) == empty
        hidden = await registry.ask("GET", f"/shell-descriptors/{write_id(twin_id(IDENT))}", **claims)
        missing = await registry.ask("GET", f"/shell-descriptors/{write_id('urn:uuid:no')}", **claims)
        assert hidden[0] == missing[0] == 404
        assert hidden[1]["messages"][0]["text"] == missing[1]["messages"][0]["text"]


REFUSED = {
    ("POST", "/shell-descriptors"): 405,
    ("DELETE", "/shell-descriptors/eA"): 405,
    ("PUT", "/shell-descriptors/eA"): 405,
    ("DELETE", "/lookup/shells/eA"): 405,
    ("GET", "/shell-descriptors/!"): 400,
    ("GET", "/shell-descriptors?limit=0"): 400,
    ("GET", "/shell-descriptors?cursor=!"): 400,
    ("GET", "/lookup/shells?assetIds=eA"): 400,
    ("GET", "/nothing"): 404,
    ("POST", "/query/shell-descriptors"): 501,
}


async def test_partners_may_only_read_and_are_told_what_is_wrong(nodes: World) -> None:
    async with ClientSession() as session:
        registry = await reading(nodes, OEM, session)
        for (method, path), status in REFUSED.items():
            got, doc = await registry.ask(method, path)
            assert (got, doc["messages"][0]["code"]) == (status, str(status)), path


async def test_the_owner_keeps_twins_of_its_own_and_partners_see_what_is_meant_for_them(nodes: World) -> None:
    shell = {
        "id": "urn:uuid:own",
        "idShort": "Cell",
        "assetKind": "Instance",
        "specificAssetIds": [{"name": "van", "value": "7", "externalSubjectId": subject(nodes[RECYCLER].bpn)}],
    }
    one = f"/shell-descriptors/{write_id('urn:uuid:own')}"
    async with ClientSession() as session:
        owner, reader = owned(nodes[MAKER], session), await reading(nodes, RECYCLER, session)
        assert (await owner.ask("POST", "/shell-descriptors", shell))[0] == 201
        assert (await owner.ask("POST", "/shell-descriptors", shell))[0] == 409
        assert (await reader.ask("GET", one))[1]["idShort"] == "Cell"
        submodel = {"id": "urn:uuid:part", "idShort": "part", "endpoints": []}
        assert (await owner.ask("POST", f"{one}/submodel-descriptors", submodel))[0] == 201
        assert (await owner.ask("POST", f"{one}/submodel-descriptors", submodel))[0] == 409
        changed = submodel | {"idShort": "other"}
        below = f"{one}/submodel-descriptors/{write_id('urn:uuid:part')}"
        assert (await owner.ask("PUT", below, changed))[0] == 204
        assert await reader.ask("GET", below) == (200, changed)
        assert (await owner.ask("DELETE", below))[0] == 204
        assert (await reader.ask("GET", below))[0] == 404
        link = [{"name": "van", "value": "8", "externalSubjectId": subject(nodes[OEM].bpn)}]
        assert (await owner.ask("POST", f"/lookup/shells/{write_id('urn:uuid:own')}", link))[0] == 201
        assert (await reader.ask("GET", one))[0] == 404
        assert (await owner.ask("PUT", one, shell))[0] == 204
        assert (await reader.ask("GET", one))[0] == 200
        assert (await owner.ask("DELETE", one))[0] == 204
        assert (await reader.ask("GET", one))[0] == (await owner.ask("GET", one))[0] == 404
        assert (await owner.ask("PUT", one, shell | {"id": "urn:uuid:other"}))[0] == 400
        assert (await owner.ask("POST", "/shell-descriptors", {"id": ""}))[0] == 400
        assert len((await owner.ask("GET", "/description"))[1]["profiles"]) == 2


def subject(bpn: str) -> dict[str, Any]:
    return {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": bpn}]}


async def test_the_owners_registry_is_behind_the_key(nodes: World) -> None:
    async with ClientSession() as session:
        stranger = Registry(session, owned(nodes[MAKER], session).url, {"X-Api-Key": "wrong"})
        status, doc = await stranger.ask("GET", "/shell-descriptors")
        assert (status, doc["messages"][0]["code"]) == (401, "401")


async def test_a_code_leads_to_the_passport_and_the_second_scan_negotiates_nothing(nodes: World) -> None:
    client = nodes[OEM].client
    first = await client.find(CODE, provider=nodes[MAKER].did)
    assert first.fetched.verified is not None
    assert first.fetched.verified.ok
    assert first.fetched.payload["identification"]["idDmc"] == PASSPORT["identification"]["idDmc"]
    counted = (await client.agreements.query()).total, (await client.transfers.query()).total
    assert counted == (2, 2)
    second = await client.find(CODE, provider=nodes[MAKER].bpn)
    assert second.fetched.payload == first.fetched.payload
    assert ((await client.agreements.query()).total, (await client.transfers.query()).total) == counted
    assert second.transfer_id == first.transfer_id
    for code in (f"{nodes[MAKER].did}#{SERIAL}", SERIAL, IDENT):
        provider = None if code.startswith("did:") else nodes[MAKER].did
        assert (await client.find(code, provider=provider)).transfer_id == first.transfer_id


async def test_what_was_found_proves_itself_without_a_network(nodes: World) -> None:
    found = await nodes[OEM].client.find(CODE, provider=nodes[MAKER].did)
    assert found.ok
    assert found.bundle is not None
    bundle = Bundle.parse(found.bundle)
    assert verify(bundle, keys_in(bundle.did_document), issuer=nodes[MAKER].did).ok
    assert (bundle.aspect, bundle.audience) == (found.fetched.payload, nodes[OEM].did)


async def test_the_passport_of_another_battery_is_not_that_of_the_code_however_well_it_is_signed(nodes: World) -> None:
    other = passports()[1]
    await nodes[MAKER].client.passports.publish(other, nodes.offers)
    other_id = str(other["metadata"]["passportIdentifier"])
    async with ClientSession() as session:  # the maker's registry has the one battery's data below the other's twin
        registry = owned(nodes[MAKER], session)
        right, wrong = (f"/shell-descriptors/{write_id(twin_id(ident))}" for ident in (IDENT, other_id))
        _, shell = await registry.ask("GET", right)
        _, mixed_up = await registry.ask("GET", wrong)
        mixed = shell | {"submodelDescriptors": mixed_up["submodelDescriptors"]}
        assert (await registry.ask("PUT", right, mixed))[0] == 204
        found = await nodes[OEM].client.find(CODE, provider=nodes[MAKER].did)
    failed = [check for check in found.checks if not check.ok]
    assert (found.ok, found.fetched.ok, [check.name for check in failed]) == (False, False, ["scanned"])
    assert failed[0].detail.startswith(f"the code says manufacturerPartId {MODEL}; the passport says ")
    assert found.fetched.verified is not None
    assert found.fetched.verified.ok


async def test_without_a_credential_the_plain_aspect_is_found_and_it_is_said(
    nodes: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "only the plain aspect"
    monkeypatch.setattr(passport_source, "CREDENTIAL", "/elsewhere")
    found = await nodes[OEM].client.find(CODE, provider=nodes[MAKER].did)
    assert (found.ok, found.bundle, [check.name for check in found.checks]) == (True, None, ["scanned"])
    assert found.steps[-1].startswith(f"{said}, the passport credential was not to be had: the data plane of ")
    monkeypatch.setattr(passport_fetch, "is_offered", lambda _: False)
    found = await nodes[OEM].client.find(CODE, provider=nodes[MAKER].did)
    assert (found.ok, found.bundle) == (True, None)
    assert found.steps[-1] == f"{said}: {nodes[MAKER].did} offers no passport credential"


async def test_each_reader_finds_its_own_view(nodes: World) -> None:
    oem = (await nodes[OEM].client.find(CODE, provider=nodes[MAKER].did)).fetched
    authority = (await nodes[AUTHORITY].client.find(CODE, provider=nodes[MAKER].did)).fetched
    assert "composition" in oem.payload["materials"]
    assert authority.payload != oem.payload
    assert oem.verified is not None
    assert authority.verified is not None
    assert oem.verified.ok
    assert authority.verified.ok


async def test_what_was_ended_meanwhile_is_made_anew(nodes: World) -> None:
    client = nodes[OEM].client
    first = await client.find(CODE, provider=nodes[MAKER].did)
    await client.transfers.terminate(first.transfer_id, "done")
    second = await client.find(CODE, provider=nodes[MAKER].did)
    assert second.transfer_id != first.transfer_id
    assert (await client.agreements.query()).total == 2  # the agreement was there
    maker = nodes[MAKER].client
    sold = [a.id for a in (await maker.agreements.query()).items if a.asset_id == IDENT]
    for agreement in sold:
        await maker.api.post("/v3/contractagreements/retirements", {"agreementId": agreement, "reason": "a new one"})
    third = await client.find(CODE, provider=nodes[MAKER].did)
    assert third.transfer_id not in {first.transfer_id, second.transfer_id}
    assert (await client.agreements.query()).total == 3


async def test_a_code_that_says_too_little_is_refused(nodes: World) -> None:
    too_little = {
        "CX:only-a-part": "CX:<manufacturerPartId>",
        "did:web:maker.example": "serial number",
        SERIAL: "name the provider",
        " ": "code",
    }
    for code, reason in too_little.items():
        with pytest.raises(ApiError, match=reason) as refused:
            await nodes[OEM].client.find(code)
        assert refused.value.status == 400


async def test_what_is_hidden_or_not_there_is_not_found(nodes: World) -> None:
    for reader, code in ((STRANGER, CODE), (OEM, f"CX:{MODEL}:0")):
        with pytest.raises(ApiError, match="no twin that we may see") as missing:
            await nodes[reader].client.find(code, provider=nodes[MAKER].did)
        assert missing.value.status == 404
    with pytest.raises(ApiError, match="no registry") as none:
        await nodes[OEM].client.find(CODE, provider=nodes[STRANGER].did)
    assert none.value.status == 404


async def test_an_operator_can_withdraw_the_offer_of_the_registry(nodes: World) -> None:
    maker = nodes[MAKER].client
    only = template("by-bpn", [nodes[RECYCLER].bpn])
    await maker.policies.put("few", only)
    await maker.definitions.remove(REGISTRY)
    await maker.passports.publish(PASSPORT, nodes.offers)  # and publishing does not bring it back
    with pytest.raises(ApiError, match="no registry"):
        await nodes[OEM].client.find(CODE, provider=nodes[MAKER].did)


async def test_a_token_that_is_not_renewed_any_more_is_replaced(nodes: World) -> None:
    client, store = nodes[OEM].client, nodes[OEM].running.node.store
    first = await client.find(CODE, provider=nodes[MAKER].did)

    def spoil(tx: Tx) -> None:
        for edr in tx.edrs.query(QuerySpec(limit=10)):
            address = {**edr.address, "authorization": "spoilt", "refreshToken": "spoilt"}
            tx.edrs.save(replace(edr, address=address, expires_at=1))

    await store.run(spoil)
    second = await client.find(CODE, provider=nodes[MAKER].did)
    assert second.transfer_id != first.transfer_id
    assert second.fetched.payload == first.fetched.payload
    assert (await client.agreements.query()).total == 2  # the agreements were good
