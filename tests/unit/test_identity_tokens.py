import asyncio
from typing import Any, TypeAlias

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from connector.identity.credentials import Profile
from connector.identity.did import did_document
from connector.identity.jws import b64url
from connector.identity.keys import SigningKey
from connector.identity.presentations import sign_presentation
from connector.identity.tokens import LIFETIME_S, SelfIssuedToken, TokenVerifier, issue_token
from connector.protocol.errors import Invalid, PeerError, Unreachable
from tests.unit.identity_world import NOW, OURS, THEIRS, World

NOW_S = NOW // 1000
PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | str
ACCESS = "the access token"
HEADER = b64url(b'{"alg":"ES256"}')


async def refused(world: World, token: str) -> PeerError:
    with pytest.raises(PeerError) as refusal:
        await world.verifier.verify(token)
    return refusal.value


def foreign(world: World, private: PrivateKey, alg: str, kid: str | None = None, **changes: Any) -> str:
    """A token signed by another library, with another header."""
    headers = {"kid": kid} if kid else {}
    return jwt.encode(world.claims(**changes), private, algorithm=alg, headers=headers)


def test_an_issued_token_says_who_for_whom_and_for_how_long() -> None:
    key = SigningKey.generate(THEIRS)
    token = issue_token(key, audience=OURS, jti="jti-1", now=NOW + 999, claims={"token": ACCESS})
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "JWT", "kid": key.kid}
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "iss": THEIRS,
        "sub": THEIRS,
        "aud": OURS,
        "jti": "jti-1",
        "iat": NOW_S,
        "exp": NOW_S + LIFETIME_S,
        "token": ACCESS,
    }


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "jti", "iat", "exp", "nbf"])
def test_claims_that_the_token_makes_itself_cannot_be_set(claim: str) -> None:
    with pytest.raises(Invalid, match=claim):
        issue_token(SigningKey.generate(THEIRS), audience=OURS, jti="1", now=NOW, claims={claim: "x"})


async def test_a_good_token_proves_its_sender() -> None:
    world = World()
    token = await world.verifier.verify(
        issue_token(world.key, audience=OURS, jti="1", now=NOW, claims={"token": ACCESS})
    )
    assert token.issuer == THEIRS
    assert token.jws.payload["token"] == ACCESS


async def test_an_audience_list_may_hold_us() -> None:
    world = World()
    await world.verifier.verify(world.token(aud=["did:web:other.example", OURS]))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"iss": None}, "/iss"),
        ({"iss": 5}, "/iss"),
        ({"iss": ["did:web:consumer.example"]}, "/iss"),
        ({"sub": None}, "/sub"),
        ({"sub": "did:web:other.example"}, "/sub"),
        ({"iss": "did:web:other.example"}, "/sub"),
        ({"aud": None}, "/aud"),
        ({"aud": ""}, "/aud"),
        ({"aud": {"a": OURS}}, "/aud"),
        ({"aud": []}, "/aud"),
        ({"aud": [[OURS]]}, "/aud"),
        ({"aud": "did:web:other.example"}, "/aud"),
        ({"aud": OURS + "x"}, "/aud"),
        ({"jti": None}, "/jti"),
        ({"jti": ""}, "/jti"),
        ({"jti": 7}, "/jti"),
        ({"iat": None}, "/iat"),
        ({"iat": "now"}, "/iat"),
        ({"iat": True}, "/iat"),
        ({"iat": NOW_S + 6}, "/iat"),
        ({"exp": None}, "/exp"),
        ({"exp": str(NOW_S + 60)}, "/exp"),
        ({"exp": NOW_S}, "/exp"),
        ({"exp": NOW_S + 3601}, "/exp"),
        ({"iat": NOW_S - 66, "exp": NOW_S - 6}, "/exp"),
        ({"nbf": NOW_S + 6}, "/nbf"),
        ({"nbf": "soon"}, "/nbf"),
    ],
)
async def test_a_token_with_a_bad_claim_is_refused_with_its_place(changes: dict[str, Any], place: str) -> None:
    world = World()
    refusal = await refused(world, world.token(**changes))
    assert (refusal.status, refusal.pointer) == (401, place)
    assert len(world.guard) == 0


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("audience", [OURS, THEIRS])
async def test_a_presentation_is_no_self_issued_token(profile: Profile, audience: str) -> None:
    """Who was shown it (a verifier, or a directory: then it is made for its holder) has not got the holder's word."""
    world = World()
    world.verifier = TokenVerifier(audience, world.resolver, world.guard, world.clock)
    shown = sign_presentation(world.key, [], audience=audience, jti="1", now=NOW, profile=profile)
    refusal = await refused(world, shown)
    assert (refusal.status, refusal.pointer) == (401, "/vp" if profile is Profile.VC11 else "/verifiableCredential")
    assert (len(world.guard), world.web.asked) == (0, [])


