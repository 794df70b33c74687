"""How a participant's DID document leads to its connector (DSP 2025-1, DID service entries).

A `DataService` entry points at the version document, a `CatalogService` entry at a catalog. The standard's own schema
demands a URL ending in `/catalog` for both, against its own example; we follow the example, as Tractus-X does.
"""

from typing import Any, Final

from connector.protocol.errors import PeerError
from connector.protocol.reading import checked, items
from connector.protocol.versions import WELL_KNOWN, root_url
from connector.protocol.vocabulary import CONTEXT, VERSION

DID_CONTEXT: Final = [*CONTEXT, "https://www.w3.org/ns/did/v1"]
"""Contexts that a DID document with these entries must name, beside any others."""


def service_entries(did: str, dsp_root: str) -> list[dict[str, Any]]:
    """The `service` entries for the DID document of `did`.

    dsp_root: URL that the version document's path and `/2025-1` are appended to.
    """
    root = dsp_root.rstrip("/")
    return [
        {"id": f"{did}#dsp", "type": "DataService", "serviceEndpoint": root + WELL_KNOWN},
        {"id": f"{did}#catalog", "type": "CatalogService", "serviceEndpoint": f"{root}/{VERSION}/catalog"},
    ]


def find_dsp_endpoints(did_document: object) -> tuple[str, ...]:
    """The root URLs of the connectors that a DID document names, in its order, each once.

    Only `DataService` entries count, with the URL of the version document or the root itself. Entries of other types or
    shapes are passed over: a DID document is full of things that are not ours. Nothing is raised.
    """
    services = items(did_document, "service") if isinstance(did_document, dict) else []
    roots = (root_url(url) for service, _ in services for url in _endpoints(service))
    return tuple(dict.fromkeys(roots))


def _endpoints(service: object) -> list[str]:
    """The HTTP URLs of an entry if it is a DataService: a string, a map with `uri`, or an array of these (DID Core)."""
    if not isinstance(service, dict) or "DataService" not in (kind for kind, _ in items(service, "type")):
        return []
    values = [value.get("uri") if isinstance(value, dict) else value for value, _ in items(service, "serviceEndpoint")]
    return [url for value in values if (url := _url(value))]


def _url(value: object) -> str | None:
    try:
        url = checked(value, "")
    except PeerError:
        return None
    return url if url.startswith(("https://", "http://")) else None
