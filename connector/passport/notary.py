"""The node's notary: checks and signs what we publish, verifies what we fetch (port `exchange.ports.Notary`)."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from typing_extensions import override

from connector.exchange.ports import Notary, Seal
from connector.passport import credential, sdjwt, signature
from connector.passport.canonical import canonical
from connector.passport.credential import AGREEMENT, About, Issued
from connector.passport.disclosure import class_map
from connector.passport.model_check import ModelCheck, ModelChecks
from connector.passport.report import Bundle, Report, verify
from connector.passport.sdjwt import SdJwt
from connector.passport.verification import (
    PAYLOAD_DISCLOSURE,
    PAYLOAD_SEMANTIC_ID,
    PAYLOAD_SIGNATURE,
    Verification,
    verify_payload,
)
from connector.passport.views import view_faults
from connector.protocol.errors import ConnectorError, Invalid, PeerError
from connector.semantics.registry import SchemaRegistry
from connector.semantics.validation import validate

FindKey = Callable[[str], Awaitable[signature.VerificationKey]]
"""The key that a DID URL names, from the DID document of its owner. Raises PeerError or Unreachable."""
FindDocument = Callable[[str], Awaitable[Mapping[str, Any]]]
"""The DID document of a DID, as JSON. Raises as FindKey does."""
ReadKeys = Callable[[Mapping[str, Any]], signature.Resolve]
"""The keys in a DID document. Raises PeerError if it is none."""
FRESH_S: Final = 300
"""A presentation that was asked for just now is not older, however far the clocks are apart."""


class KeyNotary(Notary):
    """Signs with the key of our DID document and finds the keys of others in theirs.

    find_document, read_keys: how passports of others come with the document that proves them; a node has both.
    """

    def __init__(
        self,
        key: signature.SigningKey,
        registry: SchemaRegistry,
        find_key: FindKey,
        find_document: FindDocument | None = None,
        read_keys: ReadKeys | None = None,
    ) -> None:
        self._key = key
        self._registry = registry
        self._models = ModelChecks(registry)
        self._find_key = find_key
        self._find_document = find_document
        self._read_keys = read_keys

    @property
    @override
    def kid(self) -> str:
        return self._key.kid

    @override
    def seal(self, semantic_id: str, payload: object) -> Seal:
        validate(semantic_id, payload, self._registry)
        return self._sealed(payload)

    def _sealed(self, payload: object) -> Seal:
        body = canonical(payload)
        return Seal(body, signature.digest(body), signature.sign_canonical(body, self._key))

    @override
    async def check_model(self, body: bytes, headers: Mapping[str, str], semantic_id: str) -> ModelCheck:
        declared, shown = headers.get(PAYLOAD_SEMANTIC_ID), headers.get(PAYLOAD_DISCLOSURE)
        return await self._models.of(body, semantic_id, declared=declared, shown=shown)

    @override
    async def verify(self, body: bytes, headers: Mapping[str, str], *, signer: str, model: ModelCheck) -> Verification:
        key = await self._key_of(headers.get(PAYLOAD_SIGNATURE))

        def resolve(_: str) -> signature.VerificationKey:
            if isinstance(key, ConnectorError):
                raise key
            return key

        return verify_payload(body, headers, expected_signer=signer, model=model, resolve=resolve)

    async def _key_of(self, jws: str | None) -> signature.VerificationKey | ConnectorError:
        """The key a signature names, or why there is none: a report has a place for that, an exception has not."""
        try:
            if jws is None:
                return PeerError(400, "there is no signature")
            return await self._find_key(signature.key_id(jws))
        except ConnectorError as error:
            return error

    @override
    def check(self, semantic_id: str, payload: object) -> None:
        validate(semantic_id, payload, self._registry)

    @override
    def issue(self, passport: object, about: About) -> tuple[bytes, Issued]:
        classes = class_map()
        found = classes.split(passport)
        if found.unknown:
            raise Invalid("this member is no part of the aspect model: it has no disclosure class", found.unknown[0])
        if faults := view_faults(about.aspect, passport, frozenset(classes.classes), self._registry):
            raise Invalid(f"nobody has said who may see this: {faults[0].message}", faults[0].pointer)
        body = canonical(passport)
        size = sdjwt.SALT_BYTES
        chance = secrets.token_bytes(size * len(classes.groups))  # one call to the system, not one for each group
        salts = (chance[at : at + size] for at in range(0, len(chance), size))
        return body, credential.issue(about, found.fields, classes, self._key, salts)

    @override
    def seal_view(self, semantic_id: str, view: object, classes: frozenset[str]) -> Seal:
        if faults := view_faults(semantic_id, view, classes, self._registry):
            raise Invalid(f"the view does not fit {semantic_id}: {faults[0].message}", faults[0].pointer)
        return self._sealed(view)

    @override
    def bind(self, presentation: SdJwt, *, audience: str, nonce: str, agreement_id: str, now: int) -> SdJwt:
        about = {AGREEMENT: agreement_id}
        return sdjwt.bind(presentation, self._key, audience=audience, nonce=nonce, now_s=now // 1000, **about)

    @override
    async def did_document(self, did: str) -> Mapping[str, Any]:
        if self._find_document is None:
            raise Invalid("this node resolves no DID documents")
        return await self._find_document(did)

    @override
    def judge(self, bundle: Bundle, *, passport_id: str, issuer: str, now: int) -> Report:
        def resolve(kid: str) -> signature.VerificationKey:
            if self._read_keys is None:
                raise Invalid("this node reads no DID documents")
            return self._read_keys(bundle.did_document)(kid)

        def fresh(issued: int) -> bool:
            return abs(issued - now // 1000) <= FRESH_S

        return verify(bundle, resolve, passport_id=passport_id, issuer=issuer, fresh=fresh, registry=self._registry)