@pytest.mark.parametrize("claim", ["vp", "vc", "verifiableCredential", "credentialSubject"])
@pytest.mark.parametrize("value", [{}, None, []])
async def test_nor_is_anything_that_says_it_is_one(claim: str, value: object) -> None:
    world = World()
    token = world.key.sign_jwt(world.claims() | {claim: value})
    assert (await refused(world, token)).pointer == f"/{claim}"


@pytest.mark.parametrize(
    "times", ['"iat":1e400,"exp":1e400', '"iat":0,"exp":1e400', '"iat":0,"exp":1e308', '"iat":NaN,"exp":1']
)
def test_a_time_that_no_clock_shows_is_refused(times: str) -> None:
    claims = f'{{"iss":"{THEIRS}","sub":"{THEIRS}","aud":"{OURS}","jti":"1",{times}}}'
    with pytest.raises(PeerError) as refusal:
        SelfIssuedToken.parse(f"{HEADER}.{b64url(claims.encode())}.AA")
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    "changes", [{"iat": NOW_S + 5}, {"nbf": NOW_S + 5}, {"exp": NOW_S + 3600}, {"exp": NOW_S + 0.5}]
)
async def test_clocks_may_differ_by_the_leeway(changes: dict[str, Any]) -> None:
    world = World()
    await world.verifier.verify(world.token(**changes))


async def test_a_token_is_accepted_until_the_leeway_after_its_expiry() -> None:
    world = World()
    early, late = world.token(jti="early"), world.token(jti="late")
    world.clock.tick(65)
    await world.verifier.verify(early)
    world.clock.tick(0.001)
    assert (await refused(world, late)).pointer == "/exp"


async def test_a_token_is_accepted_once() -> None:
    world = World()
    token = world.token()
    await world.verifier.verify(token)
    assert (await refused(world, token)).pointer == "/jti"
    assert (await refused(world, world.token(exp=NOW_S + 61))).pointer == "/jti"  # another token, the same jti
    await world.verifier.verify(world.token(jti="jti-2"))


async def test_a_refused_token_does_not_use_up_a_jti() -> None:
    world = World()
    await refused(world, SigningKey.generate(THEIRS).sign_jwt(world.claims()))
    await refused(world, world.token(exp=NOW_S - 100, iat=NOW_S - 160))
    await world.verifier.verify(world.token())


async def test_a_token_refresh_may_repeat_its_jti() -> None:
    world = World()
    for _ in range(2):
        token = await world.verifier.verify(world.token(token=ACCESS), single_use=False)
        assert token.jws.payload["token"] == ACCESS


async def test_a_token_from_before_our_start_is_sent_again_fresh() -> None:
    world = World()
    assert (await refused(world, world.token(iat=NOW_S - 1))).status == 503


async def test_a_token_by_another_key_under_the_same_name_is_refused() -> None:
    world = World()
    other = SigningKey.generate(THEIRS)
    token = foreign(world, other._private, "ES256", world.key.kid)  # noqa: SLF001 - to sign with a false header
    assert (await refused(world, token)).status == 401
    assert (await refused(world, token)).status == 401  # also when nothing new may be fetched


