"""The node and what its ports are fulfilled by: store, clients, data plane, strategies."""

import importlib
import random
import shutil
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connector.clock import FreshIds, SystemClock
from connector.config import Config
from connector.dataplane.backend import Backends
from connector.dataplane.checked import CheckedSource
from connector.dataplane.files import FileSource
from connector.dataplane.passports import PassportSource
from connector.dataplane.payloads import PayloadSource
from connector.dataplane.plane import EmbeddedDataPlane
from connector.dataplane.proxy import HttpSource
from connector.dataplane.refresh import Refresher
from connector.dataplane.registry import RegistrySource
from connector.dataplane.source import Source
from connector.engine.engine import Engine
from connector.exchange.node import Node
from connector.exchange.passports import BATTERY_PASSPORT
from connector.exchange.ports import Clock, Identity, Notary, Store, Wire
from connector.exchange.publish import PASSPORT_STORE
from connector.exchange.records import CallbackAddress
from connector.exchange.strategy import AutomaticNegotiation, AutomaticTransfer, Manual
from connector.exchange.twins import TWIN_REGISTRY, OwnRegistry
from connector.http.client import Outbound
from connector.http.guard import AddressPolicy
from connector.identity.did import keys_in
from connector.identity.discovery_services import DiscoveryServices
from connector.identity.keys import SigningKey
from connector.identity.resolver import DidResolver
from connector.metrics import Metrics
from connector.metrics.ports import CountedIdentity, CountedNegotiations, CountedSource, CountedTokens, CountedTransfers
from connector.metrics.present import Sources
from connector.passport.notary import KeyNotary
from connector.protocol.did_services import find_dsp_endpoints
from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import VERSION
from connector.semantics.registry import SchemaRegistry, data_folder
from connector.semantics.validation import validate
from connector.storage.sqlite import SqliteStore
from connector.storage.store import DatabaseStore
from connector.wiring.identity import Trust, trust

if TYPE_CHECKING:
    from connector.tracing import Tracing

DATABASE: Final = "connector.sqlite"
SCHEMAS: Final = "schemas"
"""Where in `node.data` the schemas of the operator's own models are remembered."""
_BUILT_IN: Final[dict[str, dict[str, Callable[[], Any]]]] = {
    "negotiation": {"auto": AutomaticNegotiation, "manual": Manual},
    "transfer": {"auto": AutomaticTransfer, "manual": Manual},
}


def make_folder(data: Path) -> None:
    """The folder of a node's files. Raise Invalid with /node/data if it cannot be."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"the folder {data} cannot be made: {error.strerror}", "/node/data") from error


async def open_store(config: Config) -> DatabaseStore:
    """The database that the settings name. Raise LocalError if it cannot be used."""
    if config.database == "sqlite":
        return await SqliteStore.open(config.data / DATABASE)
    try:
        from connector.storage.postgres import PostgresStore  # noqa: PLC0415 - an extra, and costs what a start may cost
    except ImportError as error:
        raise Invalid(
            "PostgreSQL's driver is not installed: pip install 'battery-passport-connector[postgres]'", "/store/url"
        ) from error
    return await PostgresStore.open(config.database)


def open_tracing(config: Config, stack: AsyncExitStack) -> "Tracing | None":
    """What makes spans, if there is somewhere to send them; `stack` sends the last ones."""
    if not config.tracing:
        return None
    try:
        from connector.tracing import Tracing  # noqa: PLC0415 - an extra, and costs what a start may cost
    except ImportError as error:
        raise Invalid(
            "OpenTelemetry is not installed: pip install 'battery-passport-connector[otel]'", "/tracing/endpoint"
        ) from error
    tracing = Tracing.to(config.tracing, config.did)
    stack.push_async_callback(tracing.close)
    return tracing


def present(config: Config, store: DatabaseStore, engine: Engine, clock: Clock) -> Sources:
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


def build_node(
    config: Config,
    database: DatabaseStore,
    key: SigningKey,
    stack: AsyncExitStack,
    metrics: Metrics,
    tracing: "Tracing | None",
) -> tuple[Node, EmbeddedDataPlane, Trust]:
    """The node with every port fulfilled; `stack` closes what had to be opened for it."""
    store = tracing.store(database) if tracing else database
    clock = SystemClock()
    wire, systems = (_client(config, stack, everywhere=every) for every in (config.development, True))
    resolver = DidResolver(wire.get, clock, allow_http=config.url.startswith("http:"))
    trusted = trust(config, database, key, resolver, wire, systems)
    stack.push_async_callback(trusted.close)
    identity = CountedIdentity(trusted.identity, metrics)
    schemas = SchemaRegistry(data_folder("schemas"), models=config.models, remembered=config.data / SCHEMAS)
    notary = KeyNotary(key, schemas, resolver.key, partial(_document_of, resolver), keys_in)
    plane = _data_plane(config, store, key, identity, wire, schemas, notary, stack, metrics)
    node = Node(
        dsp_address=f"{config.dsp_root}/{VERSION}",
        store=store,
        clock=clock,
        ids=FreshIds(),
        identity=identity,
        wire=wire,
        hooks=systems,
        data_plane=plane,
        directory=trusted.directory,
        notary=notary,
        refresher=Refresher(store, identity, wire, clock),
        negotiations=CountedNegotiations(_strategy("negotiation", config.negotiation_strategy), metrics),
        transfers=CountedTransfers(_strategy("transfer", config.transfer_strategy), metrics),
        connectors_of=partial(_connectors_of, resolver),
        twins=OwnRegistry(config.dsp_root, config.data_url),
        makers=_makers(config, systems, identity),
        jitter=random.random,
        holder=trusted.holder,
        callbacks=_callbacks(config),
    )
    return node, plane, trusted


async def _document_of(resolver: DidResolver, did: str) -> Mapping[str, Any]:
    return (await resolver.resolve(did)).json


async def _connectors_of(resolver: DidResolver, did: str) -> tuple[str, ...]:
    return find_dsp_endpoints((await resolver.resolve(did)).json)


def _makers(config: Config, wire: Wire, identity: Identity) -> DiscoveryServices | None:
    if not config.discovery_finder:
        return None
    return DiscoveryServices(wire, identity, finder=config.discovery_finder, did=config.discovery_did)


def _callbacks(config: Config) -> tuple[CallbackAddress, ...]:
    return tuple(
        CallbackAddress(c.uri, c.events, auth_key=c.auth_key, auth_code_id=c.auth_code_id) for c in config.callbacks
    )


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
    notary: Notary,
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
        sources={
            name: CountedSource(s, name, metrics)
            for name, s in _sources(config, store, backends, schemas, notary, identity).items()
        },
        assertions=identity,
        outbound=wire,
    )


def _sources(
    config: Config, store: Store, backends: Backends, schemas: SchemaRegistry, notary: Notary, identity: Identity
) -> dict[str, Source]:
    judge = partial(validate, registry=schemas)
    http = CheckedSource(HttpSource(backends, config.data_url), judge)
    sources: dict[str, Source] = {
        "HttpData": http,
        "ProxyHttpData": http,
        PASSPORT_STORE: PayloadSource(judge),
        BATTERY_PASSPORT: PassportSource(notary, SystemClock()),
        TWIN_REGISTRY: RegistrySource(store, SystemClock(), identity),
    }
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
