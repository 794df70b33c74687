"""Shell descriptors of the Asset Administration Shell (AAS part 2, API 3.1), as a registry keeps and shows them.

A registry has to understand little of a descriptor: its id, the ids of the asset (they are what is searched for, and
what says who may see the twin), and for each submodel where its data can be had. That is read into fields and checked;
everything else is kept as it came. Descriptors come from the operator and, when we look for a passport, from strangers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from connector.protocol.errors import PeerError
from connector.protocol.reading import at, checked, items, obj, objects, optional_text, text

GLOBAL_ASSET_ID: Final = "globalAssetId"
"""A name of specific asset ids that stands for the global one when twins are looked for (AAS part 2, discovery)."""
PUBLISHED_NAMES: Final = ("manufacturerId", "manufacturerPartId", "partInstanceId", "digitalTwinType")
"""Names of the ids that the twin of a published passport has (CX-0127)."""
MAX_IDS: Final = 128
MAX_READERS: Final = 1000
MAX_SUBMODELS: Final = 256
MAX_ID: Final = 512
"""Characters in the id of a shell: it stands in an index, beside a subject."""
MAX_SUBJECT: Final = 128
_SHELL_MEMBERS: Final = frozenset({"id", GLOBAL_ASSET_ID, "specificAssetIds", "submodelDescriptors"})
_ID_MEMBERS: Final = frozenset({"name", "value", "externalSubjectId"})


@dataclass(frozen=True, slots=True)
class AssetLink:
    """A name and a value by which an asset is known."""

    name: str
    value: str

    @classmethod
    def parse(cls, doc: object, pointer: str = "") -> Self:
        """Read {name, value}. Raise PeerError 400."""
        body = obj(doc, pointer)
        return cls(text(body, "name", pointer), text(body, "value", pointer))


def kind_link(member: str, value: str) -> AssetLink:
    """The link by which a list is filtered; its name is empty, as no link is that somebody looks for."""
    return AssetLink("", f"{member}={value}")


@dataclass(frozen=True, slots=True)
class SpecificAssetId:
    """An asset link, and the subjects that may see it: BPNs, or PUBLIC_READABLE. None: only the owner."""

    name: str
    value: str
    subjects: tuple[str, ...] = ()
    rest: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.subjects) > MAX_READERS:
            raise PeerError(400, f"more than {MAX_READERS} subjects may see this id", "/externalSubjectId/keys")

    @property
    def link(self) -> AssetLink:
        """Name and value alone."""
        return AssetLink(self.name, self.value)

    @classmethod
    def parse(cls, doc: object, pointer: str = "") -> Self:
        """Read one of `specificAssetIds`. Raise PeerError 400."""
        body = obj(doc, pointer)
        link = AssetLink.parse(body, pointer)
        place = at(pointer, "externalSubjectId")
        subject = obj(body.get("externalSubjectId") or {}, place)
        keys = tuple(dict.fromkeys(_subject(key, where) for key, where in objects(subject, "keys", place)))
        rest = {name: value for name, value in body.items() if name not in _ID_MEMBERS and value is not None}
        if not isinstance(rest.get("supplementalSemanticIds", []), list):
            raise PeerError(400, "expected an array", at(pointer, "supplementalSemanticIds"))
        return cls(link.name, link.value, keys, rest)

    def to_json(self) -> dict[str, Any]:
        """`supplementalSemanticIds` is always there: clients count it without looking (Industry Core Hub)."""
        keys = [{"type": "GlobalReference", "value": subject} for subject in self.subjects]
        subject = {"externalSubjectId": {"type": "ExternalReference", "keys": keys}} if keys else {}
        return {"supplementalSemanticIds": [], **self.rest, "name": self.name, "value": self.value, **subject}


def _stays_text(doc: Mapping[str, Any], pointer: str, *names: str) -> None:
    """Refuse members that are no texts: they are kept and shown as they came, and clients take them for texts."""
    for name in names:
        if not isinstance(doc.get(name), str | None):
            raise PeerError(400, "expected a string", at(pointer, name))


def _subject(key: dict[str, Any], pointer: str) -> str:
    return checked(key.get("value"), at(pointer, "value"), limit=MAX_SUBJECT)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a submodel can be had; `body` (subprotocol DSP) says how to get a token: `id=..;dspEndpoint=..`."""

    interface: str
    href: str
    body: str = ""

    @property
    def asset(self) -> tuple[str, str] | None:
        """The asset to negotiate for and the DSP root to ask, if the body names both; their order is free."""
        parts = dict(part.strip().partition("=")[::2] for part in self.body.split(";"))
        found = parts.get("id", ""), parts.get("dspEndpoint", "")
        return found if all(found) else None


