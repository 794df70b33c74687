"""`/v3/secrets`: values that data addresses and callbacks refer to by name.

GET shows the value, as EDC does: whoever has the key of this API may use every secret anyway. There is no query that
would list them.
"""

from typing import Any, Final

from aiohttp import web

from connector.exchange import publish
from connector.exchange.node import Node
from connector.exchange.records import Secret
from connector.http.management import reading, views
from connector.http.management.border import NODE, answer, done
from connector.protocol.errors import Invalid


def _secret(node: Node, doc: dict[str, Any], ident: str) -> Secret:
    value = doc.get("value")
    if not isinstance(value, str) or not value:
        raise Invalid("value is a text that is not empty", "/value")  # what stood there is not repeated
    return Secret(ident, node.clock.now(), value)


async def _create(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    secret = await publish.add_secret(node, _secret(node, doc, reading.identifier(doc, node)))
    return answer(views.created(secret.id, secret.created_at))


async def _change(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    await publish.change_secret(node, _secret(node, doc, reading.text(doc, "@id")))
    return done()


async def _get(request: web.Request) -> web.Response:
    ident = reading.named(request)
    secret = await request.app[NODE].store.read(lambda tx: tx.secrets.get(ident))
    return answer(views.secret(secret), headers={"Cache-Control": "no-store"})


async def _remove(request: web.Request) -> web.Response:
    await publish.remove_secret(request.app[NODE], reading.named(request))
    return done()


ROUTES: Final = (
    web.post("/v3/secrets", _create),
    web.put("/v3/secrets", _change),
    web.get("/v3/secrets/{id}", _get),
    web.delete("/v3/secrets/{id}", _remove),
)
