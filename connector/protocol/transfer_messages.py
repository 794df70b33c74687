"""The messages of the Transfer Process Protocol (DSP 2025-1, Transfer Process: Message Types) and their data address.

A data address says where data is fetched or delivered. The standard has one place for the URL (`endpoint`) and two
properties (`authorization`, `authType`). EDC ignores that place, it reads and writes everything as properties under
full IRIs; Tractus-X adds what a consumer needs to refresh its token. So a value has several names: we write all of them
and look up by any.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Self

from connector.protocol.messages import CodeMessage, ErrorMessage, ProcessMessage, envelope
from connector.protocol.reading import at, checked, objects, one_of, optional_text, plain, text, typed
from connector.protocol.transfer import State
from connector.protocol.vocabulary import EDC, HTTP_ENDPOINT, TX_AUTH

MAX_VALUE: Final = 1 << 16
"""Longest property value taken from a peer, in characters: tokens are long, headers are not endless."""

_NAMESPACES: Final = (EDC, "edc:", TX_AUTH, "tx-auth:")


def short_name(name: str) -> str:
    """A property's name without the EDC or Tractus-X namespace."""
    for namespace in _NAMESPACES:
        if name.startswith(namespace):
            return name[len(namespace) :]
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAddress:
    """A data address. `properties` are (name, value) as on the wire; they hold tokens, so they stay out of `repr`."""

    endpoint_type: str
    endpoint: str | None = None
    properties: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, doc: object, pointer: str = "") -> Self:
        """Read JSON from a stranger; numbers and booleans among the values become text. Raise PeerError 400."""
        body = typed(doc, "DataAddress", pointer)
        rows = objects(body, "endpointProperties", pointer)
        return cls(
            endpoint_type=text(body, "endpointType", pointer),
            endpoint=optional_text(body, "endpoint", pointer),
            properties=tuple((text(row, "name", place), _value(row, place)) for row, place in rows),
        )

    def to_json(self) -> dict[str, Any]:
        """The address's JSON; no property means no `endpointProperties`, an empty array breaks the schema."""
        body: dict[str, Any] = {"@type": "DataAddress", "endpointType": self.endpoint_type}
        if self.endpoint is not None:
            body["endpoint"] = self.endpoint
        if self.properties:
            rows = [{"@type": "EndpointProperty", "name": name, "value": value} for name, value in self.properties]
            body["endpointProperties"] = rows
        return body

    def get(self, name: str) -> str | None:
        """The value under `name`, full IRI or short, or None. Of several spellings the one asked for wins."""
        spelled = dict(reversed(self.properties))
        if name in spelled:
            return spelled[name]
        wanted = short_name(name)
        if wanted == "endpoint" and self.endpoint is not None:
            return self.endpoint
        return next((value for found, value in self.properties if short_name(found) == wanted), None)


def _value(row: dict[str, Any], pointer: str) -> str:
    value = plain(row.get("value"))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return "" if value == "" else checked(value, at(pointer, "value"), limit=MAX_VALUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRefresh:
    """What a Tractus-X consumer needs to get a new access token from the provider."""

    refresh_token: str = field(repr=False)
    expires_in_s: int
    """Seconds that the access token is good for, from now."""
    refresh_endpoint: str
    """URL that takes the refresh request."""
    refresh_audience: str
    """The provider's DID: `aud` of the token that the consumer shows when it refreshes."""
    audience: str
    """The consumer's DID: who the access token was made for."""


def http_pull_address(endpoint: str, authorization: str, refresh: TokenRefresh | None = None) -> DataAddress:
    """The address of a pull: `endpoint` is fetched with `authorization` as the whole Authorization header.

    Written for every known reader: the standard's top-level endpoint and short names, EDC's full IRIs, and Tractus-X's
    refresh properties if `refresh` is given.
    """
    properties = [
        (EDC + "endpoint", endpoint),
        (EDC + "endpointType", HTTP_ENDPOINT),
        (EDC + "authorization", authorization),
        (EDC + "authType", "bearer"),
        ("authorization", authorization),
        ("authType", "bearer"),
    ]
    if refresh is not None:
        properties += [
            (TX_AUTH + "refreshToken", refresh.refresh_token),
            (TX_AUTH + "expiresIn", str(refresh.expires_in_s)),
            (TX_AUTH + "refreshEndpoint", refresh.refresh_endpoint),
            (TX_AUTH + "refreshAudience", refresh.refresh_audience),
            (TX_AUTH + "audience", refresh.audience),
        ]
    return DataAddress(endpoint_type=HTTP_ENDPOINT, endpoint=endpoint, properties=tuple(properties))


def _data_address(body: dict[str, Any]) -> DataAddress | None:
    value = body.get("dataAddress")
    return None if value is None else DataAddress.parse(value, "/dataAddress")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequestMessage:
    """Consumer to provider: asks for the data of an agreement. `data_address` is where a push goes, None for a pull."""

    consumer_pid: str
    agreement_id: str
    format: str
    callback_address: str
    data_address: DataAddress | None = None
    id: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        return cls(
            consumer_pid=text(body, "consumerPid"),
            agreement_id=text(body, "agreementId"),
            format=text(body, "format"),
            callback_address=text(body, "callbackAddress"),
            data_address=_data_address(body),
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message's JSON."""
        return envelope(
            self,
            consumerPid=self.consumer_pid,
            agreementId=self.agreement_id,
            format=self.format,
            callbackAddress=self.callback_address,
            dataAddress=self.data_address and self.data_address.to_json(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferStartMessage:
    """The transfer runs. From the provider of a pull it carries the address; from a consumer that resumes, none."""

    consumer_pid: str
    provider_pid: str
    data_address: DataAddress | None = None
    id: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        return cls(
            consumer_pid=text(body, "consumerPid"),
            provider_pid=text(body, "providerPid"),
            data_address=_data_address(body),
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message's JSON."""
        pids = {"consumerPid": self.consumer_pid, "providerPid": self.provider_pid}
        return envelope(self, **pids, dataAddress=self.data_address and self.data_address.to_json())


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSuspensionMessage(CodeMessage):
    """Either side to the other: the transfer pauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCompletionMessage(ProcessMessage):
    """Either side to the other: the transfer has done what it was for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferTerminationMessage(CodeMessage):
    """Either side to the other: the transfer is over before it was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProcess:
    """How a transfer stands: the answer to a request message and to GET."""

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
class TransferError(ErrorMessage):
    """A transfer message was refused; the state of the transfer is unchanged."""
