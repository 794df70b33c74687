"""What the register of an authority holds: members, their requests, their credentials, and what is on its way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from connector.identity.credentials import Profile
from connector.identity.dcp_messages import RequestStatus
from connector.identity.did import did_web_url
from connector.identity.directory import BPN
from connector.protocol.errors import Invalid, PeerError

MAX_NAME: Final = 200


class Standing(StrEnum):
    """How a company stands to the data space."""

    INVITED = "INVITED"
    MEMBER = "MEMBER"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A company in the register. `did` is None until it has come with its invitation.

    attributes: what credentials beyond those of every member are to say, by type of credential; a type that needs them
    is issued only to whom has them. invitation: digest of the code that was given out. Times in ms.
    """

    bpn: str
    name: str
    standing: Standing
    since: int
    did: str | None = None
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    invitation: str | None = None
    invited_until: int = 0

    def __post_init__(self) -> None:
        if not BPN.fullmatch(self.bpn):
            raise Invalid("a BPN is BPNL, BPNS or BPNA and 12 digits or capital letters", "/bpn", self.bpn)
        if not 0 < len(self.name) <= MAX_NAME:
            raise Invalid(f"a member has a name of at most {MAX_NAME} characters", "/name")
        if (self.standing is Standing.INVITED and self.did) or (self.standing is Standing.MEMBER and not self.did):
            raise Invalid("a member has a DID; who is only invited brings it along", "/did", self.did)
        if self.did is not None:
            try:
                did_web_url(self.did)
            except PeerError:
                raise Invalid("a member's DID is a did:web", "/did", self.did) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A holder's request for credentials, decided (DCP 1.0, 6.4). `wanted` are ids of credential objects."""

    issuer_pid: str
    holder: str
    holder_pid: str
    wanted: tuple[str, ...]
    status: RequestStatus
    received: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A credential that was issued, and its place in a status list. Times in ms; `revoked` is None in force."""

    id: str
    bpn: str
    holder: str
    type: str
    profile: Profile
    list_number: int
    index: int
    issued: int
    expires: int
    jwt: str = field(repr=False)
    issuer_pid: str | None = None
    revoked: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message to a holder's wallet. `due` is when it is to be tried, in ms; None: it was given up.

    path: below the wallet's address. token: what the holder wants to see again in our token.
    """

    id: str
    holder: str
    path: str
    body: bytes = field(repr=False)
    due: int | None
    token: str | None = field(default=None, repr=False)
    attempts: int = 0
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartKey:
    """A key that a member has registered, so that it is found by it: a part id, by the name that it has."""

    id: str
    bpn: str
    type: str
    key: str
