"""`/v3/transferprocesses`: getting the data of an agreement, and stopping it."""

import base64
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from connector.exchange import fetch, transfer
from connector.exchange.ports import Tx
from connector.exchange.records import Transfer
from connector.exchange.states import transfer_state
from connector.exchange.strategy import Act, Decision
from connector.http.body import parse_json
from connector.http.management import reading, views
from connector.http.management.border import NODE, answer, done
from connector.http.management.lists import page
from connector.http.management.timeline import Timeline
from connector.http.management.waiting import settled, wanted
from connector.passport.verification import Verification
from connector.protocol.errors import Conflict, Invalid, PeerError
from connector.protocol.transfer import State

_BASE: Final = "/v3/transferprocesses"


def _load(ident: str) -> Callable[[Tx], Transfer]:
    return lambda tx: tx.transfers.get(ident)


async def _create(request: web.Request) -> web.Response:
    """Start a transfer; asset and provider follow from the agreement. With `?wait=` the answer is the transfer."""
    node, doc, wish = request.app[NODE], reading.document(request), wanted(request, State)
    reading.protocol(doc)
    order = transfer.Order(
        agreement_id=reading.text(doc, "contractId"),
        format=reading.text(doc, "transferType"),
        address=reading.optional_text(doc, "counterPartyAddress"),
        destination=reading.address(doc, "dataDestination"),
        private_properties=reading.properties(doc, "privateProperties"),
        callbacks=reading.callbacks(doc),
    )
    record = await transfer.request(node, order)
    if wish is None:
        return answer(views.created(record.id, record.created_at))
    return answer(views.transfer(await settled(request, record.id, _load(record.id), wish)))


async def _get(request: web.Request) -> web.Response:
    ident = reading.named(request)
    record = await settled(request, ident, _load(ident), wanted(request, State))
    return answer(views.transfer(record))


async def _state(request: web.Request) -> web.Response:
    record = await request.app[NODE].store.read(_load(reading.named(request)))
    return answer(views.brief("TransferState", None, {"state": transfer_state(record.process)}))


async def _timeline(request: web.Request) -> web.Response:
    ident = reading.named(request)
    read = await request.app[NODE].store.read(
        lambda tx: Timeline.load(tx, lambda tx, ident: tx.transfers.get(ident), ident)
    )
    return answer(read.view())


async def _query(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.transfers, views.transfer)


def _acting(act: str) -> Handler:
    """A decision that needs no more than its name."""

    async def handler(request: web.Request) -> web.Response:
        await transfer.act(request.app[NODE], reading.named(request), Decision(act))
        return done()

    return handler


def _giving_reason(act: str) -> Handler:
    """A decision that the counterparty is told the reason of, if there is one.

    DSP 2025-1 has it as optional; EDC asks for it, although models generated of EDC's own API have no member for it.
    """

    async def handler(request: web.Request) -> web.Response:
        doc = reading.document(request)
        reason = reading.optional_text(doc, "reason")
        reasons = () if reason is None else (reason,)
        decision = Decision(act, code=reading.optional_text(doc, "code"), reasons=reasons)
        await transfer.act(request.app[NODE], reading.named(request), decision)
        return done()

    return handler


async def _deprovision(request: web.Request) -> web.Response:
    """Nothing is left to be done after the end here; EDC's clients ask for it all the same."""
    record = await request.app[NODE].store.read(_load(reading.named(request)))
    if not record.process.over:
        raise Conflict(f"transfer {record.id} has not ended: it is {transfer_state(record.process)}")
    return done()


async def _fetch(request: web.Request) -> web.Response:
    """Get the data here and now, with the verdict on it: for operators and applications without an HTTP stack."""
    doc = reading.document(request)
    path, semantic_id = reading.optional_text(doc, "path") or "", reading.optional_text(doc, "semanticId")
    if path and not path.startswith(("/", "?")):
        raise Invalid("path is what follows the endpoint: it begins with / or ?", "/path", path)
    ident = reading.named(request)
    return answer(fetched(await fetch.fetch(request.app[NODE], ident, path=path, semantic_id=semantic_id)))


def fetched(got: fetch.Fetched) -> dict[str, Any]:
    """`ok` is null for data that came without proof, was not expected to have one, and shows no fault."""
    encoding, payload = _payload(got)
    return {
        "contentType": got.content_type,
        "semanticId": got.semantic_id,
        "encoding": encoding,
        "payload": payload,
        "model": got.model.to_json(),
        "verification": None if got.verification is None else _verification(got.verification),
        "ok": got.ok,
    }


def _payload(got: fetch.Fetched) -> tuple[str, object]:
    kind = got.content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return "json", parse_json(got.body)
        except PeerError:
            pass  # it only calls itself JSON: handed on as the bytes that it is
    return "base64", base64.b64encode(got.body).decode()


def _verification(verification: Verification) -> dict[str, Any]:
    checks = {field.name: getattr(verification, field.name) for field in fields(verification)}
    return {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()}


ROUTES: Final = (
    web.post(_BASE, _create),
    web.post(f"{_BASE}/request", _query),
    web.get(f"{_BASE}/{{id}}", _get),
    web.get(f"{_BASE}/{{id}}/state", _state),
    web.get(f"{_BASE}/{{id}}/timeline", _timeline),
    web.post(f"{_BASE}/{{id}}/start", _acting(Act.START)),
    web.post(f"{_BASE}/{{id}}/suspend", _giving_reason(Act.SUSPEND)),
    web.post(f"{_BASE}/{{id}}/resume", _acting(Act.START)),
    web.post(f"{_BASE}/{{id}}/complete", _acting(Act.COMPLETE)),
    web.post(f"{_BASE}/{{id}}/terminate", _giving_reason(Act.TERMINATE)),
    web.post(f"{_BASE}/{{id}}/deprovision", _deprovision),
    web.post(f"{_BASE}/{{id}}/fetch", _fetch),
)
