"""Listeners: an aiohttp application behind one socket, with every limit said aloud.

A peer may be slow, silent, or hostile: a head (request line and fields) must be complete within `idle_s`, which is the
keep-alive time as well; bodies are bounded where they are read (body.py). Bodies reach the handlers packed, so that one
place decides how large they may grow. Closing finishes what is under way and refuses what is new (RFC 9110: a refused
connection is safe to repeat), within 2 seconds, so that orchestrators need no kill -9.
"""

import asyncio
import signal
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final

from aiohttp import web
from typing_extensions import override
from yarl import URL

from connector.http.middleware import collapse_slashes
from connector.protocol.errors import LocalError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost. Seconds and bytes."""

    idle_s: float = 30.0
    linger_s: float = 2.0
    grace_s: float = 2.0
    max_line: int = 16 << 10
    max_field: int = 16 << 10
    max_fields: int = 64


DEFAULT_LIMITS: Final = Limits()


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


class _Connection(web.RequestHandler):
    """A connection that answers what is no HTTP without repeating it, and without naming our software."""

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

    @override
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    """Runs an application on a server of our kind."""

    @override
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, loop=made._loop, **made._kwargs)  # noqa: SLF001 - aiohttp has no public way to bring a connection class


async def serve(
    app: web.Application,
    host: str,
    port: int,
    *,
    tls: SSLContext | None = None,
    limits: Limits = DEFAULT_LIMITS,
    exact_below: str | None = None,
) -> Listener:
    """Start serving. port 0 takes a free one.

    exact_below: doubled slashes stay in paths that begin with this (a proxy of foreign paths wants that).
    Raises LocalError if the address cannot be listened on.
    """
    runner = _Runner(
        app,
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
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
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
