"""`/v3/contractdefinitions`: which assets are offered to whom, and on which terms."""

from typing import Any, Final

from aiohttp import web

from connector.exchange import publish
from connector.exchange.node import Node
from connector.exchange.records import ContractDefinition
from connector.http.management import reading, views
from connector.http.management.border import NODE, answer, done
from connector.http.management.lists import one, page

NOTICE: Final = "X-Connector-Notice"
"""A header that says, in a sentence, what an operator may not have meant although it was done."""
_ALL: Final = {NOTICE: "assetsSelector is empty: this contract definition offers every asset"}


def _definition(node: Node, doc: dict[str, Any], ident: str) -> ContractDefinition:
    return ContractDefinition(
        id=ident,
        created_at=node.clock.now(),
        access_policy_id=reading.text(doc, "accessPolicyId"),
        contract_policy_id=reading.text(doc, "contractPolicyId"),
        selector=reading.selector(doc),
        private_properties=reading.properties(doc, "privateProperties"),
    )


async def _create(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    definition = await publish.add_definition(node, _definition(node, doc, reading.identifier(doc, node)))
    headers = None if definition.selector else _ALL
    return answer(views.created(definition.id, definition.created_at), headers=headers)


async def _change(request: web.Request) -> web.Response:
    """PUT on the collection: EDC's form, the id is in the body."""
    doc = reading.document(request)
    return await _replace(request.app[NODE], doc, reading.text(doc, "@id"))


async def _change_named(request: web.Request) -> web.Response:
    doc = reading.document(request)
    return await _replace(request.app[NODE], doc, reading.same_id(doc, request))


async def _replace(node: Node, doc: dict[str, Any], ident: str) -> web.Response:
    definition = _definition(node, doc, ident)
    await publish.change_definition(node, definition)
    response = done()
    response.headers.update({} if definition.selector else _ALL)
    return response


async def _remove(request: web.Request) -> web.Response:
    await publish.remove_definition(request.app[NODE], reading.named(request))
    return done()


async def _get(request: web.Request) -> web.Response:
    return await one(request, lambda tx: tx.definitions, views.contract_definition)


async def _query(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.definitions, views.contract_definition)


ROUTES: Final = (
    web.post("/v3/contractdefinitions", _create),
    web.put("/v3/contractdefinitions", _change),
    web.post("/v3/contractdefinitions/request", _query),
    web.get("/v3/contractdefinitions/{id}", _get),
    web.put("/v3/contractdefinitions/{id}", _change_named),
    web.delete("/v3/contractdefinitions/{id}", _remove),
)
