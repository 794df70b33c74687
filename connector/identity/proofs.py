"""Signatures of presentations and credentials, by the keys that their signers publish (VC Data Model, securing).

The signer's DID document says which key it is and what it is for: `authentication` for presentations, `assertionMethod`
for credentials. A document that does not publish the relationship leaves its use open (EDC's documents do); where it is
published, the key must be in it. A signature that the document at hand does not explain may be by a newer key.
"""

from collections.abc import Mapping
from typing import Any

from connector.exchange.ports import Clock
from connector.identity.did import ASSERTING, PRESENTING, DidDocument
from connector.identity.jws import CompactJws
from connector.identity.resolver import DidResolver
from connector.protocol.errors import PeerError

__all__ = ["ASSERTING", "PRESENTING", "Proofs", "kid_of"]


def kid_of(header: Mapping[str, Any], signer: str) -> str:
    """The key that a JWS header names. Raise PeerError 401 unless it is one of `signer`'s: `<did>#<fragment>`."""
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid.startswith(f"{signer}#"):
        raise PeerError(401, "kid must be the full id of a key of the signer: <iss>#<fragment>", "/kid")
    return kid


class Proofs:
    """Checks whose signature it is; documents come from the resolver's cache."""

    def __init__(self, resolver: DidResolver, clock: Clock) -> None:
        self._resolver = resolver
        self._clock = clock

    async def check(self, jws: CompactJws, signer: str, relationship: str) -> None:
        """Raise PeerError 401 unless `signer` has signed with a key for this relationship; Unreachable if unknown."""
        kid = kid_of(jws.header, signer)
        began = self._clock.now()
        document = await self._resolver.resolve(signer)
        try:
            _check(jws, kid, document, relationship)
        except PeerError:
            newer = await self._resolver.refresh(signer, since=began)
            if newer is None or newer is document:
                raise
            _check(jws, kid, newer, relationship)


def _check(jws: CompactJws, kid: str, document: DidDocument, relationship: str) -> None:
    key = document.methods.get(kid)
    if key is None:
        raise PeerError(401, f"the DID document of {document.id} has no key {kid} that we can use", "/kid")
    listed = document.relationships.get(relationship)
    if listed is not None and kid not in listed:
        raise PeerError(401, f"the key is not in {relationship} of the signer's DID document", "/kid")
    if not key.verify(jws.header["alg"], jws.signing_input, jws.signature):
        raise PeerError(401, "the signature is not by the key it names")
