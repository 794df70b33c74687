"""The messages of the Decentralized Claims Protocol 1.0 (clauses 5 and 6), read and written by all three roles.

They are read as plain JSON: `type` may be spelt `@type`, `@context` must name the protocol, and members that are not
known are left out. What a message must have is what the standard's schemas demand; a body that has not is refused with
400 and its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

from connector.protocol.errors import PeerError
from connector.protocol.reading import at, checked, items, obj, objects, optional_text, text

CONTEXT: Final = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"
NAMESPACE: Final = "https://w3id.org/dspace-dcp/v1.0/"
PRESENTATION_EXCHANGE: Final = "https://identity.foundation/presentation-exchange/submission/v1"
CREDENTIAL_SERVICE: Final = "CredentialService"
ISSUER_SERVICE: Final = "IssuerService"
"""Types of the DID document's service entries; the paths of the clauses are appended to their endpoints."""
QUERY_PATH: Final = "/presentations/query"
MAX_ITEMS: Final = 64
"""Accepted length of any list in a message."""
MAX_JWT: Final = 1 << 18


def _read(doc: object, name: str) -> dict[str, Any]:
    """The members of a message of this type, `@type` as `type`."""
    body = obj(doc)
    kinds = [kind for key in ("type", "@type") for kind, _ in items(body, key)]
    if name not in [kind.removeprefix(NAMESPACE) for kind in kinds if isinstance(kind, str)]:
        raise PeerError(400, f"expected a message of type {name}", "/type")
    if CONTEXT not in [value for value, _ in items(body, "@context")]:
        raise PeerError(400, f"@context must be an array with {CONTEXT}", "/@context")
    return body


def _array(doc: dict[str, Any], key: str, *, empty: bool = False) -> list[tuple[Any, str]]:
    """The items under `key`, which must be an array of at most MAX_ITEMS."""
    value = doc.get(key)
    if not isinstance(value, list) or len(value) > MAX_ITEMS or not (value or empty):
        raise PeerError(400, f"expected an array of {0 if empty else 1} to {MAX_ITEMS} items", at("", key))
    return items(doc, key)


