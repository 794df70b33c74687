"""What operators see of two running nodes: figures, one trace in both logs, components by name."""

from collections.abc import MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from connector.exchange.trace import trace_of
from connector.http.health import Check, disk_check, outbox_check, writer_check
from connector.http.metrics import CONTENT_TYPE
from connector.protocol.errors import LocalError
from connector.storage.sqlite import SqliteStore
from connector.wiring import RunningNode
from tests.integration.test_idle import exchange, pair, publish

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]
Line = MutableMapping[str, Any]


async def scrape(node: RunningNode, path: str = "/metrics") -> Figures:
    async with aiohttp.ClientSession() as session, session.get(f"{node.management.url}{path}") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
        families = text_string_to_metric_families(await answer.text())
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def figure(figures: Figures, name: str, **labels: str) -> float:
    return figures[name, frozenset(labels.items())]


async def settled(maker: RunningNode, transfer: str) -> None:
    """Return when the provider has the answer to its start message: the consumer may have the data before that."""

    async def reached() -> bool:
        return (await maker.node.store.read(lambda tx: tx.transfers.get(transfer))).process.pending is None

    await maker.engine.wait_until(transfer, reached, 10)


async def traded(folder: Path) -> tuple[Figures, Figures, list[Line]]:
    """The figures of maker and buyer after one exchange, and the log lines of both."""
    processors = [structlog.contextvars.merge_contextvars]
    async with pair(folder) as (maker, buyer):
        await publish(maker)
        with structlog.testing.capture_logs(processors=processors) as lines:
            transfer = await exchange(maker, buyer)
            record = await buyer.node.store.read(lambda tx: tx.transfers.get(transfer))
            await settled(maker, record.peer_pid or "")
        assert {line["trace"] for line in lines if "trace" in line} == {trace_of(buyer.node.id, record)}
        async with aiohttp.ClientSession() as session:
            for method, path in (("GET", "/negotiations/a-stranger"), ("PROPFIND", "/a-stranger")):
                async with session.request(method, maker.node.dsp_address + path) as answer:
                    assert answer.status >= 400
        return await scrape(maker), await scrape(buyer, "/management/metrics"), lines


async def test_an_exchange_is_counted_and_traced_on_both_sides(tmp_path: Path) -> None:
    maker, buyer, lines = await traded(tmp_path)
    for figures, role in ((maker, "PROVIDER"), (buyer, "CONSUMER")):
        for state in ("REQUESTED", "AGREED", "VERIFIED", "FINALIZED"):
            assert figure(figures, "connector_negotiations_total", role=role, state=state, reason="") == 1
        assert figure(figures, "connector_transfers_total", role=role, state="STARTED", reason="") == 1
        assert figure(figures, "connector_negotiation_seconds_count", role=role) == 1
        assert figure(figures, "connector_transfer_start_seconds_count", role=role) == 1
        assert figure(figures, "connector_outbox_messages") == 0
        assert figure(figures, "connector_store_commits_total") > 4
        assert figure(figures, "connector_store_statements_total") > 20
        assert figure(figures, "connector_disk_free_bytes") > 0
    assert figure(buyer, "connector_delivery_seconds_count", kind="negotiation", outcome="done") == 2
    assert figure(maker, "connector_tokens_issued_total", kind="access") == 1
    assert figure(maker, "connector_data_requests_total", source="PassportStore", status="2xx") == 1
    assert figure(maker, "connector_data_bytes_total", source="PassportStore") > 1000
    told_by_maker(maker)
    steps = [line for line in lines if "trace" in line]
    assert {line["node"] for line in steps} == {line["counterparty"] for line in steps}
    for name in ("contract.negotiation.finalized", "transfer.process.started"):
        assert sorted(line["role"] for line in steps if line["event"] == name) == ["CONSUMER", "PROVIDER"]
    # The provider does everything at the consumer's request, so its own lines of the requests are under the same id.
    assert all(line["correlation_id"] == line["trace"] for line in steps if line["role"] == "PROVIDER")


def told_by_maker(figures: Figures) -> None:
    """Routes are templates, and what strangers make up is one label."""
    name = "connector_http_request_seconds_count"
    route = "/api/v1/dsp/2025-1/negotiations/{pid}"
    assert figure(figures, name, surface="dsp", method="GET", route=route, status="4xx") == 1
    assert figure(figures, name, surface="dsp", method="other", route="none", status="4xx") == 1
    assert "stranger" not in str(figures)
    assert "PROPFIND" not in str(figures)


async def test_a_scrape_runs_no_statement(tmp_path: Path) -> None:
    async with pair(tmp_path) as (maker, _):
        store = maker.node.store
        assert isinstance(store, SqliteStore)
        await scrape(maker)
        before = store.statements
        await scrape(maker)
        assert store.statements == before


async def down(check: Check) -> str:
    with pytest.raises(LocalError) as caught:
        await check.probe()
    return caught.value.reason


async def test_a_node_names_its_components(tmp_path: Path) -> None:
    async with (
        pair(tmp_path) as (maker, _),
        aiohttp.ClientSession() as session,
        session.get(f"{maker.management.url}/api/check/health") as answer,
    ):
        results = (await answer.json())["componentResults"]
    assert {r["component"]: r["isHealthy"] for r in results} == dict.fromkeys(
        ("process", "node", "store", "store-writer", "outbox", "disk"), True
    )


async def test_a_store_that_cannot_write_is_down() -> None:
    store = await SqliteStore.open()
    await writer_check(store).probe()
    await store.close()
    assert "closed" in await down(writer_check(store))


async def test_an_outbox_is_down_when_it_is_behind_and_not_when_a_peer_is_away() -> None:
    due: int | None
    for due in (None, 1_000_000, 2_000_000, 700_001):
        await outbox_check(partial(int, due) if due else lambda: None, lambda: 1_000_000).probe()
    assert "301 s" in await down(outbox_check(lambda: 699_000, lambda: 1_000_000))


async def test_a_disk_without_space_is_down(tmp_path: Path) -> None:
    await disk_check(tmp_path, least=1).probe()
    assert str(tmp_path) in await down(disk_check(tmp_path, least=1 << 62))


async def test_nodes_in_one_process_count_for_themselves(tmp_path: Path) -> None:
    async with pair(tmp_path) as (maker, buyer):
        await publish(maker)
        made, bought = await scrape(maker), await scrape(buyer)
    requests = [
        sum(value for (name, _), value in figures.items() if name == "connector_http_request_seconds_count")
        for figures in (made, bought)
    ]
    assert requests[0] > 0
    assert requests[1] == 0  # but for the scrape itself, which is not over while it is answered
