"""Records to rows and back. What a column does not hold stands in `doc`; nothing is kept twice.

Rows are written as mappings by column name and read as tuples in the table's order. orjson writes dataclasses itself,
so a policy costs a few microseconds to write; reading one builds objects, so policies are remembered by text. The
stored form of a policy is the model's own fields and not ODRL: it is lossless by construction, whatever spellings
`connector.policy.parse` comes to accept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import orjson
from sqlalchemy import Table

from connector.exchange import states
from connector.exchange.passport_records import PassportVersion
from connector.exchange.query import Criterion
from connector.exchange.records import (
    Agreement,
    Asked,
    Asset,
    BusinessPartner,
    CallbackAddress,
    ContractDefinition,
    CredentialRequest,
    Edr,
    Entry,
    Grant,
    Held,
    HeldCredential,
    Negotiation,
    Outgoing,
    Payload,
    Peer,
    PolicyDefinition,
    Secret,
    ShownCredentials,
    Timer,
    Transfer,
)
from connector.policy.model import Condition, Constraint, LogicalConstraint, Policy, Rule
from connector.protocol import negotiation, transfer
from connector.protocol.errors import Invalid
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Pending, Role
from connector.protocol.transfer import TransferProcess
from connector.storage import tables
from connector.twins.rules import AccessRule
from connector.twins.shell import AssetLink, RegisteredShell, Shell

R = TypeVar("R")
Row = tuple[Any, ...]
Values = dict[str, Any]

POLICIES_REMEMBERED: Final = 2048
"""Parsed policies kept by their text; each is a few kilobytes."""


@dataclass(frozen=True, slots=True)
class Codec(Generic[R]):
    """How records of one kind are kept. `kind` is the name people know; `read` gets a row without its `cursor`."""

    kind: str
    table: Table
    write: Callable[[R], Values]
    read: Callable[[Row], R]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that `write` gives and `read` takes, in this order."""
        return tuple(c.name for c in self.table.columns if c.name not in {"cursor", "owner"})


def _text(value: object) -> str:
    try:
        return orjson.dumps(value, default=_plain).decode()
    except orjson.JSONEncodeError as error:
        raise Invalid(f"this cannot be kept as JSON: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def policy_text(policy: Policy) -> str:
    """The text a policy is stored as."""
    return _text(policy)


@lru_cache(maxsize=POLICIES_REMEMBERED)
def policy_from(text: str) -> Policy:
    """The policy of a stored text. Policies are frozen, so everybody may have the same one."""
    doc = orjson.loads(text)
    for part in ("permission", "prohibition", "obligation"):
        doc[part] = tuple(
            Rule(rule["action"], tuple(_condition(c) for c in rule["constraints"]), rule["rest"]) for rule in doc[part]
        )
    doc["profile"] = tuple(doc["profile"])
    return Policy(**doc)


def _condition(doc: Mapping[str, Any]) -> Condition:
    if "operands" in doc:
        return LogicalConstraint(doc["operator"], tuple(_condition(c) for c in doc["operands"]), doc["rest"])
    right = doc["right"]
    return Constraint(doc["left"], doc["operator"], tuple(right) if isinstance(right, list) else right, doc["rest"])


def _write_asset(record: Asset) -> Values:
    doc = (record.properties, record.private_properties, record.data_address)
    return {"id": record.id, "created_at": record.created_at, "doc": _text(doc)}


def _read_asset(row: Row) -> Asset:
    return Asset(row[0], row[1], *orjson.loads(row[2]))


def _write_policy(record: PolicyDefinition) -> Values:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "policy": policy_text(record.policy),
        "doc": _text({"privateProperties": record.private_properties}),
    }


def _read_policy(row: Row) -> PolicyDefinition:
    return PolicyDefinition(row[0], row[1], policy_from(row[2]), orjson.loads(row[3])["privateProperties"])


def _write_definition(record: ContractDefinition) -> Values:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "access_policy_id": record.access_policy_id,
        "contract_policy_id": record.contract_policy_id,
        "doc": _text({"selector": record.selector, "privateProperties": record.private_properties}),
    }


