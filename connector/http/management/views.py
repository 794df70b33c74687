"""Records as EDC's management API v3 shows them. `@context` is an object, so bare names are EDC's own vocabulary.

Members without a value are left out. Times are milliseconds since the epoch, signing and retirement dates seconds
(EDC's units); what only this connector has uses ISO 8601.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from connector.exchange.query import Criterion
from connector.exchange.records import (
    Agreement,
    Asset,
    CallbackAddress,
    ContractDefinition,
    CredentialRequest,
    Edr,
    HeldCredential,
    Negotiation,
    Outgoing,
    Payload,
    PolicyDefinition,
    Secret,
    Transfer,
)
from connector.exchange.states import negotiation_state, transfer_state
from connector.protocol.vocabulary import HTTP_ENDPOINT, PROTOCOL
from connector.semantics.contexts import EDC_MANAGEMENT_2_URL
from connector.semantics.management import EDC_CONTEXT, compact_properties

_REFRESHING: Final = ("refresh", "expires")
"""How the names begin that Tractus-X's vocabulary has in an endpoint data reference."""


def document(kind: str, ident: str | None, members: Mapping[str, Any]) -> dict[str, Any]:
    """An object of the API, without the members that are None."""
    head = {"@context": dict(EDC_CONTEXT), "@type": kind, **({} if ident is None else {"@id": ident})}
    return head | {name: value for name, value in members.items() if value is not None}


def brief(kind: str, ident: str | None, members: Mapping[str, Any]) -> dict[str, Any]:
    """An id or a state alone, under the published context that defines all of it.

    As a list, which clients generated of EDC's API description insist on for just these.
    """
    return document(kind, ident, members) | {"@context": [EDC_MANAGEMENT_2_URL]}


def iso(ms: int) -> str:
    """An instant for people."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def created(ident: str, created_at: int) -> dict[str, Any]:
    """What POST answers: the id, EDC's IdResponse."""
    return brief("IdResponse", ident, {"createdAt": created_at})


def _private(properties: Mapping[str, Any]) -> dict[str, Any] | None:
    return compact_properties(properties) or None


def _address(address: Mapping[str, str] | None) -> dict[str, str] | None:
    return {"@type": "DataAddress", **address} if address else None


def asset(record: Asset) -> dict[str, Any]:
    """Sent back with PUT, this gives the same asset."""
    return document(
        "Asset",
        record.id,
        {
            "properties": compact_properties(record.properties, record.id),
            "privateProperties": _private(record.private_properties),
            "dataAddress": _address(record.data_address),
            "createdAt": record.created_at,
        },
    )


def policy_definition(record: PolicyDefinition) -> dict[str, Any]:
    """The policy is in EDC's prefixed form."""
    return document(
        "PolicyDefinition",
        record.id,
        {
            "policy": record.policy.to_edc_json(),
            "privateProperties": _private(record.private_properties),
            "createdAt": record.created_at,
        },
    )


def contract_definition(record: ContractDefinition) -> dict[str, Any]:
    """`assetsSelector` is always a list."""
    return document(
        "ContractDefinition",
        record.id,
        {
            "accessPolicyId": record.access_policy_id,
            "contractPolicyId": record.contract_policy_id,
            "assetsSelector": [criterion(c) for c in record.selector],
            "privateProperties": _private(record.private_properties),
            "createdAt": record.created_at,
        },
    )


def criterion(value: Criterion) -> dict[str, Any]:
    """EDC's Criterion."""
    return value.to_json()


def callback(value: CallbackAddress) -> dict[str, Any]:
    """EDC's CallbackAddress; `authCodeId` names a secret and is none."""
    shown = {"uri": value.uri, "events": list(value.events), "transactional": value.transactional}
    keys = {"authKey": value.auth_key, "authCodeId": value.auth_code_id}
    return {"@type": "CallbackAddress", **shown, **{k: v for k, v in keys.items() if v is not None}}


def negotiation(record: Negotiation) -> dict[str, Any]:
    """`type` is our own role, `correlationId` what the counterparty calls this negotiation."""
    return document(
        "ContractNegotiation",
        record.id,
        {
            "type": record.process.us,
            "protocol": PROTOCOL,
            "state": negotiation_state(record.process),
            "counterPartyId": record.peer.id,
            "counterPartyAddress": record.peer.address,
            "callbackAddresses": [callback(c) for c in record.callbacks],
            "createdAt": record.created_at,
            "stateTimestamp": record.updated_at,
            "contractAgreementId": record.agreement_id,
            "assetId": record.asset_id or None,
            "correlationId": record.peer_pid,
            "errorDetail": record.error,
        },
    )


