"""`/v3/deadletters`: messages that nobody took in all their attempts. They stay until an operator decides."""

from typing import Final

from aiohttp import web

from connector.exchange import dead_letters
from connector.exchange.query import Criterion
from connector.http.management import reading, views
from connector.http.management.border import NODE, done
from connector.http.management.lists import page

_DEAD: Final = Criterion("dead", "=", right=True)


async def _query(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.outbox, views.dead_letter, _DEAD)


async def _retry(request: web.Request) -> web.Response:
    await dead_letters.retry(request.app[NODE], reading.named(request))
    return done()


async def _remove(request: web.Request) -> web.Response:
    await dead_letters.discard(request.app[NODE], reading.named(request))
    return done()


ROUTES: Final = (
    web.get("/v3/deadletters", _query),
    web.post("/v3/deadletters/request", _query),
    web.post("/v3/deadletters/{id}/retry", _retry),
    web.delete("/v3/deadletters/{id}", _remove),
)
