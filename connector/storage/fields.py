"""Which names a query may use for each kind of record, and what they mean in the tables.

The names are EDC's (management API v3: what its objects show is what its queries filter by), the values too: states by
name or number, signing dates in seconds. Every name may be written bare or as a full IRI. A name that does not exist is
refused and the others are listed, because clients find the right one by trying (tractusx-sdk asks for transfers
by `contractAgreementId`, `contractId` and `agreementId` and keeps the first that answers 200).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal_column,
    select,
)

from connector.exchange import states
from connector.exchange.query import Criterion, Scalar
from connector.policy.model import lexical
from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import EDC, PROTOCOL
from connector.semantics.operands import operand_path
from connector.storage import tables
from connector.storage.conditions import PATTERNS, Condition, Convert, arity, compare, parameters
from connector.storage.properties import ID, ORDER, PRIVATE, is_number, key_of, path_of


@dataclass(frozen=True, slots=True)
class Order:
    """What to sort by: `shape` decides the SQL of `keys`, `params` are the values in it."""

    shape: tuple[object, ...]
    keys: Callable[[], list[ColumnElement[Any]]]
    params: Mapping[str, Any]


class Fields(Protocol):
    """The names of one kind."""

    def condition(self, criterion: Criterion, name: str) -> Condition:
        """The criterion as SQL with parameters `name`... Raise Invalid for an unknown field or an unfit value."""
        ...

    def order(self, left: str, name: str) -> Order:
        """What to sort by. Raise Invalid for an unknown field."""
        ...


_BEYOND: Final = 2**63


def _as_integer(value: Scalar) -> int:
    try:
        number = int(value)
    except (ValueError, OverflowError):
        number = _BEYOND
    if isinstance(value, bool) or abs(number) >= _BEYOND or (isinstance(value, float) and not value.is_integer()):
        raise Invalid("this field is compared with an integer of 64 bits", "/operandRight", value)
    return number


def _as_boolean(value: Scalar) -> bool:
    if str(value).lower() not in {"true", "false"}:
        raise Invalid("this field is compared with true or false", "/operandRight", value)
    return str(value).lower() == "true"


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What a name stands for. `params` belong to `expression`, under the name that they have there."""

    expression: ColumnElement[Any]
    convert: Convert = lexical

    @property
    def is_text(self) -> bool:
        """Patterns only make sense for text."""
        return isinstance(self.expression.type, Text)


def _state(codes: Mapping[str, int]) -> Convert:
    """EDC's code of a state, given by name or by number."""

    def convert(value: Scalar) -> int:
        if isinstance(value, str) and value.upper() in codes:
            return codes[value.upper()]
        try:
            return _as_integer(value)
        except Invalid:
            names = ", ".join(codes)
            raise Invalid(f"a state is one of {names}, or its number", "/operandRight", value) from None

    return convert


def _integer(column: ColumnElement[Any]) -> Field:
    return Field(column, _as_integer)


