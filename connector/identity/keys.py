"""Keys: the one we sign with, and those that others publish.

We sign with ES256 (P-256), which every party of the data space can verify. Of others we verify ES256, ES256K, EdDSA
(Ed25519) and RS256, because real Catena-X participants and issuers use them. The algorithm follows from the published
key alone and the token's `alg` must name that one: a token cannot talk us into another algorithm (RFC 8725, 3.1).

Parsing a key costs more than using it, so keys are parsed once and kept.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from connector.identity.jws import b64url
from connector.protocol.errors import Invalid, LocalError, PeerError

RSA_BITS: Final = range(2048, 8193)
"""Accepted sizes: below is weak (RFC 7518, 3.3), above costs the verifier too much."""

_ES256: Final = ECAlgorithm(hashes.SHA256, ec.SECP256R1)
_KINDS: Final[Mapping[tuple[str, str], tuple[str, tuple[str, ...], Algorithm]]] = {
    ("EC", "P-256"): ("ES256", ("x", "y"), _ES256),  # (kty, crv): alg, the key's own members, how to use it
    ("EC", "secp256k1"): ("ES256K", ("x", "y"), ECAlgorithm(hashes.SHA256, ec.SECP256K1)),
    ("OKP", "Ed25519"): ("EdDSA", ("x",), OKPAlgorithm()),
    ("RSA", ""): ("RS256", ("n", "e"), RSAAlgorithm(hashes.SHA256)),
}
_RESERVED: Final = frozenset({"alg", "kid", "crit", "b64"})


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """Somebody's public key and the one JWS algorithm that it may be used with."""

    algorithm: str
    _public: Any = field(repr=False)
    _verifier: Algorithm = field(repr=False)

    @classmethod
    def from_jwk(cls, jwk: object, pointer: str = "") -> Self:
        """Read a JWK (RFC 7517). Raise PeerError 401 with the place (below `pointer`) and the reason.

        Refused too: a JWK with its private part (whoever has read it can sign), and one that is said to be for
        something else (`use`, `alg`).
        """
        if not isinstance(jwk, dict):
            raise PeerError(401, "a JWK must be a JSON object", pointer)
        kty, crv = jwk.get("kty"), jwk.get("crv")
        name = (kty, crv if kty != "RSA" else "")
        if not (isinstance(kty, str) and isinstance(name[1], str) and name in _KINDS):
            raise PeerError(401, "not a kind of key we verify: EC P-256 or secp256k1, OKP Ed25519, RSA", pointer)
        alg, members, verifier = _KINDS[kty, name[1]]
        if "d" in jwk:
            raise PeerError(401, "the key's private part is published; make a new key", f"{pointer}/d")
        if jwk.get("alg", alg) != alg or jwk.get("use", "sig") != "sig":
            raise PeerError(401, f"the key is not for {alg} signatures (alg, use)", pointer)
        for member in members:
            if not isinstance(jwk.get(member), str):
                raise PeerError(401, "the key's number must be a base64url string", f"{pointer}/{member}")
        try:
            public = verifier.from_jwk({"kty": kty, "crv": crv, **{member: jwk[member] for member in members}})
        except (InvalidKeyError, ValueError):
            raise PeerError(401, f"these numbers are not a valid {kty} public key", pointer) from None
        if isinstance(public, rsa.RSAPublicKey) and public.key_size not in RSA_BITS:
            raise PeerError(401, f"an RSA key must have {RSA_BITS[0]} to {RSA_BITS[-1]} bits", f"{pointer}/n")
        return cls(alg, public, verifier)

    def verify(self, algorithm: object, data: bytes, signature: bytes) -> bool:
        """Tell whether `signature` (JWS form) over `data` is this key's and was made with this key's algorithm."""
        return algorithm == self.algorithm and self._verifier.verify(data, self._public, signature)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Our P-256 key. `kid` is `<did>#<RFC 7638 thumbprint>`: a new key has a new name by itself."""

    did: str
    _private: ec.EllipticCurvePrivateKey = field(repr=False)
    kid: str = field(init=False)
    _jwk: Mapping[str, str] = field(init=False, repr=False)
    _header: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self._private.curve, ec.SECP256R1):
            raise Invalid("the signing key must be an EC key on P-256 (for ES256)")
        jwk = ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        public = {member: str(jwk[member]) for member in ("crv", "kty", "x", "y")}  # in the order of RFC 7638
        object.__setattr__(self, "_jwk", public)
        object.__setattr__(self, "kid", f"{self.did}#{b64url(hashlib.sha256(orjson.dumps(public)).digest())}")
        object.__setattr__(self, "_header", self._encode_header({}))

    @classmethod
    def generate(cls, did: str) -> Self:
        """Make a new key."""
        return cls(did, ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes, did: str) -> Self:
        """Read an unencrypted PEM private key. Raise Invalid if it is not one on P-256."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            raise Invalid("the signing key must be an unencrypted PEM private key (PKCS#8)") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Invalid("the signing key must be an EC key on P-256 (for ES256)")
        return cls(did, key)

    def to_pem(self) -> bytes:
        """The private key as unencrypted PKCS#8 PEM: for the key file, for nothing else."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_jwk(self) -> dict[str, str]:
        """The public key as JWK with the four members that Catena-X CX-0049 knows: kty, crv, x, y."""
        return dict(self._jwk)

    def sign(self, data: bytes) -> bytes:
        """The raw ES256 signature, 64 bytes r || s (RFC 7518, 3.4), as a detached JWS needs it."""
        return _ES256.sign(data, self._private)

    def sign_jwt(self, claims: Mapping[str, object], headers: Mapping[str, str] | None = None) -> str:
        """A compact JWT over `claims`; `headers` may set what is not fixed by the key, `typ` for instance."""
        header = self._encode_header(headers) if headers else self._header
        signing_input = f"{header}.{b64url(orjson.dumps(claims))}"
        return f"{signing_input}.{b64url(self.sign(signing_input.encode('ascii')))}"

    def _encode_header(self, headers: Mapping[str, str]) -> str:
        if clash := _RESERVED & headers.keys():
            raise Invalid(f"the header members {', '.join(sorted(clash))} cannot be set")
        return b64url(orjson.dumps({"alg": "ES256", "typ": "JWT", **headers, "kid": self.kid}))


def load_or_create(path: Path, did: str) -> SigningKey:
    """Read the key file, or write a new one that only its owner can read.

    The file appears complete or not at all, and a file that is there is never replaced: of two processes that start
    together one creates, both load the same. Raise Invalid naming the file if it cannot be read or is no such key.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _create(path, SigningKey.generate(did).to_pem())
        return SigningKey.from_pem(path.read_bytes(), did)
    except OSError as error:
        raise Invalid(f"the key file {path} cannot be used: {error.strerror}") from error
    except Invalid as fault:
        raise Invalid(f"the key file {path}: {fault.reason}") from None


def replace_key(path: Path, key: SigningKey) -> None:
    """Put a key in the place of the one in the file. At every moment one of them is there, whole, and after this `key`.

    Raise LocalError naming the file if it cannot be written; then the old one is still there.
    """
    replace_file(path, key.to_pem())


def replace_file(path: Path, content: bytes) -> None:
    """Give a file other content, readable by its owner only: the one or the other is there at every moment, whole.

    Raise LocalError naming the file if it cannot be written; then the old content is still there.
    """
    try:
        with _drafted(path, content) as draft:
            draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # else the old key might be back after a fall, and what the new one has signed is lost
        finally:
            os.close(folder)
    except OSError as error:
        raise LocalError(f"the key file {path} cannot be written: {error.strerror}") from error


def _create(path: Path, content: bytes) -> None:
    with _drafted(path, content) as draft, suppress(FileExistsError):  # another process was first: its key is the one
        path.hardlink_to(draft)


@contextmanager
def _drafted(path: Path, content: bytes) -> Iterator[Path]:
    """A file beside `path` that has the content and that only its owner can read; gone afterwards."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