def _read_definition(row: Row) -> ContractDefinition:
    doc = orjson.loads(row[4])
    selector = tuple(_criterion(c) for c in doc["selector"])
    return ContractDefinition(row[0], row[1], row[2], row[3], selector, doc["privateProperties"])


def selector_of(doc: str) -> tuple[Criterion, ...]:
    """The selector in the `doc` of a contract definition."""
    return tuple(_criterion(c) for c in orjson.loads(doc)["selector"])


def _criterion(doc: Mapping[str, Any]) -> Criterion:
    right = doc["right"]
    return Criterion(doc["left"], doc["operator"], tuple(right) if isinstance(right, list) else right)


def _common(record: Negotiation | Transfer) -> dict[str, Any]:
    """The part of `doc` that all processes have; entries and callbacks as arrays, which read fastest."""
    process = record.process
    return {
        "state": process.state,
        "pending": None if process.pending is None else (process.pending.event, process.pending.key),
        "seen": process.seen,
        "bpn": record.peer.bpn,
        "error": record.error,
        "callbacks": [(c.uri, c.events, c.transactional, c.auth_key, c.auth_code_id) for c in record.callbacks],
        "history": [_entry(e) for e in record.history],
    }


def _entry(entry: Entry) -> tuple[Any, ...]:
    plain = (entry.at, entry.what, entry.detail)
    return plain if entry.judged is None else (*plain, entry.judged)


def _callbacks(doc: Mapping[str, Any]) -> tuple[CallbackAddress, ...]:
    return tuple(CallbackAddress(uri, tuple(events), *rest) for uri, events, *rest in doc["callbacks"])


def _history(doc: Mapping[str, Any]) -> tuple[Entry, ...]:
    return tuple(Entry(*entry) for entry in doc["history"])


def _write_negotiation(record: Negotiation) -> Values:
    doc = _common(record) | {"offeredBy": record.offered_by, "transferFormat": record.transfer_format}
    return {
        "id": record.id,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "role": record.process.us.value,
        "state": states.NEGOTIATION[states.negotiation_state(record.process)],
        "peer_id": record.peer.id,
        "peer_address": record.peer.address,
        "peer_pid": record.peer_pid,
        "asset_id": record.asset_id,
        "agreement_id": record.agreement_id,
        "offer": policy_text(record.offer),
        "asked": None if record.asked is None else policy_text(record.asked),
        "doc": _text(doc),
    }


def _read_negotiation(row: Row) -> Negotiation:
    ident, created, updated, role, _, peer_id, address, peer_pid, _, agreement_id, offer, asked, doc = row
    doc = orjson.loads(doc)
    state, pending = doc["state"], doc["pending"]
    return Negotiation(
        id=ident,
        created_at=created,
        updated_at=updated,
        process=NegotiationProcess(
            Role(role),
            negotiation.State(state) if state else None,
            Pending(negotiation.Event(pending[0]), pending[1]) if pending else None,
            tuple(doc["seen"]),
        ),
        peer=Peer(peer_id, address, doc.get("bpn")),
        offer=policy_from(offer),
        offered_by=Role(doc["offeredBy"]),
        asked=None if asked is None else policy_from(asked),
        peer_pid=peer_pid,
        agreement_id=agreement_id,
        transfer_format=doc["transferFormat"],
        callbacks=_callbacks(doc),
        error=doc["error"],
        history=_history(doc),
    )


def _write_agreement(record: Agreement) -> Values:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "provider_id": record.provider_id,
        "consumer_id": record.consumer_id,
        "asset_id": record.asset_id,
        "negotiation_id": record.negotiation_id,
        "retired_at": record.retired_at,
        "retirement_reason": record.retirement_reason,
        "policy": policy_text(record.policy),
        "used_by": record.used_by,
    }


def _read_agreement(row: Row) -> Agreement:
    ident, created, provider, consumer, asset_id, negotiation_id, retired_at, reason, policy, used_by = row
    policy = policy_from(policy)
    return Agreement(ident, created, provider, consumer, asset_id, policy, negotiation_id, retired_at, reason, used_by)


