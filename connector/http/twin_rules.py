"""Rules of who sees what of twins, and whether a partner may fetch an address, for the registry's owner.

Beside the registry of the standard, and like it in the reference registry of Catena-X: so the tools that manage rules
there do it here, and a data plane elsewhere can ask before it lets anybody have a submodel. Mounted with `http.twins`.
"""

from collections.abc import Sequence
from typing import Final

import orjson
from aiohttp import web

from connector.exchange import twin_readers
from connector.http.body import read_json
from connector.http.management.border import NODE
from connector.protocol.errors import PeerError
from connector.protocol.reading import checked, obj, text
from connector.twins.rules import AccessRule
from connector.twins.shell import MAX_SUBJECT

MAX_RULE: Final = 64 << 10
"""Bytes."""
_RULES: Final = "/access-controls/rules"
_RULE: Final = f"{_RULES}/{{rule}}"


def rule_routes() -> Sequence[web.RouteDef]:
    """Every route, relative to where the registry is mounted."""
    return [
        web.get(_RULES, _list),
        web.post(_RULES, _add),
        web.get(_RULE, _get),
        web.put(_RULE, _put),
        web.delete(_RULE, _delete),
        web.post("/submodel-descriptor/authorized", _authorized),
    ]


async def _list(request: web.Request) -> web.Response:
    node = request.app[NODE]
    return _json(200, {"items": [rule.to_json(node.id) for rule in await twin_readers.rules(node)]})


async def _add(request: web.Request) -> web.Response:
    node = request.app[NODE]
    return _shown(request, 201, await twin_readers.add_rule(node, await read_json(request, max_bytes=MAX_RULE)))


async def _get(request: web.Request) -> web.Response:
    return _shown(request, 200, await twin_readers.rule(request.app[NODE], _ident(request)))


async def _put(request: web.Request) -> web.Response:
    ident, doc = _ident(request), obj(await read_json(request, max_bytes=MAX_RULE))
    if "id" in doc and str(doc["id"]) != ident:
        raise PeerError(400, "the id in the body is not the one in the path", "/id")
    return _shown(request, 200, await twin_readers.change_rule(request.app[NODE], ident, doc))


async def _delete(request: web.Request) -> web.Response:
    await twin_readers.remove_rule(request.app[NODE], _ident(request))
    return web.Response(status=204)


async def _authorized(request: web.Request) -> web.Response:
    """200 if the partner in `Edc-Bpn` may fetch the address, 403 if not."""
    bpn = checked(request.headers.get("Edc-Bpn"), "header Edc-Bpn", limit=MAX_SUBJECT)
    href = text(obj(await read_json(request, max_bytes=MAX_RULE)), "submodelEndpointUrl")
    if not await twin_readers.may_fetch(request.app[NODE], bpn, href):
        raise PeerError(403, f"{bpn} sees no submodel at this address", "/submodelEndpointUrl")
    return web.Response(status=200)


def _ident(request: web.Request) -> str:
    """The rule's id: a number. Raise PeerError 400."""
    ident = request.match_info["rule"]
    if not (ident.isascii() and ident.isdecimal() and len(ident) < len(str(1 << 63))):
        raise PeerError(400, "the id of a rule is a whole number")
    return ident


def _shown(request: web.Request, status: int, rule: AccessRule) -> web.Response:
    return _json(status, rule.to_json(request.app[NODE].id))


def _json(status: int, doc: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(doc), content_type="application/json")
