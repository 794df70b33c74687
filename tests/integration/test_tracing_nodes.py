"""Two nodes that send their spans to a collector: an exchange is one trace, whole, on both sides, without secrets."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from connector.config import parse
from connector.exchange.query import QuerySpec
from connector.http.server import serve
from connector.protocol.errors import Invalid
from connector.tracing import EXPORT_TIMEOUT_S
from connector.wiring import start
from tests.integration.dsp_world import KEY, settings, world
from tests.integration.test_idle import exchange, pair, publish


@dataclass
class Collector:
    """A collector of traces by OTLP over HTTP, in its binary form."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        return web.Response(content_type="application/x-protobuf")

    @property
    def spans(self) -> list[tuple[str, Span]]:
        """Each with the node that made it."""
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {a.key: a.value.string_value for a in resource.resource.attributes}
                found += [(about["service.instance.id"], s) for scope in resource.scope_spans for s in scope.spans]
        return found


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.add_routes([web.post("/v1/traces", collector.take)])
    listener = await serve(app, "127.0.0.1", 0)
    collector.url = f"{listener.url}/v1/traces"
    yield collector
    await listener.close()


async def test_an_exchange_is_one_whole_trace_over_both_nodes(tmp_path: Path, collector: Collector) -> None:
    async with pair(tmp_path, tracing=collector.url) as (maker, buyer):
        await publish(maker)
        await exchange(maker, buyer)
        nodes = {maker.node.id, buyer.node.id}
        agreement = (await buyer.node.store.read(lambda tx: tx.agreements.query(QuerySpec())))[0]
    of_exchange = [(who, span) for who, span in collector.spans if span.trace_id.hex() == agreement.id.replace("-", "")]
    assert {who for who, _ in of_exchange} == nodes
    known = {span.span_id for _, span in of_exchange}
    assert all(span.parent_span_id in known for _, span in of_exchange if span.parent_span_id)
    messages = [span for _, span in of_exchange if not span.parent_span_id]
    assert {s.name for s in messages} >= {
        "negotiation REQUEST",
        "negotiation AGREE",
        "negotiation VERIFY",
        "negotiation FINALIZE",
        "transfer REQUEST",
        "transfer START",
    }
    makers = {span.span_id: who for who, span in of_exchange}
    for who, span in of_exchange:
        if span.kind is Span.SPAN_KIND_SERVER:
            assert {makers[span.parent_span_id], who} == nodes, span.name  # the message is the other node's
    assert {"store.run", "store.read"} <= {span.name for _, span in of_exchange}


async def test_no_span_holds_a_secret(tmp_path: Path, collector: Collector) -> None:
    async with pair(tmp_path, tracing=collector.url) as (maker, buyer):
        await publish(maker)
        await exchange(maker, buyer)
    told = b"".join(collector.bodies)
    assert b"negotiation REQUEST" in told
    for secret in (KEY.encode(), b"eyJ", b"Bearer", b"traceback"):
        assert secret not in told


async def test_a_collector_that_is_away_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with world(tmp_path, tracing={"endpoint": "http://127.0.0.1:9/v1/traces"}) as us:
        await us.as_provider()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < EXPORT_TIMEOUT_S + 1


async def test_without_the_extra_the_setting_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "connector.tracing", None)
    config = parse(settings(tmp_path, tracing={"endpoint": "http://localhost:4318/v1/traces"}), {"KEY": KEY})
    with pytest.raises(Invalid, match="pip install") as caught:
        async with start(config):
            pass
    assert caught.value.pointer == "/tracing/endpoint"


def test_a_node_that_traces_nothing_imports_nothing_for_it() -> None:
    asked = "import sys, connector.wiring, connector.cli.serve; print(any('opentelemetry' in m for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    assert done.stdout == "False\n"