def _write_transfer(record: Transfer) -> Values:
    doc = _common(record) | {"destination": record.destination, "privateProperties": record.private_properties}
    return {
        "id": record.id,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "role": record.process.us.value,
        "state": states.TRANSFER[states.transfer_state(record.process)],
        "peer_id": record.peer.id,
        "peer_address": record.peer.address,
        "peer_pid": record.peer_pid,
        "agreement_id": record.agreement_id,
        "asset_id": record.asset_id,
        "format": record.format,
        "doc": _text(doc),
    }


def _read_transfer(row: Row) -> Transfer:
    ident, created, updated, role, _, peer_id, address, peer_pid, agreement_id, asset_id, transfer_format, doc = row
    doc = orjson.loads(doc)
    state, pending = doc["state"], doc["pending"]
    return Transfer(
        id=ident,
        created_at=created,
        updated_at=updated,
        process=TransferProcess(
            Role(role),
            transfer.State(state) if state else None,
            Pending(transfer.Event(pending[0]), pending[1]) if pending else None,
            tuple(doc["seen"]),
        ),
        peer=Peer(peer_id, address, doc.get("bpn")),
        agreement_id=agreement_id,
        asset_id=asset_id,
        format=transfer_format,
        peer_pid=peer_pid,
        destination=doc["destination"],
        callbacks=_callbacks(doc),
        private_properties=doc["privateProperties"],
        error=doc["error"],
        history=_history(doc),
    )


def _write_edr(record: Edr) -> Values:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "asset_id": record.asset_id,
        "agreement_id": record.agreement_id,
        "negotiation_id": record.negotiation_id,
        "provider_id": record.provider_id,
        "expires_at": record.expires_at,
        "doc": _text(record.address),
    }


def _read_edr(row: Row) -> Edr:
    ident, created, asset_id, agreement_id, negotiation_id, provider_id, expires_at, doc = row
    return Edr(ident, created, asset_id, agreement_id, negotiation_id, provider_id, orjson.loads(doc), expires_at)


def _write_credential(record: HeldCredential) -> Values:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "issuer": record.issuer,
        "state": record.state.value,
        "valid_until": record.valid_until,
        "doc": _text((record.valid_from, record.profile, record.types, record.jwt)),
    }


def _read_credential(row: Row) -> HeldCredential:
    ident, created_at, issuer, state, until, doc = row
    since, profile, types, jwt = orjson.loads(doc)
    return HeldCredential(ident, created_at, issuer, Held(state), since, until, profile, tuple(types), jwt)


def _write_credential_request(record: CredentialRequest) -> Values:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "issuer": record.issuer,
        "state": record.state.value,
        "doc": _text((record.wanted, record.issuer_pid, record.status_url, record.error)),
    }


def _read_credential_request(row: Row) -> CredentialRequest:
    ident, created_at, updated_at, issuer, state, doc = row
    wanted, pid, url, error = orjson.loads(doc)
    return CredentialRequest(ident, created_at, updated_at, issuer, Asked(state), tuple(wanted), pid, url, error)


def _write_shown(record: ShownCredentials) -> Values:
    doc = _text(record.jwts)
    return {"id": record.id, "created_at": record.created_at, "ends_at": record.ends_at, "doc": doc}


def _read_shown(row: Row) -> ShownCredentials:
    return ShownCredentials(row[0], row[1], row[2], tuple(orjson.loads(row[3])))


def _write_passport(record: PassportVersion) -> Values:
    return {name: getattr(record, name) for name in record.__slots__} | {"disclosures": _text(record.disclosures)}


def _read_passport(row: Row) -> PassportVersion:
    ident, created, passport_id, number, serial, semantic_id, body, credential, disclosures = row
    disclosed = tuple(orjson.loads(disclosures))
    return PassportVersion(ident, created, passport_id, number, serial, semantic_id, body, credential, disclosed)


