"""Credentials as JWTs of both data models: what is read, what contradicts itself, and that what we make can be read."""

from collections.abc import Mapping
from typing import Any

import pytest

from connector.identity.credentials import (
    CATENA_X_CONTEXT,
    CONTEXT_1,
    CONTEXT_2,
    MAX_CHARS,
    Profile,
    VerifiableCredential,
    credential,
    iso,
    profile_of,
    sign_credential,
)
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.identity.refusal import Check, Refusal
from connector.identity.status_list import StatusEntry
from connector.protocol.errors import Invalid
from tests.unit.identity_world import NOW

ISSUER, HOLDER = "did:web:authority.example", "did:web:consumer.example"
KEY = SigningKey.generate(ISSUER)
STATUS = StatusEntry("StatusList2021Entry", "revocation", 4711, "https://authority.example/status/1")
HOUR = 3_600_000


def made(profile: Profile = Profile.VC11, **changes: Any) -> dict[str, Any]:
    doc = credential(
        profile,
        identifier="urn:uuid:1",
        types=["MembershipCredential"],
        issuer=ISSUER,
        subject={"id": HOLDER, "memberOf": "Catena-X"},
        valid_from=NOW - HOUR,
        valid_until=NOW + HOUR,
        status=STATUS,
        contexts=[CATENA_X_CONTEXT],
    )
    return {name: value for name, value in {**doc, **changes}.items() if value is not None}


def refusal(jwt: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        VerifiableCredential.parse(jwt)
    assert (caught.value.status, caught.value.check) == (403, Check.CREDENTIAL)
    return caught.value


@pytest.mark.parametrize("profile", list(Profile))
def test_what_is_made_can_be_read(profile: Profile) -> None:
    read = VerifiableCredential.parse(sign_credential(KEY, made(profile)))
    assert (read.profile, read.id, read.issuer, read.types) == (
        profile,
        "urn:uuid:1",
        ISSUER,
        ("MembershipCredential",),
    )
    assert read.subjects == ({"id": HOLDER, "memberOf": "Catena-X"},)
    assert (read.valid_from, read.valid_until) == (NOW - HOUR, NOW + HOUR)
    assert (read.status, read.schemas) == ((STATUS,), ())
    assert read.jws.header["kid"] == KEY.kid


def test_a_credential_of_vc_1_1_stands_in_the_claim_vc_with_its_dates_as_claims() -> None:
    payload = CompactJws.parse(sign_credential(KEY, made())).payload
    assert (payload["iss"], payload["sub"], payload["jti"]) == (ISSUER, HOLDER, "urn:uuid:1")
    assert (payload["nbf"], payload["exp"]) == ((NOW - HOUR) // 1000, (NOW + HOUR) // 1000)
    assert payload["vc"]["@context"] == [CONTEXT_1, CATENA_X_CONTEXT]
    assert payload["vc"]["type"] == ["VerifiableCredential", "MembershipCredential"]


def test_a_credential_of_vc_2_0_is_the_payload() -> None:
    jws = CompactJws.parse(sign_credential(KEY, made(Profile.VC20)))
    assert jws.header["typ"] == "vc+jwt"
    assert jws.payload["@context"][0] == CONTEXT_2
    assert jws.payload["validUntil"] == iso(NOW + HOUR)
    assert "vc" not in jws.payload


def test_a_credential_of_vc_2_0_in_the_claim_vc_is_read() -> None:
    read = VerifiableCredential.parse(sign_credential(KEY, made(Profile.VC20), wrapped=True))
    assert (read.profile, read.types) == (Profile.VC20, ("MembershipCredential",))


def test_only_the_issuer_signs() -> None:
    with pytest.raises(Invalid):
        sign_credential(SigningKey.generate(HOLDER), made())


def test_a_credential_may_leave_out_what_may_be_left_out() -> None:
    doc = made(expirationDate=None, credentialStatus=None) | {"id": None, "credentialSchema": None}
    read = VerifiableCredential.parse(KEY.sign_jwt({"iss": ISSUER, "vc": doc}))
    assert (read.id, read.valid_until, read.status, read.schemas) == (None, None, (), ())
    read.check_time(NOW + 10**15)


def test_types_lose_the_namespace_of_catena_x() -> None:
    types = ["VerifiableCredential", "https://w3id.org/catenax/credentials/MembershipCredential"]
    assert VerifiableCredential.parse(sign_credential(KEY, made(type=types))).types == ("MembershipCredential",)


def test_an_issuer_may_be_an_object_and_subjects_may_be_many() -> None:
    doc = made(issuer={"id": ISSUER, "name": "Authority"}, credentialSubject=[{"id": HOLDER}, {"id": ISSUER}])
    read = VerifiableCredential.parse(KEY.sign_jwt({"iss": ISSUER, "vc": doc}))
    assert (read.issuer, len(read.subjects)) == (ISSUER, 2)
    assert [says.subject["id"] for says in read.proven()] == [HOLDER, ISSUER]


@pytest.mark.parametrize("sub", [ISSUER, "urn:uuid:1", HOLDER])
def test_the_sub_of_real_issuers_is_not_looked_at(sub: str) -> None:
    VerifiableCredential.parse(KEY.sign_jwt({"iss": ISSUER, "sub": sub, "vc": made()}))


@pytest.mark.parametrize(
    "date",
    [
        "2026-09-21T10:00:00Z",
        "2026-09-21T10:00:00.123456789Z",
        "2026-09-21T12:00:00+02:00",
        "2026-09-21T10:00:00",
    ],
)
def test_dates_are_read_in_all_spellings(date: str) -> None:
    read = VerifiableCredential.parse(KEY.sign_jwt({"iss": ISSUER, "vc": made(issuanceDate=date)}))
    assert read.valid_from is not None
    assert iso(read.valid_from) == "2026-09-21T10:00:00Z"


def test_of_two_times_the_stricter_counts() -> None:
    claims = {"iss": ISSUER, "nbf": NOW // 1000 + 60, "exp": NOW // 1000 + 120, "vc": made()}
    read = VerifiableCredential.parse(KEY.sign_jwt(claims))
    assert (read.valid_from, read.valid_until) == (NOW + 60_000, NOW + 120_000)


@pytest.mark.parametrize(("offset", "good"), [(-HOUR - 6000, False), (-HOUR - 5000, True), (0, True)])
def test_it_is_valid_from_its_beginning_give_or_take_five_seconds(offset: int, *, good: bool) -> None:
    read = VerifiableCredential.parse(sign_credential(KEY, made()))
    if good:
        read.check_time(NOW + offset)
        return
    with pytest.raises(Refusal) as caught:
        read.check_time(NOW + offset)
    assert caught.value.check is Check.CREDENTIAL_TIME


@pytest.mark.parametrize(("offset", "good"), [(HOUR + 4999, True), (HOUR + 5000, False)])
def test_it_is_valid_until_its_end_give_or_take_five_seconds(offset: int, *, good: bool) -> None:
    read = VerifiableCredential.parse(sign_credential(KEY, made()))
    if good:
        read.check_time(NOW + offset)
        return
    with pytest.raises(Refusal):
        read.check_time(NOW + offset)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"@context": None}, "/vc/@context"),
        ({"@context": ["urn:uuid:1"]}, "/vc/@context"),
        ({"@context": [CATENA_X_CONTEXT, CONTEXT_1]}, "/vc/@context"),
        ({"type": ["MembershipCredential"]}, "/vc/type"),
        ({"type": ["VerifiableCredential", 1]}, "/vc/type/1"),
        ({"issuer": None}, "/vc/issuer"),
        ({"issuer": {}}, "/vc/issuer/id"),
        ({"issuer": HOLDER}, "/iss"),
        ({"credentialSubject": None}, "/vc/credentialSubject"),
        ({"credentialSubject": []}, "/vc/credentialSubject"),
        ({"credentialSubject": HOLDER}, "/vc/credentialSubject"),
        ({"issuanceDate": "yesterday"}, "/vc/issuanceDate"),
        ({"issuanceDate": "2026-09-21"}, "/vc/issuanceDate"),
        ({"expirationDate": 1}, "/vc/expirationDate"),
        ({"expirationDate": "2" * 50}, "/vc/expirationDate"),
        ({"credentialStatus": "x"}, "/vc/credentialStatus"),
        ({"credentialStatus": {"type": "StatusList2021Entry"}}, "/vc/credentialStatus/statusListIndex"),
        ({"credentialSchema": {"id": "https://x"}}, "/vc/credentialSchema/type"),
    ],
)
def test_what_is_no_credential_is_refused_with_its_place(changes: Mapping[str, Any], pointer: str) -> None:
    assert refusal(KEY.sign_jwt({"iss": ISSUER, "vc": made(**changes)})).pointer == pointer


