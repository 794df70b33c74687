"""Builds a node from its settings: the only module that knows all the others.

A node is an object, not the process: `start` may be called several times in one process, each with its own settings,
database and listeners.
"""

import asyncio
import importlib
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from connector import observability
from connector.clock import FreshIds, SystemClock
from connector.config import DATA_PATH, DSP_PATH, Config
from connector.dataplane.backend import Backends
from connector.dataplane.checked import CheckedSource
from connector.dataplane.files import FileSource
from connector.dataplane.payloads import PayloadSource
from connector.dataplane.plane import EmbeddedDataPlane
from connector.dataplane.proxy import HttpSource
from connector.dataplane.refresh import Refresher
from connector.dataplane.source import Source
from connector.engine.engine import Engine
from connector.exchange.hold import hold
from connector.exchange.node import Node
from connector.exchange.ports import Clock, Identity, Store
from connector.exchange.publish import PASSPORT_STORE
from connector.exchange.records import CallbackAddress
from connector.exchange.strategy import AutomaticNegotiation, AutomaticTransfer, Manual
from connector.http.client import Outbound
from connector.http.did import did_routes
from connector.http.did import render as render_plain
from connector.http.door import Door, Refusals
from connector.http.dsp import dsp_application
from connector.http.guard import AddressPolicy
from connector.http.health import disk_check, leaving_check, outbox_check, writer_check
from connector.http.limits import Allowed
from connector.http.management import management_app
from connector.http.middleware import application
from connector.http.public import public_routes
from connector.http.public import render as render_public
from connector.http.server import Limits, Listener, serve, stop_signal
from connector.http.tls import Reloader
from connector.identity.credential_checks import CredentialChecks
from connector.identity.credential_schemas import CredentialSchemas
from connector.identity.dcp import DcpIdentity
from connector.identity.dcp_messages import CREDENTIAL_SERVICE
from connector.identity.did import did_document, did_document_path
from connector.identity.didweb import DidIdentity
from connector.identity.directory import Directory
from connector.identity.keys import SigningKey, load_or_create
from connector.identity.mock import MockIdentity
from connector.identity.proofs import Proofs
from connector.identity.replay import ReplayGuard
from connector.identity.resolver import DidResolver
from connector.identity.scopes import read_scopes
from connector.identity.status_lists import StatusLists
from connector.identity.sts import EmbeddedTokenService
from connector.identity.tokens import TokenVerifier
from connector.identity.trusted_issuers import TrustedIssuers
from connector.identity.wallets import Wallets
from connector.metrics import Metrics
from connector.metrics.ports import CountedIdentity, CountedNegotiations, CountedSource, CountedTokens, CountedTransfers
from connector.metrics.present import Sources
from connector.metrics.requests import timed
from connector.passport.notary import KeyNotary
from connector.protocol.did_services import find_dsp_endpoints, service_entries
from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import VERSION
from connector.semantics.registry import SchemaRegistry, data_folder
from connector.semantics.validation import validate
from connector.storage.sqlite import SqliteStore
from connector.storage.store import DatabaseStore, SharedStore

DATABASE: Final = "connector.sqlite"
KEY_FILE: Final = "signing-key.pem"
SCHEMAS: Final = "schemas"
"""Where in `node.data` the schemas of the operator's own models are remembered."""
_BUILT_IN: Final[dict[str, dict[str, Callable[[], Any]]]] = {
    "negotiation": {"auto": AutomaticNegotiation, "manual": Manual},
    "transfer": {"auto": AutomaticTransfer, "manual": Manual},
}
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
        _make_folder(config.data)
        metrics = Metrics()
        store = await _store(config)
        store.listen(metrics.committed)
        stack.push_async_callback(store.close)
        key = load_or_create(config.key or config.data / KEY_FILE, config.did)
        if isinstance(store, SharedStore):
            await store.belong(config.did, key.kid)
        node, plane = _node(config, store, key, stack, metrics)
        engine = Engine(node, metrics.deliveries)
        metrics.read(_present(config, store, engine, node.clock))
        stack.push_async_callback(engine.close)
        with hold() as promised:  # a peer that hears from us must be able to reach us, if only to check our token
            await engine.start()
        tls = _tls(config)
        refusals = Refusals(lambda limit: metrics.count("connector_limited_total", limit))
        public_app = _public(config, node, plane, engine, key, _door(config, refusals))
        public_app.middlewares.insert(0, timed(metrics, "did", {DSP_PATH: "dsp", DATA_PATH: "data-plane"}))
        context = tls.context if tls else None
        limits = Limits(
            connections=config.connections,
            connections_per_address=config.connections_per_address,
            grace_s=2 * config.grace,  # one half before they are cancelled, one after it
        )
        public = await serve(
            public_app,
            config.host,
            config.port,
            tls=context,
            limits=limits,
            exact_below=DATA_PATH,
            refused=refusals.note,
        )
        stack.push_async_callback(public.close)
        leaving = asyncio.Event()
        private = _private(config, node, engine, metrics, leaving)
        management = await serve(
            private, config.management_host, config.management_port, limits=limits, refused=refusals.note
        )
        stack.push_async_callback(management.close)
        stack.push_async_callback(_leave, leaving, engine, public, config.grace)
        engine.dispatcher.release(promised)
        yield RunningNode(node, engine, public, management)


