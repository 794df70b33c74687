"""A detached JWS over the canonical payload: what it covers, and what it refuses."""

import base64
import json
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt import PyJWS

from connector.identity.keys import SigningKey, VerificationKey
from connector.passport.canonical import canonical
from connector.passport.signature import Signer, check_digest, digest, key_id, sign, verify
from connector.protocol.errors import Invalid, NotFound, PeerError

DID = "did:web:maker.example"
KEY = SigningKey(DID, ec.derive_private_key(0x5EED, ec.SECP256R1()))
OTHER = SigningKey(DID, ec.derive_private_key(0xBAD, ec.SECP256R1()))
PAYLOAD = {"b": [1.0, "\u20ac", None], "a": {"value": 0.0348}}


def resolve(kid: str) -> VerificationKey:
    if kid != KEY.kid:
        raise NotFound(f"no key {kid}")
    return VerificationKey.from_jwk(KEY.public_jwk())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_with_header(header: Mapping[str, object], key: SigningKey = KEY) -> str:
    protected = b64(json.dumps(header).encode())
    return f"{protected}..{b64(key.sign(f'{protected}.{b64(canonical(PAYLOAD))}'.encode()))}"


def test_signer_is_named_by_a_good_signature() -> None:
    assert verify(PAYLOAD, sign(PAYLOAD, KEY), resolve) == Signer(DID, KEY.kid)


def test_protected_header_holds_algorithm_and_key_only() -> None:
    header, payload, signature = sign(PAYLOAD, KEY).split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "ES256", "kid": KEY.kid}
    assert payload == ""
    assert len(base64.urlsafe_b64decode(signature + "==")) == 64


def test_key_id_is_known_before_anything_is_proven() -> None:
    assert key_id(sign(PAYLOAD, KEY)) == KEY.kid


def test_another_jose_library_verifies_the_signature_with_the_payload_put_back() -> None:
    header, _, signature = sign(PAYLOAD, KEY).split(".")
    attached = f"{header}.{b64(canonical(PAYLOAD))}.{signature}"
    public = ec.derive_private_key(0x5EED, ec.SECP256R1()).public_key()
    assert PyJWS().decode(attached, public, algorithms=["ES256"]) == canonical(PAYLOAD)


def test_signature_survives_another_spelling_of_the_same_value() -> None:
    again = json.loads(json.dumps(dict(reversed(PAYLOAD.items())), indent=3).replace("1.0", "1"))
    assert verify(again, sign(PAYLOAD, KEY), resolve).did == DID


@pytest.mark.parametrize(
    "changed",
    [{"b": [1.0, "\u20ac", None], "a": {"value": "0.0348"}}, {**PAYLOAD, "c": 1}, {"a": {"value": 0.0348}}, [], None],
)
def test_signature_does_not_cover_a_changed_value(changed: object) -> None:
    with pytest.raises(PeerError, match="is not what") as refusal:
        verify(changed, sign(PAYLOAD, KEY), resolve)
    assert refusal.value.status == 400


def test_signature_of_another_key_under_our_name_is_refused() -> None:
    with pytest.raises(PeerError, match="is not what"):
        verify(PAYLOAD, signed_with_header({"alg": "ES256", "kid": KEY.kid}, OTHER), resolve)


def test_unknown_key_is_refused_with_the_reason_of_the_resolver() -> None:
    with pytest.raises(NotFound, match="no key"):
        verify(PAYLOAD, sign(PAYLOAD, OTHER), resolve)


