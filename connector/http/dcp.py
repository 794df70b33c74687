"""The wallet over HTTP: the three paths of a credential service (DCP 1.0: 5.4, 6.5, 6.6), below its service endpoint.

Who sent this is asked before a byte of the body is read. DCP names no form for errors; theirs here is a list of reasons
with their places.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

from aiohttp import web

from connector.exchange.ports import Caller
from connector.http.body import read_json
from connector.http.door import Door
from connector.protocol.errors import ConnectorError, LocalError, PeerError

MAX_MESSAGE: Final = 1 << 20
"""Bytes; a delivery may hold several credentials."""
_BUSY: Final = "this node cannot take the message right now: send it again"


class CredentialService(Protocol):
    """What is behind the paths (identity.wallet). Each raises PeerError with the status to answer."""

    async def sender(self, authorization: str | None) -> Caller:
        """Who sent this header."""
        ...

    async def query(self, sender: Caller, doc: object) -> dict[str, Any]:
        """The answer to a PresentationQueryMessage."""
        ...

    async def deliver(self, sender: Caller, doc: object) -> None:
        """Take a CredentialMessage."""
        ...

    async def offer(self, sender: Caller, doc: object) -> None:
        """Take a CredentialOfferMessage."""
        ...


def dcp_routes(wallet: CredentialService, door: Door | None = None) -> list[web.RouteDef]:
    """Every route, relative to the service endpoint. door: the limits of those who ask; none unless given."""
    surface = _Surface(wallet, door or Door())
    return [
        web.post("/presentations/query", surface.query),
        web.post("/credentials", surface.deliver),
        web.post("/offers", surface.offer),
    ]


class _Surface:
    def __init__(self, wallet: CredentialService, door: Door) -> None:
        self._wallet = wallet
        self._door = door

    async def query(self, request: web.Request) -> web.Response:
        """Show what the access token opens."""
        sender, doc = await self._read(request)
        return web.json_response(await self._wallet.query(sender, doc))

    async def deliver(self, request: web.Request) -> web.Response:
        """Take credentials."""
        return await self._take(request, self._wallet.deliver)

    async def offer(self, request: web.Request) -> web.Response:
        """Take an offer."""
        return await self._take(request, self._wallet.offer)

    async def _take(self, request: web.Request, take: Callable[[Caller, object], Awaitable[None]]) -> web.Response:
        sender, doc = await self._read(request)
        await take(sender, doc)
        return web.Response(content_type="application/json")

    async def _read(self, request: web.Request) -> tuple[Caller, object]:
        header = request.headers.get("Authorization")
        sender = await self._door.caller(request, lambda: self._wallet.sender(header))
        if "Content-Type" in request.headers and not request.content_type.endswith(("/json", "+json")):
            raise PeerError(415, "send application/json")
        return sender, await read_json(request, max_bytes=MAX_MESSAGE)


def render(_: web.Request, error: ConnectorError) -> web.Response:
    """An error. Our own troubles are 503, so that the sender comes back with a fresh token."""
    status, reason = int(HTTPStatus.SERVICE_UNAVAILABLE), _BUSY
    if isinstance(error, PeerError | LocalError) and not _ours(error):
        status, reason = error.status, error.reason
    response = web.json_response({"errors": [{"message": reason, "path": error.pointer or None}]}, status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 15.5.2
    return response


def _ours(error: PeerError | LocalError) -> bool:
    return isinstance(error, LocalError) and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
