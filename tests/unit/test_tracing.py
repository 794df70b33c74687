"""Spans: on the trace of the exchange, one for each step, and nothing secret in them."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from connector.exchange.ports import Tx
from connector.exchange.records import Outgoing
from connector.exchange.trace import span_of, traceparent
from connector.http.server import serve
from connector.storage.sqlite import SqliteStore
from connector.tracing import Tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRET = "eyJhbGciOiJFUzI1NiJ9.secret"  # noqa: S105 - it opens nothing: it is looked for
CREATED = 1_700_000_000_000
MESSAGE = Outgoing(
    "message-1",
    CREATED,
    "negotiation-1",
    "negotiation",
    "REQUEST",
    f"https://peer.test:8282/dsp/negotiations/request?token={SECRET}",
    SECRET.encode(),
    audience="did:web:peer.test",
)


class Seen:
    """A node's tracing, and its spans once it is closed."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracing = Tracing("did:web:node.test", self.exporter)

    async def spans(self) -> dict[str, ReadableSpan]:
        await self.tracing.close()
        found = {span.name: span for span in self.exporter.get_finished_spans()}
        assert SECRET not in json.dumps([span.to_json() for span in found.values()])
        return found


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    made = Seen()
    yield made
    await made.tracing.close()


def trace_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return format_trace_id(context.trace_id)


def id_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return format_span_id(context.span_id)


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else format_span_id(span.parent.span_id)


# Deliveries


async def test_a_delivered_message_is_a_span_with_its_attempts_below(seen: Seen) -> None:
    async def attempt(_: Outgoing, __: str) -> None:
        return None

    assert await seen.tracing.deliveries(attempt)(MESSAGE, TRACE) is None
    spans = await seen.spans()
    whole, tried = spans["negotiation REQUEST"], spans["deliver negotiation REQUEST"]
    assert trace_of(whole) == trace_of(tried) == TRACE
    assert (id_of(whole), parent_of(whole), whole.kind) == (span_of("message-1"), None, SpanKind.PRODUCER)
    assert (parent_of(tried), tried.kind) == (id_of(whole), SpanKind.CLIENT)
    assert whole.start_time == CREATED * 1_000_000
    assert dict(tried.attributes or {}) == {
        "connector.message.id": "message-1",
        "connector.message.kind": "negotiation",
        "connector.message.event": "REQUEST",
        "server.address": "peer.test:8282",
        "connector.attempt": 1,
        "connector.outcome": "done",
    }
    assert whole.resource.attributes["service.instance.id"] == "did:web:node.test"


@pytest.mark.parametrize(("dead", "names"), [(False, 1), (True, 2)])
async def test_a_failed_attempt_is_marked_and_the_message_goes_on_unless_it_is_dead(
    seen: Seen, dead: bool, names: int
) -> None:
    after = Outgoing(*("message-1", CREATED, "t", "negotiation", "REQUEST", "https://x/", b""), dead=dead)

    async def attempt(_: Outgoing, __: str) -> Outgoing:
        return after

    assert await seen.tracing.deliveries(attempt)(MESSAGE, TRACE) is after
    spans = await seen.spans()
    tried = spans["deliver negotiation REQUEST"]
    assert tried.status.status_code is StatusCode.ERROR
    assert (tried.attributes or {})["connector.outcome"] == ("dead" if dead else "again")
    assert len(spans) == names


async def test_a_fault_of_ours_is_named_by_its_class_alone(seen: Seen) -> None:
    async def attempt(_: Outgoing, __: str) -> None:
        raise RuntimeError(SECRET)

    with pytest.raises(RuntimeError):
        await seen.tracing.deliveries(attempt)(MESSAGE, TRACE)
    tried = (await seen.spans())["deliver negotiation REQUEST"]
    assert (tried.status.status_code, tried.status.description, tried.events) == (StatusCode.ERROR, None, ())
    assert (tried.attributes or {})["error.type"] == "RuntimeError"


async def test_a_message_whose_exchange_is_gone_has_a_trace_of_its_own(seen: Seen) -> None:
    async def attempt(_: Outgoing, __: str) -> None:
        return None

    await seen.tracing.deliveries(attempt)(MESSAGE, "")
    spans = await seen.spans()
    assert list(spans) == ["deliver negotiation REQUEST"]
    assert trace_of(spans["deliver negotiation REQUEST"]) != TRACE


# Transactions


async def test_a_transaction_is_a_span_of_what_it_is_run_for(seen: Seen) -> None:
    store = await SqliteStore.open()
    traced = seen.tracing.store(store)

    def look(tx: Tx) -> object:
        return tx.assets.find("a")

    async def attempt(_: Outgoing, __: str) -> None:
        await traced.run(look)
        await traced.read(look)

    await traced.read(look)  # for nobody: no span
    await seen.tracing.deliveries(attempt)(MESSAGE, TRACE)
    await traced.close()
    spans = await seen.spans()
    tried = spans["deliver negotiation REQUEST"]
    assert len(spans) == 4
    for name in ("store.run", "store.read"):
        assert (trace_of(spans[name]), parent_of(spans[name])) == (TRACE, id_of(tried))
        assert str((spans[name].attributes or {})["code.function.name"]).endswith("<locals>.look")


# Requests


@asynccontextmanager
async def served(seen: Seen, handle: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    app = web.Application(middlewares=[seen.tracing.requests()])
    app.add_routes([web.route("*", "/negotiations/{pid}", handle), web.get("/management/check/readiness", handle)])
    listener = await serve(app, "127.0.0.1", 0)
    yield listener.url
    await listener.close()


async def ask(url: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status


async def test_a_request_goes_on_with_the_trace_that_it_brings(seen: Seen) -> None:
    store = seen.tracing.store(await SqliteStore.open())

    async def handle(_: web.Request) -> web.Response:
        await store.read(lambda tx: tx.assets.find("a"))
        return web.Response(headers={"Set-Cookie": SECRET})

    async with served(seen, handle) as url:
        brought = {"traceparent": traceparent(TRACE, "message-1"), "Authorization": SECRET}
        assert await ask(f"{url}/negotiations/{SECRET}?token={SECRET}", **brought) == 200
    await store.close()
    spans = await seen.spans()
    served_, read = spans["GET /negotiations/{pid}"], spans["store.read"]
    assert (trace_of(served_), parent_of(served_)) == (TRACE, span_of("message-1"))
    assert (served_.kind, served_.status.status_code) == (SpanKind.SERVER, StatusCode.UNSET)
    assert dict(served_.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/negotiations/{pid}",
        "http.response.status_code": 200,
    }
    assert (trace_of(read), parent_of(read)) == (TRACE, id_of(served_))


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", "00-" + "f" * 5000])
async def test_a_request_without_a_sane_trace_begins_one(seen: Seen, header: str) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response()

    async with served(seen, handle) as url:
        assert await ask(f"{url}/negotiations/1", traceparent=header) == 200
    assert parent_of((await seen.spans())["GET /negotiations/{pid}"]) is None


async def test_what_somebody_asks_all_the_time_and_what_is_not_there_say_little(seen: Seen) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response()

    async with served(seen, handle) as url:
        assert await ask(f"{url}/management/check/readiness") == 200
        assert await ask(f"{url}/{SECRET}") == 404
    assert list(await seen.spans()) == ["other none"]


async def test_an_answer_that_is_our_fault_is_marked(seen: Seen) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async with served(seen, handle) as url:
        assert await ask(f"{url}/negotiations/1") == 503
    assert (await seen.spans())["GET /negotiations/{pid}"].status.status_code is StatusCode.ERROR
