"""What this node is equipped with: its data plane, and the callbacks from its configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from connector.exchange.records import Asset
from connector.http.management import views
from connector.http.management.border import NODE, answer


@dataclass(frozen=True, slots=True)
class EmbeddedPlane:
    """The data plane in this process: the URL of all pulls, and the types of data addresses it may know."""

    url: str
    source_types: Sequence[str]


PLANE: Final = web.AppKey("plane", EmbeddedPlane)


async def _data_planes(request: web.Request) -> web.Response:
    """One entry: the data plane is part of the node, so it cannot be away while this answers."""
    node, plane = request.app[NODE], request.app[PLANE]
    formats = {t: node.data_plane.formats(Asset("any", 0, data_address={"type": t})) for t in plane.source_types}
    entry = views.document(
        "DataPlaneInstance",
        "embedded",
        {
            "url": plane.url or None,
            "state": "AVAILABLE",
            "allowedSourceTypes": [t for t, known in formats.items() if known],
            "allowedDestTypes": ["HttpData"],  # where a push may go
            "allowedTransferTypes": list(dict.fromkeys(f for known in formats.values() for f in known)),
            "lastActive": node.clock.now(),
        },
    )
    return answer([entry])


async def _callback_addresses(request: web.Request) -> web.Response:
    return answer([views.callback(c) for c in request.app[NODE].callbacks])


ROUTES: Final = (
    web.get("/v3/dataplanes", _data_planes),
    web.get("/v3/callbackaddresses", _callback_addresses),
)
