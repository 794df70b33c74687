"""Who makes a part: asked of the data space's discovery services (CX-0053), with a token of our own.

The finder says where the BPN discovery is, the BPN discovery who has registered a part id. Two names are in use for
those ids, and whoever registers only one of them is to be found too, so both are asked and both are registered. What
the services say is a hint and nothing more: who makes the part proves it by the passport that it has.

Our tokens are made out to one DID, and the finder must not lead them elsewhere, nor us to what is on our own network:
only addresses of its own host count.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from typing_extensions import override

from connector.exchange.makers import Makers
from connector.exchange.ports import Identity, Wire
from connector.identity.directory import BPN
from connector.protocol.errors import PeerError, Unreachable
from connector.protocol.reading import obj, objects, text

PART_TYPES: Final = ("manufacturerPartId", "mpn")
_BASE_PATH: Final = "/api/v1.0/administration/connectors/bpnDiscovery"
_MOST: Final = 16
"""Makers of one part that are believed to be worth asking."""
_REMEMBERED: Final = 10_000
_OK: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})


class DiscoveryServices(Makers):
    """finder: the URL of the finder's search. did: whose services they are, and whom our tokens are made out to."""

    def __init__(self, wire: Wire, identity: Identity, *, finder: str, did: str) -> None:
        self._wire = wire
        self._identity = identity
        self._finder = finder
        self._did = did
        self._announced: set[str] = set()

    @override
    async def of_part(self, part: str) -> list[str]:
        found: dict[str, None] = {}
        for kind, address in (await self._addresses()).items():
            doc = await self._ask(f"{address}/search", {"searchFilter": [{"type": kind, "keys": [part]}]})
            rows = _read(doc, "bpns", ("key", "value"))
            found |= {bpn: None for key, bpn in rows if key == part and BPN.fullmatch(bpn)}
        return list(found)[:_MOST]

    @override
    async def announce(self, part: str) -> None:
        if part in self._announced:
            return
        for kind, address in (await self._addresses()).items():
            await self._ask(address, {"type": kind, "key": part})
        if len(self._announced) >= _REMEMBERED:
            self._announced.clear()
        self._announced.add(part)

    async def _addresses(self) -> dict[str, str]:
        """The BPN discovery by the type of key. Raise Unreachable if the finder knows none."""
        doc = await self._ask(self._finder, {"types": list(PART_TYPES)})
        rows = _read(doc, "endpoints", ("type", "endpointAddress"))
        here = _origin(self._finder)
        found = {kind: _base(address) for kind, address in rows if kind in PART_TYPES and _origin(address) == here}
        if not found:
            raise Unreachable(f"the discovery finder {self._finder} knows nobody to ask for {' or '.join(PART_TYPES)}")
        return found

    async def _ask(self, url: str, body: Mapping[str, Any]) -> object:
        headers = {
            "Authorization": await self._identity.token(self._did, address=url),
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        answer = await self._wire.send("POST", url, headers=headers, body=orjson.dumps(body))
        if answer.status not in _OK:
            raise Unreachable(f"{url} answered {answer.status}")
        return answer.json()


def _origin(url: str) -> str:
    """Scheme, host and port; of no two texts that are no URLs the same."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}".lower() if rest else url


def _base(address: str) -> str:
    """The address that keys are sent to; what finders have registered is that, its root, or its search."""
    root = address.rstrip("/").removesuffix("/search")
    return root if root.endswith("/bpnDiscovery") else root + _BASE_PATH


def _read(doc: object, member: str, names: tuple[str, str]) -> list[tuple[str, str]]:
    """Two texts of each row under `member`. Raise Unreachable if that is not what was answered."""
    try:
        return [(text(row, names[0], place), text(row, names[1], place)) for row, place in objects(obj(doc), member)]
    except PeerError as error:
        raise Unreachable(f"what the discovery services answer cannot be read: {error}") from error