@pytest.mark.parametrize("kid", ["key", "did:web:other.example#key", f"{THEIRS}", f"{THEIRS}.evil#key", f"{OURS}#key"])
async def test_a_kid_that_is_not_of_the_sender_is_refused_before_anything_is_fetched(kid: str) -> None:
    world = World()
    refusal = await refused(world, foreign(world, ec.generate_private_key(ec.SECP256R1()), "ES256", kid))
    assert (refusal.status, refusal.pointer) == (401, "/kid")
    assert world.web.asked == []


async def test_a_kid_that_is_not_in_the_document_is_refused() -> None:
    world = World()
    refusal = await refused(world, foreign(world, ec.generate_private_key(ec.SECP256R1()), "ES256", f"{THEIRS}#no"))
    assert (refusal.status, refusal.pointer) == (401, "/kid")


async def test_a_token_without_kid_needs_a_document_with_one_key() -> None:
    world = World()
    private = world.key._private  # noqa: SLF001 - to sign without kid
    await world.verifier.verify(foreign(world, private, "ES256"))
    world.web.publish(THEIRS, did_document(THEIRS, [world.key, SigningKey.generate(THEIRS)]))
    world.clock.tick(300)
    for _ in range(2):
        refusal = await refused(world, foreign(world, private, "ES256", jti="jti-2"))
        assert (refusal.status, refusal.pointer) == (401, "/kid")
    world.web.publish(THEIRS, world.document(verificationMethod=[]))
    world.clock.tick(300)
    assert (await refused(world, foreign(world, private, "ES256", jti="jti-3"))).pointer == "/kid"


async def test_where_capability_invocation_is_published_the_key_must_be_in_it() -> None:
    world = World()
    world.web.publish(THEIRS, world.document(capabilityInvocation=[]))
    refusal = await refused(world, world.token())
    assert (refusal.status, refusal.pointer) == (401, "/kid")


async def test_a_document_without_capability_invocation_is_accepted_unless_we_are_strict() -> None:
    lenient, strict = World(), World(require_capability_invocation=True)
    await strict.verifier.verify(strict.token())
    for world in (lenient, strict):
        world.web.publish(THEIRS, world.document(capabilityInvocation=None))
        world.clock.tick(300)
    await lenient.verifier.verify(lenient.token(jti="jti-2"))
    refusal = await refused(strict, strict.token(jti="jti-2"))
    assert (refusal.status, refusal.pointer) == (401, "/capabilityInvocation")


async def test_a_key_of_a_kind_that_we_do_not_verify_is_refused() -> None:
    world = World()
    method = {**world.document()["verificationMethod"][0], "publicKeyJwk": {"kty": "oct", "k": "AAAA"}}
    world.web.publish(THEIRS, world.document(verificationMethod=[method]))
    refusal = await refused(world, world.token())
    assert (refusal.status, refusal.pointer) == (401, "/kid")


@pytest.mark.parametrize("alg", ["ES256", "ES256K", "EdDSA", "RS256"])
async def test_senders_may_use_other_kinds_of_keys(alg: str) -> None:
    private: Any
    jwk: dict[str, Any]
    if alg == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
        jwk = dict(OKPAlgorithm.to_jwk(private.public_key(), as_dict=True))
    elif alg == "RS256":
        private = rsa.generate_private_key(65537, 2048)
        jwk = dict(RSAAlgorithm.to_jwk(private.public_key(), as_dict=True))
    else:
        private = ec.generate_private_key(ec.SECP256R1() if alg == "ES256" else ec.SECP256K1())
        jwk = dict(ECAlgorithm.to_jwk(private.public_key(), as_dict=True))
    world = World()
    method = {"id": "#k", "type": "JsonWebKey2020", "controller": THEIRS, "publicKeyJwk": jwk}
    world.web.publish(THEIRS, {"id": THEIRS, "verificationMethod": [method]})
    await world.verifier.verify(foreign(world, private, alg, f"{THEIRS}#k"))
    refusal = await refused(world, foreign(world, "x" * 32, "HS256", f"{THEIRS}#k", jti="jti-2"))
    assert refusal.status == 401
    refusal = await refused(world, foreign(world, "", "none", f"{THEIRS}#k", jti="jti-3"))
    assert refusal.status == 401


