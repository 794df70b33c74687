"""One record and pages of records, the same for every resource.

EDC answers a query with a bare array and leaves the client to guess what follows; the header `X-Total-Count` says how
many records fulfil the criteria on all pages together.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from aiohttp import web

from connector.exchange.ports import Repository, Tx
from connector.exchange.query import Criterion
from connector.http.management.border import NODE, answer
from connector.http.management.reading import named, query

R = TypeVar("R")
Pick = Callable[[Tx], Repository[R]]
View = Callable[[R], dict[str, Any]]


async def page(request: web.Request, pick: Pick[R], view: View[R], *also: Criterion) -> web.Response:
    """Answer a QuerySpec; `also` are criteria of the resource itself."""
    asked = query(request)
    spec = replace(asked, criteria=(*asked.criteria, *also))

    def read(tx: Tx) -> tuple[list[R], int]:
        repository = pick(tx)
        return repository.query(spec), repository.count(spec.criteria)

    records, total = await request.app[NODE].store.read(read)
    return answer([view(record) for record in records], headers={"X-Total-Count": str(total)})


async def one(request: web.Request, pick: Pick[R], view: View[R]) -> web.Response:
    """Answer with the record that the path names. Raise NotFound."""
    ident = named(request)
    return answer(view(await request.app[NODE].store.read(lambda tx: pick(tx).get(ident))))
