"""`/v3/payloads`: publishing a passport in one call. The payload is checked, signed and kept, its asset is made."""

from typing import Final

from aiohttp import web

from connector.exchange import publish
from connector.exchange.records import SEMANTIC_ID, Asset
from connector.http.management import reading, views
from connector.http.management.border import BODY, NODE, answer
from connector.http.management.lists import one
from connector.protocol.errors import Invalid
from connector.semantics.management import read_document


async def _publish(request: web.Request) -> web.Response:
    """The payload is data, not JSON-LD: it is taken out before anything reads the document's names."""
    node, body = request.app[NODE], request[BODY]
    if not isinstance(body, dict) or "payload" not in body:
        raise Invalid("payload is missing: send {semanticId, payload}", "/payload")
    doc = read_document({key: value for key, value in body.items() if key != "payload"})
    semantic_id = reading.optional_text(doc, "semanticId")
    about = {} if semantic_id is None else {SEMANTIC_ID: {"@id": semantic_id}}
    asset = Asset(
        id=reading.named(request),
        created_at=node.clock.now(),
        properties=reading.properties(doc, "properties") | about,
        private_properties=reading.properties(doc, "privateProperties"),
    )
    return answer(views.payload(await publish.publish_payload(node, asset, body["payload"])))


async def _get(request: web.Request) -> web.Response:
    return await one(request, lambda tx: tx.payloads, views.payload)


ROUTES: Final = (
    web.put("/v3/payloads/{id}", _publish),
    web.get("/v3/payloads/{id}", _get),
)
