"""Self-issued ID tokens (DCP 1.0, section 4.3): one for each message, proof of the key that the sender's DID names.

Issuing is a signature. Verifying follows the order of the standard: what the token says of itself, then whose key,
then the signature, then time, and last whether it was used before, so that a bad token uses nothing up.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from connector.exchange.ports import Clock
from connector.identity.did import DidDocument
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.identity.replay import LEEWAY_S, ReplayGuard
from connector.identity.resolver import DidResolver
from connector.protocol.errors import Invalid, PeerError, Unreachable

LIFETIME_S: Final = 60
"""Of our tokens: long enough for a slow peer, short enough for its memory of used ones."""
MAX_LIFETIME_S: Final = 3600

_RESERVED: Final = frozenset({"iss", "sub", "aud", "jti", "iat", "exp", "nbf"})
_SHOWN: Final = ("vp", "vc", "verifiableCredential", "credentialSubject")
"""Claims of presentations and credentials: in VC 1.1 these are inside `vp` and `vc`, in VC 2.0 they are the payload."""


def issue_token(key: SigningKey, *, audience: str, jti: str, now: int, claims: Mapping[str, str] | None = None) -> str:
    """A token of the key's DID for `audience`. `now` in ms; `claims` are added, `token` for instance.

    Raise Invalid if `claims` would replace what the token itself must say.
    """
    if claims and (clash := _RESERVED & claims.keys()):
        raise Invalid(f"the claims {', '.join(sorted(clash))} cannot be set", "/claims")
    issued = now // 1000  # down, so that it is never in the future of a receiver without leeway
    fixed = {"iss": key.did, "sub": key.did, "aud": audience, "jti": jti, "iat": issued, "exp": issued + LIFETIME_S}
    return key.sign_jwt({**claims, **fixed} if claims else fixed)


@dataclass(frozen=True, slots=True)
class SelfIssuedToken:
    """What a stranger's token says, not yet proved. Times in seconds."""

    issuer: str
    audience: tuple[str, ...]
    jti: str
    issued_at: float
    expires_at: float
    not_before: float
    kid: str | None
    jws: CompactJws

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a token apart. Raise PeerError 401 naming the claim that is missing or wrong.

        A presentation has every claim that a self-issued token needs, and whoever it was shown to has it; so what is
        made to be shown is refused, or a directory could send it back to its holder as the holder's own message.
        """
        jws = CompactJws.parse(text)
        claims = jws.payload
        if shown := next((name for name in _SHOWN if name in claims), None):
            raise PeerError(401, "a presentation or credential is no self-issued token; make one", f"/{shown}")
        issuer = _text(claims, "iss")
        if _text(claims, "sub") != issuer:
            raise PeerError(401, "iss and sub must be the same DID", "/sub")
        audience = claims.get("aud")
        issued_at = _time(claims, "iat")
        token = cls(
            issuer=issuer,
            audience=tuple(audience) if isinstance(audience, list) else (_text(claims, "aud"),),
            jti=_text(claims, "jti"),
            issued_at=issued_at,
            expires_at=_time(claims, "exp"),
            not_before=_time(claims, "nbf") if "nbf" in claims else 0,
            kid=_kid(jws.header, issuer),
            jws=jws,
        )
        if not 0 < token.expires_at - token.issued_at <= MAX_LIFETIME_S:
            raise PeerError(401, f"exp must be later than iat, by at most {MAX_LIFETIME_S} s", "/exp")
        return token

    def check_time(self, now: int) -> None:
        """Raise PeerError 401 unless the token is valid at `now` (ms), give or take the leeway."""
        now_s = now / 1000
        if self.not_before > now_s + LEEWAY_S:
            raise PeerError(401, "the token is not valid yet; check both clocks", "/nbf")
        if self.expires_at < now_s - LEEWAY_S:
            raise PeerError(401, "the token has expired; make a new one for each message", "/exp")
        if self.issued_at > now_s + LEEWAY_S:
            raise PeerError(401, "the token was issued in the future; check both clocks", "/iat")


class TokenVerifier:
    """Verifies tokens that are addressed to `did`.

    EDC's documents do not publish `capabilityInvocation`, so a document without it is accepted unless
    `require_capability_invocation`; where it is published, the key must be in it.
    """

    def __init__(
        self,
        did: str,
        resolver: DidResolver,
        guard: ReplayGuard,
        clock: Clock,
        *,
        require_capability_invocation: bool = False,
    ) -> None:
        self.did = did
        self._resolver = resolver
        self._guard = guard
        self._clock = clock
        self._strict = require_capability_invocation

    async def verify(self, text: str, *, single_use: bool = True) -> SelfIssuedToken:
        """The token, proved. Raise PeerError: 401 it is no good, 503 it cannot be told right now.

        single_use: False where the message carries a secret of its own that is used up instead. (A token refresh is
        such a message; Tractus-X puts the transfer's id into `jti` there, the same one each time.)
        """
        began = self._clock.now()
        token = SelfIssuedToken.parse(text)
        if self.did not in token.audience:
            raise PeerError(401, "the token is not for this participant (aud)", "/aud")
        try:
            await self._prove(token, began)
        except Unreachable as outage:
            raise PeerError(503, "the sender's DID document cannot be fetched right now; send again later") from outage
        token.check_time(self._clock.now())
        if single_use:
            await self._guard.use(token.issuer, token.jti, issued_s=token.issued_at, expires_s=token.expires_at)
        return token

    async def _prove(self, token: SelfIssuedToken, began: int) -> None:
        """Check the signature; if the document at hand does not explain it, the sender may have changed its key."""
        document = await self._resolver.resolve(token.issuer)
        try:
            self._check_signature(token, document)
        except PeerError as refusal:
            newer = await self._resolver.refresh(token.issuer, since=began)
            if newer is None and token.kid is not None and token.kid not in document.methods:
                raise PeerError(503, "this key is not known here yet; send again later with a fresh token") from refusal
            if newer is None or newer is document:
                raise
            self._check_signature(token, newer)

    def _check_signature(self, token: SelfIssuedToken, document: DidDocument) -> None:
        kid = token.kid
        if kid is None:
            if len(document.methods) != 1:
                raise PeerError(401, "the token must name its key (kid): the DID document has not exactly one", "/kid")
            kid = next(iter(document.methods))
        if kid not in document.methods:
            raise PeerError(401, "the token's key (kid) is not in the sender's DID document", "/kid")
        key = document.methods[kid]
        if key is None:
            raise PeerError(
                401, "the token's key is of a kind that is not accepted: ES256, ES256K, EdDSA, RS256", "/kid"
            )
        invokers = document.relationships.get("capabilityInvocation")
        if invokers is None and self._strict:
            raise PeerError(401, "the sender's DID document must publish capabilityInvocation", "/capabilityInvocation")
        if invokers is not None and kid not in invokers:
            raise PeerError(401, "the token's key is not in capabilityInvocation", "/kid")
        if not key.verify(token.jws.header["alg"], token.jws.signing_input, token.jws.signature):
            raise PeerError(401, "the token's signature is not by the key it names")


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise PeerError(401, f"the token needs {name}, a string", f"/{name}")
    return value


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PeerError(401, f"the token needs {name}, a number of seconds", f"/{name}")
    return value


def _kid(header: Mapping[str, Any], issuer: str) -> str | None:
    kid = header.get("kid")
    if kid is not None and not (isinstance(kid, str) and kid.startswith(f"{issuer}#")):
        raise PeerError(401, "kid must be the full id of one of the sender's keys: <iss>#<fragment>", "/kid")
    return kid
