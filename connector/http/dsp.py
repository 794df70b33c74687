"""The Dataspace Protocol 2025-1 over HTTPS: every path of the three bindings, on both sides.

Each handler does the same five things: who sent this (identity), what does it say (parse), take it (use case), answer,
and only then let our own next message go. Errors have the protocol's typed bodies. Paths below the version's base are
those of clauses 6 to 8; one application serves provider and consumer, which are told apart by the process itself.
"""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, Protocol, Self, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from connector.exchange import catalog, negotiation_inbound, transfer_inbound
from connector.exchange.denial import Denied
from connector.exchange.denial import note as note_denial
from connector.exchange.hold import AT_ONCE, FOLLOW_UP, PAUSE_MS, hold
from connector.exchange.node import Node
from connector.exchange.ports import Caller
from connector.exchange.records import Outgoing
from connector.http.body import read_json
from connector.http.door import Door
from connector.http.middleware import application, compress, finish_response
from connector.protocol.catalog import CatalogError, CatalogRequestMessage, link_header
from connector.protocol.errors import Conflict, ConnectorError, LocalError, PeerError
from connector.protocol.messages import ErrorMessage, Message
from connector.protocol.negotiation_messages import (
    ContractAgreementMessage,
    ContractAgreementVerificationMessage,
    ContractNegotiationError,
    ContractNegotiationEventMessage,
    ContractNegotiationTerminationMessage,
    ContractOfferMessage,
    ContractRequestMessage,
)
from connector.protocol.process import Role
from connector.protocol.reading import MAX_TEXT
from connector.protocol.transfer_messages import (
    TransferCompletionMessage,
    TransferError,
    TransferRequestMessage,
    TransferStartMessage,
    TransferSuspensionMessage,
    TransferTerminationMessage,
)
from connector.protocol.versions import WELL_KNOWN, ProtocolVersion, versions_json
from connector.protocol.vocabulary import VERSION
from connector.semantics.jsonld import read_message

Release = Callable[[list[Outgoing], int], None]
"""Lets messages go, after a pause (ms); the engine's dispatcher."""
Heard = Callable[[str], None]
"""Told which participant has just proved that it is there; the engine's dispatcher."""

_MESSAGE: Final = web.RequestKey("message", dict)
_CALLER: Final = web.RequestKey("caller", Caller)
_ENDS: Final = frozenset({ContractNegotiationTerminationMessage, TransferTerminationMessage})
_TRANSIENT: Final = HTTPStatus.SERVICE_UNAVAILABLE


