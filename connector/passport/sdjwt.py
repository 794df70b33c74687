"""Selective Disclosure for JWTs (RFC 9901): signed once, shown in part.

An issuer signs digests; the salted values behind them, the disclosures, travel beside the JWT, and who passes it on
leaves out what the reader may not see. A reader can tell that something is withheld, and nothing else about it. The
key-binding JWT at the end is made for one reader, one nonce: a presentation cannot be shown to somebody else as fresh.

Chance and clock stay outside: salts and times are arguments. Everything read here comes from a stranger, so a
presentation is bounded in size and depth, and every rule of RFC 9901, section 7.1, that ends in "reject" does.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol, Self

from connector.passport.canonical import MAX_DEPTH, parse
from connector.passport.signature import VerificationKey
from connector.protocol.errors import Invalid, PeerError

HASH: Final = "sha-256"
"""The one hash algorithm used and accepted (RFC 9901, 4.1.1: also the default)."""
KEY_BINDING: Final = "kb+jwt"
ALGORITHM: Final = "ES256"
SALT_BYTES: Final = 16
"""RFC 9901, 9.3: at least 128 bits for each disclosure."""
MAX_CHARS: Final = 1 << 22
MAX_DISCLOSURES: Final = 2048

_DIGESTS: Final = "_sd"
_ELEMENT: Final = "..."
_HASH_NAME: Final = "_sd_alg"
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]*\Z")
_PLAIN: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class JwtSigner(Protocol):
    """What signing needs of a private key."""

    @property
    def kid(self) -> str:
        """The DID URL of the public half."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign with ES256 (64 bytes, r and s)."""
        ...


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A value that may be shown. `name` is None for the element of an array; `digest` is what the issuer signed."""

    encoded: str
    name: str | None
    value: Any = field(repr=False)
    digest: str

    @classmethod
    def make(cls, salt: bytes, name: str | None, value: object) -> Self:
        """A new one. Raise Invalid if the salt is too short or the name is reserved."""
        if len(salt) < SALT_BYTES:
            raise Invalid(f"a disclosure needs a salt of at least {SALT_BYTES} bytes")
        if name in (_DIGESTS, _ELEMENT):
            raise Invalid(f"{name} cannot be the name of a claim in an SD-JWT")
        parts = [_b64(salt), value] if name is None else [_b64(salt), name, value]
        encoded = _b64(_PLAIN(parts).encode())
        return cls(encoded, name, value, digest_of(encoded))

    @classmethod
    def parse(cls, encoded: str) -> Self:
        """Read a stranger's. Raise PeerError 400 if it is none (RFC 9901, 4.2)."""
        parts = _json(encoded, "a disclosure")
        if not isinstance(parts, list) or len(parts) not in (2, 3) or not isinstance(parts[0], str):
            raise PeerError(400, "a disclosure is an array of a salt, perhaps a name, and a value")
        name = parts[1] if len(parts) == 3 else None  # noqa: PLR2004 - RFC 9901: three for a property, two for an element
        if len(parts) == 3 and (not isinstance(name, str) or name in (_DIGESTS, _ELEMENT)):  # noqa: PLR2004 - as above
            raise PeerError(400, "a disclosure has a name that no claim can have")
        return cls(encoded, name, parts[-1], digest_of(encoded))


def digest_of(encoded: str) -> str:
    """The digest of something base64url-encoded, over its ASCII characters (RFC 9901, 4.2.3)."""
    return _b64(sha256(encoded.encode("ascii")).digest())


def sign(claims: Mapping[str, object], key: JwtSigner, typ: str) -> str:
    """The issuer-signed JWT over claims that hold digests already; `_sd_alg` is added."""
    header = {"alg": ALGORITHM, "typ": typ, "kid": key.kid}
    return _signed(header, {**claims, _HASH_NAME: HASH}, key)


