"""A management API that records what it is asked and answers what a test told it to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.client import Client, Provider

KEY = "a-key-for-tests"
PROVIDER = Provider("did:web:maker.example", "https://maker.example/dsp/2025-1")


@dataclass
class Asked:
    """One request. `path` is raw, as it was sent."""

    method: str
    path: str
    query: dict[str, str]
    key: str | None
    body: Any


@dataclass
class Api:
    """Answers by "METHOD /path"; a list is worked off in order."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, what: str, body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[what] = (status, raw, headers or {})

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        path = request.raw_path.partition("?")[0]
        body = json.loads(raw) if raw else None
        self.asked.append(Asked(request.method, path, dict(request.query), request.headers.get("X-Api-Key"), body))
        status, answer, headers = self.answers.get(f"{request.method} {path}", (404, b"[]", {}))
        return web.Response(status=status, body=answer, headers=headers, content_type="application/json")


@asynccontextmanager
async def management(api: Api) -> AsyncIterator[Client]:
    """An open client of a server that `api` answers for."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", api.handle)
    server = TestServer(app)
    await server.start_server()
    try:
        async with Client(str(server.make_url("/m")), KEY) as client:
            yield client
    finally:
        await server.close()