class Readable(Protocol):
    """A message class that reads itself from JSON."""

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Raise PeerError 400."""
        ...


M = TypeVar("M", bound=Readable)
Take = Callable[[Node, Caller, str, Any], Awaitable[None]]
Open = Callable[[Node, Caller, Any], Awaitable[Message]]
Show = Callable[[Node, Caller, str], Awaitable[Message]]


def dsp_application(
    node: Node, release: Release, heard: Heard = lambda _: None, *, door: Door | None = None
) -> web.Application:
    """The application to mount at the DSP root: version metadata without a token, everything else below /2025-1.

    door: the limits of those who ask; none unless given.
    """
    app = application(render, middlewares=[_answer_first(release, heard)])
    surface = _Surface(node, door or Door())
    app.add_routes([web.get(WELL_KNOWN, surface.versions), *(_below(VERSION, route) for route in surface.routes())])
    return app


def _below(version: str, route: web.RouteDef) -> web.RouteDef:
    return web.route(route.method, f"/{version}{route.path}", route.handler)


class _Surface:
    """The handlers of one node."""

    def __init__(self, node: Node, door: Door) -> None:
        self._node = node
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        """Every path of the bindings, without the version in front."""
        n, t = negotiation_inbound, transfer_inbound
        return [
            web.post("/catalog/request", self.catalog),
            web.get("/catalog/datasets/{id:.+}", self.dataset),
            web.get("/negotiations/{pid}", self._show(n.show)),
            web.post("/negotiations/request", self._open(ContractRequestMessage, n.receive_request)),
            web.post("/negotiations/offers", self._open(ContractOfferMessage, n.receive_initial_offer, Role.CONSUMER)),
            web.post("/negotiations/{pid}/request", self._take(ContractRequestMessage, n.receive_counter_offer)),
            web.post("/negotiations/{pid}/offers", self._take(ContractOfferMessage, n.receive_offer)),
            web.post("/negotiations/{pid}/agreement", self._take(ContractAgreementMessage, n.receive_agreement)),
            web.post(
                "/negotiations/{pid}/agreement/verification",
                self._take(ContractAgreementVerificationMessage, n.receive_verification),
            ),
            web.post("/negotiations/{pid}/events", self._take(ContractNegotiationEventMessage, n.receive_event)),
            web.post(
                "/negotiations/{pid}/termination",
                self._take(ContractNegotiationTerminationMessage, n.receive_termination),
            ),
            web.get("/transfers/{pid}", self._show(t.show)),
            web.post("/transfers/request", self._open(TransferRequestMessage, t.receive_request)),
            web.post("/transfers/{pid}/start", self._take(TransferStartMessage, t.receive_start)),
            web.post("/transfers/{pid}/suspension", self._take(TransferSuspensionMessage, t.receive_suspension)),
            web.post("/transfers/{pid}/completion", self._take(TransferCompletionMessage, t.receive_completion)),
            web.post("/transfers/{pid}/termination", self._take(TransferTerminationMessage, t.receive_termination)),
        ]

    async def versions(self, _: web.Request) -> web.Response:
        """Answer who speaks what, to anybody (clause 5)."""
        kind = "did:web" if self._node.id.startswith("did:web:") else None
        return _json(versions_json([ProtocolVersion(version=VERSION, path=f"/{VERSION}", identifier_type=kind)]))

    async def catalog(self, request: web.Request) -> web.Response:
        """Answer a catalog request with one page and links to its neighbours."""
        caller, message = await self._read(request, CatalogRequestMessage)
        page = await catalog.serve(self._node, caller, message, request.query.get("page", "0"))
        base = f"{self._node.dsp_address}/catalog/request?page="
        response = _json(page.document)
        links = link_header(
            next_url=base + page.next if page.next else None,
            previous_url=base + page.previous if page.previous else None,
        )
        if links is not None:
            response.headers["Link"] = links
        return compress(request, response)

    async def dataset(self, request: web.Request) -> web.Response:
        """Answer with one dataset; ids may contain slashes."""
        caller = await self._caller(request)
        return _json(await catalog.serve_dataset(self._node, caller, request.match_info["id"]))

    def _show(self, show: Show) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            caller = await self._caller(request)
            return _json((await show(self._node, caller, request.match_info["pid"])).to_json())

        return handler

    def _open(self, kind: type[Readable], receive: Open, us: Role = Role.PROVIDER) -> Handler:
        opened = "transfers" if kind is TransferRequestMessage else "negotiations"

        async def handler(request: web.Request) -> web.Response:
            caller, message = await self._read(request, kind)
            await self._door.may_open(self._node.store, caller, opened, us)
            acknowledgement = await receive(self._node, caller, message)
            return _json(acknowledgement.to_json(), HTTPStatus.CREATED)

        return handler

    def _take(self, kind: type[Readable], receive: Take) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            caller, message = await self._read(request, kind, ends=kind in _ENDS)
            await receive(self._node, caller, request.match_info["pid"], message)
            return web.Response(content_type="application/json")

        return handler

    async def _caller(self, request: web.Request, *, ends: bool = False) -> Caller:
        """Who has sent this. `ends`: whoever has proven its id may end what it is party of, whatever else it lacks."""
        try:
            caller = await self._door.caller(
                request, lambda: self._node.identity.verify(request.headers.get("Authorization"))
            )
        except Denied as denied:
            sender = denied.sender
            if sender is None or not ends:
                if sender is not None and (pid := request.match_info.get("pid")) is not None:
                    await note_denial(self._node, denied, pid)
                raise
            caller = Caller(sender, None, {})
        request[_CALLER] = caller
        return caller

    async def _read(self, request: web.Request, kind: type[M], *, ends: bool = False) -> tuple[Caller, M]:
        caller = await self._caller(request, ends=ends)
        doc = read_message(await read_json(request))
        request[_MESSAGE] = doc
        return caller, kind.parse(doc)


def _answer_first(release: Release, heard: Heard) -> Middleware:
    @web.middleware
    async def answer_first(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Send the whole answer before any message that this request has caused, or that waited for its sender."""
        messages: list[Outgoing] = []
        try:
            with hold() as messages:
                response = await handler(request)
                if messages:
                    await finish_response(request, response)
        finally:
            release(messages, 0 if request.headers.get(FOLLOW_UP) == AT_ONCE else PAUSE_MS)
            if _CALLER in request:
                heard(request[_CALLER].id)
        return response

    return answer_first


def render(request: web.Request, error: ConnectorError) -> web.Response:
    """The typed error body of the path's protocol. Our own troubles are 503: for EDC every 4xx is final."""
    status = _status(error)
    reason = error.reason if status != HTTPStatus.SERVICE_UNAVAILABLE or isinstance(error, PeerError) else _BUSY
    told = (reason + (f" (at {error.pointer})" if error.pointer else ""))[:_LONGEST]
    match request.path.partition(f"/{VERSION}/")[2].partition("/")[0]:
        case "negotiations":
            body = _process_error(ContractNegotiationError, request, status, told)
        case "transfers":
            body = _process_error(TransferError, request, status, told)
        case _:
            body = CatalogError(code=str(status), reason=(told,)).to_json()
    response = _json(body, status)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 15.5.2
    return response


_LONGEST: Final = 2000
"""Characters of a reason: places and names in it may be the peer's own words."""
_BUSY: Final = "this node cannot take the message right now: send it again"


def _status(error: ConnectorError) -> int:
    if isinstance(error, PeerError):
        return error.status
    if (
        isinstance(error, Conflict)
        or not isinstance(error, LocalError)
        or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        return _TRANSIENT
    return error.status


def _process_error(kind: type[ErrorMessage], request: web.Request, status: int, reason: str) -> dict[str, Any]:
    """Both pids are required: those of the message where it says them, else UNKNOWN_PID."""
    doc = request.get(_MESSAGE, {})
    consumer, provider = (_pid(doc.get(name)) for name in ("consumerPid", "providerPid"))
    return kind(consumer_pid=consumer, provider_pid=provider, code=str(status), reason=(reason,)).to_json()


def _pid(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_TEXT else None


def _json(body: dict[str, Any], status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=json.dumps(body, separators=(",", ":")).encode(), status=status, content_type="application/json"
    )
