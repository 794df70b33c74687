"""`/v3/edrs`: from an offer to a token in one call (Tractus-X), and the tokens of running pulls."""

from typing import Final

from aiohttp import web

from connector.exchange import edrs, negotiate
from connector.http.management import reading, views
from connector.http.management.border import NODE, answer, done
from connector.http.management.contractnegotiations import contract
from connector.http.management.lists import page
from connector.protocol.vocabulary import HTTP_PULL


async def _create(request: web.Request) -> web.Response:
    """Negotiate, and start the transfer when the contract is final. The answer names the negotiation."""
    node = request.app[NODE]
    record = await negotiate.request(node, await contract(node, reading.document(request), HTTP_PULL))
    return answer(views.created(record.id, record.created_at))


async def _query(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.edrs, views.edr)


async def _data_address(request: web.Request) -> web.Response:
    fresh = reading.switch(request, "auto_refresh", default=True)
    edr = await edrs.data_address(request.app[NODE], reading.named(request), auto_refresh=fresh)
    return answer(views.data_address(edr), headers={"Cache-Control": "no-store"})


async def _refresh(request: web.Request) -> web.Response:
    edr = await edrs.refresh(request.app[NODE], reading.named(request))
    return answer(views.data_address(edr), headers={"Cache-Control": "no-store"})


async def _remove(request: web.Request) -> web.Response:
    await edrs.forget(request.app[NODE], reading.named(request))
    return done()


ROUTES: Final = (
    web.post("/v3/edrs", _create),
    web.post("/v3/edrs/request", _query),
    web.get("/v3/edrs/{id}/dataaddress", _data_address),
    web.post("/v3/edrs/{id}/refresh", _refresh),
    web.delete("/v3/edrs/{id}", _remove),
)
