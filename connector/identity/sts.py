"""Our own tokens for messages under DCP: the secure token service (DCP 1.0, 4.3; access tokens, 5.3.1).

A message to somebody carries a self-issued token, and in its claim `token` an access token with which the receiver may
ask our wallet for what the scopes name. Only the wallet reads the access token, so its form is a matter between these
two: a JWT from the holder to itself, whose `sub` is the one party that may use it.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from typing_extensions import override

from connector.exchange.ports import Clock, Ids
from connector.identity.keys import SigningKey
from connector.identity.tokens import issue_token

ACCESS_LIFETIME_S: Final = 300
ACCESS_PREFIX: Final = "accesstoken-"


class SecureTokenService(Protocol):
    """Who makes our self-issued tokens: this node, or a service that holds the participant's key."""

    @property
    def did(self) -> str:
        """Whose tokens these are."""
        ...

    async def with_scopes(self, audience: str, scopes: Sequence[str]) -> str:
        """A token for `audience` (a DID) with an access token to what `scopes` name. Raise Unreachable."""
        ...

    async def with_token(self, audience: str, token: str) -> str:
        """A token for `audience` (a DID) that carries this token, somebody's access token. Raise Unreachable."""
        ...


class EmbeddedTokenService(SecureTokenService):
    """The node signs by itself."""

    def __init__(self, key: SigningKey, clock: Clock, ids: Ids) -> None:
        self._key = key
        self._clock = clock
        self._ids = ids

    @property
    @override
    def did(self) -> str:
        return self._key.did

    @override
    async def with_scopes(self, audience: str, scopes: Sequence[str]) -> str:
        access = issue_access_token(self._key, audience, scopes, jti=self._ids(), now=self._clock.now())
        return await self.with_token(audience, access)

    @override
    async def with_token(self, audience: str, token: str) -> str:
        now = self._clock.now()
        return issue_token(self._key, audience=audience, jti=self._ids(), now=now, claims={"token": token})

    def for_issuer(self, issuer: str, code: str | None) -> str:
        """A token for a request to `issuer` (a DID), with the pre-authorized code that it gave us out of band (6.4)."""
        claims = None if code is None else {"pre-authorized_code": code}
        return issue_token(self._key, audience=issuer, jti=self._ids(), now=self._clock.now(), claims=claims)


def issue_access_token(key: SigningKey, reader: str, scopes: Sequence[str], *, jti: str, now: int) -> str:
    """An access token to the wallet of the key's DID, for `reader` (a DID) alone. jti: a fresh id. now: ms."""
    issued = now // 1000
    claims = {"iss": key.did, "aud": key.did, "sub": reader, "scope": " ".join(scopes), "jti": ACCESS_PREFIX + jti}
    return key.sign_jwt({**claims, "iat": issued, "nbf": issued, "exp": issued + ACCESS_LIFETIME_S})
