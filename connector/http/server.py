"""Listeners: an aiohttp application behind one socket, with every limit said aloud.

A peer may be slow, silent, or hostile: a TLS handshake must be complete within `handshake_s`, a head (request line and
fields) within `idle_s`, which is the keep-alive time as well; who takes nothing of an answer for `stall_s` is cut off
by the kernel; bodies are bounded where they are read (body.py). Connections are counted, in all and per address: one
too many is told so with 503 and closed before anything of it is read. Bodies reach the handlers packed, so that one
place decides how large they may grow. Closing finishes what is under way and refuses what is new (RFC 9110: a refused
connection is safe to repeat), within `grace_s`, so that orchestrators need no kill -9.
"""

import asyncio
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final, cast

from aiohttp import web
from typing_extensions import override
from yarl import URL

from connector.http.limits import Turnstile, network_of
from connector.http.middleware import collapse_slashes
from connector.protocol.errors import LocalError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost, and how many there may be (0: any number). Seconds and bytes."""

    connections: int = 1024
    connections_per_address: int = 256
    handshake_s: float = 10.0
    idle_s: float = 30.0
    stall_s: float = 60.0
    linger_s: float = 2.0
    grace_s: float = 2.0
    max_line: int = 16 << 10
    max_field: int = 16 << 10
    max_fields: int = 64


DEFAULT_LIMITS: Final = Limits()
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it
Refused = Callable[[str, str], None]
"""Told of a refused connection: the limit, and the address."""


class Listener:
    """A running server. `port` is the real one, `url` its root without a trailing slash."""

    def __init__(self, runner: web.AppRunner, scheme: str) -> None:
        self._runner = runner
        self.host: str = runner.addresses[0][0]
        self.port: int = runner.addresses[0][1]
        self.url = str(URL.build(scheme=scheme, host=self.host, port=self.port)).rstrip("/")

    async def close(self) -> None:
        """Refuse new connections; requests under way have the grace time to finish, then they are cancelled."""
        if self._runner.server is not None:
            await self._runner.cleanup()


@dataclass(frozen=True, slots=True)
class _Gate:
    """Where connections are counted; all of a listener share it."""

    turnstile: Turnstile
    stall_ms: int
    refused: Refused


class _Connection(web.RequestHandler):
    """A connection that is counted, and answers what is no HTTP without repeating it or naming our software."""

    __slots__ = ("_address", "_gate")

    def __init__(self, manager: web.Server, *, gate: _Gate, **options: Any) -> None:
        super().__init__(manager, **options)
        self._gate = gate
        self._address: str | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = network_of(peer[0] if peer else None)
        if not self._gate.turnstile.enter(address):
            self._gate.refused("connections", address)
            self._force_close = True  # nothing that comes is read
            cast("asyncio.WriteTransport", transport).write(_FULL)
            transport.close()
            return
        self._address = address
        if _USER_TIMEOUT is not None and (raw := transport.get_extra_info("socket")) is not None:
            raw.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, self._gate.stall_ms)
        super().connection_made(transport)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        if self._address is not None:
            self._gate.turnstile.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, "the request is not HTTP/1.1 as RFC 9112 has it")
        response.headers["Server"] = "http"  # aiohttp fills in its name and version where nothing stands
        return response


class _Server(web.Server):
    """Makes connections of our kind."""

    gate: _Gate

    @override
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, gate=self.gate, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    """Runs an application on a server of our kind."""

    def __init__(self, app: web.Application, gate: _Gate, **options: Any) -> None:
        super().__init__(app, **options)
        self._gate = gate

    @override
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        ours = _Server(made.request_handler, request_factory=made.request_factory, loop=made._loop, **made._kwargs)  # noqa: SLF001 - aiohttp has no public way to bring a connection class
        ours.gate = self._gate
        return ours


class _Site(web.TCPSite):
    """A listening socket whose TLS handshakes end soon: aiohttp leaves them a minute, uncounted by any cap."""

    def __init__(self, runner: _Runner, host: str, port: int, tls: SSLContext | None, handshake_s: float) -> None:
        super().__init__(runner, host, port, ssl_context=tls)
        self._handshake_s = handshake_s if tls else None

    @override
    async def start(self) -> None:
        await web.BaseSite.start(self)
        server = self._runner.server
        if server is None:
            raise LocalError("the listener was closed before it was started")
        self._server = await asyncio.get_running_loop().create_server(
            server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            ssl_handshake_timeout=self._handshake_s,
            backlog=self._backlog,
        )


async def serve(
    app: web.Application,
    host: str,
    port: int,
    *,
    tls: SSLContext | None = None,
    limits: Limits = DEFAULT_LIMITS,
    exact_below: str | None = None,
    refused: Refused = lambda _limit, _address: None,
) -> Listener:
    """Start serving. port 0 takes a free one.

    exact_below: doubled slashes stay in paths that begin with this (a proxy of foreign paths wants that).
    refused: told of each connection that was one too many.
    Raises LocalError if the address cannot be listened on.
    """
    turnstile = Turnstile(whole=limits.connections, each=limits.connections_per_address)
    runner = _Runner(
        app,
        _Gate(turnstile, int(limits.stall_s * 1000), refused),
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=limits.idle_s,
        lingering_time=limits.linger_s,
        shutdown_timeout=limits.grace_s / 2,  # aiohttp waits it twice: before and after it cancels
        max_line_size=limits.max_line,
        max_field_size=limits.max_field,
        max_headers=limits.max_fields,
    )
    await runner.setup()
    if runner.server:
        collapse_slashes(runner.server, exact_below=exact_below)
    try:
        await _Site(runner, host, port, tls, limits.handshake_s).start()
    except OSError as exc:
        await runner.cleanup()
        raise LocalError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
    return Listener(runner, "https" if tls else "http")


async def stop_signal() -> signal.Signals:
    """Wait for SIGTERM or SIGINT and return which; the caller then closes its listeners."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[signal.Signals] = loop.create_future()

    def note(what: signal.Signals) -> None:
        if not came.done():
            came.set_result(what)

    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, note, each)
    try:
        return await came
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
