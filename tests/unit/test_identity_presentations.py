"""Presentations as JWTs of both data models: what is read, and that what we make can be read."""

from collections.abc import Mapping
from typing import Any

import pytest

from connector.identity.credentials import CONTEXT_1, CONTEXT_2, Profile
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.identity.presentations import MAX_CREDENTIALS, VerifiablePresentation, envelope, sign_presentation
from connector.identity.refusal import Check, Refusal
from tests.unit.dcp_world import STRANGER, DcpWorld
from tests.unit.identity_world import NOW, OURS, THEIRS

NOW_S = NOW // 1000


@pytest.fixture
def world() -> DcpWorld:
    return DcpWorld()


def claims(world: DcpWorld, **changes: Any) -> dict[str, Any]:
    """The payload of a good presentation, some claims changed; None takes one out."""
    good = dict(CompactJws.parse(world.vp(world.vc())).payload)
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@pytest.mark.parametrize("profile", list(Profile))
def test_what_is_made_can_be_read(profile: Profile) -> None:
    world = DcpWorld(profile)
    key = world.keys[THEIRS]
    jwt = sign_presentation(key, world.shown, audience=OURS, jti="j", now=NOW + 999, profile=profile)
    read = VerifiablePresentation.parse(envelope(jwt) if profile is Profile.VC20 else jwt)
    assert (read.holder, read.audience, [c.jwt for c in read.credentials]) == (THEIRS, (OURS,), list(world.shown))
    assert (read.not_before, read.expires_at) == (NOW_S, NOW_S + 60)
    read.check(holder=THEIRS, audience=OURS, now=NOW)
    assert VerifiablePresentation.parse(jwt) == read


def test_what_other_wallets_leave_out_may_be_missing(world: DcpWorld) -> None:
    vp = {"@context": [CONTEXT_1], "type": "VerifiablePresentation", "holder": None, "verifiableCredential": world.vc()}
    sent = claims(world, vp=vp, sub=None, jti=None, nbf=None, iat=None, aud=[STRANGER, OURS])
    read = VerifiablePresentation.parse(world.keys[THEIRS].sign_jwt(sent))
    assert (read.holder, len(read.credentials), read.not_before) == (THEIRS, 1, 0)
    read.check(holder=THEIRS, audience=OURS, now=NOW)


def test_a_holder_may_be_an_object(world: DcpWorld) -> None:
    vp = claims(world)["vp"] | {"holder": {"id": THEIRS}}
    assert VerifiablePresentation.parse(world.keys[THEIRS].sign_jwt(claims(world, vp=vp))).holder == THEIRS


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"iss": None}, "/iss"),
        ({"iss": STRANGER}, "/iss"),
        ({"sub": STRANGER}, "/iss"),
        ({"exp": None}, "/exp"),
        ({"exp": True}, "/exp"),
        ({"exp": 1e300}, "/exp"),
        ({"nbf": "x"}, "/nbf"),
        ({"aud": [1]}, "/aud/0"),
        ({"vp": "x"}, "/vp"),
    ],
)
def test_bad_claims_are_refused_with_their_place(world: DcpWorld, changes: Mapping[str, Any], pointer: str) -> None:
    with pytest.raises(Refusal) as caught:
        VerifiablePresentation.parse(world.keys[THEIRS].sign_jwt(claims(world, **changes)))
    found = caught.value
    assert (found.check, found.status, found.pointer) == (Check.PRESENTATION, 401, pointer)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"@context": "urn:x"}, "/vp/@context"),
        ({"@context": None}, "/vp/@context"),
        ({"type": ["Other"]}, "/vp/type"),
        ({"holder": STRANGER}, "/iss"),
        ({"holder": 1}, "/vp/holder"),
        ({"verifiableCredential": ["a.b.c"] * (MAX_CREDENTIALS + 1)}, "/vp/verifiableCredential"),
        ({"verifiableCredential": [1]}, "/vp/verifiableCredential/0"),
        ({"verifiableCredential": [{"id": "data:text/plain,x"}]}, "/vp/verifiableCredential/0/id"),
    ],
)
def test_a_bad_presentation_is_refused_with_its_place(
    world: DcpWorld, changes: Mapping[str, Any], pointer: str
) -> None:
    vp = {**claims(world)["vp"], **changes}
    with pytest.raises(Refusal) as caught:
        VerifiablePresentation.parse(world.keys[THEIRS].sign_jwt(claims(world, vp=vp)))
    assert (caught.value.check, caught.value.pointer) == (Check.PRESENTATION, pointer)


@pytest.mark.parametrize(
    "presented", [None, 1, [], "", "a.b.c", {}, {"id": 1}, {"id": "data:application/vc+jwt,a.b.c"}]
)
def test_what_is_no_presentation_is_refused(presented: object) -> None:
    with pytest.raises(Refusal) as caught:
        VerifiablePresentation.parse(presented)
    assert caught.value.check is Check.PRESENTATION


def test_a_bad_credential_in_it_is_named_as_such(world: DcpWorld) -> None:
    with pytest.raises(Refusal) as caught:
        VerifiablePresentation.parse(world.vp("a.b.c"))
    assert (caught.value.check, caught.value.status) == (Check.CREDENTIAL, 403)


def test_a_key_of_somebody_else_is_refused(world: DcpWorld) -> None:
    with pytest.raises(Refusal) as caught:
        VerifiablePresentation.parse(SigningKey.generate(STRANGER).sign_jwt(claims(world)))
    assert caught.value.pointer == "/kid"


@pytest.mark.parametrize(
    ("asked", "check"),
    [
        ({"holder": STRANGER}, Check.PRESENTATION_HOLDER),
        ({"audience": STRANGER}, Check.PRESENTATION_AUDIENCE),
        ({"now": NOW + 66_000}, Check.PRESENTATION_TIME),
        ({"now": NOW - 6_000}, Check.PRESENTATION_TIME),
    ],
)
def test_it_is_for_one_verifier_and_one_minute(world: DcpWorld, asked: Mapping[str, Any], check: Check) -> None:
    read = VerifiablePresentation.parse(world.vp(world.vc()))
    good: dict[str, Any] = {"holder": THEIRS, "audience": OURS, "now": NOW}
    read.check(**good)
    with pytest.raises(Refusal) as caught:
        read.check(**{**good, **asked})
    assert (caught.value.check, caught.value.status) == (check, 401)


def test_vc_2_0_is_written_in_envelopes() -> None:
    world = DcpWorld(Profile.VC20)
    jws = CompactJws.parse(world.vp(world.vc()))
    assert jws.header["typ"] == "vp+jwt"
    (enveloped,) = jws.payload["verifiableCredential"]
    assert (enveloped["@context"], enveloped["type"]) == (CONTEXT_2, "EnvelopedVerifiableCredential")
    assert enveloped["id"].startswith("data:application/vc+jwt,ey")
