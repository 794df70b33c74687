"""Catalogs: what a provider shows and a consumer reads (DSP 2025-1, Catalog Protocol).

Written strictly in the form of the schema (arrays are arrays, empty ones are left out), because JSON-LD peers drop
silently what has the wrong shape. Read tolerantly: one object where an array is due, services by id or embedded,
catalogs inside catalogs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from connector.protocol.errors import Invalid, PeerError
from connector.protocol.messages import envelope
from connector.protocol.reading import (
    MAX_TEXT,
    at,
    checked,
    code,
    items,
    obj,
    objects,
    optional_text,
    plain,
    reasons,
    text,
    typed,
)
from connector.protocol.vocabulary import CONTEXT, DCAT, DSPACE, EDC, EDC_CONTEXT, ODRL

MAX_DEPTH: Final = 8
"""Catalogs nested deeper than this are refused."""

_QUERY_MEMBERS: Final = frozenset({"offset", "limit", "sortOrder", "sortField", "filterExpression"})
_DATASET_MEMBERS: Final = frozenset({"@context", "@id", "@type", "hasPolicy", "distribution"})
_RESERVED: Final = ("@", DCAT, "dcat:", ODRL, "odrl:", DSPACE, "dspace:")
_PARAMETER: Final = r"""\s*;\s*([\w*-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]+)))?"""
_LINK: Final = re.compile(rf"<([^<>]*)>((?:{_PARAMETER})*)")
_RULES: Final = ("permission", "prohibition", "obligation")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRequestMessage:
    """Asks for a catalog. `filter` holds the members of EDC's QuerySpec, the only filter peers have in common, or None.

    Its members are read by whoever applies it; here it is only made sure that nothing in it would be overlooked,
    because an unsupported filter must be answered with 400.
    """

    filter: Mapping[str, Any] | None = None
    id: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400, also for a filter that is not supported."""
        body = typed(doc, cls.__name__)
        filters = [found for found in objects(body, "filter") if found[0]]  # an empty one asks for nothing
        if len(filters) > 1:
            raise PeerError(400, "unsupported filter: send one QuerySpec, not several", filters[1][1])
        return cls(filter=_query(*filters[0]) if filters else None, id=optional_text(body, "@id"))

    def to_json(self) -> dict[str, Any]:
        """The message's JSON; a filter brings EDC's context along, without which EDC would not see its members."""
        if self.filter is None:
            return envelope(self)
        filters = [{"@type": "QuerySpec", **self.filter}]
        return envelope(self, filter=filters) | {"@context": [*CONTEXT, EDC_CONTEXT]}


def _query(query: dict[str, Any], pointer: str) -> dict[str, Any]:
    try:
        typed(query, "QuerySpec", pointer)
    except PeerError as error:
        raise PeerError(400, "unsupported filter: send an object of @type QuerySpec", error.pointer) from None
    members = {key: value for key, value in query.items() if key != "@type" and value is not None}
    if unknown := sorted(members.keys() - _QUERY_MEMBERS):
        raise PeerError(400, "unsupported filter: a QuerySpec has no such member", at(pointer, unknown[0]))
    return members


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogError:
    """The body of a refused catalog request. It names no process, so it has no pids."""

    code: str | None = None
    reason: tuple[object, ...] = ()
    id: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        return cls(code=code(body), reason=reasons(body), id=optional_text(body, "@id"))

    def to_json(self) -> dict[str, Any]:
        """The error's JSON."""
        return envelope(self, code=self.code, reason=list(self.reason))


def service_json(service_id: str, endpoint_url: str) -> dict[str, Any]:
    """A DataService. `endpoint_url` is the base of negotiation and transfer paths, of the version the catalog has."""
    return {
        "@id": service_id,
        "@type": "DataService",
        "endpointDescription": "dspace:connector",
        "endpointURL": endpoint_url,
    }


def offer_json(offer: Mapping[str, Any]) -> dict[str, Any]:
    """An offer as a catalog shows it: no `target` (the dataset is the target) and no empty rule arrays.

    An offer without any rule is shown without rule members, as EDC does and its clients expect, although the schema
    wants a permission or prohibition. Raise Invalid without an `@id`.
    """
    if not offer.get("@id"):
        raise Invalid("an offer needs an @id", "/hasPolicy/@id")
    kept = {key: value for key, value in offer.items() if key != "target" and (value or key not in _RULES)}
    return {"@type": "Offer"} | kept


