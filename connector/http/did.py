"""The node's did:web document, where the DID says that it is (did:web, "Read")."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from connector.protocol.errors import ConnectorError, LocalError, PeerError


def did_routes(path: str, document: Mapping[str, Any]) -> list[web.RouteDef]:
    """Serve `document` at `path`, to anybody; peers keep it for minutes."""
    body = json.dumps(document, indent=1).encode()

    async def show(_: web.Request) -> web.Response:
        return document_response(body)

    return [web.get(path, show)]


def document_response(body: bytes) -> web.Response:
    """A DID document as JSON, to be kept for five minutes."""
    headers = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
    return web.Response(body=body, content_type="application/did+json", headers=headers)


def render(_: web.Request, error: ConnectorError) -> web.Response:
    """An error outside of every protocol: a path that does not exist."""
    status = error.status if isinstance(error, PeerError | LocalError) else 500
    return web.json_response({"errors": [error.reason]}, status=status)
