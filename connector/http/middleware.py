"""What every API surface shares: one id per exchange, errors in the surface's own form, tolerant paths, gzip.

A surface (dsp, dcp, management, ...) is an application of its own with its own error body; several may be mounted
under one root. See the package's docstring for an example.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

from connector.http.body import MAX_MESSAGE
from connector.http.limits import Limited
from connector.protocol.errors import ConnectorError, LocalError, PeerError

Renderer = Callable[[web.Request, ConnectorError], web.Response]

CORRELATION: Final = web.RequestKey("correlation", str)
HELD: Final[web.RequestKey[Callable[[], None]]] = web.RequestKey("held")
"""Gives back what a request holds as long as it is under way (door.py)."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{3,127}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_GZIP: Final = re.compile(r"(?:^|,)\s*(?:gzip|x-gzip|\*)\s*(?:;\s*q=(?P<q>[0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)
_SLASHES: Final = re.compile(r"/{2,}")
_WORTH_PACKING: Final = 1024
_SHOWN: Final = 500

_log = structlog.get_logger(__name__)


def application(
    render: Renderer,
    *,
    below: Mapping[str, Renderer] | None = None,
    middlewares: Sequence[Middleware] = (),
    max_bytes: int = MAX_MESSAGE,
) -> web.Application:
    """Make a surface's application: the correlation id and errors in the surface's form outermost, then its own.

    below: the forms of surfaces that have no application of their own but stand in this one, by where their paths
    begin: one application inside another is a tenth of what a pull of 1 kB costs.
    """
    outermost = _outermost(_by_path(render, below) if below else render)
    app = web.Application(middlewares=[outermost, *middlewares], client_max_size=max_bytes)
    app.on_response_prepare.append(stamp)
    return app


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Put the id into the answer's head, and take out what tells about our software (signal on_response_prepare)."""
    if ident := request.get(CORRELATION):
        response.headers["X-Request-ID"] = ident
    response.headers.pop("Server", None)


def _correlate(request: web.Request) -> None:
    """Give the request an id, the caller's own if it sent a sane one, and bind it for all log lines of the request.

    It stays bound until the next request of the same connection, which has a context of its own.
    """
    request[CORRELATION] = ident = _correlation_id(request)
    structlog.contextvars.bind_contextvars(correlation_id=ident)


def _correlation_id(request: web.Request) -> str:
    if (given := request.headers.get("X-Request-ID")) and _ID.fullmatch(given):
        return given
    if (parent := request.headers.get("traceparent")) and (trace := _TRACEPARENT.fullmatch(parent)):
        return trace[1]
    return os.urandom(16).hex()


def _outermost(render: Renderer) -> Middleware:
    """Make the middleware that gives requests their id and answers every failure in one surface's form.

    One layer for both, and the same one in the root application and in those below it.
    render: gets PeerError or LocalError, whose `status` and `reason` say what to answer. Failures of routing (404, 405,
    413) come as PeerError. An exception that nobody expected is logged with its traceback and comes as a LocalError
    that holds nothing but the correlation id.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.get(CORRELATION) is None:  # else the root application has done it
            _correlate(request)
        try:
            return await handler(request)
        except ConnectionError:  # the peer is gone: nobody to answer
            raise
        except Exception as exc:  # noqa: BLE001 - the last line of defence: nothing may leave in another form
            return _refusal(request, exc, render)
        finally:
            if (give_back := request.get(HELD)) is not None:
                give_back()
                del request[HELD]

    return answer


def _refusal(request: web.Request, exc: Exception, render: Renderer) -> web.Response:
    """The answer to a failure.

    In a function of its own: a frame that an exception came through must not keep it, or both, with the body that was
    read there, would wait for the garbage collector.
    """
    error, headers = _judge(request, exc)
    if request.writer.output_size:  # the head has left: all that can be done is to break off
        raise ConnectionAbortedError("the answer broke off") from error
    if not isinstance(error, Limited):  # which are told once for many (door.py): no log is filled by a flood
        path, reason = request.path[:_SHOWN], error.reason[:_SHOWN]  # a stranger's own words, a line for each
        _log.info("request refused", method=request.method, path=path, reason=reason)
    response = render(request, error)
    response.headers.update(headers)
    return response


def _by_path(render: Renderer, below: Mapping[str, Renderer]) -> Renderer:
    """The form that belongs to a request's path, else `render`."""

    def rendered(request: web.Request, error: ConnectorError) -> web.Response:
        forms = (form for start, form in below.items() if f"{request.path}/".startswith(f"{start}/"))
        return next(forms, render)(request, error)

    return rendered


def _judge(request: web.Request, exc: Exception) -> tuple[ConnectorError, dict[str, str]]:
    """Tell which error to answer and with what extra headers; aiohttp's redirects are raised again."""
    match exc:
        case Limited():
            return exc, {"Retry-After": str(exc.retry_after_s)}
        case ConnectorError():
            return exc, {}
        case web.HTTPException() if exc.status < 400:  # noqa: PLR2004 - redirects of the UI are no errors
            raise exc
        case web.HTTPException():
            reasons = {404: "there is no such path here", 405: "the method is not allowed for this path"}
            headers = {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else {}
            return PeerError(exc.status, reasons.get(exc.status, exc.reason)), headers
        case _:
            _log.error("unexpected failure", method=request.method, path=request.path[:_SHOWN], exc_info=exc)
            return LocalError(f"internal error: see the operator's log, id {request.get(CORRELATION, 'unknown')}"), {}


def collapse_slashes(server: web.Server, *, exact_below: str | None = None) -> None:
    """Make a server read `/a//b` as `/a/b`, before routing, but for paths that begin with `exact_below`.

    Some client libraries join a base with a trailing slash and a path with a leading one. A middleware comes too late,
    as the route is chosen by then; the request factory is where the path is still only text.
    """
    make: Callable[..., Any] = server.request_factory

    def tolerant(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        path, mark, query = message.path.partition("?")
        exact = exact_below is not None and path.startswith(exact_below)
        if "//" in path and path.startswith("/") and not exact:
            whole = _SLASHES.sub("/", path) + mark + query
            message = message._replace(path=whole, url=URL(whole, encoded=True))
        request: web.BaseRequest = make(message, *rest)
        return request

    server.request_factory = tolerant


def compress(request: web.Request, response: web.Response) -> web.Response:
    """Pack an answer with gzip if it is over 1 kB and the client takes gzip (RFC 9110, 12.5.3). Returns it.

    For public or bulky answers (catalogs); never for one that mixes a secret with the caller's own words.
    """
    if isinstance(response.body, bytes) and len(response.body) > _WORTH_PACKING:
        response.headers["Vary"] = "Accept-Encoding"
        if _takes_gzip(", ".join(request.headers.getall("Accept-Encoding", ()))):
            response.enable_compression(web.ContentCoding.gzip)
    return response


def _takes_gzip(accepted: str) -> bool:
    choice = _GZIP.search(accepted)
    return choice is not None and any(digit in "123456789" for digit in choice["q"] or "1")


async def finish_response(request: web.Request, response: web.StreamResponse, *, timeout_s: float = 5.0) -> bool:
    """Send an answer completely, from inside a handler, so that what follows happens after it has left.

    A counterparty that gets our next message before our answer to its last one may refuse it (EDC: 409). Returns once
    the kernel has every byte of the answer; False if the peer went away or did not take it within timeout_s. The
    handler then returns the same response; until it does, the connection carries no further request.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await response.prepare(request)
            await response.write_eof()
            await _flushed(request)
    except (ConnectionError, TimeoutError):
        return False
    return True


async def _flushed(request: web.Request) -> None:
    """Wait until nothing of the answer waits in this process (TLS: but for what the record layer holds)."""
    transport = request.transport
    if transport is None or not transport.get_write_buffer_size():
        return
    transport.set_write_buffer_limits(high=1, low=0)  # "full" as soon as anything waits, so drain() means empty
    try:
        flushed: Awaitable[None] = request.writer.drain()
        await flushed
    finally:
        if request.transport is not None:
            transport.set_write_buffer_limits()