async def test_a_rotated_key_is_found_while_the_old_document_is_still_cached() -> None:
    world = World()
    await world.verifier.verify(world.token(jti="old"))
    old, world.key = world.key, SigningKey.generate(THEIRS)
    world.web.publish(THEIRS, did_document(THEIRS, [world.key, old]))
    world.clock.tick(1)
    tokens = [world.token(jti=f"new-{n}") for n in range(5)]
    await asyncio.gather(*(world.verifier.verify(token) for token in tokens))
    await world.verifier.verify(world.token(old, jti="still-old"))
    assert len(world.web.asked) == 2


async def test_a_key_replaced_under_its_old_name_is_found_too() -> None:
    world = World()
    first, second = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    for n, private in enumerate((first, second)):
        jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        world.web.publish(THEIRS, {"id": THEIRS, "verificationMethod": [{"id": "#k", "publicKeyJwk": jwk}]})
        await world.verifier.verify(foreign(world, private, "ES256", f"{THEIRS}#k", jti=f"jti-{n}"))
        world.clock.tick(1)


async def test_a_withdrawn_key_is_refused_once_the_document_is_fetched_again() -> None:
    world = World()
    old, world.key = world.key, SigningKey.generate(THEIRS)
    await world.verifier.verify(world.token(old))
    world.web.publish(THEIRS, world.document())
    world.clock.tick(300)
    assert (await refused(world, world.token(old, jti="jti-2"))).status == 401


async def test_an_unknown_key_right_after_a_forced_fetch_is_not_refused_for_good() -> None:
    world = World()
    await world.verifier.verify(world.token())
    world.clock.tick(1)
    unknown = SigningKey.generate(THEIRS)
    assert (await refused(world, world.token(unknown))).status == 401
    world.clock.tick(1)
    assert (await refused(world, world.token(unknown))).status == 503
    assert len(world.web.asked) == 2
    world.clock.tick(5)
    world.web.publish(THEIRS, did_document(THEIRS, [world.key, unknown]))
    await world.verifier.verify(world.token(unknown, jti="jti-2"))


async def test_a_sender_whose_document_cannot_be_fetched_may_try_again() -> None:
    world = World()
    world.web.down = lambda: Unreachable("no route to host 10.0.0.1")
    refusal = await refused(world, world.token())
    assert refusal.status == 503
    assert "10.0.0.1" not in str(refusal)
    world.web.down = None
    world.clock.tick(5)
    await world.verifier.verify(world.token())


async def test_a_new_key_during_an_outage_may_try_again() -> None:
    world = World()
    await world.verifier.verify(world.token())
    world.clock.tick(1)
    world.web.down = lambda: Unreachable("refused")
    assert (await refused(world, world.token(SigningKey.generate(THEIRS)))).status == 503
    await world.verifier.verify(world.token(jti="jti-2"))


@pytest.mark.parametrize("did", ["did:key:z6Mk", "x", "did:web:127.0.0.1:%2e%2e"])
async def test_a_sender_that_is_no_did_web_is_refused(did: str) -> None:
    world = World()
    key = SigningKey.generate(did)
    assert (await refused(world, key.sign_jwt(world.claims(iss=did, sub=did)))).status == 401
    assert world.web.asked == []


async def test_a_document_that_is_about_somebody_else_is_refused() -> None:
    world = World()
    world.web.publish(THEIRS, world.document(id="did:web:other.example"))
    refusal = await refused(world, world.token())
    assert (refusal.status, refusal.pointer) == (401, "/id")
