"""From a source to a consumer: the answer is written as fast as the consumer takes it, and no faster.

What goes wrong after the head has left cannot be said any more; the connection is cut, so that the consumer sees an
incomplete answer and not a short one. The same happens when the access is revoked in mid-stream. A consumer that leaves
while the backend is silent would go unnoticed, as aiohttp does not tell a handler; so while a request is under way, and
only then, a timer looks at its connection once a second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from connector.dataplane.access import Access, Gate
from connector.dataplane.source import Ask, Content
from connector.protocol.errors import ConnectorError, Unreachable

WRITE_BUFFER: Final = 512 << 10
SMALL: Final = 64 << 10
"""A body that declares at most this many bytes leaves in one piece, together with the head."""
STALL_S: Final = 60.0
"""A consumer that takes nothing for so long is cut off."""
_LOOK_S: Final = 1.0
_BODILESS: Final = frozenset({204, 304})


async def deliver(request: web.Request, gate: Gate, access: Access, ask: Ask) -> web.StreamResponse:
    """Open what was asked for and write it. Raise ConnectorError as long as that can still be answered.

    Afterwards raise ConnectionAbortedError; the connection is cut.
    """
    with _Watch(request) as watch:
        async with access.prepared.open(ask) as content:
            access = await gate.still(access)
            if content.read is None:
                return _response(content, content.body)
            if request.method == "HEAD" or content.status in _BODILESS:
                return await _only_head(request, content)
            if (length := _declared(content)) <= SMALL:
                body = await _whole(content.read, length)
                await gate.still(access)
                return _response(content, body)
            return await _stream(request, gate, access, content, watch)


def _declared(content: Content) -> int:
    length = content.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else SMALL + 1


def _response(content: Content, body: bytes) -> web.Response:
    content.headers.popall("Content-Length", None)
    return web.Response(status=content.status, reason=content.reason, headers=content.headers, body=body)


async def _whole(read: Callable[[], Awaitable[bytes]], length: int) -> bytes:
    body = bytearray()
    while chunk := await read():
        body += chunk
    if len(body) != length:
        raise Unreachable("the provider's backend broke off its answer")
    return bytes(body)


async def _only_head(request: web.Request, content: Content) -> web.StreamResponse:
    response = web.StreamResponse(status=content.status, reason=content.reason, headers=content.headers)
    await response.prepare(request)
    await response.write_eof()
    return response


async def _stream(
    request: web.Request, gate: Gate, access: Access, content: Content, watch: "_Watch"
) -> web.StreamResponse:
    response = web.StreamResponse(status=content.status, reason=content.reason, headers=content.headers)
    await response.prepare(request)
    if request.transport is not None:
        request.transport.set_write_buffer_limits(high=WRITE_BUFFER)
    read = content.read
    try:
        while read is not None and (chunk := await read()):
            access = await gate.still(access)
            watch.writing()
            await response.write(chunk)
            watch.written()
        await response.write_eof()
    except (ConnectorError, OSError) as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError("the answer broke off") from error
    return response


class _Watch:
    """Ends a request whose consumer has gone, or does not take what is written."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._gone = False

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._gone and self._task is not None and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ConnectionResetError("the consumer has gone") from error

    def writing(self) -> None:
        """Note that a write begins."""
        self._since = self._loop.time()

    def written(self) -> None:
        """Note that the write is done."""
        self._since = None

    def _look(self) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            self._gone = True
            if self._task is not None:
                self._task.cancel()
            return
        if self._since is not None and self._loop.time() - self._since > STALL_S:
            transport.abort()
        self._timer = self._loop.call_later(_LOOK_S, self._look)
