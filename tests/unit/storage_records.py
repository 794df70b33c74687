"""Records to store in tests: one of each kind, with every field set."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

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
from connector.policy.model import Constraint, LogicalConstraint, Policy, Rule
from connector.protocol import negotiation, transfer
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Role
from connector.protocol.transfer import TransferProcess
from connector.twins.rules import AccessRule
from connector.twins.shell import AssetLink, RegisteredShell, Shell, SpecificAssetId, Submodel

T = TypeVar("T")
TYPE = "http://purl.org/dc/terms/type"
BUNDLE = "https://w3id.org/catenax/taxonomy#SubmodelBundle"
PEER = "did:web:consumer.example"

POLICY = Policy(
    permission=(
        Rule(
            "use",
            (
                LogicalConstraint(
                    "and",
                    (
                        Constraint("Membership", "eq", "active", '{"unit":"x"}'),
                        Constraint("UsagePurpose", "isAnyOf", ("cx.core:1", 2, 2.5, True)),
                    ),
                ),
            ),
            '{"duty":[]}',
        ),
    ),
    profile=("https://w3id.org/catenax/2025/9/policy/profile2405",),
    id="offer-1",
    kind="Offer",
    assigner="did:web:provider.example",
    target="asset-1",
)


def each(do: Callable[[T], object], items: Iterable[T]) -> None:
    for item in items:
        do(item)


def asset(ident: str = "asset-1", properties: Mapping[str, Any] | None = None) -> Asset:
    return Asset(
        ident,
        1,
        properties or {TYPE: {"@id": BUNDLE}, "https://w3id.org/edc/v0.0.1/ns/weight": 7},
        {"https://w3id.org/edc/v0.0.1/ns/owner": "Müller"},
        {"type": "HttpData", "baseUrl": "https://backend.example", "header:X-Key": "k"},
    )


def definition(ident: str, *selector: Criterion, created_at: int = 1) -> ContractDefinition:
    return ContractDefinition(ident, created_at, "access", "contract", selector, {"https://x.example/note": "n"})


def a_negotiation(ident: str = "n-1", created_at: int = 1, **changes: Any) -> Negotiation:
    process = NegotiationProcess(Role.PROVIDER).receive(negotiation.Event.REQUEST, "m-1")
    fields: dict[str, Any] = {
        "id": ident,
        "created_at": created_at,
        "updated_at": created_at,
        "process": process.send(negotiation.Event.AGREE, "m-2"),
        "peer": Peer(PEER, "https://consumer.example/dsp"),
        "offer": POLICY,
        "offered_by": Role.CONSUMER,
        "asked": POLICY,
        "peer_pid": f"peer-of-{ident}",
        "agreement_id": "agreement-1",
        "transfer_format": "HttpData-PULL",
        "callbacks": (CallbackAddress("https://hook.example", ("contract",), True, "X-Key", "secret-1"),),
        "error": "something",
        "history": (Entry(1, "peer:REQUEST", "why"), Entry(2, "we:AGREE")),
    }
    return Negotiation(**fields | changes)


def a_transfer(ident: str = "t-1", created_at: int = 1, **changes: Any) -> Transfer:
    fields: dict[str, Any] = {
        "id": ident,
        "created_at": created_at,
        "updated_at": created_at,
        "process": TransferProcess(Role.PROVIDER).receive(transfer.Event.REQUEST, "m-1"),
        "peer": Peer(PEER, "https://consumer.example/dsp"),
        "agreement_id": "agreement-1",
        "asset_id": "asset-1",
        "format": "HttpData-PUSH",
        "peer_pid": f"peer-of-{ident}",
        "destination": {"type": "HttpData", "baseUrl": "https://sink.example"},
        "callbacks": (CallbackAddress("https://hook.example", ("transfer", "contract")),),
        "private_properties": {"https://w3id.org/edc/v0.0.1/ns/order": 'four "quoted" two'},
        "error": None,
        "history": (Entry(1, "peer:REQUEST"), Entry(2, "policy:transfer", "denied", {"permitted": False, "trace": []})),
    }
    return Transfer(**fields | changes)


def an_agreement(ident: str = "agreement-1", created_at: int = 5000, **changes: Any) -> Agreement:
    fields: dict[str, Any] = {
        "id": ident,
        "created_at": created_at,
        "provider_id": "did:web:provider.example",
        "consumer_id": PEER,
        "asset_id": "asset-1",
        "policy": POLICY,
        "negotiation_id": "n-1",
        "retired_at": 9000,
        "used_by": "transfer-1",
        "retirement_reason": "over",
    }
    return Agreement(**fields | changes)


def an_edr(ident: str = "t-1", created_at: int = 1, negotiation_id: str = "n-1") -> Edr:
    address = {"endpoint": "https://provider.example/public", "authorization": "token"}
    return Edr(ident, created_at, "asset-1", "agreement-1", negotiation_id, "did:web:provider.example", address, 99)


def a_message(ident: str = "m-1", topic: str = "n-1", **changes: Any) -> Outgoing:
    fields: dict[str, Any] = {
        "id": ident,
        "created_at": 1,
        "topic": topic,
        "kind": "negotiation",
        "event": "AGREE",
        "url": "https://consumer.example/dsp/negotiations/1/agreement",
        "body": b'{"a":1}',
        "audience": PEER,
        "due_at": 10,
        "attempts": 2,
        "last_error": "timeout",
        "dead": False,
        "auth_key": "X-Key",
        "auth_code_id": "secret-1",
    }
    return Outgoing(**fields | changes)


POLICY_DEFINITION = PolicyDefinition("p-1", 1, POLICY, {"https://w3id.org/edc/v0.0.1/ns/team": "red"})
GRANT = Grant("t-1", 1, PEER, "BPNL00000000CONS", "agreement-1", "asset-1", "aa", "bb")
SECRET = Secret("secret-1", 1, "hush")
PARTNER = BusinessPartner("BPNL00000000000A", 3, ("gold", "gebündelt"))
PASSPORT = PassportVersion(
    "urn:uuid:1#2", 1, "urn:uuid:1", 2, "0815", "urn:samm:x:1.0.0#X", b"{}", "a.b.c", ("WyJ", "d")
)
TWIN = RegisteredShell(
    "urn:uuid:1",
    1,
    Shell(
        "urn:uuid:1",
        "urn:uuid:2",
        (SpecificAssetId("partInstanceId", "0815", ("BPNL00000000CONS",), {"supplementalSemanticIds": []}),),
        (Submodel("urn:uuid:3", {"id": "urn:uuid:3", "idShort": "batteryPass"}),),
        {"idShort": "Battery_0815"},
    ),
    ("for-members", "for-oem"),
)
RULE = AccessRule(
    "1700000000000",
    1,
    "BPNL00000000CONS",
    (AssetLink("manufacturerPartId", "P-1"),),
    frozenset({"partInstanceId", "van"}),
    frozenset({"urn:samm:x:1.0.0#X"}),
    "for the consumer",
    5,
    9,
)
PAYLOAD = Payload("asset-1", 1, "urn:samm:io.catenax.battery:6.0.0#Battery", b'{"\xc3\xa4":1}', "digest", "signature")
CREDENTIAL = HeldCredential(
    "digest", 1, "did:web:issuer.example", Held.ISSUED, 1, 99, "vc11-sl2021/jwt", ("MembershipCredential",), "a.b.c"
)
CREDENTIAL_REQUEST = CredentialRequest(
    "h-1", 1, 2, "did:web:issuer.example", Asked.REJECTED, ("MembershipCredential",), "i-1", "https://x/1", "no"
)
SHOWN = ShownCredentials("did:web:consumer.example", 1, 99, ("a.b.c", "d.e.f"))
TIMER = Timer("timer-1", 50, "negotiation", "n-1", '{"a":1}')
