"""The version metadata document (DSP 2025-1, Exposure of Versions): which dialects a connector speaks, and where.

It is public, unversioned and plain JSON without a context. A peer's document is read entry by entry: an entry that
cannot be understood (an older field form, another binding) hides only itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from connector.protocol.errors import PeerError
from connector.protocol.reading import checked, items, obj, optional_text, text
from connector.protocol.vocabulary import VERSION

WELL_KNOWN: Final = "/.well-known/dspace-version"
"""Path of the document below a connector's root URL."""
BINDING: Final = "HTTPS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """How requests to an endpoint are authenticated, for example DCP 1.0 with profile `vc11-sl2021/jwt`."""

    protocol: str
    version: str
    profile: tuple[str, ...] = ()

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = obj(doc, "/auth")
        return cls(
            protocol=text(body, "protocol", "/auth"),
            version=text(body, "version", "/auth"),
            profile=tuple(checked(item, place) for item, place in items(body, "profile", "/auth")),
        )

    def to_json(self) -> dict[str, Any]:
        """The member `auth`."""
        body: dict[str, Any] = {"protocol": self.protocol, "version": self.version}
        return body | ({"profile": list(self.profile)} if self.profile else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolVersion:
    """One entry: `path` is appended to the root URL and gives the base of all paths of this version."""

    version: str
    path: str
    binding: str = BINDING
    service_id: str | None = None
    """Groups the entries of one data service across versions."""
    identifier_type: str | None = None
    """What participant ids are, for example `did:web`."""
    auth: Auth | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = obj(doc)
        return cls(
            version=text(body, "version"),
            path=text(body, "path"),
            binding=text(body, "binding"),
            service_id=optional_text(body, "serviceId"),
            identifier_type=optional_text(body, "identifierType"),
            auth=None if body.get("auth") is None else Auth.parse(body["auth"]),
        )

    def to_json(self) -> dict[str, Any]:
        """The entry's JSON."""
        body: dict[str, Any] = {"version": self.version, "path": self.path, "binding": self.binding}
        optional = {
            "serviceId": self.service_id,
            "identifierType": self.identifier_type,
            "auth": self.auth and self.auth.to_json(),
        }
        return body | {key: value for key, value in optional.items() if value is not None}

    def base_url(self, root: str) -> str:
        """The base of this version's paths below `root`, without a trailing slash."""
        return f"{root.rstrip('/')}/{self.path.strip('/')}".rstrip("/")


def versions_json(versions: Sequence[ProtocolVersion]) -> dict[str, Any]:
    """The document; `versions` must not be empty, the schema wants one entry at least."""
    return {"protocolVersions": [version.to_json() for version in versions]}


def parse_versions(doc: object) -> tuple[ProtocolVersion, ...]:
    """A peer's entries in its order, without those that cannot be read. Raise PeerError 400 for another document."""
    entries = items(obj(doc), "protocolVersions")
    if not entries:
        raise PeerError(400, "the version document names no protocol version", "/protocolVersions")
    return tuple(found for entry, _ in entries if (found := _readable(entry)))


def _readable(entry: object) -> ProtocolVersion | None:
    try:
        return ProtocolVersion.parse(entry)
    except PeerError:
        return None


def choose_version(theirs: Iterable[ProtocolVersion], ours: Sequence[str] = (VERSION,)) -> ProtocolVersion:
    """The peer's entry to use: the first of `ours` that it offers over HTTPS, preferably with DCP.

    Raise PeerError 400 if there is none; the standard says to stop then.
    """
    offered = [entry for entry in theirs if entry.binding == BINDING]
    for version in ours:
        if same := [entry for entry in offered if entry.version == version]:
            return min(same, key=_foreign_auth)
    known = ", ".join(entry.version for entry in offered) or "nothing over HTTPS"
    raise PeerError(400, f"no common protocol version: the peer speaks {known}, this side {', '.join(ours)}")


def _foreign_auth(entry: ProtocolVersion) -> int:
    """0 for DCP, 1 if the peer does not say, 2 for anything else."""
    if entry.auth is None:
        return 1
    return 0 if entry.auth.protocol == "DCP" else 2


def root_url(address: str) -> str:
    """A connector's root URL, from that or from the URL of its version document; no trailing slash."""
    return address.rstrip("/").removesuffix(WELL_KNOWN).rstrip("/")
