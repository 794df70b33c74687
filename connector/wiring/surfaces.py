"""The two listeners: what strangers reach, and what operators reach."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from connector.config import DATA_PATH, DCP_PATH, DSP_PATH, STS_PATH, Config
from connector.dataplane.plane import EmbeddedDataPlane
from connector.engine.engine import Engine
from connector.exchange.node import Node
from connector.http.dcp import dcp_routes
from connector.http.dcp import render as render_dcp
from connector.http.did import did_routes
from connector.http.did import render as render_plain
from connector.http.door import Door, Refusals
from connector.http.dsp import dsp_application
from connector.http.health import disk_check, leaving_check, outbox_check, writer_check
from connector.http.limits import Allowed
from connector.http.management import management_app
from connector.http.middleware import application
from connector.http.passport_page import PassportPages
from connector.http.public import public_routes
from connector.http.public import render as render_public
from connector.http.server import Limits, Listener, serve
from connector.http.sts import render as render_sts
from connector.http.sts import sts_routes
from connector.http.tls import Reloader
from connector.http.twins import TWINS_PATH, twins_app
from connector.identity.dcp_messages import CREDENTIAL_SERVICE
from connector.identity.did import did_document_path
from connector.identity.former_keys import NodeKeys
from connector.identity.tokens import LIFETIME_S
from connector.identity.wallet import Wallet
from connector.metrics import Metrics
from connector.metrics.requests import timed
from connector.protocol.did_services import service_entries
from connector.wiring.identity import Trust


async def open_public(
    config: Config,
    node: Node,
    plane: EmbeddedDataPlane,
    engine: Engine,
    keys: NodeKeys,
    trusted: Trust,
    metrics: Metrics,
    limits: Limits,
    refusals: Refusals,
    watching: Sequence[Middleware],
) -> Listener:
    """Begin to serve strangers; `watching` sees every request first."""
    tls = _tls(config)
    app = _public(config, node, plane, engine, keys, trusted.wallet, _door(config, refusals))
    app.middlewares.insert(0, timed(metrics, "did", {DSP_PATH: "dsp", DATA_PATH: "data-plane", DCP_PATH: "dcp"}))
    app.middlewares[:0] = watching
    return await serve(
        app,
        config.host,
        config.port,
        tls=tls.context if tls else None,
        limits=limits,
        exact_below=DATA_PATH,
        refused=refusals.note,
    )


async def open_private(
    config: Config,
    node: Node,
    engine: Engine,
    trusted: Trust,
    metrics: Metrics,
    limits: Limits,
    refusals: Refusals,
    watching: Sequence[Middleware],
    leaving: asyncio.Event,
) -> Listener:
    """Begin to serve operators; `watching` sees every request first."""
    door = Door(Allowed(failures_per_minute=config.wrong_keys_per_minute), refusals)
    app = _private(config, node, engine, metrics, leaving, door)
    if trusted.sts is not None and config.sts_client_id:
        tokens = application(render_sts)
        client = (config.sts_client_id, config.sts_client_secret)
        tokens.add_routes(sts_routes(trusted.sts, *client, lifetime_s=LIFETIME_S, door=door))
        app.add_subapp(STS_PATH, tokens)
    app.middlewares[:0] = watching
    return await serve(app, config.management_host, config.management_port, limits=limits, refused=refusals.note)


def limits_of(config: Config) -> Limits:
    """How many connections each listener takes, and how long they may last when it closes."""
    return Limits(
        connections=config.connections,
        connections_per_address=config.connections_per_address,
        grace_s=2 * config.grace,  # one half before they are cancelled, one after it
    )


def _tls(config: Config) -> Reloader | None:
    if config.certificate and config.certificate_key:
        return Reloader(config.certificate, config.certificate_key)
    return None


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
    config: Config,
    node: Node,
    plane: EmbeddedDataPlane,
    engine: Engine,
    keys: NodeKeys,
    wallet: Wallet | None,
    door: Door,
) -> web.Application:
    """What strangers reach: the DID document, the protocol, the data plane, the wallet."""
    root = application(render_plain, below={DATA_PATH: render_public})
    if config.did.startswith("did:web:") and not config.sts_url:  # an external wallet publishes its own key
        root.add_routes(did_routes(did_document_path(config.did), keys.document(_services(config))))
    if config.passport_pages:
        root.add_routes(PassportPages(node, config.url, door).routes())
    root.add_subapp(DSP_PATH, dsp_application(node, engine.release, engine.dispatcher.heard, door=door))
    if wallet is not None:
        credential_service = application(render_dcp)
        credential_service.add_routes(dcp_routes(wallet, door))
        root.add_subapp(DCP_PATH, credential_service)
    root.add_routes(public_routes(plane, DATA_PATH, door))  # no application of its own: a pull would pay for it
    return root


def _services(config: Config) -> list[dict[str, Any]]:
    """What our DID document names: the connector, and with DCP the wallet."""
    entries = service_entries(config.did, config.dsp_root)
    if config.built_in_wallet:
        entries.append({"id": f"{config.did}#wallet", "type": CREDENTIAL_SERVICE, "serviceEndpoint": config.dcp_url})
    return entries


def _private(
    config: Config, node: Node, engine: Engine, metrics: Metrics, leaving: asyncio.Event, door: Door
) -> web.Application:
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
        door=door,
    )
    app.add_subapp(TWINS_PATH, twins_app(node, config.management_key, door))
    app.middlewares.insert(0, timed(metrics, "management"))
    return app
