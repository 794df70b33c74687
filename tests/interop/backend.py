"""Behind and before the connectors: a source that providers serve their data from, and a sink for pushes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from aiohttp import web

SIZE: Final = 64 * 1024


def content_of(name: str) -> bytes:
    """The bytes of a source: other ones for every name."""
    seed = sha256(name.encode()).digest()
    return seed * (SIZE // len(seed))


@dataclass(slots=True)
class Backend:
    """Serves `content_of(name)` at /source/<name> and takes anything at /sink/<name>."""

    url: str = ""
    _arrived: dict[str, bytes] = field(default_factory=dict)
    _events: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    def source(self, name: str) -> str:
        """Where a provider gets the data of `name`."""
        return f"{self.url}/source/{name}"

    def sink(self, name: str) -> str:
        """Where a consumer wants its data."""
        return f"{self.url}/sink/{name}"

    async def pushed(self, name: str) -> bytes:
        """What has come to a sink, as soon as it has."""
        await self._events[name].wait()
        return self._arrived[name]

    async def serve(self, request: web.Request) -> web.Response:
        """GET of a source."""
        return web.Response(body=content_of(request.match_info["name"]))

    async def take(self, request: web.Request) -> web.Response:
        """POST or PUT to a sink."""
        name = request.match_info["name"]
        self._arrived[name] = await request.read()
        self._events[name].set()
        return web.Response()


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    """Source and sink on a free port of loopback."""
    there = Backend()
    app = web.Application(client_max_size=4 * SIZE)
    app.router.add_get("/source/{name}", there.serve)
    app.router.add_route("POST", "/sink/{name}", there.take)
    app.router.add_route("PUT", "/sink/{name}", there.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        there.url = f"http://{host}:{port}"
        yield there
    finally:
        await runner.cleanup()
