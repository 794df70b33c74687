"""Health, in the form of EDC's observability API: what orchestrators and the passport viewer ask before they start.

Nobody needs a key for it, so it tells no more than names and up or down; why a component is down stands in the log.
Liveness asks nothing but whether this process answers: a database that is away is no reason to restart the node.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from connector.exchange.ports import Store

PATIENCE_S: Final = 2.0
"""A component that does not answer within this time is down."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """How to tell whether a component is up: `probe` returns if it is, and raises if not."""

    component: str
    probe: Callable[[], Awaitable[object]]


async def _answers() -> None:
    """That this runs is the proof."""


PROCESS: Final = Check("process", _answers)


def store_check(store: Store) -> Check:
    """Whether the database answers: a look-up by key, which costs the same however much is kept."""
    return Check("store", lambda: store.read(lambda tx: tx.assets.find("")))


def health_routes(base: str, checks: Sequence[Check]) -> list[web.RouteDef]:
    """GET {base}/check/health, /readiness, /startup (all of `checks`) and /liveness (the process alone)."""
    whole, alive = _handler((PROCESS, *checks)), _handler((PROCESS,))
    return [
        web.get(f"{base}/check/health", whole),
        web.get(f"{base}/check/readiness", whole),
        web.get(f"{base}/check/startup", whole),
        web.get(f"{base}/check/liveness", alive),
    ]


def _handler(checks: Sequence[Check]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        results = await asyncio.gather(*(_result(check) for check in checks))
        up = all(result["isHealthy"] for result in results)
        body = orjson.dumps({"isSystemHealthy": up, "componentResults": results})
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=body, status=200 if up else 503, content_type="application/json", headers=headers)

    return handler


async def _result(check: Check) -> dict[str, Any]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await check.probe()
    except Exception as error:  # noqa: BLE001 - whatever it is, the component is down
        _log.warning("a component is down", component=check.component, error=repr(error))
        return {"component": check.component, "isHealthy": False, "failure": "it does not answer as it should"}
    return {"component": check.component, "isHealthy": True}
