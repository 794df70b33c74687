"""Builds a node from its settings: the only package that knows all the others.

A node is an object, not the process: `start` may be called several times in one process, each with its own settings,
database and listeners.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from connector import observability
from connector.config import Config
from connector.engine.engine import Engine
from connector.exchange import credentials
from connector.exchange.hold import hold
from connector.exchange.node import Node
from connector.http.door import Refusals
from connector.http.server import Listener, stop_signal
from connector.identity.former_keys import NodeKeys, open_node_keys
from connector.metrics import Metrics
from connector.storage.store import DatabaseStore, SharedStore
from connector.wiring.parts import DATABASE, build_node, make_folder, open_store, open_tracing, present
from connector.wiring.surfaces import limits_of, open_private, open_public

__all__ = ["DATABASE", "KEY_FILE", "RunningNode", "run", "start"]
KEY_FILE: Final = "signing-key.pem"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that is up. `public` and `management` are its listeners' real addresses."""

    node: Node
    engine: Engine
    public: Listener
    management: Listener


async def run(config: Config, announce: Callable[[RunningNode], Awaitable[None]] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once everything listens."""
    observability.configure(config.log_level, config.log_format)
    stopping = asyncio.create_task(stop_signal())  # before anybody can know that there is a node to stop
    try:
        async with start(config) as running:
            log.info("ready", did=config.did, dsp=running.node.dsp_address, management=running.management.url)
            if announce is not None:
                await announce(running)
            log.info("stopping", signal=(await stopping).name)
    finally:
        stopping.cancel()


@asynccontextmanager
async def start(config: Config) -> AsyncIterator[RunningNode]:
    """A running node. Raise LocalError if a setting, a file, a port or the database does not allow it."""
    async with AsyncExitStack() as stack:
        make_folder(config.data)
        metrics = Metrics()
        store = await open_store(config)
        store.listen(metrics.committed)
        stack.push_async_callback(store.close)
        keys = await _open_keys(config, store)
        tracing = open_tracing(config, stack)
        node, plane, trusted = build_node(config, store, keys.current, stack, metrics, tracing)
        engine = Engine(node, lambda attempt: metrics.deliveries(tracing.deliveries(attempt) if tracing else attempt))
        metrics.read(present(config, store, engine, node.clock))
        stack.push_async_callback(engine.close)
        with hold() as promised:  # a peer that hears from us must be able to reach us, if only to check our token
            await engine.start()
        limits, refusals = limits_of(config), Refusals(lambda limit: metrics.count("connector_limited_total", limit))
        watching = [tracing.requests()] if tracing else []
        public = await open_public(config, node, plane, engine, keys, trusted, metrics, limits, refusals, watching)
        stack.push_async_callback(public.close)
        leaving = asyncio.Event()
        management = await open_private(config, node, engine, trusted, metrics, limits, refusals, watching, leaving)
        stack.push_async_callback(management.close)
        stack.push_async_callback(_leave, leaving, engine, public, config.grace)
        engine.dispatcher.release(promised)
        if (holder := node.holder) is not None:
            await store.run(lambda tx: credentials.look(tx, holder, now=node.clock.now(), ids=node.ids))
        yield RunningNode(node, engine, public, management)


async def _open_keys(config: Config, store: DatabaseStore) -> NodeKeys:
    """The node's keys. That its key file was replaced by hand is said: who misses proofs is a reader, much later."""
    keys = open_node_keys(config.key or config.data / KEY_FILE, config.did)
    kid = keys.current.kid
    if isinstance(store, SharedStore):
        await store.belong(config.did, kid)
    elif (before := await store.signs_with(config.did, kid)) and before not in (key.kid for key in keys.former):
        log.warning(
            "the signing key was replaced, and the DID document does not publish the former one: what that one has"
            " signed fails at readers. Publish passports and payloads again, or put the former key back and run"
            " `connector key rotate`",
            kid=kid,
            former=before,
        )
    return keys


async def _leave(leaving: asyncio.Event, engine: Engine, public: Listener, grace_s: float) -> None:
    """Finish what was begun and begin nothing new: readiness says so first, and the listener for peers ends last.

    A peer that gets our message fetches our DID document to check it, so nothing is under way any more when that goes.
    """
    leaving.set()
    engine.stop_waiting()
    await engine.dispatcher.drain(grace_s)
    await public.close()
