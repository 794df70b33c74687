"""The border of the management API: who comes in, what arrives as a body, and what an error looks like.

Everything is EDC v3's: the key in `X-Api-Key`, an array of errors {message, type, path, invalidValue} whatever goes
wrong, 502 for a counterparty that cannot be asked. `path` is a JSON pointer into the body that was sent.
"""

import hmac
from collections.abc import Mapping
from typing import Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from connector.exchange.node import Node
from connector.exchange.ports import Waiter
from connector.http.body import read_json
from connector.http.door import Door
from connector.protocol.errors import ConnectorError, LocalError, PeerError, Unreachable

MAX_BODY: Final = 16 << 20
"""Bytes; payloads of the passport store come through here, whole."""
KEY_HEADER: Final = "X-Api-Key"


NODE: Final = web.AppKey("node", Node)
WAITER: Final[web.AppKey[Waiter]] = web.AppKey("waiter")
BODY: Final = web.RequestKey("body", object)
"""The decoded JSON of the request; None if it has none."""

_KINDS: Final[Mapping[int, str]] = {401: "AuthenticationFailed", 404: "ObjectNotFound", 405: "MethodNotAllowed"}


def guard(api_key: str, door: Door | None = None) -> Middleware:
    """Let in who knows the key; the comparison takes the same time for every wrong one.

    door: counts wrong keys per address. With too many of them, none from there is compared for a while, not even the
    right one, or guessing would go on. None: they are not counted.
    """
    expected, counting = api_key.encode(), door or Door()

    @web.middleware
    async def check_key(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(KEY_HEADER, "").encode(errors="surrogateescape")

        async def compare() -> None:
            if not hmac.compare_digest(given, expected):
                wrong = f"the API key in the header {KEY_HEADER} is not the one of this program's settings"
                raise PeerError(401, wrong if given else f"send the API key in the header {KEY_HEADER}")

        await counting.proven(request, KEY_HEADER, compare)
        return await handler(request)

    return check_key


@web.middleware
async def bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read the body before the handler runs, so that a PeerError means ours before this line and theirs after it."""
    request[BODY] = await read_json(request, max_bytes=MAX_BODY) if request.body_exists else None
    try:
        return await handler(request)
    except PeerError as error:
        raise Unreachable(error.reason) from error


def render(_: web.Request, error: ConnectorError) -> web.Response:
    """EDC's error body."""
    status, kind, value = LocalError.status, LocalError.kind, None
    if isinstance(error, LocalError):
        status, kind, value = error.status, error.kind, error.value
    elif isinstance(error, PeerError):  # the request itself: its key, its path, its bytes
        status, kind = error.status, _KINDS.get(error.status, "InvalidRequest")
    detail = {"message": error.reason, "type": kind, "path": error.pointer or None, "invalidValue": value}
    return answer([detail], status=status)


def answer(doc: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer; 200 also for what was created, because clients compare with it."""
    body = orjson.dumps(doc, default=str)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def done() -> web.Response:
    """The answer to a change that has nothing to say."""
    return web.Response(status=204)