def _write_twin(record: RegisteredShell) -> Values:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "doc": _text(record.shell.to_json()),
        "policies": _text(record.policies) if record.policies else None,
    }


def _read_twin(row: Row) -> RegisteredShell:
    ident, created_at, doc, policies = row
    opening = () if policies is None else tuple(orjson.loads(policies))
    return RegisteredShell(ident, created_at, Shell.parse(orjson.loads(doc)), opening)


def _write_rule(record: AccessRule) -> Values:
    links = [(link.name, link.value) for link in record.mandatory]
    parts = links, sorted(record.names), sorted(record.semantic_ids)
    doc = _text((*parts, record.description, record.valid_from, record.valid_to))
    return {"id": record.id, "created_at": record.created_at, "bpn": record.bpn, "doc": doc}


def _read_rule(row: Row) -> AccessRule:
    ident, created_at, bpn, doc = row
    links, names, models, *rest = orjson.loads(doc)
    mandatory = tuple(AssetLink(*link) for link in links)
    return AccessRule(ident, created_at, bpn, mandatory, frozenset(names), frozenset(models), *rest)


def _write_partner(record: BusinessPartner) -> Values:
    return {"id": record.id, "created_at": record.created_at, "groups": _text(record.groups)}


def _read_partner(row: Row) -> BusinessPartner:
    return BusinessPartner(row[0], row[1], tuple(orjson.loads(row[2])))


def _columns(record: Grant | Secret | Payload | Outgoing | Timer) -> Values:
    """A record whose fields are the columns of its table."""
    return {name: getattr(record, name) for name in record.__slots__}


def _write_outgoing(record: Outgoing) -> Values:
    """`patient` is for the moment only."""
    return {name: value for name, value in _columns(record).items() if name != "patient"}


def _read_outgoing(row: Row) -> Outgoing:
    ident, created, topic, kind, event, url, body, audience, due, attempts, error, dead, key, code = row
    return Outgoing(
        ident, created, topic, kind, event, url, body, audience, due, attempts, error, bool(dead), key, code
    )


ASSET: Final = Codec("Asset", tables.asset, _write_asset, _read_asset)
POLICY: Final = Codec("PolicyDefinition", tables.policy, _write_policy, _read_policy)
DEFINITION: Final = Codec("ContractDefinition", tables.definition, _write_definition, _read_definition)
NEGOTIATION: Final = Codec("ContractNegotiation", tables.negotiation, _write_negotiation, _read_negotiation)
AGREEMENT: Final = Codec("ContractAgreement", tables.agreement, _write_agreement, _read_agreement)
TRANSFER: Final = Codec("TransferProcess", tables.transfer, _write_transfer, _read_transfer)
EDR: Final = Codec("EndpointDataReference", tables.edr, _write_edr, _read_edr)
PARTNER: Final = Codec("BusinessPartner", tables.partner, _write_partner, _read_partner)
GRANT: Final = Codec("Grant", tables.grant, _columns, lambda row: Grant(*row))
SECRET: Final = Codec("Secret", tables.secret, _columns, lambda row: Secret(*row))
PAYLOAD: Final = Codec("Payload", tables.payload, _columns, lambda row: Payload(*row))
CREDENTIAL: Final = Codec("Credential", tables.credential, _write_credential, _read_credential)
CREDENTIAL_REQUEST: Final = Codec(
    "CredentialRequest", tables.credential_request, _write_credential_request, _read_credential_request
)
SHOWN: Final = Codec("ShownCredentials", tables.shown, _write_shown, _read_shown)
PASSPORT_VERSION: Final = Codec("PassportVersion", tables.passport_version, _write_passport, _read_passport)
TWIN: Final = Codec("ShellDescriptor", tables.twin, _write_twin, _read_twin)
RULE: Final = Codec("AccessRule", tables.twin_rule, _write_rule, _read_rule)
OUTGOING: Final = Codec("Outgoing", tables.outbox, _write_outgoing, _read_outgoing)
TIMER: Final = Codec("Timer", tables.timer, _columns, lambda row: Timer(*row))
