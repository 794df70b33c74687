"""`/v3/assets`: what the node has to offer."""

from typing import Any, Final

from aiohttp import web

from connector.exchange import publish
from connector.exchange.node import Node
from connector.exchange.records import Asset
from connector.http.management import reading, views
from connector.http.management.border import NODE, answer, done
from connector.http.management.lists import one, page
from connector.protocol.errors import Invalid


def _asset(node: Node, doc: dict[str, Any], ident: str) -> Asset:
    if "properties" not in doc:
        raise Invalid("properties are missing; send {} if there are none", "/properties")
    return Asset(
        id=ident,
        created_at=node.clock.now(),
        properties=reading.properties(doc, "properties"),
        private_properties=reading.properties(doc, "privateProperties"),
        data_address=reading.address(doc, "dataAddress") or {},
    )


async def _create(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    asset = await publish.add_asset(node, _asset(node, doc, reading.identifier(doc, node)))
    return answer(views.created(asset.id, asset.created_at))


async def _change(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    await publish.change_asset(node, _asset(node, doc, reading.text(doc, "@id")))
    return done()


async def _remove(request: web.Request) -> web.Response:
    await publish.remove_asset(request.app[NODE], reading.named(request))
    return done()


async def _get(request: web.Request) -> web.Response:
    return await one(request, lambda tx: tx.assets, views.asset)


async def _query(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.assets, views.asset)


ROUTES: Final = (
    web.post("/v3/assets", _create),
    web.put("/v3/assets", _change),
    web.post("/v3/assets/request", _query),
    web.get("/v3/assets/{id}", _get),
    web.delete("/v3/assets/{id}", _remove),
)
