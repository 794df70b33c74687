"""Catalogs, both ways: showing a counterparty what it may have (DSP 2025-1, clause 6), and asking for theirs.

What is shown follows the page, not the stock: the offer index gives candidates in catalog order, access is evaluated
for these only, and a page ends after so many candidates even if few of them are visible. For the same reason a filter's
`offset` skips candidates: what the caller's BPN may be able to see. Where access depends on more than a BPN (dates,
credentials), that is more than what it does see. To skip visible datasets only, all before them would have to be judged
for every page; whoever wants each dataset once follows the `Link` of the page before, which counts nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from connector.exchange.node import Node
from connector.exchange.offer_ids import offer_id
from connector.exchange.ports import Answer, Caller, Offering, Tx
from connector.exchange.query import QuerySpec, parse_query
from connector.exchange.records import Peer
from connector.exchange.terms import Access, counterparty
from connector.policy.circumstances import Circumstances
from connector.policy.equality import fingerprint
from connector.protocol.catalog import (
    CatalogError,
    CatalogRequestMessage,
    catalog_json,
    dataset_json,
    root_dataset_json,
    service_json,
)
from connector.protocol.errors import ConnectorError, Invalid, PeerError, Unreachable
from connector.protocol.reading import told

PAGE: Final = 500
"""Datasets on a page for peers that do not say how many they want; the conformance kit reads the first page only."""
LARGEST_PAGE: Final = 1000
BATCHES: Final = 20
"""A page looks at no more than this many times its size of candidates."""
TRAIL: Final = 50
"""Pages that `previous` can go back."""


@dataclass(frozen=True, slots=True)
class Page:
    """A catalog document and the opaque tokens of the pages beside it."""

    document: dict[str, Any]
    next: str | None
    previous: str | None


async def serve(node: Node, caller: Caller, message: CatalogRequestMessage, page: str = "0") -> Page:
    """The page that the token `page` names, the first by default. Raise PeerError 400 for a filter we cannot apply."""
    try:
        spec = QuerySpec(limit=PAGE) if message.filter is None else parse_query(message.filter, "/filter/0")
    except Invalid as error:
        raise PeerError(400, f"unsupported filter: {error.reason}", error.pointer) from error
    if spec.sort_field is not None:
        raise PeerError(400, "unsupported filter: a catalog has its own order", "/filter/0/sortField")
    trail = _trail(page)

    def read(tx: Tx) -> tuple[list[dict[str, Any]], int | None]:
        return _datasets(node, tx, caller, spec, trail[-1])

    try:
        datasets, more = await node.store.read(read)
    except Invalid as error:
        raise PeerError(400, f"unsupported filter: {error.reason}", "/filter/0/filterExpression") from error
    document = catalog_json(node.ids(), participant_id=node.id, service=_service(node), datasets=datasets)
    onward = None if more is None else ".".join(str(n) for n in [*trail, more][-TRAIL:])
    back = ".".join(str(n) for n in trail[:-1]) or None
    return Page(document, onward, back)


def _trail(token: str) -> list[int]:
    """Page tokens are the cursors of the pages walked so far, joined by dots."""
    parts = token.split(".")
    if len(parts) > TRAIL or not all(p.isascii() and p.isdecimal() and len(p) < len(str(2**63)) for p in parts):
        raise PeerError(400, "this page token is not one of ours: ask for the first page")
    return [int(p) for p in parts]


def _datasets(
    node: Node, tx: Tx, caller: Caller, spec: QuerySpec, after: int
) -> tuple[list[dict[str, Any]], int | None]:
    party = counterparty(tx, caller)
    access = Access(tx, Circumstances("catalog", party, node.clock.now(), None))
    limit, offset = min(spec.limit, LARGEST_PAGE), spec.offset if after == 0 else 0
    found: list[dict[str, Any]] = []
    for _ in range(BATCHES):
        batch = tx.offers.page(
            party.bpn, groups=party.groups, after=after, limit=limit + 1, offset=offset, criteria=spec.criteria
        )
        access.load(d for offering in batch for d in offering.definitions)
        for offering in batch:
            if len(found) == limit:
                return found, after
            after, offset = offering.cursor, 0
            if (dataset := _dataset(node, access, offering)) is not None:
                found.append(dataset)
        if len(batch) <= limit:
            return found, None
    return found, after


def _dataset(node: Node, access: Access, offering: Offering) -> dict[str, Any] | None:
    """The dataset as the counterparty may see it, or None. A fault in one item must not take the catalog down."""
    formats = node.data_plane.formats(offering.asset)
    offers = []
    for definition in offering.definitions:
        policy = access.contract_policy(definition) if access.permits(definition) else None
        if policy is not None:
            ident = offer_id(definition.id, offering.asset.id, fingerprint(policy))
            offers.append({**policy.to_json(), "@type": "Offer", "@id": ident})
    if not offers or not formats:
        return None
    return dataset_json(
        offering.asset.id,
        offers=offers,
        formats=formats,
        service=_service(node),
        properties=offering.asset.properties,
    )


def _service(node: Node) -> dict[str, Any]:
    return service_json(f"{node.id}#dsp", node.dsp_address)


async def serve_dataset(node: Node, caller: Caller, dataset_id: str) -> dict[str, Any]:
    """One dataset. Raise PeerError 404 alike for what does not exist and what the caller may not see."""

    def read(tx: Tx) -> dict[str, Any] | None:
        party = counterparty(tx, caller)
        offering = tx.offers.find(dataset_id, party.bpn, party.groups)
        access = Access(tx, Circumstances("catalog", party, node.clock.now(), None))
        return None if offering is None else _dataset(node, access, offering)

    dataset = await node.store.read(read)
    if dataset is None:
        raise PeerError(404, "there is no such dataset")
    return root_dataset_json(dataset)


async def ask(node: Node, peer: Peer, query: Mapping[str, Any] | None) -> bytes:
    """A provider's catalog, byte for byte as it answered. Raise Invalid (address) or Unreachable (with its reason)."""
    message = CatalogRequestMessage(filter=query or None, id=node.ids())
    body = json.dumps(message.to_json(), separators=(",", ":")).encode()
    return await _fetch(node, peer, "POST", "/catalog/request", body)


async def ask_dataset(node: Node, peer: Peer, dataset_id: str) -> bytes:
    """One dataset of a provider, byte for byte as it answered."""
    return await _fetch(node, peer, "GET", f"/catalog/datasets/{quote(dataset_id, safe='')}", None)


async def _fetch(node: Node, peer: Peer, method: str, path: str, body: bytes | None) -> bytes:
    address = peer.address.rstrip("/")
    try:
        node.wire.check(address)
    except PeerError as error:
        raise Invalid(error.reason, "/counterPartyAddress", address) from error
    headers = {"Authorization": await node.identity.token(peer.id, address=address)}
    if body is not None:
        headers["Content-Type"] = "application/json"
    answer = await node.wire.send(method, address + path, headers=headers, body=body)
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own boundaries
        raise Unreachable(f"{peer.id} answered {answer.status}: {_reason(answer)}")
    document = answer.json()
    if not isinstance(document, dict):
        raise Unreachable(f"{peer.id} answered {answer.status}, but not with a JSON object")
    node.offered_models.read(peer.id, document, node.clock.now())
    return answer.body


def _reason(answer: Answer) -> str:
    try:
        error = CatalogError.parse(answer.json())
    except ConnectorError:
        return answer.body[:200].decode(errors="replace").strip() or "no reason given"
    return told(error.reason) or error.code or "no reason given"
