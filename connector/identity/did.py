"""did:web names and DID documents (W3C DID Core 1.0, did:web method): ours written, strangers' read.

Ours is what every party accepts: EDC understands no verification method type but `JsonWebKey2020`, the DCP kit refuses
extra members in methods and services, CX-0049 wants four contexts, DSP 2025-1 wants its own for its services, and DCP
wants the key under `capabilityInvocation`. Strangers' documents are read for keys and what they are for; what we do
not know in them is left out, what contradicts itself is refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from connector.identity.keys import VerificationKey
from connector.protocol.errors import Invalid, PeerError

CONTEXTS: Final = (
    "https://www.w3.org/ns/did/v1",
    "https://w3id.org/security/suites/jws-2020/v1",
    "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld",
    "https://w3id.org/dspace/2025/1/context.jsonld",
)
PRESENTING: Final = "authentication"
ASSERTING: Final = "assertionMethod"
RELATIONSHIPS: Final = (PRESENTING, ASSERTING, "capabilityInvocation")
MAX_CHARS: Final = 2048
MAX_METHODS: Final = 64
"""Methods read from a stranger's document; each key costs time to check."""

_HOST: Final = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?:%3[Aa]([0-9]{1,5}))?")
_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+")
_NOT_IN_SEGMENT: Final = re.compile(r"[/\\\x00-\x1f\x7f]|^\.{1,2}$")


def did_web_url(did: str, *, allow_http: bool = False) -> str:
    """Where the document of a did:web lies. Raise PeerError 401 if it is none.

    `did:web:example.com%3A8443:a:b` is `https://example.com:8443/a/b/did.json`; without a path it is
    `/.well-known/did.json`. With `allow_http` (development only) the scheme is http.
    """
    parts = _split(did)
    if parts is None:
        raise PeerError(401, "the participant's DID is not a valid did:web")
    return f"{'http' if allow_http else 'https'}://{parts[0]}{parts[1]}"


def did_document_path(did: str) -> str:
    """The path under which our own web server must serve our document. Raise Invalid if `did` is no did:web."""
    parts = _split(did)
    if parts is None:
        raise Invalid("our DID must be a did:web, as in did:web:connector.example.com", value=did)
    return parts[1]


def did_of_url(url: str) -> str:
    """The did:web that a base address stands for; the address of the document itself (did.json) is understood too.

    Raise Invalid if no did:web can say it (no host, an IPv6 address, a query, other than http and https).
    """
    try:
        split = urlsplit(url)
        host, port = split.hostname or "", split.port
    except ValueError:
        raise Invalid("not a URL", value=url) from None
    path = split.path.removesuffix("/did.json").removesuffix("/.well-known").strip("/")
    default = {"https": 443, "http": 80}.get(split.scheme)
    shown = f"{host}%3A{port}" if port not in (None, default) else host
    did = ":".join(["did:web", shown, *(path.split("/") if path else [])])
    plain = not (split.query or split.fragment or "@" in split.netloc or ":" in path)
    if default is None or not plain or _split(did) is None:
        raise Invalid("no did:web can stand for this address: it needs http(s), a host name, a plain path", value=url)
    return did


def _split(did: str) -> tuple[str, str] | None:
    """Network location and path of the document, or None if `did` is no did:web."""
    if len(did) > MAX_CHARS or not did.startswith("did:web:"):
        return None
    first, *segments = did.removeprefix("did:web:").split(":")
    host = _HOST.fullmatch(first)
    if host is None or ".." in first or (host[2] and not 0 < int(host[2]) <= 65535):  # noqa: PLR2004 - TCP's last port
        return None
    for segment in segments:  # a segment must not leave its place, spelled plainly or escaped
        if not _SEGMENT.fullmatch(segment) or _NOT_IN_SEGMENT.search(unquote(segment)):
            return None
    netloc = f"{host[1]}:{int(host[2])}" if host[2] else host[1]
    return netloc, f"/{'/'.join(segments) or '.well-known'}/did.json"


class PublishedKey(Protocol):
    """The public half of a key of ours."""

    @property
    def kid(self) -> str:
        """Its full id, `<did>#<fragment>`."""
        ...

    def public_jwk(self) -> Mapping[str, str]:
        """It as JWK, without a private part."""
        ...


def did_document(
    did: str,
    keys: Sequence[PublishedKey],
    services: Sequence[Mapping[str, str]] = (),
    *,
    former: Sequence[PublishedKey] = (),
) -> dict[str, Any]:
    """Our DID document as JSON.

    keys: those in use. services: the entries as JSON, their members being id, type and serviceEndpoint. former: keys
    that sign nothing any more and prove what they have signed; they are for assertions only.
    """
    methods = [
        {"id": key.kid, "type": "JsonWebKey2020", "controller": did, "publicKeyJwk": key.public_jwk()}
        for key in (*keys, *former)
    ]
    relationships = {name: [key.kid for key in keys] for name in RELATIONSHIPS}
    relationships[ASSERTING] += [key.kid for key in former]
    return {
        "@context": list(CONTEXTS),
        "id": did,
        "verificationMethod": methods,
        **relationships,
        "service": [dict(service) for service in services],
    }


