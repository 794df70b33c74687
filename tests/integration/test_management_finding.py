"""Finding counterparties, and what the node tells of itself, through the API."""

from collections.abc import AsyncIterator

import pytest

from connector.exchange.records import CallbackAddress
from connector.protocol.errors import Unreachable
from tests.integration.management_world import (
    PEER_DSP,
    THEIR_BPN,
    THEIRS,
    VOCAB,
    Said,
    World,
    said,
    world,
)


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as made:
        yield made


# --- finding, and the node itself --------------------------------------------------------------------------------

VERSIONS = {"protocolVersions": [{"version": "2025-1", "path": "/2025-1", "binding": "HTTPS"}]}
NS = VOCAB["@vocab"]
FOUND = {
    f"{NS}protocol": "dataspace-protocol-http:2025-1",
    f"{NS}counterPartyAddress": PEER_DSP,
    f"{NS}counterPartyId": THEIRS,
}


@pytest.mark.parametrize("version", ["v3", "v4alpha"])
@pytest.mark.parametrize(
    "who", [{"tx:bpnl": THEIR_BPN}, {"edc:counterPartyId": THEIR_BPN}, {"edc:counterPartyId": THEIRS}]
)
async def test_version_parameters_have_full_iris_as_keys(here: World, version: str, who: dict[str, str]) -> None:
    here.wire.answers["/.well-known/dspace-version"] = said(200, VERSIONS)
    doc = {
        "@context": {"tx": "https://w3id.org/tractusx/v0.0.1/ns/", "edc": NS},
        "@type": "tx:ConnectorParamsDiscoveryRequest",
        "edc:counterPartyAddress": "https://theirs.example/api/v1/dsp",
        **who,
    }
    assert await here.ok("POST", f"/{version}/connectordiscovery/dspversionparams", doc) == FOUND


@pytest.mark.parametrize("version", ["v3", "v4alpha"])
async def test_connectors_are_found_from_the_did_document_and_the_known_ones(here: World, version: str) -> None:
    here.wire.answers["theirs.example/api/v1/dsp/.well-known/dspace-version"] = said(200, VERSIONS)
    here.wire.answers["/.well-known/dspace-version"] = Unreachable("silence")
    path = f"/{version}/connectordiscovery/connectors"
    assert await here.ok("POST", path, {"counterPartyId": THEIRS, "knownConnectors": []}) == [FOUND]
    assert (await here.call("POST", path, {"counterPartyId": "did:web:nobody.example"})).status == 404
    assert (await here.call("POST", path, {})).error["path"] == "/counterPartyId"
    wrong = await here.call("POST", path, {"counterPartyId": THEIRS, "knownConnectors": [{"a": 1}]})
    assert wrong.error["path"] == "/knownConnectors"


async def test_discovery_that_fails_says_how(here: World) -> None:
    path, root = "/v3/connectordiscovery/dspversionparams", "https://theirs.example/api/v1/dsp"
    assert (await here.call("POST", path, {"counterPartyAddress": root})).error["path"] == "/counterPartyId"
    here.wire.answers["/.well-known/dspace-version"] = Said(500)
    asked = {"counterPartyAddress": root, "counterPartyId": THEIRS}
    assert (await here.call("POST", path, asked)).status == 502
    here.wire.answers["/.well-known/dspace-version"] = said(
        200, {"protocolVersions": [{"version": "v0.8", "path": "/", "binding": "HTTPS"}]}
    )
    assert (await here.call("POST", path, asked)).error["path"] == "/counterPartyAddress"
    here.wire.answers["/.well-known/dspace-version"] = said(200, VERSIONS)
    unknown = asked | {"counterPartyId": "BPNL00000000NONE"}
    assert (await here.call("POST", path, unknown)).error["path"] == "/counterPartyId"


async def test_protocol_versions_are_asked_for(here: World) -> None:
    here.wire.answers["/.well-known/dspace-version"] = said(200, VERSIONS)
    doc = {"@context": VOCAB, "counterPartyAddress": "https://theirs.example/api/v1/dsp", "counterPartyId": THEIRS}
    assert await here.ok("POST", "/v4alpha/protocol-versions/request", doc) == VERSIONS


async def test_embedded_data_plane_tells_what_it_can(here: World) -> None:
    (plane,) = await here.ok("GET", "/v3/dataplanes")
    assert plane["allowedSourceTypes"] == ["HttpData", "PassportStore"]
    assert plane["allowedTransferTypes"] == ["HttpData-PULL", "HttpData-PUSH"]
    assert plane["url"] == "https://ours.example/public"


async def test_static_callbacks_are_listed() -> None:
    async with world(callbacks=[CallbackAddress("https://erp.example", ("transfer",), auth_key="X-Key")]) as here:
        (address,) = await here.ok("GET", "/v3/callbackaddresses")
    assert (address["uri"], address["events"], address["authKey"]) == ("https://erp.example", ["transfer"], "X-Key")
