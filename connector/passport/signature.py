"""Who stands for a payload: a JWS beside it, over its canonical bytes (RFC 7515, appendix F; RFC 8785).

The signature is detached, so the payload stays the plain aspect model that any Catena-X consumer reads; who knows
nothing of signatures ignores a header. The protected header holds `alg` and `kid` and nothing else. There is no `iat`:
a time that the signer claims proves nothing to anybody else; the evidence log and the passport's own issue date say
when. There is no `b64` either: the canonical bytes are encoded as RFC 7515 asks, and every JOSE library can verify.

Keys are given, never fetched: `resolve` is a plain function over keys that the caller has resolved already (`key_id`
tells it which), so that verification stays free of input and output.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Protocol

from connector.passport.canonical import canonical, parse
from connector.protocol.errors import Invalid, PeerError

SIGNING_ALGORITHM: Final = "ES256"
"""RFC 7518, section 3.4; every peer of the data space has to know it."""

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_KEY_ID: Final = re.compile(r"(did:[a-z0-9]+:[^#?/\s]+)#\S+\Z")
_LONGEST: Final = 4096
_DIGEST_MEMBER: Final = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):\s*\Z")


class SigningKey(Protocol):
    """What signing needs of a private key: an ES256 signature is the 64 bytes r and s (RFC 7518, section 3.4)."""

    @property
    def kid(self) -> str:
        """The DID URL of the public half, for instance "did:web:maker.example#key-1"."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign with ES256."""
        ...


class VerificationKey(Protocol):
    """What verification needs of a public key, which knows by itself the one algorithm it may be used with."""

    def verify(self, algorithm: object, data: bytes, signature: bytes) -> bool:
        """Tell whether the signature over data is this key's and `algorithm` is the one this key is for."""
        ...


Resolve = Callable[[str], VerificationKey]
"""From a key id (a DID URL) to the key; raises a ConnectorError that says why there is none."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature it is: `did` is the party, `kid` the DID URL of the key in that party's DID document."""

    did: str
    kid: str

    @classmethod
    def of(cls, kid: object) -> "Signer":
        """Read a key id; raises PeerError 400 if it is not a DID URL with a fragment."""
        match = _KEY_ID.match(kid) if isinstance(kid, str) else None
        if match is None or not isinstance(kid, str):
            raise PeerError(400, "the signature's kid must be a DID URL with a fragment, such as did:web:host#key")
        return cls(match[1], kid)


def sign(payload: object, key: SigningKey) -> str:
    """Sign a JSON value; the result is a compact JWS without its payload, "header..signature".

    Raises Invalid if the value has no canonical form.
    """
    return sign_canonical(canonical(payload), key)


def sign_canonical(body: bytes, key: SigningKey) -> str:
    """Sign a value that is in its canonical form already, as `sign` does."""
    header = _encode(canonical({"alg": SIGNING_ALGORITHM, "kid": key.kid}))
    return f"{header}..{_encode(key.sign(_signing_input(header, body)))}"


def key_id(jws: str) -> str:
    """Tell which key a detached JWS names, before anything is proven, so that the caller can resolve it.

    Raises PeerError 400 if the text is not a detached JWS that `verify` could accept.
    """
    return _read(jws).signer.kid


def verify(payload: object, jws: str, resolve: Resolve) -> Signer:
    """Return the party whose key signed the JSON value.

    Raises PeerError 400 if the JWS is malformed, names an algorithm the key is not for, or does not cover this value;
    Invalid if the value has no canonical form; whatever `resolve` raises if there is no key.
    """
    claim = _read(jws)
    key = resolve(claim.signer.kid)
    if not key.verify(claim.algorithm, _signing_input(claim.header, canonical(payload)), claim.signature):
        raise PeerError(400, f"the payload is not what {claim.signer.kid} signed with {claim.algorithm}")
    return claim.signer


def digest(body: bytes) -> str:
    """Write the digest of a body as RFC 9530's Content-Digest does: "sha-256=:<base64>:"."""
    return f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"


def check_digest(body: bytes, field: str) -> None:
    """Compare a body with its Content-Digest (RFC 9530, section 2); digests other than sha-256 are left unread.

    Raises PeerError 400 if the sha-256 digest is missing, malformed or not the body's.
    """
    members = [_DIGEST_MEMBER.match(part) for part in field.split(",")]
    sent = [member[2] for member in members if member and member[1] == "sha-256"]
    if not sent or None in members:
        raise PeerError(400, "Content-Digest has no readable sha-256 digest; expected sha-256=:<base64>:")
    if not compare_digest(f"sha-256=:{sent[-1]}:", digest(body)):
        raise PeerError(400, "the body is not the one its Content-Digest was made of; it was changed on the way")


@dataclass(frozen=True, slots=True)
class _Claim:
    """A detached JWS taken apart, nothing proven yet; `header` is still encoded, as it was signed."""

    header: str
    algorithm: str
    signer: Signer
    signature: bytes


def _read(jws: str) -> _Claim:
    parts = jws.split(".") if len(jws) <= _LONGEST else []
    if len(parts) != 3 or parts[1] or not (_SEGMENT.match(parts[0]) and _SEGMENT.match(parts[2])):  # noqa: PLR2004 - a compact JWS has three parts
        raise PeerError(400, "the signature is not a detached JWS, header..signature in base64url")
    try:
        header = parse(_decode(parts[0]))
        signature = _decode(parts[2])
    except (ValueError, Invalid):
        raise PeerError(400, "the signature's protected header is not base64url of JSON") from None
    if not isinstance(header, dict) or not isinstance(header.get("alg"), str):
        raise PeerError(400, "the signature's protected header names no alg")
    if {"crit", "b64"} & header.keys():  # RFC 7515, section 4.1.11: nothing critical may be passed over
        raise PeerError(400, "the signature asks for extensions (crit, b64) that are not supported")
    return _Claim(parts[0], header["alg"], Signer.of(header.get("kid")), signature)


def _signing_input(header: str, body: bytes) -> bytes:
    return f"{header}.{_encode(body)}".encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """Read base64url without padding (RFC 7515, section 2); raises ValueError, also for a second spelling."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(data) != text:
        raise binascii.Error("not the canonical base64url spelling")
    return data
