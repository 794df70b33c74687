"""`/v3/catalog`: what a counterparty offers, in its own words.

The answer is the counterparty's, byte for byte: offers are compared with what was offered, so nothing may be rewritten.
Only a catalog without `dataset` gets an empty list: on the wire the schema of DSP 2025-1 forbids one (minItems), while
the clients of EDC's management API take a missing list for a catalog that could not be read.
"""

import json
from typing import Final

from aiohttp import web

from connector.exchange import catalog
from connector.exchange.query import parse_query
from connector.http.management import reading
from connector.http.management.border import NODE


def _passed_on(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _listed(body: bytes) -> bytes:
    if b'dataset"' in body:  # the usual case; also as dcat:dataset
        return body
    return json.dumps({**json.loads(body), "dataset": []}, separators=(",", ":")).encode()


async def _catalog(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    spec = doc.get("querySpec")
    parse_query(spec, "/querySpec")  # what is wrong is told here, where the operator can read it
    return _passed_on(_listed(await catalog.ask(node, await reading.peer(node, doc), spec)))


async def _dataset(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    return _passed_on(await catalog.ask_dataset(node, await reading.peer(node, doc), reading.text(doc, "@id")))


ROUTES: Final = (
    web.post("/v3/catalog/request", _catalog),
    web.post("/v3/catalog/dataset/request", _dataset),
)
