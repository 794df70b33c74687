"""`/v3/contractnegotiations`: asking for contracts, offering them, and deciding where a person decides."""

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from connector.exchange import negotiate
from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import Negotiation
from connector.exchange.states import negotiation_state
from connector.exchange.strategy import Act, Decision
from connector.http.management import reading, views
from connector.http.management.border import NODE, answer, done
from connector.http.management.lists import page
from connector.http.management.timeline import Timeline
from connector.http.management.waiting import settled, wanted
from connector.protocol.negotiation import State

_BASE: Final = "/v3/contractnegotiations"


async def contract(node: Node, doc: dict[str, Any], transfer_format: str | None = None) -> negotiate.Contract:
    """Read EDC's ContractRequest."""
    offer = reading.policy(doc)
    return negotiate.Contract(await reading.peer(node, doc, offer), offer, reading.callbacks(doc), transfer_format)


def _load(ident: str) -> Callable[[Tx], Negotiation]:
    return lambda tx: tx.negotiations.get(ident)


async def _started(request: web.Request, start: Callable[[], Any]) -> web.Response:
    """Start a negotiation; with `?wait=` the answer is the negotiation, as it is after the wait."""
    wish = wanted(request, State)
    record: Negotiation = await start()
    if wish is None:
        return answer(views.created(record.id, record.created_at))
    return answer(views.negotiation(await settled(request, record.id, _load(record.id), wish)))


async def _create(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    asked = await contract(node, doc)
    return await _started(request, lambda: negotiate.request(node, asked))


async def _offer(request: web.Request) -> web.Response:
    """Offer an asset to a consumer that has not asked (DSP 2025-1: the provider begins)."""
    node, doc = request.app[NODE], reading.document(request)
    peer = await reading.peer(node, doc)
    definition, asset = reading.text(doc, "contractDefinitionId"), reading.text(doc, "assetId")
    return await _started(request, lambda: negotiate.offer(node, peer, definition, asset))


async def _get(request: web.Request) -> web.Response:
    ident = reading.named(request)
    record = await settled(request, ident, _load(ident), wanted(request, State))
    return answer(views.negotiation(record))


async def _state(request: web.Request) -> web.Response:
    record = await request.app[NODE].store.read(_load(reading.named(request)))
    return answer(views.brief("NegotiationState", None, {"state": negotiation_state(record.process)}))


async def _agreement(request: web.Request) -> web.Response:
    node = request.app[NODE]
    ident = await negotiate.agreement_of(node, reading.named(request))
    return answer(views.agreement(await node.store.read(lambda tx: tx.agreements.get(ident))))


async def _timeline(request: web.Request) -> web.Response:
    ident = reading.named(request)
    read = await request.app[NODE].store.read(
        lambda tx: Timeline.load(tx, lambda tx, ident: tx.negotiations.get(ident), ident)
    )
    return answer(read.view())


async def _query(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.negotiations, views.negotiation)


async def _remove(request: web.Request) -> web.Response:
    await negotiate.forget(request.app[NODE], reading.named(request))
    return done()


async def _terminate(request: web.Request) -> web.Response:
    doc = reading.document(request)
    decision = Decision(Act.TERMINATE, code=reading.optional_text(doc, "code"), reasons=(reading.text(doc, "reason"),))
    await negotiate.act(request.app[NODE], reading.named(request), decision)
    return done()


def _acting(act: str) -> Handler:
    """A person's decision that needs no more than its name."""

    async def handler(request: web.Request) -> web.Response:
        await negotiate.act(request.app[NODE], reading.named(request), Decision(act))
        return done()

    return handler


def _proposing(act: str) -> Handler:
    """An offer or a counter-offer: on the terms of `policy` if there is one, else on those that lie on the table."""

    async def handler(request: web.Request) -> web.Response:
        doc = reading.document(request)
        policy = reading.policy(doc) if "policy" in doc else None
        await negotiate.act(request.app[NODE], reading.named(request), Decision(act, policy=policy))
        return done()

    return handler


ROUTES: Final = (
    web.post(_BASE, _create),
    web.post(f"{_BASE}/request", _query),
    web.post(f"{_BASE}/offers", _offer),
    web.get(f"{_BASE}/{{id}}", _get),
    web.delete(f"{_BASE}/{{id}}", _remove),
    web.get(f"{_BASE}/{{id}}/state", _state),
    web.get(f"{_BASE}/{{id}}/agreement", _agreement),
    web.get(f"{_BASE}/{{id}}/timeline", _timeline),
    web.post(f"{_BASE}/{{id}}/terminate", _terminate),
    web.post(f"{_BASE}/{{id}}/offer", _proposing(Act.OFFER)),
    web.post(f"{_BASE}/{{id}}/counteroffer", _proposing(Act.REQUEST)),
    web.post(f"{_BASE}/{{id}}/accept", _acting(Act.ACCEPT)),
    web.post(f"{_BASE}/{{id}}/agree", _acting(Act.AGREE)),
    web.post(f"{_BASE}/{{id}}/verify", _acting(Act.VERIFY)),
    web.post(f"{_BASE}/{{id}}/finalize", _acting(Act.FINALIZE)),
)
