"""The node's notary: checks and signs what we publish, verifies what we fetch (port `exchange.ports.Notary`)."""

from collections.abc import Awaitable, Callable, Mapping

from typing_extensions import override

from connector.exchange.ports import Notary, Seal
from connector.passport import signature
from connector.passport.canonical import canonical
from connector.passport.verification import PAYLOAD_SIGNATURE, Verification, verify_payload
from connector.protocol.errors import ConnectorError, PeerError
from connector.semantics.registry import SchemaRegistry
from connector.semantics.validation import validate

FindKey = Callable[[str], Awaitable[signature.VerificationKey]]
"""The key that a DID URL names, from the DID document of its owner. Raises PeerError or Unreachable."""


class KeyNotary(Notary):
    """Signs with the key of our DID document and finds the keys of others in theirs."""

    def __init__(self, key: signature.SigningKey, registry: SchemaRegistry, find_key: FindKey) -> None:
        self._key = key
        self._registry = registry
        self._find_key = find_key

    @override
    def seal(self, semantic_id: str, payload: object) -> Seal:
        validate(semantic_id, payload, self._registry)
        body = canonical(payload)
        return Seal(body, signature.digest(body), signature.sign(payload, self._key))

    @override
    async def verify(
        self, body: bytes, headers: Mapping[str, str], *, signer: str, semantic_id: str | None
    ) -> Verification:
        key = await self._key_of(headers.get(PAYLOAD_SIGNATURE))

        def resolve(_: str) -> signature.VerificationKey:
            if isinstance(key, ConnectorError):
                raise key
            return key

        return verify_payload(
            body,
            headers,
            expected_signer=signer,
            semantic_id=semantic_id or "",
            registry=self._registry,
            resolve=resolve,
        )

    async def _key_of(self, jws: str | None) -> signature.VerificationKey | ConnectorError:
        """The key a signature names, or why there is none: a report has a place for that, an exception has not."""
        try:
            if jws is None:
                return PeerError(400, "there is no signature")
            return await self._find_key(signature.key_id(jws))
        except ConnectorError as error:
            return error
