"""`connectordiscovery` (Tractus-X) and `protocol-versions` (EDC): how to speak with a counterparty.

The keys of the answers are full IRIs: tractusx-sdk reads these or bare ones, and stumbles over EDC's `edc:` prefix.
"""

from typing import Any, Final

from aiohttp import web

from connector.exchange import discovery
from connector.exchange.discovery import ConnectorParameters
from connector.http.management import reading
from connector.http.management.border import NODE, answer
from connector.protocol.errors import Invalid
from connector.protocol.versions import versions_json
from connector.protocol.vocabulary import EDC


def _participant(doc: dict[str, Any]) -> str:
    """A DID or a BPN; `tx:bpnl` is how it was called before."""
    participant = reading.optional_text(doc, "counterPartyId") or reading.optional_text(doc, "bpnl")
    if participant is None:
        raise Invalid("counterPartyId is missing: a DID, or a BPN that the directory knows", "/counterPartyId")
    return participant


def _parameters(found: ConnectorParameters) -> dict[str, str]:
    return {
        f"{EDC}protocol": found.protocol,
        f"{EDC}counterPartyAddress": found.address,
        f"{EDC}counterPartyId": found.participant_id,
    }


async def _version_parameters(request: web.Request) -> web.Response:
    doc = reading.document(request)
    participant, address = _participant(doc), reading.text(doc, "counterPartyAddress")
    return answer(_parameters(await discovery.version_parameters(request.app[NODE], participant, address)))


async def _connectors(request: web.Request) -> web.Response:
    doc = reading.document(request)
    known = doc.get("knownConnectors", [])
    if not isinstance(known, list) or not all(isinstance(url, str) for url in known):
        raise Invalid("knownConnectors is a list of URLs", "/knownConnectors", known)
    found = await discovery.connectors(request.app[NODE], _participant(doc), known)
    return answer([_parameters(f) for f in found])


async def _versions(request: web.Request) -> web.Response:
    address = reading.text(reading.document(request), "counterPartyAddress")
    return answer(versions_json(await discovery.versions(request.app[NODE], address)))


ROUTES: Final = (
    *(
        route
        for version in ("v3", "v4alpha")
        for route in (
            web.post(f"/{version}/connectordiscovery/dspversionparams", _version_parameters),
            web.post(f"/{version}/connectordiscovery/connectors", _connectors),
        )
    ),
    web.post("/v4alpha/protocol-versions/request", _versions),
)