@dataclass(frozen=True, slots=True)
class Submodel:
    """A submodel descriptor; `doc` is all of it."""

    id: str
    doc: Mapping[str, Any]

    @classmethod
    def parse(cls, doc: object, pointer: str = "") -> Self:
        """Read a submodel descriptor. Raise PeerError 400."""
        body = {name: value for name, value in obj(doc, pointer).items() if value is not None}
        _stays_text(body, pointer, "id", "idShort")
        for endpoint, place in objects(body, "endpoints", pointer):
            _endpoint(endpoint, place)
        _semantic_ids(body, pointer)
        return cls(text(body, "id", pointer), body)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where its data can be had."""
        return tuple(_endpoint(endpoint, place) for endpoint, place in objects(dict(self.doc), "endpoints"))

    @property
    def semantic_ids(self) -> tuple[str, ...]:
        """The aspect model that it follows: the keys of its `semanticId`."""
        return _semantic_ids(dict(self.doc), "")


def _endpoint(endpoint: dict[str, Any], pointer: str) -> Endpoint:
    place = at(pointer, "protocolInformation")
    info = obj(endpoint.get("protocolInformation"), place)
    _stays_text(endpoint, pointer, "interface")
    _stays_text(info, place, "href", "subprotocol", "subprotocolBody")
    body = text(info, "subprotocolBody", place) if info.get("subprotocolBody") else ""
    return Endpoint(text(endpoint, "interface", pointer), text(info, "href", place), body)


def _semantic_ids(body: dict[str, Any], pointer: str) -> tuple[str, ...]:
    place = at(pointer, "semanticId")
    reference = obj(body.get("semanticId", {}), place)
    _stays_text(reference, place, "type")
    keys = list(objects(reference, "keys", place))
    for key, where in keys:
        _stays_text(key, where, "type", "value")
    return tuple(text(key, "value", where) for key, where in keys)


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell descriptor; `rest` has the members that a registry only keeps. Raises PeerError 400 if it is none."""

    id: str
    global_asset_id: str | None = None
    specific_asset_ids: tuple[SpecificAssetId, ...] = ()
    submodels: tuple[Submodel, ...] = ()
    rest: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked(self.id, "/id", limit=MAX_ID)
        if len(self.specific_asset_ids) > MAX_IDS:
            raise PeerError(400, f"a shell has at most {MAX_IDS} specific asset ids", "/specificAssetIds")
        if len(self.submodels) > MAX_SUBMODELS:
            raise PeerError(400, f"a shell has at most {MAX_SUBMODELS} submodels", "/submodelDescriptors")
        if len({submodel.id for submodel in self.submodels}) < len(self.submodels):
            raise PeerError(400, "two submodels have the same id", "/submodelDescriptors")

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read a shell descriptor. Raise PeerError 400 with the place of the first fault."""
        body = obj(doc)
        _stays_text(body, "", "idShort", "assetKind")
        return cls(
            text(body, "id"),
            optional_text(body, GLOBAL_ASSET_ID),
            tuple(SpecificAssetId.parse(row, place) for row, place in items(body, "specificAssetIds")),
            tuple(Submodel.parse(row, place) for row, place in items(body, "submodelDescriptors")),
            {name: value for name, value in body.items() if name not in _SHELL_MEMBERS and value is not None},
        )

    def to_json(self) -> dict[str, Any]:
        """The descriptor."""
        named = {GLOBAL_ASSET_ID: self.global_asset_id} if self.global_asset_id else {}
        return {
            **self.rest,
            "id": self.id,
            **named,
            "specificAssetIds": [asset_id.to_json() for asset_id in self.specific_asset_ids],
            "submodelDescriptors": [dict(submodel.doc) for submodel in self.submodels],
        }

    @property
    def links(self) -> tuple[AssetLink, ...]:
        """All that the asset is known by."""
        whole = (AssetLink(GLOBAL_ASSET_ID, self.global_asset_id),) if self.global_asset_id else ()
        return (*(asset_id.link for asset_id in self.specific_asset_ids), *whole)

    def submodel(self, identifier: str) -> Submodel | None:
        """The submodel of an id, or None."""
        return next((submodel for submodel in self.submodels if submodel.id == identifier), None)


@dataclass(frozen=True, slots=True)
class RegisteredShell:
    """A descriptor as a registry keeps it; `created_at` in ms.

    `policies` are the ids of the access policies that it was published under; see `visibility` for what they open.
    """

    id: str
    created_at: int
    shell: Shell
    policies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.id != self.shell.id:
            raise PeerError(400, "a shell is kept under its own id", "/id")
