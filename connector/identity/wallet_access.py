"""Access tokens to our own wallet, as they come back from those we gave them to (DCP 1.0, 5.3.1).

`sts.py` makes them: JWTs from us to ourselves, whose `sub` is the one party that may use them, for a few minutes, once,
and for no more than their `scope`. Everything else that we sign (self-issued tokens, presentations, tokens for data)
has another audience or another subject, so none of it opens the wallet.
"""

from collections.abc import Mapping
from typing import Any

from connector.exchange.ports import Clock
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey, VerificationKey
from connector.identity.refusal import Check, refusing
from connector.identity.replay import LEEWAY_S, ReplayGuard
from connector.identity.scopes import Scope
from connector.identity.sts import ACCESS_LIFETIME_S, ACCESS_PREFIX
from connector.protocol.errors import PeerError
from connector.protocol.reading import text


class AccessTokenReader:
    """Reads the access tokens that this node's key has signed, each one once."""

    def __init__(self, key: SigningKey, guard: ReplayGuard, clock: Clock) -> None:
        self._key = key
        self._public = VerificationKey.from_jwk(key.public_jwk())
        self._guard = guard
        self._clock = clock

    async def use(self, token: object, *, reader: str) -> tuple[Scope, ...]:
        """What `reader` (a DID, proved) may see by this token, which is used up by that.

        Raise Refusal 401 (`access-token`), or 503 if it cannot be told whether it was used before.
        """
        with refusing(Check.ACCESS_TOKEN, 401):
            if not isinstance(token, str):
                raise PeerError(401, "the self-issued token brings no access token (token)", "/token")
            jws = CompactJws.parse(token)
            claims = self._check(jws, reader)
            await self._guard.use(self._key.did, claims["jti"], issued_s=claims["iat"], expires_s=claims["exp"])
            return tuple(Scope.parse(scope, "/scope") for scope in text(claims, "scope").split(" ") if scope)

    def _check(self, jws: CompactJws, reader: str) -> dict[str, Any]:
        ours = jws.header.get("kid") == self._key.kid
        if not ours or not self._public.verify(jws.header["alg"], jws.signing_input, jws.signature):
            raise PeerError(401, "the access token is not one of ours, or of a key before this one")
        claims = dict(jws.payload)
        if claims.get("iss") != self._key.did or claims.get("aud") != self._key.did:
            raise PeerError(401, "the token is ours, but no access token to this wallet", "/aud")
        if not text(claims, "jti").startswith(ACCESS_PREFIX):
            raise PeerError(401, "the token is ours, but no access token", "/jti")
        if claims.get("sub") != reader:
            raise PeerError(401, "the access token was given to somebody else", "/sub")
        _check_time(claims, self._clock.now() / 1000)
        return claims


def _check_time(claims: Mapping[str, Any], now_s: float) -> None:
    """Our own clock made both times, so there is nothing to be lenient about but its being set."""
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or not isinstance(expires, int) or expires - issued > ACCESS_LIFETIME_S:
        raise PeerError(401, "the access token has no times as ours have", "/exp")
    if now_s >= expires or issued > now_s + LEEWAY_S:
        raise PeerError(401, "the access token has expired", "/exp")