@dataclass(frozen=True, slots=True)
class DidDocument:
    """What we need of a participant's document.

    `methods`: by full id (`did#fragment`); None stands for a key that we cannot verify with.
    `relationships`: method ids by relationship; one that the document does not publish is not in it.
    `json`: the document as it was found, for those who look for services in it.
    """

    id: str
    methods: Mapping[str, VerificationKey | None]
    relationships: Mapping[str, frozenset[str]]
    json: Mapping[str, Any]


def parse_did_document(doc: object, did: str) -> DidDocument:
    """Read the document that was found for `did`. Raise PeerError 401 with the place of what is wrong.

    Methods may be listed under `verificationMethod`, embedded in a relationship, or both; ids may be relative
    (`#key-1`). Methods of another controller are left out: the document cannot speak for it.
    """
    if not isinstance(doc, dict):
        raise PeerError(401, "a DID document must be a JSON object")
    if doc.get("id") != did:
        raise PeerError(401, "the DID document is about another DID", "/id")
    entries = [(f"/verificationMethod/{i}", entry) for i, entry in enumerate(_array(doc, "verificationMethod"))]
    relationships: dict[str, frozenset[str]] = {}
    for name in RELATIONSHIPS:
        if name in doc:
            listed = [(f"/{name}/{i}", entry) for i, entry in enumerate(_array(doc, name))]
            entries += [(pointer, entry) for pointer, entry in listed if isinstance(entry, dict)]
            relationships[name] = frozenset(_method_id(entry, did, pointer) for pointer, entry in listed)
    if len(entries) > MAX_METHODS:
        raise PeerError(401, f"more than {MAX_METHODS} verification methods", "/verificationMethod")
    return DidDocument(did, _methods(entries, did), relationships, doc)


def _methods(entries: Sequence[tuple[str, object]], did: str) -> dict[str, VerificationKey | None]:
    seen: dict[str, object] = {}
    methods: dict[str, VerificationKey | None] = {}
    for pointer, entry in entries:
        if not isinstance(entry, dict):
            raise PeerError(401, "a verification method must be a JSON object", pointer)
        identifier = _method_id(entry, did, pointer)
        if seen.setdefault(identifier, entry) != entry:
            raise PeerError(401, "two different verification methods have this id", f"{pointer}/id")
        if identifier.startswith(f"{did}#") and entry.get("controller", did) == did and identifier not in methods:
            methods[identifier] = _key(entry)
    return methods


def _key(entry: Mapping[str, object]) -> VerificationKey | None:
    """The method's key; None if we do not know its kind. It must not hide the document's other keys."""
    try:
        return VerificationKey.from_jwk(entry.get("publicKeyJwk"))
    except PeerError:
        return None


def _method_id(entry: object, did: str, pointer: str) -> str:
    identifier = entry.get("id") if isinstance(entry, dict) else entry
    if not isinstance(identifier, str) or not identifier:
        raise PeerError(401, "a verification method needs an id (a string)", pointer)
    return f"{did}{identifier}" if identifier.startswith("#") else identifier


def _array(doc: Mapping[str, object], name: str) -> list[Any]:
    value = doc.get(name, [])
    if not isinstance(value, list):
        raise PeerError(401, f"{name} must be an array", f"/{name}")
    return value


def keys_in(document: object) -> Callable[[str], VerificationKey]:
    """Find keys by their ids in a DID document at hand, as it was kept with what is to be verified.

    Raise PeerError 401 if it is none; so does what is returned, for a key that the document does not have.
    """
    claimed = document.get("id") if isinstance(document, dict) else None
    if not isinstance(claimed, str):
        raise PeerError(401, "a DID document must be a JSON object with an id")
    methods = parse_did_document(document, claimed).methods

    def find(kid: str) -> VerificationKey:
        found = methods.get(kid)
        if found is None:
            raise PeerError(401, f"the DID document of {claimed} has no key {kid[:200]} that we can use")
        return found

    return find


def service_endpoints(document: DidDocument, kind: str) -> tuple[str, ...]:
    """The addresses of a participant's services of one type (`CredentialService`, `IssuerService`), in its order.

    Entries of other types and shapes are passed over; nothing says yet that we may call these addresses.
    """
    services = document.json.get("service")
    entries = [entry for entry in services if isinstance(entry, dict)] if isinstance(services, list) else []
    found = [entry.get("serviceEndpoint") for entry in entries if entry.get("type") in (kind, [kind])]
    return tuple(url for url in found if isinstance(url, str) and url)
