"""Health, in the form of EDC's observability API: what orchestrators and the passport viewer ask before they start.

Nobody needs a key for it, so it tells no more than names and up or down; why a component is down stands in the log.
Liveness asks nothing but whether this process answers: a database that is away is no reason to restart the node.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from connector.exchange.ports import Store
from connector.protocol.errors import LocalError

PATIENCE_S: Final = 2.0
"""A component that does not answer within this time is down."""
OVERDUE_MS: Final = 300_000
LEAST_SPACE: Final = 64 << 20

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


def writer_check(store: Store) -> Check:
    """Whether the database can be written to: a transaction that changes nothing, in the writer's own turn."""
    return Check("store-writer", lambda: store.run(lambda _: None))


def outbox_check(due_since: Callable[[], int | None], now: Callable[[], int]) -> Check:
    """Whether messages leave: down if one has waited too long for an attempt that was due (both in ms).

    A peer that is away does not bring a node down: its messages are due later.
    """

    async def probe() -> None:
        due = due_since()
        if due is not None and now() - due > OVERDUE_MS:
            raise LocalError(f"a message has been due for {(now() - due) // 1000} s and nothing has tried to send it")

    return Check("outbox", probe)


def disk_check(folder: Path, *, least: int = LEAST_SPACE) -> Check:
    """Whether there is space left where the database grows, in bytes."""

    async def probe() -> None:
        free = (await asyncio.to_thread(shutil.disk_usage, folder)).free
        if free < least:
            raise LocalError(
                f"{folder} has only {free >> 20} MiB left: make space, or the node cannot keep its promises"
            )

    return Check("disk", probe)


def leaving_check(leaving: Callable[[], bool]) -> Check:
    """Whether the node goes on: down from the moment that it is told to stop, while it finishes what was begun."""

    async def probe() -> None:
        if leaving():
            raise LocalError("the node has been told to stop")

    return Check("node", probe)


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
