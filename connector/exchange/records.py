"""What a node remembers. Frozen values; the store keeps each as one row, a change is a new value under the same id.

Times are integer milliseconds since the epoch. Participant ids are what the identity says: a DID (or, with the mock
identity, a plain name). Field names follow EDC's management API where it has the thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Any, Final, Self

from connector.exchange.query import Criterion
from connector.policy.model import Policy
from connector.protocol.errors import Invalid
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Role
from connector.protocol.transfer import TransferProcess
from connector.protocol.vocabulary import EDC

HISTORY: Final = 200
"""Timeline entries kept per process; the oldest go first."""
MAX_GROUPS: Final = 200
"""Groups of one business partner; each is one more walk through the offers when it asks for the catalog."""
SEMANTIC_ID: Final = "https://admin-shell.io/aas/3/0/HasSemantics/semanticId"
"""The asset property that names the aspect model of the payload (Catena-X CX-0002)."""
VALIDATION: Final = f"{EDC}validation"
"""The private property that says what happens to data that does not fit the aspect model (`Validation`)."""


class Validation(Enum):
    """What is done with JSON that does not fit when it is served: kept back, logged, or not looked at."""

    BLOCK = "block"
    WARN = "warn"
    OFF = "off"


def _identified(identifier: str) -> None:
    if not identifier.strip():
        raise Invalid("the @id must not be blank", "/@id", identifier)


@dataclass(frozen=True, slots=True)
class Asset:
    """Something offered. Property keys are full IRIs; `data_address` keeps every key as it was given."""

    id: str
    created_at: int
    properties: Mapping[str, Any] = field(default_factory=dict)
    private_properties: Mapping[str, Any] = field(default_factory=dict)
    data_address: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _identified(self.id)
        if twice := self.properties.keys() & self.private_properties.keys():
            raise Invalid("the same key stands in properties and privateProperties", f"/properties/{min(twice)}")

    @property
    def semantic_id(self) -> str | None:
        """The aspect model's URN, or None: such an asset is passed on without validation."""
        value = self.properties.get(SEMANTIC_ID)
        if isinstance(value, Mapping):
            value = value.get("@id")
        return value if isinstance(value, str) else None

    @property
    def validation(self) -> Validation:
        """What is done with data that breaks the model when it is served. Raise Invalid if nobody knows the word."""
        said = self.private_properties.get(VALIDATION, Validation.WARN.value)
        try:
            return Validation(said)
        except ValueError:
            known = ", ".join(mode.value for mode in Validation)
            raise Invalid(f"validation must be one of {known}", f"/privateProperties/{VALIDATION}", said) from None


@dataclass(frozen=True, slots=True)
class PolicyDefinition:
    """A policy under a name, to be used by contract definitions."""

    id: str
    created_at: int
    policy: Policy
    private_properties: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _identified(self.id)


@dataclass(frozen=True, slots=True)
class ContractDefinition:
    """Which assets are offered (`selector`, AND-ed; empty = all), to whom (access) and on which terms (contract)."""

    id: str
    created_at: int
    access_policy_id: str
    contract_policy_id: str
    selector: tuple[Criterion, ...] = ()
    private_properties: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _identified(self.id)