async def _leave(leaving: asyncio.Event, engine: Engine, public: Listener, grace_s: float) -> None:
    """Finish what was begun and begin nothing new: readiness says so first, and the listener for peers ends last.

    A peer that gets our message fetches our DID document to check it, so nothing is under way any more when that goes.
    """
    leaving.set()
    engine.stop_waiting()
    await engine.dispatcher.drain(grace_s)
    await public.close()


def _tls(config: Config) -> Reloader | None:
    if config.certificate and config.certificate_key:
        return Reloader(config.certificate, config.certificate_key)
    return None


def _make_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"the folder {data} cannot be made: {error.strerror}", "/node/data") from error


async def _store(config: Config) -> DatabaseStore:
    if config.database == "sqlite":
        return await SqliteStore.open(config.data / DATABASE)
    try:
        from connector.storage.postgres import PostgresStore  # noqa: PLC0415 - an extra, and costs what a start may cost
    except ImportError as error:
        raise Invalid(
            "PostgreSQL's driver is not installed: pip install 'battery-passport-connector[postgres]'", "/store/url"
        ) from error
    return await PostgresStore.open(config.database)


def _present(config: Config, store: DatabaseStore, engine: Engine, clock: Clock) -> Sources:
    """What metrics read from memory when somebody asks."""
    dispatcher = engine.dispatcher
    return Sources(
        now=clock.now,
        waiting=lambda: dispatcher.waiting,
        oldest=lambda: dispatcher.oldest,
        due_since=lambda: dispatcher.due_since,
        statements=lambda: store.statements,
        batches=lambda: store.batches,
        failures=lambda: store.failures,
        free_bytes=lambda: shutil.disk_usage(config.data).free,
    )


def _node(
    config: Config, store: Store, key: SigningKey, stack: AsyncExitStack, metrics: Metrics
) -> tuple[Node, EmbeddedDataPlane]:
    clock, ids, directory = SystemClock(), FreshIds(), Directory(config.directory)
    wire = _client(config, stack, everywhere=config.development)
    resolver = DidResolver(wire.get, clock, allow_http=config.url.startswith("http:"))
    identity = CountedIdentity(_identity(config, store, key, resolver, directory, wire), metrics)
    schemas = SchemaRegistry(data_folder("schemas"), models=config.models, remembered=config.data / SCHEMAS)
    plane = _data_plane(config, store, key, identity, wire, schemas, stack, metrics)

    async def connectors_of(did: str) -> tuple[str, ...]:
        return find_dsp_endpoints((await resolver.resolve(did)).json)

    node = Node(
        dsp_address=f"{config.dsp_root}/{VERSION}",
        store=store,
        clock=clock,
        ids=ids,
        identity=identity,
        wire=wire,
        hooks=_client(config, stack, everywhere=True),
        data_plane=plane,
        directory=directory,
        notary=KeyNotary(key, schemas, resolver.key),
        refresher=Refresher(store, identity, wire, clock),
        negotiations=CountedNegotiations(_strategy("negotiation", config.negotiation_strategy), metrics),
        transfers=CountedTransfers(_strategy("transfer", config.transfer_strategy), metrics),
        connectors_of=connectors_of,
        jitter=random.random,
        callbacks=tuple(
            CallbackAddress(c.uri, c.events, auth_key=c.auth_key, auth_code_id=c.auth_code_id) for c in config.callbacks
        ),
    )
    return node, plane


def _client(config: Config, stack: AsyncExitStack, *, everywhere: bool) -> Outbound:
    """A client to peers; `everywhere` lets it reach what strangers must not make us call."""
    policy = AddressPolicy(allow_loopback=everywhere, allow_private=everywhere, allow_http=everywhere)
    client = Outbound(policy, trust=config.trust)
    stack.push_async_callback(client.close)
    return client


def _data_plane(
    config: Config,
    store: Store,
    key: SigningKey,
    identity: Identity,
    wire: Outbound,
    schemas: SchemaRegistry,
    stack: AsyncExitStack,
    metrics: Metrics,
) -> EmbeddedDataPlane:
    backends = Backends()
    stack.push_async_callback(backends.close)
    return EmbeddedDataPlane(
        public_url=config.data_url,
        store=store,
        clock=SystemClock(),
        tokens=CountedTokens(key, SystemClock(), config.token_lifetime, metrics=metrics),
        sources={name: CountedSource(s, name, metrics) for name, s in _sources(config, backends, schemas).items()},
        assertions=identity,
        outbound=wire,
    )


