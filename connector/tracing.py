"""Spans for OpenTelemetry: how long each step of an exchange took, on both nodes, in one trace (the extra `otel`).

The trace of an exchange is worked out, not handed on (`exchange.trace`), and so is the span of a message: its id stands
in the `traceparent` that the peer gets, the same in every attempt. That span lasts from the promise to the delivery, so
it is made when all is known; the attempts are its children, and so is what the peer does with the message. Requests go
on with the trace that they bring. Transactions are children of what they are run for.

Attributes are names: routes, kinds of messages, hosts, outcomes. No path, header, body or text of an exception, which
may be a stranger's words or a secret.

Only `connector.wiring` imports this module, and only for nodes that have a collector.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from connector import __version__
from connector.engine.engine import Attempt
from connector.engine.resting import host
from connector.exchange.ports import Commit, Store, Tx
from connector.exchange.records import Outgoing
from connector.exchange.trace import span_of

T = TypeVar("T")

EXPORT_TIMEOUT_S: Final = 2
"""How long a collector may take; a node that stops waits no longer than this for its last spans."""
_QUIET: Final = ("/check/", "/metrics")
"""Routes that somebody asks all the time."""
_FAILED: Final = 500


class _Ids(RandomIdGenerator):
    """Random ids, unless they are given."""

    def __init__(self) -> None:
        self._trace: int | None = None
        self._span: int | None = None

    @contextmanager
    def given(self, trace: int, span: int) -> Iterator[None]:
        """The next span has these ids."""
        self._trace, self._span = trace, span
        try:
            yield
        finally:
            self._trace = self._span = None

    @override
    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self._trace is None else self._trace

    @override
    def generate_span_id(self) -> int:
        return super().generate_span_id() if self._span is None else self._span


class Tracing:
    """The spans of the node `name`, on their way to `exporter`; close it when nothing more happens."""

    def __init__(self, name: str, exporter: SpanExporter) -> None:
        self._ids = _Ids()
        resource = Resource.create(
            {
                "service.name": "battery-passport-connector",
                "service.version": __version__,
                "service.instance.id": name,
            }
        )
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("connector", __version__)

    @classmethod
    def to(cls, endpoint: str, name: str) -> Self:
        """Send them to a collector by OTLP over HTTP; `endpoint` is the whole URL."""
        return cls(name, OTLPSpanExporter(endpoint, timeout=EXPORT_TIMEOUT_S))

    async def close(self) -> None:
        """Send what waits; a collector that is away is not waited for."""
        await asyncio.to_thread(self._provider.shutdown)

    def requests(self) -> Middleware:
        """The middleware that makes a span of each request to a listener."""

        @web.middleware
        async def trace_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
            resource = request.match_info.route.resource
            route = "none" if resource is None else resource.canonical
            if any(quiet in route for quiet in _QUIET):
                return await handler(request)
            method = "other" if resource is None else request.method
            about = {"http.request.method": method, "http.route": route}
            with self._span(f"{method} {route}", _brought(request), SpanKind.SERVER, about) as span:
                response = await handler(request)
                span.set_attribute("http.response.status_code", response.status)
                if response.status >= _FAILED:
                    span.set_status(StatusCode.ERROR)
                return response

        return trace_requests

    def deliveries(self, attempt: Attempt) -> Attempt:
        """Make a span of each attempt to deliver a message, and one of the message when that is over."""

        async def traced(message: Outgoing, trace: str) -> Outgoing | None:
            about = {
                "connector.message.id": message.id,
                "connector.message.kind": message.kind,
                "connector.message.event": message.event,
                "server.address": host(message),
            }
            above, name = _within(message, trace), f"{message.kind} {message.event}"
            with self._span(f"deliver {name}", above, SpanKind.CLIENT, about) as span:
                span.set_attribute("connector.attempt", message.attempts + 1)
                after = await attempt(message, trace)
                outcome = "done" if after is None else "dead" if after.dead else "again"
                span.set_attribute("connector.outcome", outcome)
                if after is not None:
                    span.set_status(StatusCode.ERROR)
            if trace and (after is None or after.dead):
                with self._ids.given(int(trace, 16), int(span_of(message.id), 16)):
                    whole = self._tracer.start_span(
                        name, Context(), SpanKind.PRODUCER, about, start_time=message.created_at * 1_000_000
                    )
                whole.set_attribute("connector.outcome", outcome)
                whole.end()
            return after

        return traced

    def store(self, store: Store) -> Store:
        """The same store, with a span of each transaction that is run for something that has one."""
        return _TracedStore(store, self)

    @contextmanager
    def _span(self, name: str, within: Context | None, kind: SpanKind, about: dict[str, str]) -> Iterator[Span]:
        """A span that is the present one inside. What is raised there marks it, by its class alone."""
        with self._tracer.start_as_current_span(
            name, within, kind, about, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    @contextmanager
    def step(self, name: str, fn: object) -> Iterator[None]:
        """A span of a transaction, if it is run for something that has one."""
        if not get_current_span().is_recording():
            yield
            return
        about = {"code.function.name": f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', '')}"}
        with self._span(name, None, SpanKind.INTERNAL, about):
            yield


class _TracedStore(Store):
    """A store whose transactions are seen; it changes nothing."""

    def __init__(self, inner: Store, tracing: Tracing) -> None:
        self._inner = inner
        self._tracing = tracing

    @override
    async def run(self, fn: Callable[[Tx], T]) -> T:
        with self._tracing.step("store.run", fn):
            return await self._inner.run(fn)

    @override
    async def read(self, fn: Callable[[Tx], T]) -> T:
        with self._tracing.step("store.read", fn):
            return await self._inner.read(fn)

    @override
    def listen(self, listener: Callable[[Commit], None]) -> None:
        self._inner.listen(listener)

    @override
    async def close(self) -> None:
        await self._inner.close()


def _brought(request: web.Request) -> Context:
    """The trace that a request brings, or a new one."""
    carrier = {"traceparent": request.headers.get("traceparent", "")}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _within(message: Outgoing, trace: str) -> Context:
    """The span of a message, which is not made yet."""
    if not trace:
        return Context()
    sampled = TraceFlags(TraceFlags.SAMPLED)
    whole = SpanContext(int(trace, 16), int(span_of(message.id), 16), is_remote=False, trace_flags=sampled)
    return set_span_in_context(NonRecordingSpan(whole), Context())
