"""The identity of the data space: did:web and self-issued tokens (DCP 1.0)."""

from collections.abc import Mapping

from typing_extensions import override

from connector.exchange.ports import Caller, Clock, Directory, Identity, Ids
from connector.identity.authorization import credentials
from connector.identity.directory import receiver_of
from connector.identity.keys import SigningKey
from connector.identity.tokens import TokenVerifier, issue_token
from connector.protocol.errors import Invalid, PeerError


class DidIdentity(Identity):
    """Participants by their DIDs. Issuing needs no I/O; verifying fetches the sender's document when needed.

    verifier: must be for the key's DID; it is where tokens addressed to us are judged.
    """

    def __init__(self, key: SigningKey, verifier: TokenVerifier, directory: Directory, clock: Clock, ids: Ids) -> None:
        if verifier.did != key.did:
            raise Invalid("the token verifier and the signing key must be of the same DID", value=verifier.did)
        self._key = key
        self._verifier = verifier
        self._directory = directory
        self._clock = clock
        self._ids = ids

    @property
    @override
    def id(self) -> str:
        """Our DID."""
        return self._key.did

    @override
    async def token(
        self,
        audience: str,
        *,
        address: str,  # a DID says who is meant, wherever it listens
        claims: Mapping[str, str] | None = None,
    ) -> str:
        """A header with a token for one message: the receiver accepts it once, within a minute.

        audience: a DID, or a BPN that the directory knows. claims: more claims, e.g. `token` for a token refresh.
        Raise Invalid for an audience that is neither.
        """
        receiver = receiver_of(audience, self._directory)
        token = issue_token(self._key, audience=receiver, jti=self._ids(), now=self._clock.now(), claims=claims)
        return f"Bearer {token}"

    @override
    async def verify(self, authorization: str | None, *, single_use: bool = True) -> Caller:
        """Who sent this header, with the token's claims. Raise PeerError 401 or 503; see TokenVerifier.verify."""
        text = credentials(authorization)
        if text is None:
            raise PeerError(401, "an Authorization header with a self-issued token is required")
        token = await self._verifier.verify(text, single_use=single_use)
        return Caller(token.issuer, self._directory.bpn_of(token.issuer), token.jws.payload)
