"""A data source that serves a signed payload with one number changed, and the proof of the original beside it."""

import json
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from connector.client import DataAddress
from connector.http.server import Listener, serve
from connector.sandbox.ports import HOST

_PROOF: Final = ("Content-Digest", "Payload-Signature", "Payload-Semantic-Id")


class Altered:
    """Serves the altered data while it is open; `url` is where, `change` says what was changed."""

    ASSET_ID: Final = "passport-altered-behind-its-signature"

    def __init__(self, original: DataAddress) -> None:
        self._original = original
        self._listener: Listener | None = None
        self.url = ""
        self.change = ""

    async def __aenter__(self) -> Self:
        headers = {"Authorization": self._original.authorization}
        async with aiohttp.ClientSession() as session, session.get(self._original.endpoint, headers=headers) as answer:
            proof = {name: answer.headers[name] for name in _PROOF}
            body = json.dumps(self._changed(await answer.json())).encode()

        async def show(_: web.Request) -> web.Response:
            return web.Response(body=body, content_type="application/json", headers=proof)

        app = web.Application()
        app.add_routes([web.get("/passport", show)])
        self._listener = await serve(app, HOST, 0)
        self.url = f"{self._listener.url}/passport"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            await self._listener.close()

    def _changed(self, passport: dict[str, Any]) -> dict[str, Any]:
        """Halve a recycled share's complement: the kind of number that somebody might want to be better."""
        nickel = passport["materials"]["active"]["nickel"]
        before = nickel["recycled"]
        nickel["recycled"] = (100 + before) / 2
        self.change = f"recycled nickel: {before:g} % has become {nickel['recycled']:g} %; the signature is the old one"
        return passport
