"""Where a monitoring system scrapes a node: on the management listener, without a key, as the health checks are.

The listener is on loopback by default, and the figures name no partner, no asset and no secret. Where it listens on
more, what stands in front of it must keep the path from strangers: how much a company trades is its own business.
"""

from collections.abc import Callable
from typing import Final

from aiohttp import web

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def metrics_routes(base: str, text: Callable[[], bytes]) -> list[web.RouteDef]:
    """GET {base}/metrics; `text` gives everything in the text format of Prometheus, 0.0.4."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=text(), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    return [web.get(f"{base}/metrics", handler)]