def _identity(
    config: Config, store: Store, key: SigningKey, resolver: DidResolver, directory: Directory, wire: Outbound
) -> Identity:
    if config.identity == "mock":
        return MockIdentity(config.did, directory, anonymous=config.identity_anonymous or None)
    clock, ids = SystemClock(), FreshIds()
    guard = ReplayGuard(clock, shared=store if isinstance(store, SharedStore) else None)
    verifier = TokenVerifier(config.did, resolver, guard, clock)
    if config.identity == "did":
        return DidIdentity(key, verifier, directory, clock, ids)
    sts, proofs = EmbeddedTokenService(key, clock, ids), Proofs(resolver, clock)
    fetch = partial(wire.get, accept="*/*")  # some issuers serve nothing to those who name what they can read
    checks = CredentialChecks(
        TrustedIssuers(config.trusted_issuers),
        proofs,
        CredentialSchemas(fetch, clock),
        StatusLists(fetch, proofs, clock),
        clock,
    )
    return DcpIdentity(
        sts,
        verifier,
        Wallets(resolver, sts, wire),
        proofs,
        checks,
        directory,
        clock,
        scopes=read_scopes(config.scopes),
        optional=read_scopes(config.optional_scopes, "/identity/optional_scopes"),
        keep_s=config.keep_credentials,
    )


def _sources(config: Config, backends: Backends, schemas: SchemaRegistry) -> dict[str, Source]:
    judge = partial(validate, registry=schemas)
    http = CheckedSource(HttpSource(backends, config.data_url), judge)
    sources: dict[str, Source] = {"HttpData": http, "ProxyHttpData": http, PASSPORT_STORE: PayloadSource(judge)}
    if config.files is not None:
        sources["File"] = CheckedSource(FileSource(config.files), judge)
    return sources


def _strategy(kind: str, name: str) -> Any:  # noqa: ANN401 - either kind; mypy cannot see into a plug-in
    """A strategy by its built-in name, or a plug-in by `package.module:Class`."""
    if (built_in := _BUILT_IN[kind].get(name)) is not None:
        return built_in()
    module, _, attribute = name.partition(":")
    place, known = f"/strategy/{kind}", ", ".join(_BUILT_IN[kind])
    try:
        strategy = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # a plug-in may fail in any way
        raise Invalid(f"no {kind} strategy {name}: use {known} or package.module:Class ({error})", place) from error
    if not callable(getattr(strategy, "decide", None)):
        raise Invalid(f"the {kind} strategy {name} has no method decide", place)
    return strategy


def _door(config: Config, refusals: Refusals) -> Door:
    """The limits of those who come to the public side."""
    allowed = Allowed(
        requests_per_second=config.requests_per_second,
        burst=config.burst,
        requests_at_once=config.requests_at_once,
        negotiations=config.negotiations,
        transfers=config.transfers,
        pulls_at_once=config.pulls_at_once,
        failures_per_minute=config.failures_per_minute,
    )
    return Door(allowed, refusals)


def _public(
    config: Config, node: Node, plane: EmbeddedDataPlane, engine: Engine, key: SigningKey, door: Door
) -> web.Application:
    """What strangers reach: the DID document, the protocol, the data plane."""
    root = application(render_plain)
    if config.did.startswith("did:web:"):
        document = did_document(config.did, [key], _services(config))
        root.add_routes(did_routes(did_document_path(config.did), document))
    root.add_subapp(DSP_PATH, dsp_application(node, engine.release, engine.dispatcher.heard, door=door))
    data = application(render_public)
    data.add_routes(public_routes(plane, "", door))
    root.add_subapp(DATA_PATH, data)
    return root


def _services(config: Config) -> list[dict[str, Any]]:
    """What our DID document names: the connector, and with DCP the wallet."""
    entries = service_entries(config.did, config.dsp_root)
    if config.identity == "dcp":
        entries.append({"id": f"{config.did}#wallet", "type": CREDENTIAL_SERVICE, "serviceEndpoint": config.dcp_url})
    return entries


def _private(config: Config, node: Node, engine: Engine, metrics: Metrics, leaving: asyncio.Event) -> web.Application:
    """What operators reach: the management API, health, metrics."""
    checks = [
        leaving_check(leaving.is_set),
        writer_check(node.store),
        outbox_check(lambda: engine.dispatcher.due_since, node.clock.now),
    ]
    if config.database == "sqlite":
        checks.append(disk_check(config.data))
    app = management_app(
        node,
        engine,
        api_key=config.management_key,
        base_path=config.management_path,
        data_url=config.data_url,
        checks=checks,
        metrics=metrics.text,
    )
    app.middlewares.insert(0, timed(metrics, "management"))
    return app
