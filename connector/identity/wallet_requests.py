"""Asking issuers for credentials (DCP 1.0, 6.4, 6.7 and 6.8): once their metadata says what they call them.

The issuer is found by its DID document. Its answer to a request is a receipt, the credentials come later to the wallet.
Issuers answer in several ways: with an absolute or a relative `Location`, with the pid in the body or not at all; a
request that they know already (409) is one that was taken, as we give each request an id of its own.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import orjson
from typing_extensions import override

from connector.exchange.ports import Answer, Holder, Receipt, Wire
from connector.exchange.records import CredentialRequest
from connector.identity.credentials import Profile, profile_of
from connector.identity.dcp_messages import (
    ISSUER_SERVICE,
    CredentialObject,
    CredentialRequestMessage,
    CredentialStatus,
    IssuerMetadata,
)
from connector.identity.did import service_endpoints
from connector.identity.jws import json_object
from connector.identity.resolver import DidResolver
from connector.protocol.errors import Conflict, ConnectorError, PeerError, Unreachable
from connector.protocol.reading import optional_text

TIMEOUT_S: Final = 10.0
_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_TOLD: Final = 300
Tokens = Callable[[str, str | None], str]
"""Makes a self-issued token for a DID, with the pre-authorized code that it gave us, if it did."""


class IssuerClient(Holder):
    """Requests to issuers as the participant whose tokens `tokens` makes.

    recheck: what the wallet says of the status of its credentials (Wallet.recheck). needed: the types that we have to
    hold. issuer: who is asked for them, "" if nobody is.
    """

    def __init__(
        self,
        resolver: DidResolver,
        tokens: Tokens,
        wire: Wire,
        recheck: Callable[[], Awaitable[Mapping[str, str]]],
        *,
        needed: Sequence[str] = (),
        issuer: str = "",
    ) -> None:
        self._resolver = resolver
        self._tokens = tokens
        self._wire = wire
        self._recheck = recheck
        self._needed = tuple(needed)
        self._issuer = issuer

    @property
    @override
    def needed(self) -> Sequence[str]:
        return self._needed

    @property
    @override
    def issuer(self) -> str:
        return self._issuer

    @override
    async def ask(self, request: CredentialRequest, code: str | None) -> Receipt:
        base = await self._service(request.issuer)
        found = await self._exchange("GET", f"{base}/metadata", request.issuer, None)
        wanted = _ids(IssuerMetadata.parse(_object(found)), request.wanted)
        message = CredentialRequestMessage(holder_pid=request.id, credentials=wanted).to_json()
        answer = await self._exchange("POST", f"{base}/credentials", request.issuer, code, message)
        return _receipt(answer, f"{base}/credentials")

    @override
    async def status(self, request: CredentialRequest) -> str:
        base = await self._service(request.issuer)
        url = request.status_url
        if url is None:
            if request.issuer_pid is None:
                raise Conflict("the issuer has not taken this request, or did not say what it calls it")
            url = f"{base}/requests/{quote(request.issuer_pid, safe='')}"
        answer = await self._exchange("GET", url, request.issuer, None)
        return CredentialStatus.parse(_object(answer)).status.value

    @override
    async def recheck(self) -> Mapping[str, str]:
        return await self._recheck()

    async def _service(self, issuer: str) -> str:
        document = await self._resolver.resolve(issuer)
        endpoints = service_endpoints(document, ISSUER_SERVICE)
        if not endpoints:
            raise PeerError(404, f"the DID document of {issuer} names no {ISSUER_SERVICE}: ask the data space's issuer")
        return endpoints[0].rstrip("/")

    async def _exchange(
        self, method: str, url: str, issuer: str, code: str | None, message: Mapping[str, Any] | None = None
    ) -> Answer:
        """A good answer. Raise PeerError if it is a refusal, Unreachable if there may be a better one later."""
        self._wire.check(url)
        headers = {"Authorization": f"Bearer {self._tokens(issuer, code)}", "Accept": "application/json"}
        if message is not None:
            headers["Content-Type"] = "application/json"
        body = None if message is None else orjson.dumps(message)
        answer = await self._wire.send(method, url, headers=headers, body=body, timeout_s=TIMEOUT_S)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES or (
            answer.status == HTTPStatus.CONFLICT and message is not None
        ):
            return answer
        told = f"the issuer answered {answer.status}: {answer.body[:_TOLD].decode(errors='replace').strip()}"
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _AGAIN:
            raise Unreachable(told)
        raise PeerError(answer.status, told)


def _ids(metadata: IssuerMetadata, wanted: Sequence[str]) -> tuple[str, ...]:
    """What the issuer calls what we want: named by id or by type, in the profile of Catena-X if there is a choice."""
    found = []
    for name in wanted:
        fitting = [o for o in metadata.credentials_supported if name in (o.id, o.credential_type) and _readable(o)]
        if not fitting:
            known = sorted({o.credential_type or o.id for o in metadata.credentials_supported})
            raise PeerError(404, f"the issuer does not issue {name}; it issues {', '.join(known) or 'nothing'}")
        found.append(min(fitting, key=_rank).id)
    return tuple(dict.fromkeys(found))


def _readable(offered: CredentialObject) -> bool:
    return offered.profile is None or profile_of(offered.profile) is not None


def _rank(offered: CredentialObject) -> bool:
    return offered.profile is not None and profile_of(offered.profile) is not Profile.VC11


def _receipt(answer: Answer, url: str) -> Receipt:
    """What an answer to a request says. A place elsewhere than at the issuer is not kept."""
    location = answer.headers.get("Location", "")
    place = urljoin(url, location) if location else None
    if place is None or urlsplit(place)[:2] != urlsplit(url)[:2]:
        return Receipt(_pid(answer), None)
    return Receipt(_pid(answer) or place.rstrip("/").rpartition("/")[2] or None, place)


def _pid(answer: Answer) -> str | None:
    try:
        return optional_text(_object(answer), "issuerPid")
    except ConnectorError:
        return None


def _object(answer: Answer) -> dict[str, Any]:
    try:
        return json_object(answer.body)
    except ValueError:
        raise PeerError(502, "the issuer's answer is not a JSON object") from None