def _message(name: str, **members: object) -> dict[str, Any]:
    """A message as JSON, without the members that are None."""
    return {"@context": [CONTEXT], "type": name, **{k: v for k, v in members.items() if v is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentationQueryMessage:
    """Verifier to credential service (5.4.1): which credentials it wants to see; exactly one way of saying so."""

    TYPE: ClassVar = "PresentationQueryMessage"

    scope: tuple[str, ...] = ()
    presentation_definition: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if bool(self.scope) is (self.presentation_definition is not None):
            raise PeerError(400, "exactly one of scope and presentationDefinition, and not empty", "/scope")

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read it. Raise PeerError 400; an empty or null definition is one, before anybody says 501 to it."""
        body = _read(doc, cls.TYPE)
        definition = None
        if "presentationDefinition" in body:
            definition = obj(body["presentationDefinition"], "/presentationDefinition")
            if not definition:
                raise PeerError(400, "the definition is empty", "/presentationDefinition")
        scope = _array(body, "scope") if "scope" in body else []
        return cls(scope=tuple(checked(value, p) for value, p in scope), presentation_definition=definition)

    def to_json(self) -> dict[str, Any]:
        """The message."""
        scope = list(self.scope) or None
        return _message(self.TYPE, scope=scope, presentationDefinition=self.presentation_definition)


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentationResponseMessage:
    """Credential service to verifier (5.4.2): presentations, as JWTs or envelopes around them."""

    TYPE: ClassVar = "PresentationResponseMessage"

    presentation: tuple[str | Mapping[str, Any], ...]

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read it; a submission is left out. Raise PeerError 400."""
        listed = _array(_read(doc, cls.TYPE), "presentation", empty=True)
        return cls(presentation=tuple(v if isinstance(v, dict) else checked(v, p, limit=MAX_JWT) for v, p in listed))

    def to_json(self) -> dict[str, Any]:
        """The message."""
        return _message(self.TYPE, presentation=list(self.presentation))


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialObject:
    """A credential that an issuer has to offer (6.6.2). In offers only `id` is sure to be there."""

    TYPE: ClassVar = "CredentialObject"

    id: str
    credential_type: str | None = None
    credential_schema: str | None = None
    offer_reason: str | None = None
    binding_methods: tuple[str, ...] = ()
    profile: str | None = None
    issuance_policy: Mapping[str, Any] | None = None

    @classmethod
    def parse(cls, doc: dict[str, Any], place: str) -> Self:
        """Read one. Raise PeerError 400."""
        policy = doc.get("issuancePolicy")
        return cls(
            id=text(doc, "id", place),
            credential_type=optional_text(doc, "credentialType", place),
            credential_schema=optional_text(doc, "credentialSchema", place),
            offer_reason=optional_text(doc, "offerReason", place),
            binding_methods=tuple(checked(value, p) for value, p in items(doc, "bindingMethods", place)),
            profile=optional_text(doc, "profile", place),
            issuance_policy=None if policy is None else obj(policy, at(place, "issuancePolicy")),
        )

    def to_json(self) -> dict[str, Any]:
        """The object, without what it does not say."""
        members = {
            "id": self.id,
            "type": self.TYPE,
            "credentialType": self.credential_type,
            "credentialSchema": self.credential_schema,
            "offerReason": self.offer_reason,
            "bindingMethods": list(self.binding_methods) or None,
            "profile": self.profile,
            "issuancePolicy": self.issuance_policy,
        }
        return {key: value for key, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialOfferMessage:
    """Issuer to credential service (6.6): what the holder could ask for."""

    TYPE: ClassVar = "CredentialOfferMessage"

    issuer: str
    credentials: tuple[CredentialObject, ...]

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read it. Raise PeerError 400."""
        body = _read(doc, cls.TYPE)
        offered = [CredentialObject.parse(obj(value, p), p) for value, p in _array(body, "credentials")]
        return cls(issuer=text(body, "issuer"), credentials=tuple(offered))

    def to_json(self) -> dict[str, Any]:
        """The message."""
        return _message(self.TYPE, issuer=self.issuer, credentials=[c.to_json() for c in self.credentials])


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRequestMessage:
    """Holder to issuer (6.4): ids of credential objects from the issuer's metadata or offer."""

    TYPE: ClassVar = "CredentialRequestMessage"

    holder_pid: str
    credentials: tuple[str, ...]

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read it. Raise PeerError 400."""
        body = _read(doc, cls.TYPE)
        wanted = [text(obj(value, p), "id", p) for value, p in _array(body, "credentials")]
        return cls(holder_pid=text(body, "holderPid"), credentials=tuple(wanted))

    def to_json(self) -> dict[str, Any]:
        """The message."""
        return _message(self.TYPE, holderPid=self.holder_pid, credentials=[{"id": i} for i in self.credentials])


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialContainer:
    """One credential on its way to its holder (6.5.2). What it is stands in the payload, whatever this says."""

    credential_type: str
    format: str
    payload: str = field(repr=False)

    @classmethod
    def parse(cls, doc: dict[str, Any], place: str) -> Self:
        """Read one. Raise PeerError 400."""
        payload = checked(doc.get("payload"), at(place, "payload"), limit=MAX_JWT)
        return cls(
            credential_type=text(doc, "credentialType", place), format=text(doc, "format", place), payload=payload
        )

    def to_json(self) -> dict[str, str]:
        """The container."""
        return {"credentialType": self.credential_type, "payload": self.payload, "format": self.format}


class Decision(StrEnum):
    """How an issuance ended (6.5.1)."""

    ISSUED = "ISSUED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialMessage:
    """Issuer to credential service (6.5): the credentials, or that there are none."""

    TYPE: ClassVar = "CredentialMessage"

    issuer_pid: str
    holder_pid: str
    status: Decision
    credentials: tuple[CredentialContainer, ...] = ()
    rejection_reason: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read it. Raise PeerError 400; one that says ISSUED without credentials is one."""
        body = _read(doc, cls.TYPE)
        status = text(body, "status")
        if status not in set(Decision):
            raise PeerError(400, f"expected one of {', '.join(Decision)}", "/status")
        issued = status == Decision.ISSUED
        listed = _array(body, "credentials", empty=not issued) if issued or "credentials" in body else []
        return cls(
            issuer_pid=text(body, "issuerPid"),
            holder_pid=text(body, "holderPid"),
            status=Decision(status),
            credentials=tuple(CredentialContainer.parse(obj(value, p), p) for value, p in listed),
            rejection_reason=optional_text(body, "rejectionReason"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message."""
        return _message(
            self.TYPE,
            issuerPid=self.issuer_pid,
            holderPid=self.holder_pid,
            status=self.status.value,
            credentials=[c.to_json() for c in self.credentials] or None,
            rejectionReason=self.rejection_reason,
        )


class RequestStatus(StrEnum):
    """How far a credential request is (6.8)."""

    RECEIVED = "RECEIVED"
    REJECTED = "REJECTED"
    ISSUED = "ISSUED"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialStatus:
    """Issuer to holder (6.8): how far a request is."""

    TYPE: ClassVar = "CredentialStatus"

    issuer_pid: str
    holder_pid: str
    status: RequestStatus

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read it. Raise PeerError 400."""
        body = _read(doc, cls.TYPE)
        status = text(body, "status")
        if status not in set(RequestStatus):
            raise PeerError(400, f"expected one of {', '.join(RequestStatus)}", "/status")
        return cls(issuer_pid=text(body, "issuerPid"), holder_pid=text(body, "holderPid"), status=RequestStatus(status))

    def to_json(self) -> dict[str, Any]:
        """The message."""
        pids = {"issuerPid": self.issuer_pid, "holderPid": self.holder_pid}
        return _message(self.TYPE, **pids, status=self.status.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerMetadata:
    """What an issuer can issue (6.7), to anybody."""

    TYPE: ClassVar = "IssuerMetadata"

    issuer: str
    credentials_supported: tuple[CredentialObject, ...]

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read it. Raise PeerError 400."""
        body = _read(doc, cls.TYPE)
        _array(body, "credentialsSupported", empty=True)
        supported = [CredentialObject.parse(value, p) for value, p in objects(body, "credentialsSupported")]
        return cls(issuer=text(body, "issuer"), credentials_supported=tuple(supported))

    def to_json(self) -> dict[str, Any]:
        """The message."""
        return _message(
            self.TYPE, issuer=self.issuer, credentialsSupported=[c.to_json() for c in self.credentials_supported]
        )
