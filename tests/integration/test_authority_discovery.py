"""Discovery finder, BPN discovery and connector discovery of an authority, as the applications of Catena-X ask them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.authority import discovery
from tests.integration.authority_world import BPN, OTHER_BPN, AuthorityWorld, Holder, authority_world

BPN_DISCOVERY = "/api/v1.0/administration/connectors/bpnDiscovery"
FINDER = "/api/v1.0/administration/connectors/discovery/search"
CONNECTORS = "/api/administration/connectors/discovery"
CONNECTOR = "https://maker.example/api/v1/dsp"
PART = {"type": "manufacturerPartId", "key": "HV-E78-811-A"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[AuthorityWorld]:
    async with Holder(connector=CONNECTOR) as holder, authority_world(tmp_path, holder=holder) as made:
        yield made


async def ask(
    world: AuthorityWorld, path: str, body: object = None, *, by: Holder | None = None, method: str = "POST"
) -> tuple[int, Any]:
    url = path if path.startswith("http") else world.root + path
    async with world.http.request(method, url, json=body, headers=world.bearer(by)) as answer:
        return answer.status, await answer.json() if answer.status != 204 else None


def search(*keys: str, kind: str = "manufacturerPartId") -> dict[str, Any]:
    return {"searchFilter": [{"type": kind, "keys": list(keys)}]}


async def test_from_a_part_id_to_the_connectors_of_its_maker(world: AuthorityWorld) -> None:
    status, kept = await ask(world, BPN_DISCOVERY, PART)
    assert (status, kept["type"], kept["key"]) == (201, *PART.values())
    assert (await ask(world, BPN_DISCOVERY, PART))[1] == kept  # once is enough
    status, found = await ask(world, FINDER, {"types": ["bpn", "manufacturerPartId", "oen"]})
    addresses = {row["type"]: row["endpointAddress"] for row in found["endpoints"]}
    assert (status, sorted(addresses)) == (200, ["bpn", "manufacturerPartId"])
    status, found = await ask(world, f"{addresses['manufacturerPartId']}/search", search(PART["key"], "other"))
    assert (status, found) == (200, {"bpns": [kept | {"value": BPN}]})
    status, found = await ask(world, addresses["bpn"], [BPN, OTHER_BPN])
    assert (status, found) == (200, [{"bpn": BPN, "connectorEndpoint": [CONNECTOR]}])


async def test_each_member_registers_and_forgets_its_own_keys(world: AuthorityWorld) -> None:
    async with Holder("other") as other:
        await world.operator.post("/members", {"bpn": OTHER_BPN, "did": other.did, "name": "Other"})
        assert (await ask(world, BPN_DISCOVERY, PART))[0] == 201
        rows = [PART, {"type": "mpn", "key": "E78"}]
        status, kept = await ask(world, f"{BPN_DISCOVERY}/batch", rows, by=other)
        assert (status, [row["key"] for row in kept]) == (201, [row["key"] for row in rows])
        found = (await ask(world, f"{BPN_DISCOVERY}/search", search(PART["key"])))[1]["bpns"]
        assert sorted(row["value"] for row in found) == sorted([BPN, OTHER_BPN])
        one = f"{BPN_DISCOVERY}/{kept[0]['resourceId']}"
        assert (await ask(world, one, method="DELETE"))[0] == 404
        assert (await ask(world, one, method="DELETE", by=other))[0] == 204
        await world.operator.call("DELETE", f"/members/{BPN}")
        assert (await ask(world, f"{BPN_DISCOVERY}/search", search(PART["key"]), by=other))[1] == {"bpns": []}
        assert (await ask(world, FINDER, {"types": ["bpn"]}))[0] == 403  # who has left


async def test_who_is_no_member_and_what_is_no_key_is_refused(
    world: AuthorityWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Holder("stranger") as stranger:
        for path, body in ((FINDER, {"types": ["bpn"]}), (BPN_DISCOVERY, PART), (CONNECTORS, [BPN])):
            assert (await ask(world, path, body, by=stranger))[0] == 403
    async with world.http.post(world.root + FINDER, json={"types": ["bpn"]}) as answer:
        assert answer.status == 401
    refused: list[tuple[str, Any, str]] = [
        (BPN_DISCOVERY, {"type": "colour", "key": "red"}, "/type"),
        (BPN_DISCOVERY, {"type": "mpn"}, "/key"),
        (f"{BPN_DISCOVERY}/batch", [PART, {"type": "mpn", "key": ""}], "/1/key"),
        (f"{BPN_DISCOVERY}/search", search(*map(str, range(101))), "/searchFilter"),
    ]
    for path, body, place in refused:
        status, doc = await ask(world, path, body)
        assert (status, doc["errors"][0]["path"]) == (400, place), doc
    assert (await ask(world, f"{BPN_DISCOVERY}/search", search(PART["key"])))[1] == {"bpns": []}  # all or none
    monkeypatch.setattr(discovery, "MAX_KEYS", 1)
    assert (await ask(world, f"{BPN_DISCOVERY}/batch", [PART, {"type": "mpn", "key": "1"}]))[0] == 409