def dataset_json(
    dataset_id: str,
    *,
    offers: Iterable[Mapping[str, Any]],
    formats: Iterable[str],
    service: Mapping[str, Any],
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A dataset with one distribution per transfer format, all through `service` (from `service_json`).

    properties: of the asset; short keys get EDC's namespace. Keys of the catalog's own vocabularies (dcat, odrl,
    dspace) are left out: they would change what the dataset says.
    Raise Invalid without offers or formats (leave such a dataset out of the catalog), or for an offer id used twice.
    """
    policies = [offer_json(offer) for offer in offers]
    distributions = [{"@type": "Distribution", "format": name, "accessService": dict(service)} for name in formats]
    if not policies or not distributions:
        raise Invalid(f"dataset {dataset_id} has no offer or no format: it cannot be in a catalog", "/dataset")
    if len({offer["@id"] for offer in policies}) < len(policies):
        raise Invalid(f"two offers of dataset {dataset_id} have the same @id", "/dataset/hasPolicy")
    own = {key if ":" in key else EDC + key: value for key, value in (properties or {}).items() if _free(key)}
    return {
        "@id": dataset_id,
        "@type": "Dataset",
        **own,
        EDC + "id": dataset_id,
        "hasPolicy": policies,
        "distribution": distributions,
    }


def _free(key: str) -> bool:
    return not key.startswith(_RESERVED)


def root_dataset_json(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset (from `dataset_json`) as a document of its own: the answer to a dataset request."""
    return {"@context": list(CONTEXT), **dataset}


def catalog_json(
    catalog_id: str, *, participant_id: str, service: Mapping[str, Any], datasets: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A root catalog. Without datasets the member `dataset` is left out, an empty array breaks the schema."""
    return {
        "@context": list(CONTEXT),
        "@id": catalog_id,
        "@type": "Catalog",
        "participantId": participant_id,
        "service": [dict(service)],
    } | ({"dataset": list(datasets)} if datasets else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """A dataset of a peer. `endpoint_url` is where to negotiate for it, None if the catalog does not say."""

    id: str
    offers: tuple[Mapping[str, Any], ...]
    """Each with a checked `@id`, otherwise as the peer wrote it."""
    formats: tuple[str, ...]
    properties: Mapping[str, Any]
    """Everything else that stands beside the dataset's `@id`, under the peer's keys."""
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogView:
    """A peer's catalog, nested ones included. `participant_id` is who it says it is: compare with the token's."""

    participant_id: str
    datasets: tuple[DatasetView, ...]


def semantic_id_in(properties: Mapping[str, Any]) -> str | None:
    """The aspect model that a dataset's properties name (AAS, HasSemantics), with whatever prefix."""
    for key, value in properties.items():
        if key.rpartition("/")[2].rpartition(":")[2] == "semanticId":
            named = (plain(item) for item in (value if isinstance(value, list) else [value]))
            return next((item for item in named if isinstance(item, str) and 0 < len(item) <= MAX_TEXT), None)
    return None


def read_catalog(doc: object) -> CatalogView:
    """Read a root catalog. Raise PeerError 400 with the place of what cannot be understood."""
    body = typed(doc, "Catalog")
    return CatalogView(participant_id=text(body, "participantId"), datasets=tuple(_datasets(body, {}, "", 1)))


def read_dataset(doc: object) -> DatasetView:
    """Read the answer to a dataset request. Raise PeerError 400."""
    return _dataset(obj(doc), {}, "")


def _datasets(body: dict[str, Any], known: dict[str, str], pointer: str, depth: int) -> Iterable[DatasetView]:
    if depth > MAX_DEPTH:
        raise PeerError(400, f"catalogs are nested deeper than {MAX_DEPTH}", pointer)
    own = _services(body, pointer)
    services = own | known | own  # the nearest first, and the nearest wins
    for dataset, place in objects(body, "dataset", pointer):
        yield _dataset(dataset, services, place)
    for catalog, place in objects(body, "catalog", pointer):
        yield from _datasets(catalog, services, place, depth + 1)


def _services(body: dict[str, Any], pointer: str) -> dict[str, str]:
    """The URLs of a catalog's services by their id."""
    return {
        text(service, "@id", place): text(service, "endpointURL", place)
        for service, place in objects(body, "service", pointer)
    }


def _dataset(body: dict[str, Any], services: Mapping[str, str], pointer: str) -> DatasetView:
    offers = objects(body, "hasPolicy", pointer)
    for offer, place in offers:
        text(offer, "@id", place)
    distributions = objects(body, "distribution", pointer)
    urls = (_endpoint(distribution, services, place) for distribution, place in distributions)
    return DatasetView(
        id=text(body, "@id", pointer),
        offers=tuple(offer for offer, _ in offers),
        formats=tuple(dict.fromkeys(text(distribution, "format", place) for distribution, place in distributions)),
        properties={key: value for key, value in body.items() if key not in _DATASET_MEMBERS},
        endpoint_url=next((url for url in urls if url), None) or next(iter(services.values()), None),
    )


def _endpoint(distribution: dict[str, Any], services: Mapping[str, str], pointer: str) -> str | None:
    """The URL of a distribution's service: embedded, or looked up by its id."""
    for service, place in items(distribution, "accessService", pointer):
        if isinstance(service, dict) and "endpointURL" in service:
            return text(service, "endpointURL", place)
        if url := services.get(text(service, "@id", place) if isinstance(service, dict) else checked(service, place)):
            return url
    return None


def link_header(*, next_url: str | None = None, previous_url: str | None = None) -> str | None:
    """The value of the Link header of a catalog page, None if there is nothing to link to.

    The page before is linked twice, as `previous` (the standard) and `prev` (EDC). Raise Invalid for a URL that would
    break out of the header.
    """
    links = [("next", next_url), ("previous", previous_url), ("prev", previous_url)]
    given = [(relation, url) for relation, url in links if url is not None]
    for _, url in given:
        if not url.isascii() or not url.isprintable() or any(sign in url for sign in '<> "'):
            raise Invalid("a link must be a percent-encoded URL", "/link")
    return ", ".join(f'<{url}>; rel="{relation}"' for relation, url in given) or None


def parse_links(values: Iterable[str]) -> dict[str, str]:
    """The URLs of Link headers by relation; `prev` is given as `previous`, the first of a relation wins.

    values: one per header line; each may hold several links. What is not a link is passed over. The URLs come from a
    stranger and may be relative: resolve and check them like any other address.
    """
    found: dict[str, str] = {}
    for value in values:
        for url, parameters, *_ in _LINK.findall(value):
            named = {name.lower(): quoted or bare for name, quoted, bare in re.findall(_PARAMETER, parameters)}
            for relation in named.get("rel", "").lower().split():
                found.setdefault("previous" if relation == "prev" else relation, url)
    return found