@pytest.mark.parametrize(
    ("claims", "pointer"),
    [
        ({"vc": made()}, "/iss"),
        ({"iss": HOLDER, "vc": made()}, "/iss"),
        ({"iss": ISSUER, "vc": []}, "/vc"),
        ({"iss": ISSUER, "vc": made(), "@context": [CONTEXT_2]}, "/vc"),
        ({"iss": ISSUER, "vc": made(), "exp": "soon"}, "/exp"),
        ({"iss": ISSUER, "vc": made(), "nbf": True}, "/nbf"),
        ({"iss": ISSUER, "vc": made(), "iat": 1e300}, "/iat"),
        ({"iss": HOLDER, **made(Profile.VC20)}, "/iss"),
        (made(Profile.VC11), "/@context"),
    ],
)
def test_a_payload_that_contradicts_itself_is_refused(claims: Mapping[str, Any], pointer: str) -> None:
    assert refusal(KEY.sign_jwt(claims)).pointer == pointer


def test_a_key_of_somebody_else_is_refused() -> None:
    assert refusal(SigningKey.generate(HOLDER).sign_jwt({"iss": ISSUER, "vc": made()})).pointer == "/kid"


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "a" * (MAX_CHARS + 1)])
def test_what_is_no_jwt_is_refused(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("vc11-sl2021/jwt", Profile.VC11),
        ("vc10-sl2021/jwt", Profile.VC11),
        ("VC1_0_JWT", Profile.VC11),
        ("jwt", Profile.VC11),
        ("vc20-bssl/jwt", Profile.VC20),
        ("VC2_0_JOSE", Profile.VC20),
        ("json-ld", None),
    ],
)
def test_formats_have_many_names(name: str, profile: Profile | None) -> None:
    assert profile_of(name) is profile
