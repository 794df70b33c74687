import hmac
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey, VerificationKey, load_or_create
from connector.protocol.errors import Invalid, PeerError

DID = "did:web:consumer.example"


@pytest.fixture(scope="module")
def strangers() -> dict[str, tuple[Any, dict[str, Any]]]:
    """A private key and its public JWK by algorithm."""
    p256, k1 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256K1())
    ed, big = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    return {
        "ES256": (p256, dict(ECAlgorithm.to_jwk(p256.public_key(), as_dict=True))),
        "ES256K": (k1, dict(ECAlgorithm.to_jwk(k1.public_key(), as_dict=True))),
        "EdDSA": (ed, dict(OKPAlgorithm.to_jwk(ed.public_key(), as_dict=True))),
        "RS256": (
            big,
            {k: v for k, v in RSAAlgorithm.to_jwk(big.public_key(), as_dict=True).items() if k != "key_ops"},
        ),
    }


@pytest.mark.parametrize("alg", ["ES256", "ES256K", "EdDSA", "RS256"])
def test_each_kind_of_key_verifies_with_its_algorithm_only(alg: str, strangers: dict[str, Any]) -> None:
    private, jwk = strangers[alg]
    jws = CompactJws.parse(jwt.encode({"iss": "a"}, private, algorithm=alg))
    key = VerificationKey.from_jwk(jwk)
    assert key.algorithm == alg
    assert key.verify(alg, jws.signing_input, jws.signature)
    assert not key.verify(alg, jws.signing_input + b"x", jws.signature)
    assert not key.verify(alg, jws.signing_input, jws.signature[:-1])
    assert not key.verify(alg, jws.signing_input, b"")
    for other in {"none", "HS256", "ES256", "ES256K", "EdDSA", "RS256", "PS256", "ES384", 1} - {alg}:
        assert not key.verify(other, jws.signing_input, jws.signature)


def test_a_public_key_is_not_taken_for_a_shared_secret(strangers: dict[str, Any]) -> None:
    private, jwk = strangers["RS256"]
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    tag = hmac.digest(der, b"header.payload", "sha256")
    assert not VerificationKey.from_jwk(jwk).verify("HS256", b"header.payload", tag)


@pytest.mark.parametrize(
    ("alg", "change", "place"),
    [
        ("ES256", {"kty": "oct"}, ""),
        ("ES256", {"kty": ["EC"]}, ""),
        ("ES256", {"crv": "P-384"}, ""),
        ("ES256", {"crv": None}, ""),
        ("ES256", {"d": "AA"}, "/d"),
        ("ES256", {"use": "enc"}, ""),
        ("ES256", {"alg": "ES256K"}, ""),
        ("ES256", {"x": None}, "/x"),
        ("ES256", {"y": 5}, "/y"),
        ("ES256", {"x": "AAAA"}, ""),
        ("ES256", {"x": "!" * 43}, ""),
        ("ES256", {"y": "A" * 43}, ""),  # not on the curve
        ("ES256K", {"y": "A" * 43}, ""),
        ("EdDSA", {"crv": "X25519"}, ""),
        ("EdDSA", {"x": "AA"}, ""),
        ("RS256", {"n": 1}, "/n"),
        ("RS256", {"e": None}, "/e"),
        ("RS256", {"e": "AA"}, ""),
    ],
)
def test_a_bad_jwk_is_refused_with_its_place(
    alg: str, change: dict[str, Any], place: str, strangers: dict[str, Any]
) -> None:
    with pytest.raises(PeerError) as refusal:
        VerificationKey.from_jwk({**strangers[alg][1], **change}, "/publicKeyJwk")
    assert (refusal.value.status, refusal.value.pointer) == (401, f"/publicKeyJwk{place}")


def test_a_jwk_must_be_an_object() -> None:
    with pytest.raises(PeerError, match="JSON object"):
        VerificationKey.from_jwk("key")


@pytest.mark.parametrize("bits", [1024, 2047])
def test_a_short_rsa_key_is_refused(bits: int) -> None:
    n = (1 << bits) - 1
    public = rsa.RSAPublicNumbers(65537, n | 1).public_key()
    with pytest.raises(PeerError, match="2048 to 8192 bits"):
        VerificationKey.from_jwk(dict(RSAAlgorithm.to_jwk(public, as_dict=True)))


def test_a_huge_rsa_key_is_refused() -> None:
    public = rsa.RSAPublicNumbers(65537, (1 << 8193) - 1).public_key()
    with pytest.raises(PeerError, match="2048 to 8192 bits"):
        VerificationKey.from_jwk(dict(RSAAlgorithm.to_jwk(public, as_dict=True)))


def test_our_jwt_is_read_by_another_library() -> None:
    key = SigningKey.generate(DID)
    token = key.sign_jwt({"iss": DID}, {"typ": "vc+jwt"})
    public = jwt.PyJWK({**key.public_jwk(), "alg": "ES256"})
    assert jwt.decode(token, public, algorithms=["ES256"]) == {"iss": DID}
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "vc+jwt", "kid": key.kid}
    assert jwt.get_unverified_header(key.sign_jwt({}))["typ"] == "JWT"


@pytest.mark.parametrize("header", ["alg", "kid", "crit", "b64"])
def test_headers_that_belong_to_the_key_cannot_be_set(header: str) -> None:
    with pytest.raises(Invalid, match=header):
        SigningKey.generate(DID).sign_jwt({}, {header: "x"})


def test_the_raw_signature_has_64_bytes_and_verifies() -> None:
    key = SigningKey.generate(DID)
    signature = key.sign(b"data")
    assert len(signature) == 64
    assert VerificationKey.from_jwk(key.public_jwk()).verify("ES256", b"data", signature)


def test_the_kid_is_the_did_and_the_thumbprint() -> None:
    key = SigningKey.generate(DID)
    fragment = key.kid.removeprefix(f"{DID}#")
    public = jwt.PyJWK({**key.public_jwk(), "alg": "ES256"})
    x, y = key.public_jwk()["x"], key.public_jwk()["y"]
    digest = hashes.Hash(hashes.SHA256())
    digest.update(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.encode())
    assert jwt.utils.base64url_encode(digest.finalize()).decode() == fragment
    assert public.key_type == "EC"
    assert set(key.public_jwk()) == {"kty", "crv", "x", "y"}
    assert SigningKey.generate(DID).kid != key.kid


def test_a_key_does_not_show_its_private_part() -> None:
    key = SigningKey.generate(DID)
    assert "rivate" not in repr(key)


def test_the_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing.pem"
    key = load_or_create(path, DID)
    assert load_or_create(path, DID).kid == key.kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert [entry.name for entry in path.parent.iterdir()] == ["signing.pem"]


def test_two_processes_that_start_together_have_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "signing.pem"
    first = load_or_create(path, DID)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # what the slower one saw before the first was done
    assert load_or_create(path, DID).kid == first.kid


def _pem(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_a_file_that_is_no_such_key_is_refused_by_name(tmp_path: Path, strangers: dict[str, Any]) -> None:
    path = tmp_path / "signing.pem"
    good = strangers["ES256"][0]
    contents = [
        b"no key",
        _pem(strangers["ES256K"][0]),
        _pem(strangers["RS256"][0]),
        _pem(good, b"secret"),
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(Invalid, match=r"signing\.pem") as refusal:
            load_or_create(path, DID)
        assert content.decode() not in str(refusal.value)
        assert path.read_bytes() == content


def test_a_key_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "signing.pem"):
        with pytest.raises(Invalid, match="cannot be used"):
            load_or_create(path, DID)
