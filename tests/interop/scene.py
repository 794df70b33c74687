"""Who is on stage: the real EDC, nodes of ours, and the backend; and what several cases do in the same way."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from connector.client import template
from connector.protocol.vocabulary import EDC
from tests.interop.backend import Backend, content_of
from tests.interop.edc import Edc
from tests.interop.matrix import must
from tests.interop.ours import Ours

OPEN: Final = {"@type": "Set", "permission": [{"action": "use"}]}
PAST: Final = "2020-01-01T00:00:00Z"


def dated(operator: str, moment: str) -> dict[str, Any]:
    """A policy with the one constraint that a plain EDC can evaluate: the date."""
    constraint = {"leftOperand": f"{EDC}inForceDate", "operator": {"@id": f"odrl:{operator}"}, "rightOperand": moment}
    return {"@type": "Set", "permission": [{"action": "use", "constraint": constraint}]}


def named(what: str) -> str:
    """A name that no other case uses."""
    return f"{what}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a case needs."""

    edc: Edc
    ours: Ours
    by_hand: Ours
    """A node of ours whose negotiations wait for a person, so that a case can act in their middle."""
    brief: Ours
    """A node of ours whose tokens last two seconds."""
    backend: Backend
    web: aiohttp.ClientSession

    async def edc_offers(
        self, asset: str | None = None, access: Mapping[str, Any] = OPEN, contract: Mapping[str, Any] = OPEN
    ) -> str:
        """Have EDC offer a source of its own. Return the asset's id."""
        asset = asset or named("edc")
        await self.edc.publish(asset, self.backend.source(asset), access=access, contract=contract)
        return asset

    async def we_offer(
        self, node: Ours | None = None, access: Mapping[str, Any] = OPEN, contract: Mapping[str, Any] = OPEN
    ) -> str:
        """Have a node of ours offer a source of its own. Return the asset's id."""
        asset, client = named("ours"), (node or self.ours).client
        await client.assets.create(asset, data_address={"type": "HttpData", "baseUrl": self.backend.source(asset)})
        await client.offer(f"{asset}-offer", [asset], access=dict(access), contract=dict(contract))
        return asset

    async def get(self, address: Mapping[str, Any]) -> tuple[int, bytes]:
        """What an application gets with an endpoint data reference: status and bytes."""
        headers = {"Authorization": str(address["authorization"])}
        async with self.web.get(str(address["endpoint"]), headers=headers) as answer:
            return answer.status, await answer.read()

    async def reads(self, address: Mapping[str, Any], asset: str) -> None:
        """Raise Wrong unless the reference opens exactly the bytes of the asset's source."""
        status, body = await self.get(address)
        must("the data plane's answer", status, 200)
        must("the equality of the bytes fetched and served", body == content_of(asset), True)


def nobody() -> dict[str, Any]:
    """An access policy of ours for a partner that is not here."""
    return template("by-bpn", ["BPNL00000000NONE"])
