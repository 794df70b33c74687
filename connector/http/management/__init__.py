"""The management API: EDC's v3 with the extensions of Tractus-X, so that their clients work unchanged, and our own.

    app = management_app(node, engine, api_key=config.management_key)
    listener = await serve(app, "127.0.0.1", 8181)

One module per resource: read the request, call a use case, show the record. `border` holds what all requests share.
The contract is `docs/openapi/management.yaml`; a test proves it equal to the routes.
"""

from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from connector.exchange.find import Finder
from connector.exchange.node import Node
from connector.exchange.passports import BATTERY_PASSPORT
from connector.exchange.ports import Waiter
from connector.exchange.publish import PASSPORT_STORE
from connector.exchange.twins import TWIN_REGISTRY
from connector.http.door import Door
from connector.http.health import Check, health_routes, store_check
from connector.http.management import (
    assets,
    businesspartnergroups,
    catalog,
    contractagreements,
    contractdefinitions,
    contractnegotiations,
    credentials,
    deadletters,
    discovery,
    edrs,
    equipment,
    finding,
    passports,
    payloads,
    policies,
    policydefinitions,
    transferprocesses,
    vault,
)
from connector.http.management.border import MAX_BODY, NODE, WAITER, bodies, guard, render
from connector.http.metrics import metrics_routes
from connector.http.middleware import application
from connector.protocol.errors import Invalid

_RESOURCES: Final = (
    *(assets, policydefinitions, policies, businesspartnergroups, contractdefinitions),
    *(catalog, contractnegotiations, contractagreements),
    *(transferprocesses, edrs, payloads, passports, finding, vault, discovery, equipment, credentials, deadletters),
)
SOURCE_TYPES: Final = ("HttpData", "ProxyHttpData", "File", PASSPORT_STORE, BATTERY_PASSPORT, TWIN_REGISTRY)


def management_routes() -> list[web.RouteDef]:
    """Every route of the API, relative to its base path."""
    return [route for resource in _RESOURCES for route in resource.ROUTES]


def management_app(
    node: Node,
    engine: Waiter,
    *,
    api_key: str,
    base_path: str = "/management",
    data_url: str = "",
    source_types: Sequence[str] = SOURCE_TYPES,
    checks: Sequence[Check] = (),
    metrics: Callable[[], bytes] | None = None,
    door: Door | None = None,
) -> web.Application:
    """The application: the API below `base_path` behind `api_key`, health below `base_path` and /api without it.

    data_url, source_types: what `/v3/dataplanes` tells of the embedded data plane. checks: health beyond the store's.
    metrics: gives the node's figures in the text format of Prometheus, for /metrics at the root and below `base_path`,
    without the key as well. door: counts wrong keys; none unless given.
    Other surfaces may be added to it with `add_subapp`; they are not behind the key. Raise Invalid for a base path
    that is not one, or an empty key.
    """
    base = f"/{base_path.strip('/')}"
    if base == "/" or not api_key:
        raise Invalid("the management API needs a base path other than / and an API key")
    api = web.Application(middlewares=[guard(api_key, door), bodies], client_max_size=MAX_BODY)
    api[NODE], api[WAITER] = node, engine
    api[finding.FINDER] = Finder(node, engine)
    api[equipment.PLANE] = equipment.EmbeddedPlane(data_url, tuple(source_types))
    api.add_routes(management_routes())
    app = application(render, max_bytes=MAX_BODY)
    probed = (store_check(node.store), *checks)
    for prefix in dict.fromkeys((base, "/api")):
        app.add_routes(health_routes(prefix, probed))
    if metrics is not None:
        for prefix in (base, ""):
            app.add_routes(metrics_routes(prefix, metrics))
    app.add_subapp(base, api)
    return app
