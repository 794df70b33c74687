"""`/v3/credentials`: what our wallet holds, and asking issuers for more (DCP 1.0, clause 6, holder).

Credentials come later than the request's answer: the issuer delivers them to the wallet when it has decided.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from aiohttp import web

from connector.exchange import credentials
from connector.exchange.ports import Holder, Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Asked, CredentialRequest, Held, HeldCredential
from connector.http.management import reading, views
from connector.http.management.border import NODE, WAITER, answer
from connector.http.management.waiting import wanted
from connector.protocol.errors import Conflict, Invalid


def _holder(request: web.Request) -> Holder:
    holder = request.app[NODE].holder
    if holder is None:
        raise Conflict("this node has no wallet of its own: identity.kind is not dcp, or sts.url names another wallet")
    return holder


async def _list(request: web.Request) -> web.Response:
    """All of them, those in force first: a participant has a handful. `?status=now` asks their issuers' lists first."""
    node = request.app[NODE]
    faults: Mapping[str, str] = {}
    if (status := request.query.get("status")) is not None:
        if status != "now":
            raise Invalid("status is now, or left out: then it is as the wallet knows it", "/status", status)
        faults = await _holder(request).recheck()
    everything = QuerySpec(limit=credentials.MAX_CURRENT, descending=True)
    held: list[HeldCredential] = await node.store.read(lambda tx: tx.credentials.query(everything))
    held.sort(key=lambda credential: credential.state is not Held.ISSUED)
    return answer([views.credential(credential, faults.get(credential.id)) for credential in held])


async def _missing(request: web.Request) -> web.Response:
    node, needed = request.app[NODE], _holder(request).needed
    return answer(await node.store.read(lambda tx: credentials.missing(tx, needed, node.clock.now())))


async def _ask(request: web.Request) -> web.Response:
    node, holder, doc = request.app[NODE], _holder(request), reading.document(request)
    issuer = reading.optional_text(doc, "issuer") or holder.issuer
    if not issuer.startswith("did:web:"):
        raise Invalid("issuer is the did:web of who is to issue them, unless wallet.issuer is set", "/issuer", issuer)
    names = doc.get("credentials") or list(holder.needed)
    names = [names] if isinstance(names, str) else names
    fit = isinstance(names, list) and 0 < len(names) <= credentials.MAX_WANTED
    if not fit or not all(isinstance(name, str) and name for name in names):
        raise Invalid("credentials is a list of types, or of the issuer's ids", "/credentials", names)
    code = reading.optional_text(doc, "preAuthorizedCode")
    asked = await node.store.run(
        lambda tx: credentials.ask(tx, issuer, names, now=node.clock.now(), ids=node.ids, code=code)
    )
    return answer(views.created(asked.id, asked.created_at))


async def _asked(request: web.Request) -> web.Response:
    """A request; with `?wait=ISSUED,REJECTED&timeout=` when it is decided, or the time is over."""
    ident, store = reading.named(request), request.app[NODE].store
    if (wish := wanted(request, Asked)) is not None:
        states, seconds = wish

        async def there() -> bool:
            return (await store.read(lambda tx: tx.credential_requests.get(ident))).state in states

        await request.app[WAITER].wait_until(ident, there, seconds)
    return answer(views.credential_request(await store.read(lambda tx: _explained(tx, ident))))


def _explained(tx: Tx, ident: str) -> CredentialRequest:
    """The request; while it waits for its issuer, with what the last attempt has met. Raise NotFound."""
    found = tx.credential_requests.get(ident)
    waiting = tx.outbox.query(QuerySpec(criteria=(Criterion("topic", "=", ident),), limit=1))
    return replace(found, error=found.error or next((message.last_error for message in waiting), None))


async def _status(request: web.Request) -> web.Response:
    ident = reading.named(request)
    asked = await request.app[NODE].store.read(lambda tx: tx.credential_requests.get(ident))
    return answer({"state": await _holder(request).status(asked)})


ROUTES: Final = (
    web.get("/v3/credentials", _list),
    web.get("/v3/credentials/missing", _missing),
    web.post("/v3/credentials/requests", _ask),
    web.get("/v3/credentials/requests/{id}", _asked),
    web.get("/v3/credentials/requests/{id}/status", _status),
)