@dataclass(frozen=True, slots=True)
class SdJwt:
    """A presentation taken apart, nothing proven: issuer-signed JWT, encoded disclosures, perhaps a key-binding JWT."""

    jwt: str
    disclosures: tuple[str, ...] = ()
    key_binding: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the compact serialization (RFC 9901, 4). Raise PeerError 400 if it is none."""
        if len(text) > MAX_CHARS or "~" not in text:
            raise PeerError(400, f"not an SD-JWT: expected JWT~disclosure~...~ of at most {MAX_CHARS} characters")
        jwt, *disclosures, last = text.split("~")
        if len(disclosures) > MAX_DISCLOSURES:
            raise PeerError(400, f"more than {MAX_DISCLOSURES} disclosures")
        return cls(jwt, tuple(disclosures), last or None)

    @property
    def bound(self) -> str:
        """What a key-binding JWT is about: everything before it, with the last tilde (RFC 9901, 4.3.1)."""
        return "~".join((self.jwt, *self.disclosures, ""))

    @property
    def text(self) -> str:
        """The compact serialization."""
        return self.bound + (self.key_binding or "")


@dataclass(frozen=True, slots=True)
class Jwt:
    """A JWT taken apart, nothing proven."""

    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str, what: str) -> Self:
        """Raise PeerError 400 if it is none, or has critical header parameters (we know none)."""
        parts = text.split(".")
        if len(parts) != 3:  # noqa: PLR2004 - RFC 7519
            raise PeerError(400, f"{what} is not a JWT, header.payload.signature")
        header, payload = (_json(part, what) for part in parts[:2])
        if not isinstance(header, dict) or not isinstance(payload, dict) or "crit" in header:
            raise PeerError(400, f"{what} is not a JWT that we can read")
        return cls(header, payload, f"{parts[0]}.{parts[1]}".encode("ascii"), _unb64(parts[2], what))

    def verify(self, key: VerificationKey) -> bool:
        """Whether `key` signed it, with the algorithm that the header names."""
        return key.verify(self.header.get("alg"), self.signing_input, self.signature)


def uncover(payload: Mapping[str, Any], disclosures: Iterable[Disclosure]) -> dict[str, Any]:
    """The claims with every disclosed value in its place (RFC 9901, 7.1, step 3).

    Digests that nothing belongs to are withheld values or decoys and leave no trace. Raise PeerError 400 for a digest
    that stands twice, a disclosure that nothing signed refers to, one that would replace a claim, and another hash.
    """
    if payload.get(_HASH_NAME, HASH) != HASH:
        raise PeerError(400, f"the only hash algorithm accepted is {HASH}", f"/{_HASH_NAME}")
    known: dict[str, Disclosure] = {}
    for number, disclosure in enumerate(disclosures):
        if disclosure.digest in known:
            raise PeerError(400, "the same disclosure is there twice", f"/disclosures/{number}")
        known[disclosure.digest] = disclosure
    uncovering = _Uncovering(known)
    claims: dict[str, Any] = uncovering.value({k: v for k, v in payload.items() if k != _HASH_NAME}, 0)
    if left := known.keys() - uncovering.seen:
        number, name = next((i, known[digest].name) for i, digest in enumerate(known) if digest in left)
        what = "" if name is None else f" (it says to be {name[:80]!r})"
        raise PeerError(
            400, f"the issuer signed nothing that this disclosure belongs to{what}", f"/disclosures/{number}"
        )
    return claims


@dataclass(slots=True)
class _Uncovering:
    """One walk through the signed claims."""

    known: Mapping[str, Disclosure]
    seen: set[str] = field(default_factory=set)

    def value(self, value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON
        if depth > MAX_DEPTH:
            raise PeerError(400, f"the claims are nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            return self._object(value, depth)
        if isinstance(value, list):
            return [item for entry in value for item in self._element(entry, depth)]
        return value

    def _object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        if _ELEMENT in value:
            raise PeerError(400, f"the claim name {_ELEMENT!r} is reserved")
        result = {name: self.value(inner, depth + 1) for name, inner in value.items() if name != _DIGESTS}
        digests = value.get(_DIGESTS, [])
        if not isinstance(digests, list):
            raise PeerError(400, "_sd must be an array of digests")
        for digest in digests:
            disclosure = self._disclosed(digest)
            if disclosure is None:
                continue
            if disclosure.name is None or disclosure.name in result:
                raise PeerError(400, f"a disclosure does not fit where its digest stands ({disclosure.name!r:.80})")
            result[disclosure.name] = self.value(disclosure.value, depth + 1)
        return result

    def _element(self, entry: object, depth: int) -> list[Any]:
        if not isinstance(entry, dict) or entry.keys() != {_ELEMENT}:
            return [self.value(entry, depth + 1)]
        disclosure = self._disclosed(entry[_ELEMENT])
        if disclosure is None:
            return []
        if disclosure.name is not None:
            raise PeerError(400, "a disclosure of a property stands where an element of an array is to be")
        return [self.value(disclosure.value, depth + 1)]

    def _disclosed(self, digest: object) -> Disclosure | None:
        if not isinstance(digest, str) or digest in self.seen:
            raise PeerError(400, "a digest is no text, or stands twice")
        self.seen.add(digest)
        return self.known.get(digest)


def bind(presentation: SdJwt, key: JwtSigner, *, audience: str, nonce: str, now_s: int, **more: str) -> SdJwt:
    """Add a key-binding JWT (RFC 9901, 4.3): to whom, for which nonce, since when; `more` are claims of our own."""
    claims = {"iat": now_s, "aud": audience, "nonce": nonce, "sd_hash": digest_of(presentation.bound), **more}
    header = {"alg": ALGORITHM, "typ": KEY_BINDING, "kid": key.kid}
    return SdJwt(presentation.jwt, presentation.disclosures, _signed(header, claims, key))


def check_binding(
    presentation: SdJwt, key: VerificationKey, expected: Mapping[str, str], still_good: Callable[[int], bool]
) -> Mapping[str, Any]:
    """The claims of the key-binding JWT (RFC 9901, 7.3, step 5).

    expected: claims that must be there with these values (aud, nonce, ...). still_good: judges `iat`, in seconds.
    Raise PeerError 400 naming what does not hold.
    """
    if presentation.key_binding is None:
        raise PeerError(400, "there is no key-binding JWT")
    token = Jwt.parse(presentation.key_binding, "the key-binding JWT")
    if token.header.get("typ") != KEY_BINDING or not token.verify(key):
        raise PeerError(400, "the key-binding JWT is not signed by the holder's key")
    if token.payload.get("sd_hash") != digest_of(presentation.bound):
        raise PeerError(400, "the key-binding JWT is about another selection of disclosures", "/sd_hash")
    for name, value in {"nonce": None, "aud": None, **expected}.items():
        found = token.payload.get(name)
        if not isinstance(found, str) or (value is not None and found != value):
            raise PeerError(400, f"the key-binding JWT was made for another {name}: {str(found)[:200]}", f"/{name}")
    issued = token.payload.get("iat")
    if isinstance(issued, bool) or not isinstance(issued, int) or not still_good(issued):
        raise PeerError(400, "the key-binding JWT is not of now", "/iat")
    return token.payload


def select(disclosures: Sequence[Disclosure], wanted: Callable[[Disclosure], bool]) -> tuple[str, ...]:
    """The encoded disclosures that are to be shown, in their order."""
    return tuple(disclosure.encoded for disclosure in disclosures if wanted(disclosure))


def _signed(header: Mapping[str, str], claims: Mapping[str, object], key: JwtSigner) -> str:
    signing_input = f"{_b64(_PLAIN(header).encode())}.{_b64(_PLAIN(claims).encode())}"
    return f"{signing_input}.{_b64(key.sign(signing_input.encode('ascii')))}"


def _json(encoded: str, what: str) -> object:
    try:
        return parse(_unb64(encoded, what))
    except Invalid as fault:
        raise PeerError(400, f"{what} is not JSON: {fault.reason}") from None


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unb64(text: str, what: str) -> bytes:
    """Only the one spelling that RFC 7515 has: without padding, without left-over bits."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if _SEGMENT.match(text) else b""
    except binascii.Error:
        data = b""
    if not data or _b64(data) != text:
        raise PeerError(400, f"{what} is not base64url")
    return data