def private_property(doc: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """A private property kept in `doc`; the function is the database's own (`sqlite`), the path a JSON array."""
    return func.json_text(doc, bindparam(name, type_=Text()), type_=Text())


def json_text(doc: str, path: str) -> str | None:
    """The scalar at `path` (JSON array of keys) in a JSON text, in its lexical form; None if there is none."""
    value = orjson.loads(doc)
    for key in orjson.loads(path):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = value.get("@id", value.get("@value"))
    return lexical(value) if isinstance(value, str | int | float) else None


class ColumnFields:
    """Names that stand for columns, and private properties where the kind has them."""

    def __init__(self, kind: str, names: Mapping[str, Field], private: ColumnElement[Any] | None = None) -> None:
        self._kind = kind
        self._names = names
        self._private = private

    def condition(self, criterion: Criterion, name: str) -> Condition:
        """See Fields."""
        key, field, params = self._find(criterion.left, "/operandLeft", name)
        if criterion.operator in PATTERNS and not field.is_text:
            raise Invalid(f"'{criterion.operator}' needs a text, {criterion.left} is none", "/operator")
        count = arity(criterion)
        return Condition(
            (key, name, criterion.operator, count),
            lambda: compare(field.expression, criterion.operator, name, count),
            params | parameters(criterion, name, count, field.convert),
        )

    def order(self, left: str, name: str) -> Order:
        """See Fields."""
        key, field, params = self._find(left, "/sortField", name)
        return Order((key, name), lambda: [field.expression], params)

    def _find(self, left: str, pointer: str, name: str) -> tuple[str, Field, dict[str, Any]]:
        words = operand_path(left)
        path = [word.removeprefix(EDC) for word in words]
        if path[0] == PRIVATE and len(path) > 1 and self._private is not None:
            place = f"{name}_path"
            return (
                PRIVATE,
                Field(private_property(self._private, place)),
                {place: orjson.dumps([PRIVATE, *words[1:]]).decode()},
            )
        key = ID if path == ["@id"] else ".".join(path)
        if (field := self._names.get(key)) is None:
            known = ", ".join((*self._names, f"{PRIVATE}.'...'") if self._private is not None else self._names)
            raise Invalid(f"a {self._kind} has no field {left}; it has {known}", pointer, left)
        return key, field, {}


class AssetFields:
    """Assets: `id`, `createdAt`, and any path into the properties, which need not exist in any asset."""

    def condition(self, criterion: Criterion, name: str) -> Condition:
        """See Fields."""
        if _is_created(criterion.left):
            return _ASSET_COLUMNS.condition(criterion, name)
        return selector_condition(criterion, name, tables.asset.c.cursor)

    def order(self, left: str, name: str) -> Order:
        """By size for numbers, then by text; what has no such property is last either way."""
        path = path_of(left)
        if path == ID or _is_created(left):
            return _ASSET_COLUMNS.order(left, name)
        place = f"{name}_path"

        def keys() -> list[ColumnElement[Any]]:
            leaf = tables.asset_property.c
            here = and_(leaf.asset == tables.asset.c.cursor, leaf.path == bindparam(place, type_=Text()))
            return [select(func.min(value)).where(here).scalar_subquery() for value in (leaf.number, leaf.value)]

        return Order(("property", name), keys, {place: path})


def _is_created(left: str) -> bool:
    return operand_path(left) in ((f"{EDC}createdAt",), ("createdAt",))


def selector_condition(criterion: Criterion, name: str, cursor: ColumnElement[Any]) -> Condition:
    """The criterion about the asset at `cursor`: the SQL of `properties.fulfils`, through the index of properties."""
    operator, count, path = criterion.operator, arity(criterion), path_of(criterion.left)
    numeric = operator in ORDER and is_number(criterion.right)
    ordered: Convert = float if numeric else lexical

    def of_id() -> ColumnElement[bool]:
        asset = tables.asset.alias(name)
        same = false() if numeric else compare(asset.c.id, operator, name, count)
        return exists().where(asset.c.cursor == cursor, same)

    def of_property() -> ColumnElement[bool]:
        leaf = tables.asset_property.alias(name)
        here = and_(leaf.c.asset == cursor, leaf.c.path == bindparam(f"{name}_path", type_=Text()))
        if operator in {"!=", "not in"}:
            same = compare(leaf.c.value, "=" if operator == "!=" else "in", name, count)
            return and_(exists().where(here), ~exists().where(here, same))
        return exists().where(here, compare(leaf.c.number if numeric else leaf.c.value, operator, name, count))

    shape = (path == ID, str(cursor), name, operator, count, numeric)
    if path == ID:
        return Condition(shape, of_id, parameters(criterion, name, count, lexical))
    values = parameters(criterion, name, count, ordered if operator in ORDER else key_of)
    return Condition(shape, of_property, {f"{name}_path": path} | values)


_asset, _policy, _definition, _agreement = tables.asset.c, tables.policy.c, tables.definition.c, tables.agreement.c
_negotiation, _transfer, _edr, _grant = tables.negotiation.c, tables.transfer.c, tables.edr.c, tables.grant.c
_credential, _credential_request = tables.credential.c, tables.credential_request.c
_shown = tables.shown.c
_passport_version = tables.passport_version.c
_twin = tables.twin.c
_rule = tables.twin_rule.c
_partner = tables.partner.c
_secret, _payload, _outbox, _timer = tables.secret.c, tables.payload.c, tables.outbox.c, tables.timer.c
_PROTOCOL: Final = Field(literal_column(f"'{PROTOCOL}'", Text()))


def _seconds(column: ColumnElement[Any]) -> Field:
    """EDC tells dates of contracts in seconds."""
    return _integer(column // literal_column("1000", BigInteger()))


_ASSET_COLUMNS: Final = ColumnFields("Asset", {"id": Field(_asset.id), "createdAt": _integer(_asset.created_at)})
ASSET: Final = AssetFields()
POLICY: Final = ColumnFields(
    "PolicyDefinition", {"id": Field(_policy.id), "createdAt": _integer(_policy.created_at)}, _policy.doc
)
DEFINITION: Final = ColumnFields(
    "ContractDefinition",
    {
        "id": Field(_definition.id),
        "createdAt": _integer(_definition.created_at),
        "accessPolicyId": Field(_definition.access_policy_id),
        "contractPolicyId": Field(_definition.contract_policy_id),
    },
    _definition.doc,
)
NEGOTIATION: Final = ColumnFields(
    "ContractNegotiation",
    {
        "id": Field(_negotiation.id),
        "type": Field(_negotiation.role),
        "state": Field(_negotiation.state, _state(states.NEGOTIATION)),
        "counterPartyId": Field(_negotiation.peer_id),
        "counterPartyAddress": Field(_negotiation.peer_address),
        "protocol": _PROTOCOL,
        "correlationId": Field(_negotiation.peer_pid),
        "contractAgreementId": Field(_negotiation.agreement_id),
        "contractAgreement.id": Field(_negotiation.agreement_id),
        "assetId": Field(_negotiation.asset_id),
        "contractAgreement.assetId": Field(case((_negotiation.agreement_id.is_not(None), _negotiation.asset_id))),
        "createdAt": _integer(_negotiation.created_at),
        "updatedAt": _integer(_negotiation.updated_at),
        "stateTimestamp": _integer(_negotiation.updated_at),
    },
)
AGREEMENT: Final = ColumnFields(
    "ContractAgreement",
    {
        "id": Field(_agreement.id),
        "agreementId": Field(_agreement.id),
        "assetId": Field(_agreement.asset_id),
        "providerId": Field(_agreement.provider_id),
        "consumerId": Field(_agreement.consumer_id),
        "negotiationId": Field(_agreement.negotiation_id),
        "contractSigningDate": _seconds(_agreement.created_at),
        "createdAt": _integer(_agreement.created_at),
        "retiredAt": _integer(_agreement.retired_at),
        "agreementRetirementDate": _seconds(_agreement.retired_at),
        "reason": Field(_agreement.retirement_reason),
    },
)
TRANSFER: Final = ColumnFields(
    "TransferProcess",
    {
        "id": Field(_transfer.id),
        "type": Field(_transfer.role),
        "state": Field(_transfer.state, _state(states.TRANSFER)),
        "correlationId": Field(_transfer.peer_pid),
        "counterPartyId": Field(_transfer.peer_id),
        "counterPartyAddress": Field(_transfer.peer_address),
        "protocol": _PROTOCOL,
        "assetId": Field(_transfer.asset_id),
        "contractId": Field(_transfer.agreement_id),
        "transferType": Field(_transfer.format),
        "createdAt": _integer(_transfer.created_at),
        "updatedAt": _integer(_transfer.updated_at),
        "stateTimestamp": _integer(_transfer.updated_at),
    },
    _transfer.doc,
)
EDR: Final = ColumnFields(
    "EndpointDataReference",
    {
        "id": Field(_edr.id),
        "transferProcessId": Field(_edr.id),
        "assetId": Field(_edr.asset_id),
        "agreementId": Field(_edr.agreement_id),
        "providerId": Field(_edr.provider_id),
        "contractNegotiationId": Field(_edr.negotiation_id),
        "createdAt": _integer(_edr.created_at),
        "expiresAt": _integer(_edr.expires_at),
    },
)
GRANT: Final = ColumnFields(
    "Grant",
    {
        "id": Field(_grant.id),
        "agreementId": Field(_grant.agreement_id),
        "assetId": Field(_grant.asset_id),
        "consumerId": Field(_grant.consumer_id),
        "createdAt": _integer(_grant.created_at),
    },
)
PARTNER: Final = ColumnFields("BusinessPartner", {"id": Field(_partner.id), "createdAt": _integer(_partner.created_at)})
SECRET: Final = ColumnFields("Secret", {"id": Field(_secret.id), "createdAt": _integer(_secret.created_at)})
PAYLOAD: Final = ColumnFields(
    "Payload",
    {
        "id": Field(_payload.id),
        "semanticId": Field(_payload.semantic_id),
        "createdAt": _integer(_payload.created_at),
    },
)
CREDENTIAL: Final = ColumnFields(
    "Credential",
    {
        "id": Field(_credential.id),
        "issuer": Field(_credential.issuer),
        "state": Field(_credential.state),
        "validUntil": _integer(_credential.valid_until),
        "createdAt": _integer(_credential.created_at),
    },
)
CREDENTIAL_REQUEST: Final = ColumnFields(
    "CredentialRequest",
    {
        "id": Field(_credential_request.id),
        "issuer": Field(_credential_request.issuer),
        "state": Field(_credential_request.state),
        "createdAt": _integer(_credential_request.created_at),
        "updatedAt": _integer(_credential_request.updated_at),
    },
)
SHOWN: Final = ColumnFields(
    "ShownCredentials",
    {"id": Field(_shown.id), "createdAt": _integer(_shown.created_at), "endsAt": _integer(_shown.ends_at)},
)
PASSPORT_VERSION: Final = ColumnFields(
    "PassportVersion",
    {
        "id": Field(_passport_version.id),
        "passportId": Field(_passport_version.passport_id),
        "number": _integer(_passport_version.number),
        "serial": Field(_passport_version.serial),
        "semanticId": Field(_passport_version.semantic_id),
        "createdAt": _integer(_passport_version.created_at),
    },
)
TWIN: Final = ColumnFields("ShellDescriptor", {"id": Field(_twin.id), "createdAt": _integer(_twin.created_at)})
RULE: Final = ColumnFields(
    "AccessRule", {"id": Field(_rule.id), "bpn": Field(_rule.bpn), "createdAt": _integer(_rule.created_at)}
)
OUTGOING: Final = ColumnFields(
    "Outgoing",
    {
        "id": Field(_outbox.id),
        "topic": Field(_outbox.topic),
        "kind": Field(_outbox.kind),
        "event": Field(_outbox.event),
        "dead": Field(_outbox.dead, _as_boolean),
        "dueAt": _integer(_outbox.due_at),
        "attempts": _integer(_outbox.attempts),
        "createdAt": _integer(_outbox.created_at),
    },
)
TIMER: Final = ColumnFields(
    "Timer",
    {
        "id": Field(_timer.id),
        "kind": Field(_timer.kind),
        "subject": Field(_timer.subject),
        "dueAt": _integer(_timer.due_at),
    },
)
