"""Who makes what, and where its connector is: the discovery services of Catena-X (CX-0053, CX-0001), for members.

Three services, as the applications of the data space ask them one after the other: the finder names the addresses of
the others, the BPN discovery who has something under a key (the part ids of manufacturers, above all), the connector
discovery where a member's connectors are, which is what its DID document says. All want the self-issued token of a
member. A member registers keys of its own; nobody can tell who of several that claim one key is right, so all of them
are named.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from connector.authority.dcp import MAX_BODY, Counter, sender_of
from connector.authority.model import Member, PartKey, Standing
from connector.authority.register import Tx
from connector.authority.settings import FINDER_PATH
from connector.http.body import read_json
from connector.protocol.errors import Conflict, ConnectorError, PeerError
from connector.protocol.reading import at, checked, items, obj, objects, text

BPN_PATH: Final = "/api/v1.0/administration/connectors/bpnDiscovery"
CONNECTOR_PATH: Final = "/api/administration/connectors/discovery"
PART_TYPES: Final = ("manufacturerPartId", "mpn")
"""What keys can be of: both names are in use for the part id of a manufacturer."""
CONNECTORS: Final = "bpn"
MAX_KEYS: Final = 10_000
"""Of one member."""
_AT_ONCE: Final = 100
_LONGEST: Final = 256
ConnectorsOf = Callable[[str], Awaitable[Sequence[str]]]
"""The DSP roots that a DID's document names. Raises ConnectorError."""


def discovery_routes(counter: Counter, url: str, connectors_of: ConnectorsOf) -> list[web.RouteDef]:
    """Every route; `url` is the authority's public root."""
    surface = _Surface(counter, url, connectors_of)
    return [
        web.post(FINDER_PATH, surface.finder),
        web.post(f"{BPN_PATH}/search", surface.search),
        web.post(BPN_PATH, surface.add),
        web.post(f"{BPN_PATH}/batch", surface.add_many),
        web.delete(f"{BPN_PATH}/{{id}}", surface.remove),
        web.post(CONNECTOR_PATH, surface.connectors),
    ]


class _Surface:
    def __init__(self, counter: Counter, url: str, connectors_of: ConnectorsOf) -> None:
        self._counter = counter
        self._addresses = {CONNECTORS: url + CONNECTOR_PATH} | dict.fromkeys(PART_TYPES, url + BPN_PATH)
        self._connectors_of = connectors_of

    async def finder(self, request: web.Request) -> web.Response:
        """The addresses of services by what they are asked for."""
        await self._member(request)
        doc = obj(await read_json(request, max_bytes=MAX_BODY))
        wanted = dict.fromkeys(checked(kind, place) for kind, place in items(doc, "types"))
        found = [{"type": kind, "endpointAddress": self._addresses[kind]} for kind in wanted if kind in self._addresses]
        return web.json_response({"endpoints": found})

    async def search(self, request: web.Request) -> web.Response:
        """The members that have one of the keys, each with the key."""
        await self._member(request)
        doc = obj(await read_json(request, max_bytes=MAX_BODY))
        wanted = [
            (text(row, "type", place), checked(key, where, limit=_LONGEST))
            for row, place in objects(doc, "searchFilter")
            for key, where in items(row, "keys", place)
        ]
        if len(wanted) > _AT_ONCE:
            raise PeerError(400, f"at most {_AT_ONCE} keys can be looked for at once", "/searchFilter")

        def find(tx: Tx) -> list[dict[str, str]]:
            return [_key_json(key) | {"value": key.bpn} for kind, value in wanted for key in tx.holders(kind, value)]

        return web.json_response({"bpns": await self._counter.register.run(find)})

    async def add(self, request: web.Request) -> web.Response:
        """Register one key of the member that asks."""
        member = await self._member(request)
        (kept,) = await self._keep(member, [(await read_json(request, max_bytes=MAX_BODY), "")])
        return web.json_response(_key_json(kept), status=201)

    async def add_many(self, request: web.Request) -> web.Response:
        """Register several, all or none."""
        member = await self._member(request)
        rows = items({"": await read_json(request, max_bytes=MAX_BODY)}, "")
        if len(rows) > _AT_ONCE:
            raise PeerError(400, f"at most {_AT_ONCE} keys can be registered at once")
        kept = await self._keep(member, [(row, at("", number)) for number, (row, _) in enumerate(rows)])
        return web.json_response([_key_json(key) for key in kept], status=201)

    async def _keep(self, member: Member, rows: Sequence[tuple[object, str]]) -> list[PartKey]:
        """A key that is registered already keeps its id."""
        keys = [_key(member, row, place) for row, place in rows]

        def put(tx: Tx) -> list[PartKey]:
            kept = [tx.put_key(key) for key in keys]
            if tx.count_keys(member.bpn) > MAX_KEYS:
                raise Conflict(f"a member has at most {MAX_KEYS} keys")
            return kept

        return await self._counter.register.run(put)

    async def remove(self, request: web.Request) -> web.Response:
        """Forget a key; of others', one learns not even that it is there."""
        member = await self._member(request)
        identifier = request.match_info["id"]
        if not await self._counter.register.run(lambda tx: tx.drop_key(identifier, member.bpn)):
            raise PeerError(404, "you have registered no such key")
        return web.Response(status=204)

    async def connectors(self, request: web.Request) -> web.Response:
        """Where the connectors of these members are."""
        await self._member(request)
        doc = await read_json(request, max_bytes=MAX_BODY)
        wanted = {checked(bpn, place) for bpn, place in items({"": doc}, "")}
        if len(wanted) > _AT_ONCE:
            raise PeerError(400, f"at most {_AT_ONCE} members can be looked for at once")
        members = await self._counter.register.run(lambda tx: [_in_force(tx.member(bpn=bpn)) for bpn in sorted(wanted)])
        found = await asyncio.gather(*(self._roots(member) for member in members if member))
        return web.json_response([row for row in found if row["connectorEndpoint"]])

    async def _roots(self, member: Member) -> dict[str, Any]:
        try:
            roots = await self._connectors_of(str(member.did))
        except ConnectorError:  # its DID document cannot be had
            roots = ()
        return {"bpn": member.bpn, "connectorEndpoint": list(roots)}

    async def _member(self, request: web.Request) -> Member:
        """Who asks. Raise PeerError 401, or 403 if it is no member."""
        sender = await sender_of(self._counter, request)
        member = await self._counter.register.run(lambda tx: _in_force(tx.member(did=sender.id)))
        if member is None:
            raise PeerError(403, "these services are for members")
        return member


def _in_force(member: Member | None) -> Member | None:
    return member if member is not None and member.standing is Standing.MEMBER else None


def _key(member: Member, row: object, place: str) -> PartKey:
    doc = obj(row, place)
    kind, value = text(doc, "type", place), checked(doc.get("key"), at(place, "key"), limit=_LONGEST)
    if kind not in PART_TYPES:
        raise PeerError(400, f"keys are of the types {' and '.join(PART_TYPES)}", at(place, "type"))
    return PartKey(id=str(uuid4()), bpn=member.bpn, type=kind, key=value)


def _key_json(key: PartKey) -> dict[str, str]:
    return {"resourceId": key.id, "type": key.type, "key": key.key}
