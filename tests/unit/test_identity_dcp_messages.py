"""The messages of DCP: what is read, what is refused and where, and that what is written can be read."""

from collections.abc import Mapping
from typing import Any

import pytest

from connector.identity.dcp_messages import (
    CONTEXT,
    CredentialContainer,
    CredentialMessage,
    CredentialObject,
    CredentialOfferMessage,
    CredentialRequestMessage,
    CredentialStatus,
    Decision,
    IssuerMetadata,
    PresentationQueryMessage,
    PresentationResponseMessage,
    RequestStatus,
)
from connector.protocol.errors import PeerError

OBJECT = CredentialObject(
    id="membership",
    credential_type="MembershipCredential",
    credential_schema="https://authority.example/membership.json",
    offer_reason="issuance",
    binding_methods=("did:web",),
    profile="vc11-sl2021/jwt",
    issuance_policy={},
)
CONTAINER = CredentialContainer(credential_type="MembershipCredential", format="vc11-sl2021/jwt", payload="a.b.c")
MESSAGES: list[Any] = [
    PresentationQueryMessage(scope=("alias:type",)),
    PresentationQueryMessage(presentation_definition={"id": "one"}),
    PresentationResponseMessage(presentation=("a.b.c", {"id": "data:application/vp+jwt,a.b.c"})),
    PresentationResponseMessage(presentation=()),
    CredentialOfferMessage(issuer="did:web:a", credentials=(OBJECT, CredentialObject(id="sparse"))),
    CredentialRequestMessage(holder_pid="h", credentials=("membership", "bpn")),
    CredentialMessage(issuer_pid="i", holder_pid="h", status=Decision.ISSUED, credentials=(CONTAINER,)),
    CredentialMessage(issuer_pid="i", holder_pid="h", status=Decision.REJECTED, rejection_reason="no"),
    CredentialStatus(issuer_pid="i", holder_pid="h", status=RequestStatus.RECEIVED),
    IssuerMetadata(issuer="did:web:a", credentials_supported=(OBJECT,)),
    IssuerMetadata(issuer="did:web:a", credentials_supported=()),
]


def name_of(message: Any) -> str:  # noqa: ANN401 - any message
    return str(message.TYPE)


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_what_is_written_is_read(message: Any) -> None:  # noqa: ANN401 - any message
    doc = message.to_json()
    assert (doc["@context"], doc["type"]) == ([CONTEXT], message.TYPE)
    assert type(message).parse(doc) == message


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_other_spellings_and_unknown_members_are_read(message: Any) -> None:  # noqa: ANN401 - any message
    doc = message.to_json()
    kind = doc.pop("type")
    assert type(message).parse({**doc, "@type": kind, "@context": ["https://other.example", CONTEXT]}) == message
    assert type(message).parse({**doc, "type": f"https://w3id.org/dspace-dcp/v1.0/{kind}", "more": 1}) == message
    assert type(message).parse({**doc, "type": [kind], "@context": CONTEXT}) == message


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
@pytest.mark.parametrize("change", [{"type": "Other"}, {"type": None}, {"@context": []}, {"@context": ["x"]}])
def test_another_type_or_protocol_is_refused(message: Any, change: Mapping[str, Any]) -> None:  # noqa: ANN401 - any
    with pytest.raises(PeerError) as caught:
        type(message).parse({**message.to_json(), **change})
    assert (caught.value.status, caught.value.pointer) == (400, f"/{next(iter(change))}")


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
@pytest.mark.parametrize("doc", [None, [], "x", 1])
def test_what_is_no_object_is_refused(message: Any, doc: object) -> None:  # noqa: ANN401 - any message
    with pytest.raises(PeerError) as caught:
        type(message).parse(doc)
    assert caught.value.status == 400


QUERY, RESPONSE = {"type": "PresentationQueryMessage"}, {"type": "PresentationResponseMessage"}
OFFER, REQUEST = {"type": "CredentialOfferMessage"}, {"type": "CredentialRequestMessage"}
DELIVERY = {"type": "CredentialMessage", "issuerPid": "i", "holderPid": "h", "status": "ISSUED"}
STATUS = {"type": "CredentialStatus", "issuerPid": "i", "holderPid": "h", "status": "ISSUED"}
METADATA = {"type": "IssuerMetadata", "issuer": "did:web:a"}


@pytest.mark.parametrize(
    ("kind", "doc", "pointer"),
    [
        (PresentationQueryMessage, QUERY, "/scope"),
        (PresentationQueryMessage, QUERY | {"scope": []}, "/scope"),
        (PresentationQueryMessage, QUERY | {"scope": "a:b"}, "/scope"),
        (PresentationQueryMessage, QUERY | {"scope": [1]}, "/scope/0"),
        (PresentationQueryMessage, QUERY | {"scope": ["a:b"] * 65}, "/scope"),
        (PresentationQueryMessage, QUERY | {"scope": ["a:b"], "presentationDefinition": {"id": "x"}}, "/scope"),
        (PresentationQueryMessage, QUERY | {"presentationDefinition": {}}, "/presentationDefinition"),
        (PresentationQueryMessage, QUERY | {"presentationDefinition": None}, "/presentationDefinition"),
        (PresentationResponseMessage, RESPONSE, "/presentation"),
        (PresentationResponseMessage, RESPONSE | {"presentation": "a.b.c"}, "/presentation"),
        (PresentationResponseMessage, RESPONSE | {"presentation": [None]}, "/presentation/0"),
        (CredentialOfferMessage, OFFER | {"issuer": None, "credentials": [{"id": "x"}]}, "/issuer"),
        (CredentialOfferMessage, OFFER | {"issuer": "did:web:a", "credentials": []}, "/credentials"),
        (CredentialOfferMessage, OFFER | {"issuer": "did:web:a", "credentials": [{}]}, "/credentials/0/id"),
        (CredentialRequestMessage, REQUEST | {"credentials": [{"id": "x"}]}, "/holderPid"),
        (CredentialRequestMessage, REQUEST | {"holderPid": "h"}, "/credentials"),
        (CredentialRequestMessage, REQUEST | {"holderPid": "h", "credentials": ["x"]}, "/credentials/0"),
        (CredentialMessage, DELIVERY, "/credentials"),
        (CredentialMessage, DELIVERY | {"status": "DONE"}, "/status"),
        (CredentialMessage, DELIVERY | {"status": "REJECTED", "holderPid": None}, "/holderPid"),
        (CredentialMessage, DELIVERY | {"credentials": [{"credentialType": "x"}]}, "/credentials/0/payload"),
        (CredentialStatus, STATUS | {"status": "LOST"}, "/status"),
        (CredentialStatus, STATUS | {"issuerPid": ""}, "/issuerPid"),
        (IssuerMetadata, METADATA, "/credentialsSupported"),
        (IssuerMetadata, METADATA | {"credentialsSupported": [1]}, "/credentialsSupported/0"),
    ],
)
def test_what_a_message_must_have_is_named(kind: Any, doc: Mapping[str, Any], pointer: str) -> None:  # noqa: ANN401 - any
    with pytest.raises(PeerError) as caught:
        kind.parse({"@context": [CONTEXT], **doc})
    assert (caught.value.status, caught.value.pointer) == (400, pointer)


def test_a_query_says_one_thing() -> None:
    with pytest.raises(PeerError):
        PresentationQueryMessage()
    with pytest.raises(PeerError):
        PresentationQueryMessage(scope=("a:b",), presentation_definition={"id": "x"})