def agreement(record: Agreement) -> dict[str, Any]:
    """`contractSigningDate` is in seconds."""
    return document(
        "ContractAgreement",
        record.id,
        {
            "agreementId": record.id,
            "assetId": record.asset_id,
            "policy": record.policy.to_edc_json(),
            "contractSigningDate": record.created_at // 1000,
            "consumerId": record.consumer_id,
            "providerId": record.provider_id,
        },
    )


def retirement(record: Agreement) -> dict[str, Any]:
    """Tractus-X's entry for a retired agreement; the date is in seconds."""
    return document(
        "tx:AgreementsRetirementEntry",
        record.id,
        {
            "agreementId": record.id,
            "tx:reason": record.retirement_reason,
            "tx:agreementRetirementDate": None if record.retired_at is None else record.retired_at // 1000,
        },
    )


def transfer(record: Transfer) -> dict[str, Any]:
    """`type` is our own role, `correlationId` what the counterparty calls this transfer."""
    return document(
        "TransferProcess",
        record.id,
        {
            "type": record.process.us,
            "protocol": PROTOCOL,
            "state": transfer_state(record.process),
            "stateTimestamp": record.updated_at,
            "createdAt": record.created_at,
            "counterPartyId": record.peer.id,
            "counterPartyAddress": record.peer.address,
            "correlationId": record.peer_pid,
            "assetId": record.asset_id,
            "contractId": record.agreement_id,
            "transferType": record.format,
            "dataDestination": _address(record.destination),
            "privateProperties": _private(record.private_properties),
            "callbackAddresses": [callback(c) for c in record.callbacks],
            "errorDetail": record.error,
        },
    )


def edr(record: Edr) -> dict[str, Any]:
    """The entry that says which transfer, contract and asset an endpoint data reference belongs to. No token in it."""
    return document(
        "EndpointDataReferenceEntry",
        record.id,
        {
            "transferProcessId": record.id,
            "assetId": record.asset_id,
            "agreementId": record.agreement_id,
            "contractNegotiationId": record.negotiation_id,
            "providerId": record.provider_id,
            "createdAt": record.created_at,
        },
    )


def data_address(record: Edr) -> dict[str, Any]:
    """The reference itself: `endpoint` and `authorization` bare, what Tractus-X added under its prefix."""
    named = {f"tx-auth:{k}" if k.startswith(_REFRESHING) else k: v for k, v in record.address.items()}
    kind = record.address.get("endpointType", HTTP_ENDPOINT)
    return document("DataAddress", None, {"type": kind, "endpointType": kind, **named})


def secret(record: Secret) -> dict[str, Any]:
    """With its value, as EDC shows it: the key that opens this API opens the secrets too."""
    return document("Secret", record.id, {"value": record.value, "createdAt": record.created_at})


def payload(record: Payload) -> dict[str, Any]:
    """What is known of a published payload, without the payload."""
    return document(
        "Payload",
        record.id,
        {
            "semanticId": record.semantic_id,
            "digest": record.digest,
            "signature": record.signature,
            "size": len(record.body),
            "createdAt": record.created_at,
        },
    )


def credential(record: HeldCredential, fault: str | None = None) -> dict[str, Any]:
    """A credential of our own, without its text: whoever has that has what it proves, as far as copies go.

    fault: why a partner that looked at it now would refuse it.
    """
    return document(
        "Credential",
        record.id,
        {
            "types": list(record.types),
            "issuer": record.issuer,
            "state": record.state.value,
            "profile": record.profile,
            "validFrom": record.valid_from,
            "validUntil": record.valid_until,
            "createdAt": record.created_at,
            "errorDetail": fault,
        },
    )


def credential_request(record: CredentialRequest) -> dict[str, Any]:
    """What we asked an issuer for; the id is the `holderPid`."""
    return document(
        "CredentialRequest",
        record.id,
        {
            "issuer": record.issuer,
            "credentials": list(record.wanted),
            "state": record.state.value,
            "issuerPid": record.issuer_pid,
            "errorDetail": record.error,
            "createdAt": record.created_at,
            "updatedAt": record.updated_at,
        },
    )


def dead_letter(record: Outgoing) -> dict[str, Any]:
    """A message that could not be delivered in all its attempts."""
    return document(
        "DeadLetter",
        record.id,
        {
            "topic": record.topic,
            "kind": record.kind,
            "event": record.event,
            "url": record.url,
            "attempts": record.attempts,
            "lastError": record.last_error,
            "createdAt": record.created_at,
        },
    )
