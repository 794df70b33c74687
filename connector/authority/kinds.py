"""The four credentials of Catena-X (CX-0050): what a subject says of its holder, and the schema of that.

Membership, business partner number and framework agreement are every member's. That somebody dismantles vehicles, and
which, has to be known of it: it stands among the member's attributes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from connector.identity.credentials import Profile
from connector.identity.dcp_messages import CredentialObject

MEMBERSHIP: Final = "MembershipCredential"
PARTNER: Final = "BpnCredential"
GOVERNANCE: Final = "DataExchangeGovernanceCredential"
DISMANTLER: Final = "DismantlerCredential"


class Terms(Protocol):
    """What the data space says of itself in credentials (settings)."""

    @property
    def member_of(self) -> str:
        """The data space."""
        ...

    @property
    def contract_template(self) -> str:
        """URL of the framework agreement."""
        ...

    @property
    def contract_version(self) -> str:
        """Its version."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of credential. `says` gives the subject without its `id`; `attributes` are what it needs to know."""

    type: str
    object_id: str
    says: Callable[[str, Terms, Mapping[str, Any]], dict[str, Any]]
    attributes: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the subject; texts, but for lists of texts among the attributes."""
        members = ("id", *self.says("", _Names(), dict.fromkeys(self.attributes)))
        texts = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.type,
            "type": "object",
            "required": list(members),
            "properties": {name: texts if name in self.attributes else {"type": "string"} for name in members},
        }


@dataclass(frozen=True, slots=True)
class _Names:
    """Terms of nobody, to learn which members a subject has."""

    member_of: str = ""
    contract_template: str = ""
    contract_version: str = ""


KINDS: Final[Mapping[str, Kind]] = {
    kind.type: kind
    for kind in (
        Kind(MEMBERSHIP, "membership", lambda bpn, terms, _: {"holderIdentifier": bpn, "memberOf": terms.member_of}),
        Kind(PARTNER, "bpn", lambda bpn, _, __: {"holderIdentifier": bpn, "bpn": bpn}),
        Kind(
            GOVERNANCE,
            "data-exchange-governance",
            lambda bpn, terms, _: {
                "holderIdentifier": bpn,
                "group": "UseCaseFramework",
                "useCase": "DataExchangeGovernance",
                "contractTemplate": terms.contract_template,
                "contractVersion": terms.contract_version,
            },
        ),
        Kind(
            DISMANTLER,
            "dismantler",
            lambda bpn, _, known: {
                "holderIdentifier": bpn,
                "activityType": known["activityType"],
                "allowedVehicleBrands": known["allowedVehicleBrands"],
            },
            ("activityType", "allowedVehicleBrands"),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Supported:
    """A credential object of the metadata: a kind in a profile. Its id is what a request names."""

    id: str
    kind: Kind
    profile: Profile

    def to_object(self, schemas: str) -> CredentialObject:
        """As metadata and offers show it. `schemas`: URL below which the schemas are served."""
        return CredentialObject(
            id=self.id,
            credential_type=self.kind.type,
            credential_schema=f"{schemas}/{self.kind.type}",
            offer_reason="issuance",
            binding_methods=("did:web",),
            profile=self.profile.value,
            issuance_policy={},
        )


def supported(types: tuple[str, ...], profiles: tuple[str, ...]) -> dict[str, Supported]:
    """What is offered, by id. The first profile's ids are plain; those of others end with their data model."""
    found: dict[str, Supported] = {}
    for place, profile in enumerate(map(Profile, profiles)):
        suffix = f"-{profile.value.partition('-')[0]}" if place else ""
        for kind in map(KINDS.__getitem__, types):
            found[kind.object_id + suffix] = Supported(kind.object_id + suffix, kind, profile)
    return found
