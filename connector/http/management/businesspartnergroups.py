"""`/v3/business-partner-groups`: which partner is in which groups (Tractus-X), for policies on BusinessPartnerGroup.

A partner is named by its business partner number; a participant id (a DID) is understood too.
"""

from typing import Any, Final

from aiohttp import web

from connector.exchange import partners
from connector.exchange.node import Node
from connector.exchange.records import BusinessPartner
from connector.http.management import reading
from connector.http.management.border import NODE, answer, done
from connector.http.management.lists import one
from connector.http.management.views import document
from connector.protocol.errors import Invalid, NotFound


def _view(record: BusinessPartner) -> dict[str, Any]:
    return document("tx:BusinessPartner", record.id, {"tx:groups": list(record.groups)})


def _partner(node: Node, doc: dict[str, Any], ident: str) -> BusinessPartner:
    groups = doc.get("groups")
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise Invalid("tx:groups is a list of names", "/tx:groups", groups)
    return BusinessPartner(ident, node.clock.now(), tuple(dict.fromkeys(groups)))


async def _create(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    await partners.add(node, _partner(node, doc, reading.text(doc, "@id")))
    return done()


async def _change(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    await partners.change(node, _partner(node, doc, reading.text(doc, "@id")))
    return done()


async def _remove(request: web.Request) -> web.Response:
    await partners.remove(request.app[NODE], reading.named(request))
    return done()


async def _get(request: web.Request) -> web.Response:
    return await one(request, lambda tx: tx.partners, _view)


async def _groups(request: web.Request) -> web.Response:
    found = await partners.members(request.app[NODE])
    return answer(document("tx:BusinessPartnerGroups", None, {"tx:groups": list(found)}))


async def _members(request: web.Request) -> web.Response:
    group = reading.named(request, "group")
    found = (await partners.members(request.app[NODE])).get(group)
    if found is None:
        raise NotFound(f"nobody is in a group {group}", value=group)
    return answer(document("tx:BusinessPartnerGroup", group, {"tx:bpns": found}))


_BASE: Final = "/v3/business-partner-groups"
ROUTES: Final = (
    web.post(_BASE, _create),
    web.put(_BASE, _change),
    web.get(f"{_BASE}/groups", _groups),
    web.get(f"{_BASE}/group/{{group}}", _members),
    web.get(f"{_BASE}/{{id}}", _get),
    web.delete(f"{_BASE}/{{id}}", _remove),
)
