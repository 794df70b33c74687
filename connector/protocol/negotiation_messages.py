"""The messages of the Contract Negotiation Protocol (DSP 2025-1, Contract Negotiation: Message Types).

Offers and agreements stay JSON here, because what they permit is the policy engine's to read; only the members that
identify them are checked. Two things are tolerated that the schemas forbid, both because EDC sends them: an offer or
agreement without any rule, and `callbackAddress` together with the receiver's pid. The pid says that the process is
running already, so it decides and the address is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from connector.protocol.errors import PeerError
from connector.protocol.messages import CodeMessage, ErrorMessage, ProcessMessage, envelope
from connector.protocol.negotiation import State
from connector.protocol.reading import at, obj, one_of, optional_text, text, typed

EVENT_TYPES: Final = ("ACCEPTED", "FINALIZED")


def _policy(value: Mapping[str, Any], name: str, pointer: str, *required: str) -> None:
    """Check what identifies an offer or agreement: its type and its required texts."""
    body = typed(value, name, pointer)
    for key in required:
        text(body, key, pointer)


def _either(callback_address: str | None, key: str, pid: str | None) -> None:
    if callback_address is None and pid is None:
        raise PeerError(400, f"send callbackAddress to open a negotiation, {key} to go on with one", at("", key))
    if callback_address is not None and pid is not None:
        raise PeerError(400, f"callbackAddress only opens a negotiation: not together with {key}", "/callbackAddress")


def _callback(body: dict[str, Any], pid: str | None) -> str | None:
    return optional_text(body, "callbackAddress") if pid is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRequestMessage:
    """Consumer to provider: opens a negotiation (with `callback_address`) or counters an offer (with `provider_pid`).

    `offer["target"]` names the dataset. The prose demands it, the schema does not, so it may be absent: the offer's
    `@id` then says which dataset is meant.
    """

    consumer_pid: str
    offer: Mapping[str, Any]
    callback_address: str | None = None
    provider_pid: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        _either(self.callback_address, "providerPid", self.provider_pid)
        _policy(self.offer, "Offer", "/offer", "@id")
        optional_text(obj(self.offer), "target", "/offer")

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        pid = optional_text(body, "providerPid")
        return cls(
            consumer_pid=text(body, "consumerPid"),
            offer=obj(body.get("offer"), "/offer"),
            callback_address=_callback(body, pid),
            provider_pid=pid,
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message's JSON."""
        pids = {"consumerPid": self.consumer_pid, "providerPid": self.provider_pid}
        return envelope(self, **pids, offer=self.offer, callbackAddress=self.callback_address)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractOfferMessage:
    """Provider to consumer: opens a negotiation (with `callback_address`) or goes on with one (with `consumer_pid`)."""

    provider_pid: str
    offer: Mapping[str, Any]
    callback_address: str | None = None
    consumer_pid: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        _either(self.callback_address, "consumerPid", self.consumer_pid)
        _policy(self.offer, "Offer", "/offer", "@id", "target")

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        pid = optional_text(body, "consumerPid")
        return cls(
            provider_pid=text(body, "providerPid"),
            offer=obj(body.get("offer"), "/offer"),
            callback_address=_callback(body, pid),
            consumer_pid=pid,
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message's JSON."""
        pids = {"consumerPid": self.consumer_pid, "providerPid": self.provider_pid}
        return envelope(self, **pids, offer=self.offer, callbackAddress=self.callback_address)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractAgreementMessage:
    """Provider to consumer: the contract as the provider signs it.

    `agreement["timestamp"]` (xsd:dateTime) is demanded by the prose and by EDC but not by the schema: send it always,
    expect it to be absent.
    """

    consumer_pid: str
    provider_pid: str
    agreement: Mapping[str, Any]
    id: str | None = None

    def __post_init__(self) -> None:
        _policy(self.agreement, "Agreement", "/agreement", "@id", "target", "assigner", "assignee")
        optional_text(obj(self.agreement), "timestamp", "/agreement")

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        return cls(
            consumer_pid=text(body, "consumerPid"),
            provider_pid=text(body, "providerPid"),
            agreement=obj(body.get("agreement"), "/agreement"),
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message's JSON."""
        pids = {"consumerPid": self.consumer_pid, "providerPid": self.provider_pid}
        return envelope(self, **pids, agreement=self.agreement)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractAgreementVerificationMessage(ProcessMessage):
    """Consumer to provider: the agreement has been checked and stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractNegotiationEventMessage:
    """ACCEPTED: the consumer takes the provider's offer. FINALIZED: the provider closes the negotiation."""

    consumer_pid: str
    provider_pid: str
    event_type: str
    id: str | None = None

    def __post_init__(self) -> None:
        one_of({"eventType": self.event_type}, "eventType", EVENT_TYPES)

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger; the event may carry its namespace. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        return cls(
            consumer_pid=text(body, "consumerPid"),
            provider_pid=text(body, "providerPid"),
            event_type=one_of(body, "eventType", EVENT_TYPES),
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message's JSON."""
        pids = {"consumerPid": self.consumer_pid, "providerPid": self.provider_pid}
        return envelope(self, **pids, eventType=self.event_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractNegotiationTerminationMessage(CodeMessage):
    """Either side to the other: the negotiation is over without a contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractNegotiation:
    """How a negotiation stands: the answer to an opening message and to GET."""

    consumer_pid: str
    provider_pid: str
    state: State
    id: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger; the state may carry its namespace. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        return cls(
            consumer_pid=text(body, "consumerPid"),
            provider_pid=text(body, "providerPid"),
            state=State(one_of(body, "state", State)),
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The object's JSON."""
        pids = {"consumerPid": self.consumer_pid, "providerPid": self.provider_pid}
        return envelope(self, **pids, state=self.state.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractNegotiationError(ErrorMessage):
    """A negotiation message was refused; the state of the negotiation is unchanged."""
