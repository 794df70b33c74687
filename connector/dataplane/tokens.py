"""Access and refresh tokens of a pull (Tractus-X token refresh; CX-0018).

An access token is a JWT that we sign and only we read. It names the agreement, the counterparty and the opening of the
transfer it belongs to, so it opens nothing else, and a resumed transfer leaves earlier tokens behind. It lives for
minutes: whoever finds an old one has nothing.

A refresh token is derived, not drawn: HMAC, under a secret of the node, of the grant's opening and of its predecessor's
digest. So the store holds nothing but digests, and the present token can still be said a second time. That is what
makes a lost answer harmless: the predecessor stays good until the successor is used, and brings the same successor.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connector.dataplane.recent import Recent
from connector.exchange.ports import Clock
from connector.exchange.records import Grant
from connector.identity.jws import CompactJws, b64url
from connector.identity.keys import SigningKey, VerificationKey
from connector.protocol.errors import Invalid, PeerError

LIFETIME_S: Final = 300
LEEWAY_S: Final = 5
"""A token is taken this long after its end: it was sent before."""
REMEMBERED: Final = 10_000
"""Verified tokens kept, so that the second use costs a look-up and not a signature."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token says. `opened_at` is the grant's `created_at`; times in ms."""

    transfer_id: str
    opened_at: int
    consumer_id: str
    agreement_id: str
    expires_at: int


class AccessTokens:
    """Issues and verifies the tokens of one node. lifetime_s: seconds that an access token is good for."""

    def __init__(self, key: SigningKey, clock: Clock, lifetime_s: int = LIFETIME_S) -> None:
        if lifetime_s < 1:
            raise Invalid("an access token must live for at least one second")
        self.lifetime_s = lifetime_s
        self._key = key
        self._public = VerificationKey.from_jwk(key.public_jwk())
        self._clock = clock
        self._secret = hmac.digest(key.to_pem(), b"data plane: refresh tokens", "sha256")
        self._verified: Recent[str, AccessClaims] = Recent(REMEMBERED)

    @property
    def issuer(self) -> str:
        """Our participant id."""
        return self._key.did

    def issue(self, grant: Grant, now: int) -> str:
        """A fresh access token for a grant; `now` in ms.

        `sub` is who may use it. With our own DID there (Tractus-X) it would be a self-issued token of ours, with which
        whoever the consumer hands its data token to could speak to the consumer as us.
        """
        return self._key.sign_jwt(
            {
                "iss": self._key.did,
                "sub": grant.consumer_id,
                "aud": grant.consumer_id,
                "iat": now // 1000,
                "exp": now // 1000 + self.lifetime_s,
                "jti": f"{grant.id}/{grant.created_at}",
                "agreement": grant.agreement_id,
            }
        )

    def verify(self, token: str, *, expired_too: bool = False) -> AccessClaims:
        """The claims of a token of ours. Raise PeerError 403 if it is none, or no longer.

        expired_too: take an expired one as well; it proves which transfer a refresh is about.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = self._proved(token)
        if expired_too or self._clock.now() <= claims.expires_at + LEEWAY_S * 1000:
            return claims
        self._verified.drop(token)
        raise PeerError(403, "the access token has expired; refresh it")

    def _proved(self, token: str) -> AccessClaims:
        try:
            jws = CompactJws.parse(token)
        except PeerError as fault:
            raise PeerError(403, fault.reason) from None
        ours = jws.header.get("kid") == self._key.kid and jws.payload.get("iss") == self._key.did
        if not (ours and self._public.verify(jws.header["alg"], jws.signing_input, jws.signature)):
            raise PeerError(403, "the access token is not one of this provider's")
        claims = _claims(jws.payload)
        self._verified.put(token, claims)
        return claims

    def opened(self, grant: Grant) -> Grant:
        """The grant with the digest of its first refresh token."""
        grant = replace(grant, refresh_token=None, previous_refresh_token=None)
        return replace(grant, refresh_token=_digest(self.refresh_token(grant)))

    def refresh_token(self, grant: Grant) -> str:
        """The grant's present refresh token."""
        seed = f"{grant.id}/{grant.created_at}/{grant.previous_refresh_token or ''}"
        return b64url(hmac.digest(self._secret, seed.encode(), "sha256"))

    def refreshed(self, grant: Grant, presented: str) -> Grant:
        """The grant after a refresh token was presented. Raise PeerError 401 if it is neither present nor predecessor.

        The present token is used up: a new one takes its place. The predecessor changes nothing, its answer was lost.
        """
        shown = _digest(presented)
        if grant.previous_refresh_token and hmac.compare_digest(shown, grant.previous_refresh_token):
            return grant
        if not (grant.refresh_token and hmac.compare_digest(shown, grant.refresh_token)):
            raise PeerError(401, "the refresh token is not this transfer's present one", "/refresh_token")
        after = replace(grant, previous_refresh_token=shown)
        return replace(after, refresh_token=_digest(self.refresh_token(after)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _claims(payload: Mapping[str, Any]) -> AccessClaims:
    """Read what only we can have signed; a token of ours for another purpose (DCP) is told apart by its form."""
    transfer_id, _, opened_at = str(payload.get("jti")).rpartition("/")
    consumer_id, agreement_id, expires = payload.get("aud"), payload.get("agreement"), payload.get("exp")
    if not (transfer_id and opened_at.isdecimal() and isinstance(expires, int)):
        raise PeerError(403, "the token is not an access token")
    if not (isinstance(consumer_id, str) and isinstance(agreement_id, str)):
        raise PeerError(403, "the token is not an access token")
    return AccessClaims(transfer_id, int(opened_at), consumer_id, agreement_id, expires * 1000)
