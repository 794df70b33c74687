"""The public surface of the data plane: one URL for all assets and all consumers, and the token refresh below it.

Clients join the URL of the endpoint data reference and a path of their own; the token alone selects the asset. So every
path below the URL belongs to the asset, except `POST .../token` (Tractus-X token refresh), which therefore no asset can
have. Mount the routes in an application made with `render`:

    app = application(render)
    app.add_routes(public_routes(plane))

Errors have EDC's form, `{"errors": [...]}`: 401 without a token, 403 with one that opens nothing (any more), 502 and
504 if the provider's backend fails, 503 while our database is away: a client may ask again. Other faults of our own are
logged and answered with 500, without detail.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from connector.dataplane.delivery import deliver
from connector.dataplane.http_address import METHODS
from connector.dataplane.plane import EmbeddedDataPlane
from connector.dataplane.source import Ask
from connector.http.body import read_body
from connector.http.door import Door
from connector.http.limits import Limited
from connector.protocol.errors import ConnectorError, LocalError, PeerError, Unreachable

PATH: Final = "/public"
SILENCE_S: Final = 60.0
"""A consumer that sends a body may pause so long."""
_DATA: Final = "data"
_MAX_FORM: Final = 64 << 10
_ROUTED: Final = tuple(method for method in METHODS if method != "HEAD")  # aiohttp routes HEAD with GET
_TAIL: Final = "/{tail}"
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_BROKEN: Final = "the provider cannot give this data out at the moment; its log says why"
_BUSY: Final = "the provider cannot say right now whether this may be given out: ask again"
_log = structlog.get_logger(__name__)


def public_routes(plane: EmbeddedDataPlane, path: str = PATH, door: Door | None = None) -> list[web.RouteDef]:
    """The routes of the surface; `path` is where `plane.public_url` leads to.

    door: the limits of those who ask; none unless given.
    """
    limits = door or Door()

    async def data(request: web.Request) -> web.StreamResponse:
        access = await limits.proven(request, _DATA, lambda: plane.gate.admit(request.headers.get("Authorization")))
        limits.pull(request, access.claims.transfer_id)
        return await deliver(request, plane.gate, access, _ask(request))

    async def token(request: web.Request) -> web.StreamResponse:
        try:
            return await _refresh(plane, limits, request)
        except Limited:
            raise
        except PeerError as refusal:  # answered in a form of its own, so it is told here
            _log.info("token refresh refused", status=refusal.status, reason=refusal.reason, place=refusal.pointer)
            problem = {"message": refusal.reason, "type": "TokenRefresh", "path": refusal.pointer, "invalidValue": None}
            return web.json_response([problem], status=refusal.status, headers=_NO_STORE)

    return [
        web.post(f"{path}/token", token),
        *(web.route(method, path, data) for method in _ROUTED),
        *(web.route(method, f"{path}/{{tail:.*}}", data) for method in _ROUTED),
    ]


def render(_: web.Request, error: ConnectorError) -> web.Response:
    """An error in EDC's form. A reason leaves only if it was written for the consumer."""
    if isinstance(error, PeerError | Unreachable):
        status, reason = error.status, error.reason
    else:
        _log.error("the data of an asset cannot be given out", reason=error.reason, pointer=error.pointer)
        again = isinstance(error, LocalError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
        status, reason = (503, _BUSY) if again else (500, _BROKEN)
    return web.json_response({"errors": [reason]}, status=status, headers={"Cache-Control": "no-store"})


def _ask(request: web.Request) -> Ask:
    """What the consumer asks for, in its own spelling: the part of the request target below the public path."""
    resource = request.match_info.route.resource
    mounted = resource.canonical.removesuffix(_TAIL) if resource is not None else ""
    target, _, query = request.raw_path.partition("?")
    if not target.startswith(mounted):
        raise PeerError(400, "the request target must be the path of the public URL, spelled as it was given")
    return Ask(
        method=request.method,
        path=target[len(mounted) :],
        query=query,
        headers=request.headers,
        body=(lambda: _body(request)) if request.body_exists else None,
    )


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    """What the consumer sends. It may be slow, but not silent: TimeoutError ends the call of the backend."""
    while True:
        async with asyncio.timeout(SILENCE_S):
            chunk = await request.content.readany()
        if not chunk:
            return
        yield chunk


async def _refresh(plane: EmbeddedDataPlane, limits: Door, request: web.Request) -> web.Response:
    """Answer a token refresh. The parameters stand in the body; older clients send them in the query."""
    try:
        form = dict(parse_qsl((await read_body(request, max_bytes=_MAX_FORM)).decode("ascii"), max_num_fields=16))
    except ValueError:
        raise PeerError(400, "the body must be application/x-www-form-urlencoded") from None
    given = {name: form.get(name) or request.query.get(name, "") for name in ("grant_type", "refresh_token")}
    if given["grant_type"] != "refresh_token":
        raise PeerError(400, "grant_type must be refresh_token", "grant_type")
    if not given["refresh_token"]:
        raise PeerError(400, "refresh_token is missing", "refresh_token")
    access, renewed = await limits.proven(
        request, _DATA, lambda: plane.refresh(request.headers.get("Authorization"), given["refresh_token"])
    )
    lifetime = plane.lifetime_s
    body = {"access_token": access, "refresh_token": renewed, "expires_in": lifetime, "expires": lifetime}
    return web.json_response({**body, "token_type": "bearer"}, headers=_NO_STORE)