@pytest.mark.parametrize("alg", ["none", "HS256", "es256", "RS256", "ES384", ""])
def test_algorithm_other_than_the_keys_is_refused(alg: str) -> None:
    with pytest.raises(PeerError, match="is not what"):
        verify(PAYLOAD, signed_with_header({"alg": alg, "kid": KEY.kid}), resolve)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "ES256"}, "kid"),
        ({"alg": "ES256", "kid": 7}, "kid"),
        ({"alg": "ES256", "kid": DID}, "fragment"),
        ({"alg": "ES256", "kid": f"{DID}#"}, "fragment"),
        ({"alg": "ES256", "kid": f"https://maker.example/#{KEY.kid}"}, "DID URL"),
        ({"kid": KEY.kid}, "alg"),
        ({"alg": ["ES256"], "kid": KEY.kid}, "alg"),
        ({"alg": "ES256", "kid": KEY.kid, "crit": ["exp"], "exp": 0}, "extensions"),
        ({"alg": "ES256", "kid": KEY.kid, "crit": []}, "extensions"),
        ({"alg": "ES256", "kid": KEY.kid, "b64": False}, "extensions"),
    ],
)
def test_header_that_cannot_be_relied_on_is_refused(header: Mapping[str, object], reason: str) -> None:
    with pytest.raises(PeerError, match=reason):
        verify(PAYLOAD, signed_with_header(header), resolve)


def test_header_with_one_name_twice_is_refused() -> None:
    header = b64(f'{{"alg":"none","alg":"ES256","kid":"{KEY.kid}"}}'.encode())
    with pytest.raises(PeerError, match="protected header"):
        verify(PAYLOAD, f"{header}..{b64(b'x' * 64)}", resolve)


@pytest.mark.parametrize("size", [0, 1, 63, 65, 128])
def test_signature_of_another_length_is_refused(size: int) -> None:
    header = sign(PAYLOAD, KEY).split(".")[0]
    with pytest.raises(PeerError):
        verify(PAYLOAD, f"{header}..{b64(bytes(size))}", resolve)


@pytest.mark.parametrize("damage", ["", ".", "..", "a..", "..a", "a.b.c", "a.b", "a..b.c", "a b..c", "\n..\n", "a..b="])
def test_text_that_is_no_detached_jws_is_refused(damage: str) -> None:
    with pytest.raises(PeerError):
        key_id(damage)


def test_attached_payload_is_refused() -> None:
    header, _, signature = sign(PAYLOAD, KEY).split(".")
    with pytest.raises(PeerError, match="detached"):
        verify(PAYLOAD, f"{header}.{b64(canonical(PAYLOAD))}.{signature}", resolve)


def test_oversized_jws_is_refused_unread() -> None:
    with pytest.raises(PeerError, match="detached"):
        key_id(f"{'a' * 5000}..{'a' * 86}")


def test_second_spelling_of_the_same_signature_is_refused() -> None:
    jws = sign(PAYLOAD, KEY)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bytes = jws[:-1] + alphabet[alphabet.index(jws[-1]) + 1]  # 64 bytes leave four bits of the last letter unused
    with pytest.raises(PeerError):
        verify(PAYLOAD, same_bytes, resolve)


def test_value_without_canonical_form_cannot_be_signed() -> None:
    with pytest.raises(Invalid) as refusal:
        sign({"a": [2**60]}, KEY)
    assert refusal.value.pointer == "/a/0"


def test_digest_is_written_as_in_rfc_9530() -> None:
    # RFC 9530, appendix B.1: the body of the first example, with its line feed
    assert digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


@pytest.mark.parametrize(
    "field",
    [
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        " unixsum=:AA==: ,\tsha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=: ",
    ],
)
def test_digest_of_the_body_is_accepted(field: str) -> None:
    check_digest(b'{"hello": "world"}\n', field)


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:, junk", "readable"),
        ("sha-512=:AAAA:", "readable"),
        ("sha-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=", "readable"),
        ("", "readable"),
        ("sha-256=:AAAA:", "changed on the way"),
        ("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", "changed on the way"),
    ],
)
def test_missing_unreadable_or_foreign_digest_is_refused(field: str, reason: str) -> None:
    with pytest.raises(PeerError, match=reason):
        check_digest(b'{"hello": "world"}\n', field)
