"""The registry of digital twins for its owner: AAS registry and discovery, API 3.1, with everything in sight.

Partners reach the same registry through the data plane (`dataplane.registry`). Here stands the operator's key in front
of it, on the listener of the management API; what may be asked, and what it means, is `twins.calls`'.
"""

from collections.abc import Sequence
from typing import Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from connector.exchange.node import Node
from connector.exchange.twins import carry_out
from connector.http.body import read_json
from connector.http.door import Door
from connector.http.management.border import NODE, guard
from connector.http.middleware import application
from connector.http.twin_rules import rule_routes
from connector.protocol.errors import ConnectorError, LocalError, PeerError
from connector.twins.calls import READING, TABLE, Reply, read_call, refusal
from connector.twins.visibility import OWNER

TWINS_PATH: Final = "/twins/api/v3"
MAX_DESCRIPTOR: Final = 1 << 20
"""Bytes."""


def twins_app(node: Node, api_key: str, door: Door | None = None) -> web.Application:
    """The surface, to be mounted below a path; `api_key` and `door` are the management API's."""
    app = application(render, middlewares=[guard(api_key, door)], max_bytes=MAX_DESCRIPTOR)
    app[NODE] = node
    app.add_routes(twins_routes())
    return app


def twins_routes() -> Sequence[web.RouteDef]:
    """Every route of the surface, relative to where it is mounted."""
    registry = [
        web.get(template, _answering(template))
        if method == "GET"
        else web.route(method, template, _answering(template))
        for method, template in TABLE
    ]
    return [*registry, *rule_routes()]


def _answering(template: str) -> Handler:
    """The handler of one path, which finds out by itself where the surface is mounted."""

    async def answer(request: web.Request) -> web.Response:
        node = request.app[NODE]
        body = await read_json(request, max_bytes=MAX_DESCRIPTOR) if request.body_exists else None
        resource = request.match_info.route.resource
        above = 0 if resource is None else len(resource.canonical) - len(template)
        path, _, query = request.raw_path.partition("?")
        call = read_call(request.method, path[above:], query, body, owner=True)
        run = node.store.read if call.op in READING else node.store.run
        return _response(await run(lambda tx: carry_out(tx, call, OWNER, node.clock.now())))

    return answer


def _response(reply: Reply) -> web.Response:
    if reply.doc is None:
        return web.Response(status=reply.status)
    return web.Response(status=reply.status, body=orjson.dumps(reply.doc), content_type="application/json")


def render(request: web.Request, error: ConnectorError) -> web.Response:
    """An error as the API has it: a Result with messages."""
    known = error if isinstance(error, PeerError | LocalError) else LocalError(error.reason)
    node = request.app.get(NODE)
    return _response(refusal(known, 0 if node is None else node.clock.now()))
