"""Asking a counterparty's wallet for presentations (DCP 1.0, 5.4): once for each message that it sent us.

Where the wallet is, the counterparty's DID document says; what lets us in is the access token that came with the
message. Wallets may treat it as used up after one query, so a query is never repeated.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from connector.exchange.ports import Wire
from connector.identity.dcp_messages import (
    CREDENTIAL_SERVICE,
    QUERY_PATH,
    PresentationQueryMessage,
    PresentationResponseMessage,
)
from connector.identity.did import service_endpoints
from connector.identity.jws import json_object
from connector.identity.presentations import VerifiablePresentation
from connector.identity.refusal import Check, Refusal, refusing
from connector.identity.resolver import DidResolver
from connector.identity.scopes import Scope
from connector.identity.sts import SecureTokenService

TIMEOUT_S: Final = 6.0
"""Of a query; who sent the message is waiting for its answer all the time."""
MAX_PRESENTATIONS: Final = 4
"""In one response: a wallet makes one for each data model and proof format."""

_OK: Final = 200
_FAULTS: Final = 500


class Wallets:
    """Queries to others' wallets, as the participant whose tokens `sts` makes."""

    def __init__(self, resolver: DidResolver, sts: SecureTokenService, wire: Wire) -> None:
        self._resolver = resolver
        self._sts = sts
        self._wire = wire

    async def query(
        self, holder: str, access_token: str, scopes: Sequence[Scope]
    ) -> tuple[VerifiablePresentation, ...]:
        """What `holder` (a DID) shows us, taken apart and nothing proved. Raise Refusal 401, 403, or 503 (not now)."""
        with refusing(Check.WALLET, 401):
            document = await self._resolver.resolve(holder)
            endpoints = service_endpoints(document, CREDENTIAL_SERVICE)
            if not endpoints:
                raise Refusal(Check.WALLET, f"the DID document of {holder} names no {CREDENTIAL_SERVICE}", status=401)
            url = endpoints[0].rstrip("/") + QUERY_PATH
            self._wire.check(url)
            body = PresentationQueryMessage(scope=tuple(map(str, scopes))).to_json()
            token = await self._sts.with_token(holder, access_token)
            answer = await self._wire.send(
                "POST",
                url,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                body=orjson.dumps(body),
                timeout_s=TIMEOUT_S,
            )
            if answer.status != _OK:
                status = 503 if answer.status >= _FAULTS else 401
                raise Refusal(Check.WALLET, f"the wallet at {url} answered {answer.status}", status=status)
            response = _read(answer.body)
            if len(response.presentation) > MAX_PRESENTATIONS:
                raise Refusal(Check.WALLET, f"the wallet shows more than {MAX_PRESENTATIONS} presentations", status=401)
        return tuple(map(VerifiablePresentation.parse, response.presentation))


def _read(body: bytes) -> PresentationResponseMessage:
    try:
        return PresentationResponseMessage.parse(json_object(body))
    except ValueError:
        raise Refusal(Check.WALLET, "the wallet's answer is not a JSON object", status=401) from None
