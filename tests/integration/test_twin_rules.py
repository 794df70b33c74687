"""Who sees which twins, with real nodes: groups, passports published again, access rules, and what data planes ask."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from connector.client import ApiError, For
from connector.exchange import catalog, twin_readers
from connector.exchange.node import Node
from connector.exchange.records import Peer
from connector.exchange.twins import REGISTRY, twin_id
from connector.twins.calls import write_id
from tests.integration.passport_world import MAKER, OEM, RECYCLER, World, world
from tests.integration.test_twins import CODE, IDENT, LINKS, PASSPORT, Registry, owned, reading, subject

RULES = "/access-controls/rules"
FIND = "/lookup/shellsByAssetLink"
MODELS = ("urn:samm:io.catenax.part:1.0.0#Part", "urn:samm:io.catenax.pcf:1.0.0#Pcf")


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, MAKER, OEM, RECYCLER) as made:
        yield made


async def finds(registry: Registry, links: list[dict[str, str]] = LINKS) -> list[str]:
    status, doc = await registry.ask("POST", FIND, links)
    assert status == 200
    return list(doc["result"])


async def test_members_of_a_group_find_the_twin_from_the_moment_they_are_in_it(nodes: World) -> None:
    maker = nodes[MAKER].client
    asks = {"leftOperand": "BusinessPartnerGroup", "operator": "isAnyOf", "rightOperand": ["repairers"]}
    policy = {"permission": [{"action": "use", "constraint": [asks]}]}
    await maker.passports.publish(PASSPORT, [For("interest", "recycle", policy, policy)])
    member = {"@id": nodes[RECYCLER].bpn, "groups": ["repairers"]}
    async with ClientSession() as session:
        registry = await reading(nodes, RECYCLER, session)
        assert await finds(registry) == []
        await maker.api.post("/v3/business-partner-groups", member)
        assert await finds(registry) == [twin_id(IDENT)]
        _, shell = await registry.ask("GET", f"/shell-descriptors/{write_id(twin_id(IDENT))}")
        keys = {key["value"] for i in shell["specificAssetIds"] for key in i["externalSubjectId"]["keys"]}
        assert keys == {nodes[RECYCLER].bpn}
        await maker.api.put("/v3/business-partner-groups", member | {"groups": []})
        assert await finds(registry) == []


async def test_who_finds_nothing_shows_what_it_can_prove_and_looks_again(
    nodes: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalog request is what shows credentials; here it is what makes the operator put the reader into a group."""
    maker, bpn = nodes[MAKER].client, nodes[OEM].bpn
    asks = {"leftOperand": "BusinessPartnerGroup", "operator": "isAnyOf", "rightOperand": ["repairers"]}
    policy = {"permission": [{"action": "use", "constraint": [asks]}]}
    await maker.passports.publish(PASSPORT, [For("interest", "recycle", policy, policy)])
    with pytest.raises(ApiError, match="no twin that we may see"):
        await nodes[OEM].client.find(CODE, provider=nodes[MAKER].did)
    asked = catalog.ask_dataset

    async def proving(node: Node, peer: Peer, asset_id: str) -> bytes:
        if asset_id == REGISTRY:
            await maker.api.post("/v3/business-partner-groups", {"@id": bpn, "groups": ["repairers"]})
        return await asked(node, peer, asset_id)

    monkeypatch.setattr(catalog, "ask_dataset", proving)
    found = await nodes[OEM].client.find(CODE, provider=nodes[MAKER].did)
    assert found.fetched.ok


async def test_published_again_for_others_the_twin_is_theirs_alone(nodes: World) -> None:
    maker = nodes[MAKER].client
    await maker.passports.publish(PASSPORT, [nodes.offer(OEM, "partner", "cx.circular.dpp:1")])
    async with ClientSession() as session:
        registries = {name: await reading(nodes, name, session) for name in (OEM, RECYCLER)}
        assert [name for name in registries if await finds(registries[name])] == [OEM]
        await maker.passports.publish(PASSPORT, [nodes.offer(RECYCLER, "interest", "recycle")])
        assert [name for name in registries if await finds(registries[name])] == [RECYCLER]
        await maker.passports.publish(PASSPORT)  # says nothing of readers, so they stay
        assert [name for name in registries if await finds(registries[name])] == [RECYCLER]


def shell(number: int, **readers: str) -> dict[str, Any]:
    ids = {"manufacturerPartId": "P-1", "partInstanceId": str(number), "customerPartId": f"C-{number % 2}"}
    rows: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in ids.items()]
    for row in rows:
        if row["name"] in readers:
            row["externalSubjectId"] = subject(readers[row["name"]])
    return {
        "id": f"urn:uuid:{number}",
        "idShort": f"Part_{number}",
        "specificAssetIds": rows,
        "submodelDescriptors": [submodel(number, model) for model in MODELS],
    }


