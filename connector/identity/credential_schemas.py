"""Whether a credential has the shape that its issuer says it has (`credentialSchema`, W3C VC JSON Schema).

The issuer names a JSON Schema; it is fetched once and kept. Real schemas describe either the credential's subject (what
EDC assumes) or the whole credential, so the schema decides: one that speaks of `credentialSubject` means the whole.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from connector.exchange.ports import Clock
from connector.identity.credentials import VerifiableCredential
from connector.identity.jws import json_object
from connector.identity.kept import Kept
from connector.identity.refusal import Check, Refusal, refusing
from connector.protocol.errors import PeerError

if TYPE_CHECKING:
    from jsonschema_rs import Validator

KINDS: Final = frozenset({"JsonSchema", "JsonSchemaValidator2018"})
TTL_S: Final = 3600
RETRY_S: Final = 5
CAPACITY: Final = 64
MAX_BYTES: Final = 1 << 17


class CredentialSchemas:
    """The schemas of credentials by URL. fetch: as for status lists."""

    def __init__(self, fetch: Callable[[str], Awaitable[bytes]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: Kept[tuple[Validator, bool]] = Kept(clock, capacity=CAPACITY, retry_s=RETRY_S)

    async def check(self, credential: VerifiableCredential) -> None:
        """Raise Refusal (`credential-schema`): 403 if one is broken or no good, 503 if out of reach."""
        for reference in credential.schemas:
            if reference.type not in KINDS:
                reason = f"{reference.type[:80]} is no kind of schema that can be checked: {', '.join(sorted(KINDS))}"
                raise Refusal(Check.CREDENTIAL_SCHEMA, reason)
            url = reference.url
            validator, whole = await self._kept.get(url, partial(self._load, url))
            told: list[Any] = [credential.json] if whole else list(credential.subjects)
            if not all(validator.is_valid(dict(value)) for value in told):
                raise Refusal(Check.CREDENTIAL_SCHEMA, f"the {credential.name} does not fit its schema {url}")

    async def _load(self, url: str) -> "tuple[tuple[Validator, bool], int]":
        import jsonschema_rs  # noqa: PLC0415 - 10 MB that a node without such credentials need not load

        began = self._clock.now()
        with refusing(Check.CREDENTIAL_SCHEMA):
            body = await self._fetch(url)
            try:
                schema = json_object(body if len(body) <= MAX_BYTES else b"")
                # offline: a $ref in it must not make us call an address that nobody has looked at
                validator = jsonschema_rs.validator_for(schema, offline=True)
            except (ValueError, jsonschema_rs.ReferencingError):
                raise PeerError(403, f"{url} is not a usable JSON Schema of at most {MAX_BYTES} bytes") from None
        members = schema.get("properties")
        whole = isinstance(members, dict) and "credentialSubject" in members
        return (validator, whole), began + TTL_S * 1000
