"""A code that does not say whose battery it is: the discovery services of an authority tell who makes such a part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from connector.authority.program import RunningAuthority, start
from connector.client import ApiError
from connector.client.api import Api
from connector.config import Config, parse
from connector.protocol.errors import Invalid
from connector.sandbox.ports import Ports
from tests.integration.authority_world import KEY, settings
from tests.integration.passport_world import MAKER, OEM, RECYCLER, STRANGER, World, world
from tests.integration.test_twins import CODE, MODEL, PASSPORT

FINDER = "/api/v1.0/administration/connectors/discovery/search"


@asynccontextmanager
async def data_space(folder: Path, *names: str) -> AsyncIterator[tuple[World, RunningAuthority]]:
    """Nodes that ask the discovery services of an authority, of which all but strangers are members."""
    with Ports() as ports:
        read = settings(folder / "authority", ports.take())
    async with start(read) as running, Api(running.management_url, KEY) as operator:
        services = {"finder": read.url + FINDER, "did": read.did}
        async with world(folder, *names, discovery=services) as nodes:
            for name in names:
                if name != STRANGER:
                    await operator.post("/members", {"bpn": nodes[name].bpn, "did": nodes[name].did, "name": name})
            yield nodes, running


async def test_a_part_that_was_published_leads_to_its_maker(tmp_path: Path) -> None:
    async with data_space(tmp_path, MAKER, OEM, RECYCLER) as (nodes, _):
        oem = nodes[OEM].client
        with pytest.raises(ApiError, match="no partner that we know says that it makes") as missing:
            await oem.find(CODE)
        assert missing.value.status == 404
        await nodes[MAKER].client.passports.publish(PASSPORT, [nodes.offer(OEM, "partner", "cx.circular.dpp:1")])
        found = await oem.find(CODE)
        assert (found.provider, found.fetched.payload["identification"]["idDmc"]) == (
            *(nodes[MAKER].did, PASSPORT["identification"]["idDmc"]),
        )
        assert f"{MODEL} is made by {nodes[MAKER].bpn}" in found.steps
        makers = nodes[RECYCLER].running.node.makers
        assert makers is not None
        await makers.announce(MODEL)  # somebody else says so too, and has no such twin
        assert (await oem.find(CODE)).provider == nodes[MAKER].did
        assert sorted(await makers.of_part(MODEL)) == sorted([nodes[MAKER].bpn, nodes[RECYCLER].bpn])


async def test_what_the_services_refuse_is_told_and_hinders_no_publication(tmp_path: Path) -> None:
    async with data_space(tmp_path, MAKER, STRANGER) as (nodes, authority):
        stranger = nodes[STRANGER].client
        offer = nodes.offer(MAKER, "partner", "cx.circular.dpp:1")
        assert (await stranger.passports.publish(PASSPORT, [offer]))["new"]
        with pytest.raises(ApiError, match="answered 403") as refused:
            await stranger.find(CODE)
        assert refused.value.status == 502
        await authority.public.close()
        with pytest.raises(ApiError):
            await nodes[MAKER].client.find(CODE)
        assert (await nodes[MAKER].client.passports.publish(PASSPORT, [offer]))["new"]


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"finder": "https://finder.example/search"}, "/discovery/did"),
        ({"finder": "http://finder.example/search", "did": "did:web:finder.example"}, "/discovery/finder"),
        ({"finder": "finder.example", "did": "did:web:finder.example"}, "/discovery/finder"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, section: dict[str, str], place: str) -> None:
    with pytest.raises(Invalid) as fault:
        configured(tmp_path, section)
    assert fault.value.pointer == place


def configured(folder: Path, section: dict[str, str]) -> Config:
    sections = {
        "node": {"did": "did:web:node.example", "data": str(folder)},
        "public": {"url": "https://node.example"},
        "management": {"key": "env:KEY"},
        "discovery": section,
    }
    return parse(sections, {"KEY": "a management key"})
