"""Finding out how to speak with a counterparty: its versions, its DID document, the parameters for our own requests.

Tractus-X's connector discovery. The answer names protocol, address and participant id exactly as the requests of the
management API want them.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from connector.exchange.node import Node
from connector.protocol.errors import ConnectorError, Invalid, NotFound, PeerError, Unreachable
from connector.protocol.versions import WELL_KNOWN, ProtocolVersion, choose_version, parse_versions, root_url
from connector.protocol.vocabulary import PROTOCOL

_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class ConnectorParameters:
    """What a catalog, contract or transfer request to this connector has to say."""

    protocol: str
    address: str
    participant_id: str


async def version_parameters(node: Node, participant: str, address: str) -> ConnectorParameters:
    """Ask a connector for its versions and choose. `participant` is a DID or a BPN that the directory knows.

    Raise Invalid (no common version, unknown BPN, bad address) or Unreachable.
    """
    offered = await versions(node, address)
    try:
        chosen = choose_version(offered)
    except PeerError as error:
        raise Invalid(error.reason, "/counterPartyAddress", address) from error
    return ConnectorParameters(PROTOCOL, chosen.base_url(root_url(address)), await participant_of(node, participant))


async def versions(node: Node, address: str) -> tuple[ProtocolVersion, ...]:
    """The versions that a connector exposes. Raise Invalid (bad address, no version document) or Unreachable."""
    root = root_url(address)
    try:
        node.wire.check(root)
        answer = await node.wire.send("GET", root + WELL_KNOWN, headers={"Accept": "application/json"})
        if answer.status not in _OK:
            raise Unreachable(f"{root} answered {answer.status} when asked for its versions")
        return parse_versions(answer.json())
    except PeerError as error:
        raise Invalid(error.reason, "/counterPartyAddress", address) from error


async def participant_of(node: Node, participant: str) -> str:
    """The participant id for a DID (itself) or a BPN. Raise Invalid for a BPN that the directory does not list."""
    if not participant.startswith("BPN"):
        return participant
    did = await node.directory.find(participant)
    if did is None:
        raise Invalid(f"the directory does not know {participant}", "/counterPartyId", participant)
    return did


async def connectors(node: Node, participant: str, known: Iterable[str] = ()) -> list[ConnectorParameters]:
    """All connectors of a participant: those its DID document names and the `known` ones; silent ones are left out.

    Raise NotFound if the DID document cannot be had and nothing is known.
    """
    did = await participant_of(node, participant)
    roots = [root_url(k) for k in known]
    try:
        roots += await node.connectors_of(did)
    except ConnectorError as error:
        if not roots:
            raise NotFound(f"the DID document of {did} cannot be had: {error.reason}") from error
    found = await asyncio.gather(*(_speaking(node, did, root) for root in dict.fromkeys(roots)))
    return [parameters for parameters in found if parameters is not None]


async def _speaking(node: Node, did: str, root: str) -> ConnectorParameters | None:
    try:
        return await version_parameters(node, did, root)
    except ConnectorError:
        return None
