"""`/v3/contractagreements`: contracts that were made, and their retirement (Tractus-X).

The same is served without the version: the `saturn` controllers of tractusx-sdk leave it out.
"""

from typing import Final

from aiohttp import web

from connector.exchange import agreements
from connector.exchange.query import Criterion
from connector.http.management import reading, views
from connector.http.management.border import NODE, answer, done
from connector.http.management.lists import one, page

_RETIRED: Final = Criterion("retiredAt", ">=", 0)


async def _get(request: web.Request) -> web.Response:
    return await one(request, lambda tx: tx.agreements, views.agreement)


async def _query(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.agreements, views.agreement)


async def _negotiation(request: web.Request) -> web.Response:
    ident = reading.named(request)
    record = await request.app[NODE].store.read(lambda tx: tx.negotiations.get(tx.agreements.get(ident).negotiation_id))
    return answer(views.negotiation(record))


async def _retire(request: web.Request) -> web.Response:
    doc = reading.document(request)
    await agreements.retire(request.app[NODE], reading.text(doc, "agreementId"), reading.text(doc, "reason"))
    return done()


async def _retired(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.agreements, views.retirement, _RETIRED)


async def _reactivate(request: web.Request) -> web.Response:
    await agreements.reactivate(request.app[NODE], reading.named(request))
    return done()


ROUTES: Final = tuple(
    route
    for base in ("/v3/contractagreements", "/contractagreements")
    for route in (
        web.post(f"{base}/request", _query),
        web.post(f"{base}/retirements", _retire),
        web.post(f"{base}/retirements/request", _retired),
        web.delete(f"{base}/retirements/{{id}}", _reactivate),
        web.get(f"{base}/{{id}}", _get),
        web.get(f"{base}/{{id}}/negotiation", _negotiation),
    )
)