def submodel(number: int, model: str) -> dict[str, Any]:
    info = {"href": address(number, model), "endpointProtocol": "HTTP"}
    semantics = {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": model}]}
    endpoint = {"interface": "SUBMODEL-3.0", "protocolInformation": info}
    return {"id": f"urn:{number}:{model}", "semanticId": semantics, "endpoints": [endpoint]}


def address(number: int, model: str) -> str:
    return f"https://maker.example/{number}/{model.rpartition('#')[2]}/submodel"


def rule(
    bpn: str, mandatory: dict[str, str], names: list[str], models: tuple[str, ...] = (), **more: str
) -> dict[str, Any]:
    def values(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
        return [{"attribute": name, "operator": "eq", "value": value} for name, value in pairs]

    rows: list[dict[str, Any]] = [
        {"attribute": "bpn", "operator": "eq", "value": bpn},
        {"attribute": "mandatorySpecificAssetIds", "operator": "includes", "values": values(list(mandatory.items()))},
        {
            "attribute": "visibleSpecificAssetIdNames",
            "operator": "includes",
            "values": values([("name", name) for name in names]),
        },
        {
            "attribute": "visibleSemanticIds",
            "operator": "includes",
            "values": values([("modelUrn", name) for name in models]),
        },
    ]
    return {"policyType": "AAS", "policy": {"accessRules": [row for row in rows if row.get("values", True)]}, **more}


async def test_a_rule_opens_twins_with_what_it_names(nodes: World) -> None:
    mine = nodes[OEM].bpn
    async with ClientSession() as session:
        owner = owned(nodes[MAKER], session)
        for number in range(3):
            assert (await owner.ask("POST", "/shell-descriptors", shell(number)))[0] == 201
        registry = await reading(nodes, OEM, session)
        assert await finds(registry, []) == []
        made = rule(
            *(mine, {"manufacturerPartId": "P-1", "customerPartId": "C-0"}, ["customerPartId", "partInstanceId"]),
            MODELS[:1],
        )
        status, kept = await owner.ask("POST", RULES, made)
        assert (status, kept["policy"], kept["tid"]) == (201, made["policy"], nodes[MAKER].did)
        assert await finds(registry, []) == ["urn:uuid:0", "urn:uuid:2"]
        assert await finds(registry, [{"name": "partInstanceId", "value": "2"}]) == ["urn:uuid:2"]
        hidden = {"name": "manufacturerPartId", "value": "P-1"}  # mandatory is not visible
        assert await finds(registry, [hidden, {"name": "partInstanceId", "value": "2"}]) == []
        _, seen = await registry.ask("GET", f"/shell-descriptors/{write_id('urn:uuid:2')}")
        assert {i["name"] for i in seen["specificAssetIds"]} == {"partInstanceId", "customerPartId"}
        assert [s["semanticId"]["keys"][0]["value"] for s in seen["submodelDescriptors"]] == [MODELS[0]]
        assert (await registry.ask("GET", f"/shell-descriptors/{write_id('urn:uuid:1')}"))[0] == 404
        one = f"{RULES}/{kept['id']}"
        assert (await owner.ask("PUT", one, kept | {"validTo": "2020-01-01T00:00:00Z"}))[0] == 200
        assert await finds(registry, []) == []
        assert (await owner.ask("GET", one))[1]["validTo"] == "2020-01-01T00:00:00.000Z"
        assert (await owner.ask("DELETE", one))[0] == 204
        assert (await owner.ask("GET", one))[0] == (await owner.ask("DELETE", one))[0] == 404
        assert (await owner.ask("PUT", one, made))[0] == 404
        assert (await registry.ask("GET", RULES))[0] == 404  # partners have no rules to manage


async def test_what_rules_and_descriptors_open_adds_up(nodes: World) -> None:
    mine = nodes[OEM].bpn
    async with ClientSession() as session:
        owner = owned(nodes[MAKER], session)
        named = shell(1, partInstanceId=mine, manufacturerPartId="PUBLIC_READABLE")
        assert (await owner.ask("POST", "/shell-descriptors", named))[0] == 201
        assert (await owner.ask("POST", RULES, rule(mine, {"partInstanceId": "1"}, ["customerPartId"])))[0] == 201
        registries = {name: await reading(nodes, name, session) for name in (OEM, RECYCLER)}
        every = [{"name": i["name"], "value": i["value"]} for i in named["specificAssetIds"]]
        assert await finds(registries[OEM], every) == ["urn:uuid:1"]
        one = f"/shell-descriptors/{write_id('urn:uuid:1')}"
        _, seen = await registries[OEM].ask("GET", one)
        assert {i["name"]: [k["value"] for k in i["externalSubjectId"]["keys"]] for i in seen["specificAssetIds"]} == {
            "manufacturerPartId": ["PUBLIC_READABLE"],
            "partInstanceId": [mine],
            "customerPartId": [mine],
        }
        assert len(seen["submodelDescriptors"]) == len(MODELS)
        _, public = await registries[RECYCLER].ask("GET", one)
        assert public.keys() == {"id", "specificAssetIds", "submodelDescriptors"}
        assert [i["name"] for i in public["specificAssetIds"]] == ["manufacturerPartId"]


REFUSED: list[tuple[Any, str]] = [
    ({}, "/policyType"),
    ({"policyType": "AAS"}, "/policy"),
    ({"policyType": "AAS", "policy": {"accessRules": []}}, "/policy/accessRules"),
    (rule("B", {}, ["van"]), "/policy/accessRules"),
    (rule("B", {"van": "1"}, []), "/policy/accessRules"),
    (rule("", {"van": "1"}, ["van"]), "/policy/accessRules/0/value"),
    (rule("PUBLIC_READABLE", {"van": "1"}, ["partInstanceId"]), "/policy/accessRules"),
    (rule("B", {"van": "1"}, ["van"], validFrom="2026-01-01"), "/validFrom"),
    (rule("B", {"van": "1"}, ["van"], validFrom="2026-01-02T00:00:00Z", validTo="2026-01-01T00:00:00Z"), "/validTo"),
    (rule("B", {"van": "1"}, ["van"], description="x" * 257), "/description"),
    (
        {"policyType": "AAS", "policy": {"accessRules": [{"attribute": "bpn", "operator": "gt", "value": "B"}]}},
        "/policy/accessRules/0/operator",
    ),
    (
        {"policyType": "AAS", "policy": {"accessRules": [{"attribute": "colour", "operator": "eq", "value": "B"}]}},
        "/policy/accessRules/0/attribute",
    ),
]


async def test_a_rule_that_is_not_understood_in_every_part_is_refused_with_the_place(
    nodes: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin_readers, "MAX_RULES", 3)
    async with ClientSession() as session:
        owner = owned(nodes[MAKER], session)
        for doc, place in REFUSED:
            status, said = await owner.ask("POST", RULES, doc)
            assert (status, f"(at {place})" in said["messages"][0]["text"]) == (400, True), said
        one = rule("B", {"van": "1"}, ["van"])
        made = [(await owner.ask("POST", RULES, one))[1]["id"] for _ in range(3)]
        assert len(set(made)) == len(made)
        assert (await owner.ask("POST", RULES, one))[0] == 409
        assert (await owner.ask("PUT", f"{RULES}/{made[0]}", one))[0] == 200
        assert [kept["id"] for kept in (await owner.ask("GET", RULES))[1]["items"]] == made
        assert (await owner.ask("PUT", f"{RULES}/{made[0]}", one | {"id": made[1]}))[0] == 400
        assert (await owner.ask("GET", f"{RULES}/one"))[0] == 400


async def test_a_data_plane_asks_whether_a_partner_may_have_an_address(nodes: World) -> None:
    async with ClientSession() as session:
        owner = owned(nodes[MAKER], session)
        assert (await owner.ask("POST", "/shell-descriptors", shell(1, partInstanceId=nodes[OEM].bpn)))[0] == 201
        limited = rule(nodes[RECYCLER].bpn, {"partInstanceId": "1"}, ["partInstanceId"], MODELS[1:])
        assert (await owner.ask("POST", RULES, limited))[0] == 201

        async def asked(bpn: str, href: str) -> int:
            path = "/submodel-descriptor/authorized"
            return (await owner.ask("POST", path, {"submodelEndpointUrl": href}, Edc_Bpn=bpn))[0]

        part, pcf = (address(1, model) for model in MODELS)
        assert [await asked(nodes[OEM].bpn, href) for href in (part, pcf)] == [200, 200]
        assert [await asked(nodes[RECYCLER].bpn, href) for href in (part, pcf)] == [403, 200]
        assert [await asked("BPNL00000STRANGER", href) for href in (part, pcf)] == [403, 403]
        assert await asked(nodes[OEM].bpn, f"{part}/other") == 403
        nobody = await owner.ask("POST", "/submodel-descriptor/authorized", {"submodelEndpointUrl": part})
        assert nobody[0] == 400
