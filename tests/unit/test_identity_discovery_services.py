"""Who makes a part, as discovery services say it in their several ways, and what of it is not believed."""

import pytest
from typing_extensions import override

from connector.exchange.ports import Caller, Identity
from connector.identity.discovery_services import DiscoveryServices
from connector.protocol.errors import Unreachable
from tests.integration.management_world import RecordingWire, Said, said

FINDER = "https://finder.example/discoveryfinder/api/v1.0/administration/connectors/discovery/search"
DISCOVERY = "https://finder.example/bpn/api/v1.0/administration/connectors/bpnDiscovery"
BPN, OTHER = "BPNL000HELVION01", "BPNL00RECYCLER01"
PART = "HV-E78"


class Ourselves(Identity):
    id = "did:web:us.example"

    @override
    async def token(self, audience: str, *, address: str, claims: object = None) -> str:
        return f"Bearer for {audience}"

    @override
    async def verify(self, authorization: str | None, *, single_use: bool = True) -> Caller:
        raise AssertionError("nobody is verified here")


def services(**answers: Said | Exception) -> tuple[DiscoveryServices, RecordingWire]:
    wire = RecordingWire()
    wire.answers = {"/discovery/search": answers["finder"], "bpnDiscovery/search": answers.get("search", said(200, {}))}
    wire.answers["/bpnDiscovery"] = answers.get("add", said(201, {}))
    return DiscoveryServices(wire, Ourselves(), finder=FINDER, did="did:web:finder.example"), wire


def endpoints(*addresses: str, kind: str = "manufacturerPartId") -> Said:
    return said(200, {"endpoints": [{"type": kind, "endpointAddress": address} for address in addresses]})


def makers(*rows: tuple[str, str]) -> Said:
    return said(200, {"bpns": [{"key": key, "value": value, "type": "manufacturerPartId"} for key, value in rows]})


@pytest.mark.parametrize("address", [DISCOVERY, f"{DISCOVERY}/", f"{DISCOVERY}/search", "https://finder.example/bpn"])
async def test_the_address_of_the_bpn_discovery_is_understood_as_it_is_registered(address: str) -> None:
    asked, wire = services(finder=endpoints(address), search=makers((PART, BPN)))
    assert await asked.of_part(PART) == [BPN]
    assert [sent.url for sent in wire.sent] == [FINDER, f"{DISCOVERY}/search"]
    assert {sent.headers["Authorization"] for sent in wire.sent} == {"Bearer for did:web:finder.example"}


async def test_of_what_is_answered_only_bpns_of_this_very_part_count_once_each() -> None:
    rows = (PART, OTHER), (PART, "no bpn"), ("another part", BPN), (PART, OTHER)
    asked, _ = services(finder=endpoints(DISCOVERY), search=makers(*rows))
    assert await asked.of_part(PART) == [OTHER]


async def test_a_token_goes_to_no_other_host_than_the_finders() -> None:
    elsewhere = "https://evil.example/bpnDiscovery", "https://finder.example@evil.example/bpnDiscovery", "evil"
    asked, wire = services(finder=endpoints(*elsewhere))
    with pytest.raises(Unreachable, match="knows nobody to ask"):
        await asked.of_part(PART)
    assert [sent.url for sent in wire.sent] == [FINDER]


async def test_a_part_is_announced_once_and_again_if_that_has_failed() -> None:
    asked, wire = services(finder=endpoints(DISCOVERY), add=said(500, {}))
    with pytest.raises(Unreachable, match="answered 500"):
        await asked.announce(PART)
    wire.answers["/bpnDiscovery"] = said(201, {})
    wire.sent.clear()
    for _ in range(2):
        await asked.announce(PART)
    assert [(sent.url, sent.body) for sent in wire.sent][1:] == [
        (DISCOVERY, {"type": "manufacturerPartId", "key": PART})
    ]


@pytest.mark.parametrize("answer", [said(200, []), said(200, {"endpoints": [{"type": 1}]})])
async def test_an_answer_that_is_none_is_named(answer: Said) -> None:
    asked, _ = services(finder=answer)
    with pytest.raises(Unreachable, match="cannot be read"):
        await asked.of_part(PART)