@dataclass(frozen=True, slots=True)
class BusinessPartner:
    """A counterparty with the groups that our operator has put it into. `id` is its BPN, or its participant id."""

    id: str
    created_at: int
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _identified(self.id)
        for i, group in enumerate(self.groups):
            if not group.strip() or "," in group:
                raise Invalid("the name of a group is not blank and has no comma", f"/groups/{i}", group)
        if len(self.groups) > MAX_GROUPS:
            raise Invalid(f"a partner is in {MAX_GROUPS} groups at most", "/groups")


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload of the passport store, validated and signed when it was published. `id` is the asset's id."""

    id: str
    created_at: int
    semantic_id: str
    body: bytes
    digest: str
    signature: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that addresses refer to by name (`secretName`, `authCodeId`)."""

    id: str
    created_at: int
    value: str

    def __post_init__(self) -> None:
        _identified(self.id)


@dataclass(frozen=True, slots=True)
class Peer:
    """The counterparty: who it is, and the base URL that its DSP paths are appended to (no trailing slash).

    `bpn` is the one that it proved with its last message; None if it has sent none, or proved none.
    """

    id: str
    address: str
    bpn: str | None = None


@dataclass(frozen=True, slots=True)
class CallbackAddress:
    """Where the operator's own systems want to hear of events; `events` are prefixes of event names."""

    uri: str
    events: tuple[str, ...]
    transactional: bool = False
    auth_key: str | None = None
    auth_code_id: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline: `what` is an event name or a short verb, `detail` a sentence.

    judged: JSON of a verdict on a policy, with its trace (`Verdict.to_json`) and scope. It quotes our policies and what
    we know of the counterparty, so it never leaves the house.
    """

    at: int
    what: str
    detail: str = ""
    judged: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Negotiation:
    """A contract negotiation. `offer` is what lies on the table, `offered_by` who put it there last."""

    id: str
    created_at: int
    updated_at: int
    process: NegotiationProcess
    peer: Peer
    offer: Policy
    offered_by: Role
    asked: Policy | None = None
    """Consumer side: what we asked for last, which a provider's offer is measured by."""
    peer_pid: str | None = None
    agreement_id: str | None = None
    transfer_format: str | None = None
    """Start a transfer of this format as soon as the contract is final (`POST /v3/edrs`)."""
    callbacks: tuple[CallbackAddress, ...] = ()
    error: str | None = None
    history: tuple[Entry, ...] = ()

    @property
    def asset_id(self) -> str:
        """The asset the offer is about."""
        return self.offer.target or ""

    def noted(
        self, at: int, what: str, detail: str = "", *, judged: Mapping[str, Any] | None = None, **changes: Any
    ) -> Self:
        """The record with `changes` and a new line in its timeline."""
        history = (*self.history[1 - HISTORY :], Entry(at, what, detail, judged))
        return replace(self, updated_at=at, history=history, **changes)


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contract that both sides have: one asset, one provider, one consumer. `created_at` is the signing time.

    used_by: the transfer that used up an agreement for a single one, None as long as there is none.
    """

    id: str
    created_at: int
    provider_id: str
    consumer_id: str
    asset_id: str
    policy: Policy
    negotiation_id: str
    retired_at: int | None = None
    retirement_reason: str | None = None
    used_by: str | None = None

    def counterparty(self, us: str) -> str:
        """The other party's participant id."""
        return self.consumer_id if us == self.provider_id else self.provider_id


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer process. `destination` is where a push goes; for a pull it stays None."""

    id: str
    created_at: int
    updated_at: int
    process: TransferProcess
    peer: Peer
    agreement_id: str
    asset_id: str
    format: str
    peer_pid: str | None = None
    destination: Mapping[str, str] | None = None
    callbacks: tuple[CallbackAddress, ...] = ()
    private_properties: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    history: tuple[Entry, ...] = ()

    def noted(
        self, at: int, what: str, detail: str = "", *, judged: Mapping[str, Any] | None = None, **changes: Any
    ) -> Self:
        """The record with `changes` and a new line in its timeline."""
        history = (*self.history[1 - HISTORY :], Entry(at, what, detail, judged))
        return replace(self, updated_at=at, history=history, **changes)


@dataclass(frozen=True, slots=True)
class Edr:
    """Consumer side: the endpoint data reference of a running pull. `id` is the transfer's id.

    `address` holds plain names: endpoint, authorization, and where the provider can refresh refreshToken,
    refreshEndpoint, refreshAudience. `expires_at` is None for a token that does not say (EDC's).
    """

    id: str
    created_at: int
    asset_id: str
    agreement_id: str
    negotiation_id: str
    provider_id: str
    address: Mapping[str, str]
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Provider side: the right to pull one asset. `id` is the transfer's id; deleting it revokes every token at once.

    `refresh_token` and `previous_refresh_token` are SHA-256 digests in hex: the predecessor stays good until the
    successor is used, so that a lost answer does not end the transfer.
    """

    id: str
    created_at: int
    consumer_id: str
    consumer_bpn: str | None
    agreement_id: str
    asset_id: str
    refresh_token: str | None = None
    previous_refresh_token: str | None = None


class Held(StrEnum):
    """How a credential in our wallet stands."""

    ISSUED = "ISSUED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class HeldCredential:
    """A verifiable credential about us, as its issuer delivered it; the id is ours, and that of its very text.

    types: short names. profile: data model and proof (`vc11-sl2021/jwt`). Times in ms; None: no end.
    """

    id: str
    created_at: int
    issuer: str
    state: Held
    valid_from: int | None
    valid_until: int | None
    profile: str
    types: tuple[str, ...]
    jwt: str = field(repr=False)

    def current(self, now: int) -> bool:
        """Whether it is worth showing at `now` (ms)."""
        return self.state is Held.ISSUED and (self.valid_until is None or now < self.valid_until)


@dataclass(frozen=True, slots=True)
class ShownCredentials:
    """The credentials that a participant (its id is the id) has shown us last, as JWTs; each was proved then.

    ends_at: when (ms) the last of them ends.
    """

    id: str
    created_at: int
    ends_at: int
    jwts: tuple[str, ...] = field(repr=False)


class Asked(StrEnum):
    """How far a request for credentials is."""

    REQUESTED = "REQUESTED"
    ISSUED = "ISSUED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """Our asking an issuer for credentials (DCP 1.0, 6.4); the id is the `holderPid`.

    wanted: types, or ids of the issuer's own list (from an offer that names nothing else). issuer_pid, status_url: what
    the issuer answered. error: why it was refused, or why it cannot be sent.
    """

    id: str
    created_at: int
    updated_at: int
    issuer: str
    state: Asked
    wanted: tuple[str, ...]
    issuer_pid: str | None = None
    status_url: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that was promised in a transaction. `id` is its DSP `@id`, the same in every retry.

    `topic` is the process it belongs to: messages of one topic leave one after another. `kind` says who handles the
    answer: negotiation, transfer, callback or push. `audience` is the participant that the identity token names; None
    for callbacks, which carry the secret `auth_code_id` in the header `auth_key` instead. `patient` says that it
    waits for its time even if the counterparty is heard from: the last attempt was answered, or failed on our side. It
    is not stored.
    """

    id: str
    created_at: int
    topic: str
    kind: str
    event: str
    url: str
    body: bytes
    audience: str | None = None
    due_at: int = 0
    attempts: int = 0
    last_error: str | None = None
    dead: bool = False
    auth_key: str | None = None
    auth_code_id: str | None = None
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Timer:
    """Something to do at an exact time: `kind` says what, `subject` is the id it is about, `detail` is its own JSON."""

    id: str
    due_at: int
    kind: str
    subject: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """A committed event under EDC's name (`contract.negotiation.finalized`); `record` is the new state."""

    name: str
    at: int
    record: Asset | PolicyDefinition | ContractDefinition | Secret | Negotiation | Agreement | Transfer
