"""Metrics: what is counted, what the page says of it, and that alerts and the dashboard speak of nothing else."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from multidict import CIMultiDict
from prometheus_client.parser import text_string_to_metric_families
from typing_extensions import override

from connector.dataplane.source import Ask, Content, Prepared, Reader, Source, only_read
from connector.exchange.ports import Commit, Tx
from connector.exchange.records import Asset, Entry, Happened, Negotiation, Outgoing, Transfer
from connector.exchange.strategy import AutomaticTransfer, TransferView
from connector.metrics import Metrics
from connector.metrics.ports import CountedSource, CountedTransfers
from connector.metrics.present import Sources
from connector.metrics.table import TABLE, Kind
from connector.policy.circumstances import Circumstances, Counterparty
from connector.policy.evaluate import evaluate
from connector.policy.model import Constraint, Policy, Rule
from connector.protocol import transfer
from connector.protocol.errors import PeerError, Unreachable
from connector.protocol.process import Role
from tests.unit.storage_records import a_message, a_negotiation, a_transfer, asset

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"\bconnector_\w+")
SUFFIXES = {Kind.COUNTER: ("",), Kind.GAUGE: ("",), Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}


def sources(**changes: Callable[[], Any]) -> Sources:
    still = Sources(
        now=lambda: 10_000,
        waiting=lambda: 0,
        oldest=lambda: None,
        due_since=lambda: None,
        statements=lambda: 0,
        batches=dict,
        failures=lambda: 0,
        free_bytes=lambda: 1,
    )
    return replace(still, **changes)


def told(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def happened(record: Negotiation | Transfer, name: str, at: int = 2_000) -> Commit:
    return Commit(events=(Happened(name, at, record),))


# The table is the truth


def test_the_registry_has_the_metrics_of_the_table_and_no_other() -> None:
    metrics = Metrics()
    metrics.read(sources())
    served = {family.name: (family.type, family.documentation) for family in metrics.registry.collect()}
    assert served == {metric.name.removesuffix("_total"): (metric.kind, metric.help) for metric in TABLE}


def test_the_page_has_the_metrics_of_the_table_and_no_other() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == [metric.name for metric in TABLE]


def test_prometheus_can_read_it() -> None:
    metrics = Metrics()
    metrics.read(sources(batches=lambda: {1: 3, 5: 2}))
    metrics.committed(happened(a_negotiation(), "contract.negotiation.requested"))
    read = {family.name for family in text_string_to_metric_families(metrics.text().decode())}
    assert {metric.name.removesuffix("_total") for metric in TABLE} <= read


SERIES = {metric.name + suffix: metric for metric in TABLE for suffix in SUFFIXES[metric.kind]}


def expressions() -> list[str]:
    rules = [
        r for g in yaml.safe_load((DOCS / "alerts.yaml").read_text(encoding="utf-8"))["groups"] for r in g["rules"]
    ]
    assert all(
        rule["annotations"].keys() == {"summary", "description"} and rule["labels"]["severity"] for rule in rules
    )
    panels = json.loads((DOCS / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    return [*(rule["expr"] for rule in rules), *(target["expr"] for panel in panels for target in panel["targets"])]


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_dashboard_speak_of_what_there_is(expression: str) -> None:
    names = NAME.findall(expression)
    assert names
    assert set(names) <= SERIES.keys()
    known = {label for name in names for label in SERIES[name].labels} | {"le"}
    grouped = [label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")]
    matched = re.findall(r"(\w+)!?=~?\"", expression)
    assert {*grouped, *matched} <= known
    assert expression.count("(") == expression.count(")")


# Exchanges


def test_each_state_of_a_negotiation_is_counted_by_role() -> None:
    metrics = Metrics()
    metrics.committed(happened(a_negotiation(), "contract.negotiation.requested"))
    metrics.committed(happened(a_negotiation(created_at=500), "contract.negotiation.finalized"))
    count = "connector_negotiations_total"
    assert told(metrics, count, role="PROVIDER", state="REQUESTED", reason="") == 1
    assert told(metrics, count, role="PROVIDER", state="FINALIZED", reason="") == 1
    assert told(metrics, "connector_negotiation_seconds_sum", role="PROVIDER") == 1.5


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("we:TERMINATE", "us"),
        ("peer:TERMINATE", "peer"),
        ("refused:REQUEST", "refused"),
        ("abandoned", "abandoned"),
        ("x", "other"),
    ],
)
def test_an_end_says_who_ended_it(last: str, reason: str) -> None:
    metrics = Metrics()
    metrics.committed(happened(a_transfer(history=(Entry(1, last),)), "transfer.process.terminated"))
    metrics.committed(happened(a_negotiation(history=(Entry(1, last),)), "contract.negotiation.terminated"))
    for name in ("connector_transfers_total", "connector_negotiations_total"):
        assert told(metrics, name, role="PROVIDER", state="TERMINATED", reason=reason) == 1


def test_only_the_first_start_of_a_transfer_is_timed() -> None:
    metrics, once = Metrics(), (Entry(1, "peer:REQUEST"), Entry(2, "we:START"))
    metrics.committed(happened(a_transfer(created_at=1_500, history=once), "transfer.process.started"))
    again = (*once, Entry(3, "we:SUSPEND"), Entry(4, "refused:START"), Entry(5, "we:START"))
    metrics.committed(happened(a_transfer(created_at=1_500, history=again), "transfer.process.started"))
    assert told(metrics, "connector_transfer_start_seconds_sum", role="PROVIDER") == 0.5
    assert told(metrics, "connector_transfers_total", role="PROVIDER", state="STARTED", reason="") == 2


# Messages


@pytest.mark.parametrize(
    ("after", "outcome", "dead"),
    [(None, "done", None), (a_message(), "again", None), (a_message(dead=True), "dead", 1)],
)
async def test_an_attempt_is_timed_by_its_outcome(after: Outgoing | None, outcome: str, dead: float | None) -> None:
    metrics = Metrics()

    async def deliver(_: Outgoing, __: str) -> Outgoing | None:
        return after

    assert await metrics.deliveries(deliver)(a_message(), "") is after
    assert told(metrics, "connector_delivery_seconds_count", kind="negotiation", outcome=outcome) == 1
    assert told(metrics, "connector_dead_letters_total", kind="negotiation") == dead


async def test_an_attempt_that_fails_here_is_a_fault_and_fails_on() -> None:
    metrics = Metrics()

    async def deliver(_: Outgoing, __: str) -> Outgoing | None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        await metrics.deliveries(deliver)(a_message(), "")
    assert told(metrics, "connector_delivery_seconds_count", kind="negotiation", outcome="fault") == 1


# The present state


def test_ages_count_from_now_and_are_never_negative() -> None:
    metrics = Metrics()
    metrics.read(sources(oldest=lambda: 4_000, due_since=lambda: 12_000, waiting=lambda: 3))
    assert told(metrics, "connector_outbox_messages") == 3
    assert told(metrics, "connector_outbox_oldest_seconds") == 6
    assert told(metrics, "connector_outbox_overdue_seconds") == 0


def test_commits_and_the_transactions_in_them_are_told() -> None:
    metrics = Metrics()
    metrics.read(sources(batches=lambda: {1: 3, 5: 2}, statements=lambda: 40))
    assert told(metrics, "connector_store_statements_total") == 40
    assert told(metrics, "connector_store_commits_total") == 5
    assert told(metrics, "connector_store_batch_transactions_bucket", le="4.0") == 3
    assert told(metrics, "connector_store_batch_transactions_bucket", le="8.0") == 5
    assert told(metrics, "connector_store_batch_transactions_sum") == 13


# Policies and data

DENYING = Constraint("https://w3id.org/catenax/2025/9/policy/BusinessPartnerNumber", "isAnyOf", ("BPNL00000000SOME",))


@pytest.mark.parametrize(
    ("rule", "operand"),
    [
        (Rule("use", (DENYING,)), "BusinessPartnerNumber"),
        (Rule("use", (Constraint("https://stranger.example/whatever", "eq", "x"),)), "other"),
        (Rule("sell"), "rule"),
    ],
)
def test_a_denial_is_counted_by_an_operand_that_the_engine_knows(rule: Rule, operand: str) -> None:
    metrics, party = Metrics(), Counterparty("did:web:them.example", "BPNL0000000OTHER", {})
    verdict = evaluate(Policy(permission=(rule,)), Circumstances("transfer", party, 0, 0))
    view = TransferView(
        role=Role.PROVIDER,
        state=transfer.State.REQUESTED,
        event=transfer.Event.REQUEST,
        ours=False,
        id="t-1",
        counterparty=party,
        agreement_id="a-1",
        asset_id="asset-1",
        format="HttpData-PULL",
        judge=lambda: verdict,
    )
    assert CountedTransfers(AutomaticTransfer(), metrics).decide(view) == AutomaticTransfer().decide(view)
    assert told(metrics, "connector_policy_denials_total", scope="transfer", operand=operand) == 1


class OneSource(Source):
    """A source whose content a test makes."""

    def __init__(self, content: Content | None) -> None:
        self.content = content

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        @asynccontextmanager
        async def opened(_: Ask) -> AsyncIterator[Content]:
            if self.content is None:
                raise Unreachable("away")
            yield self.content

        return Prepared(opened, 7)


async def fetched(metrics: Metrics, content: Content | None) -> bytes:
    counted = CountedSource(OneSource(content), "File", metrics)
    prepared = counted.prepare(cast("Tx", None), asset(), Reader(None, "a-1"))  # it reads nothing
    assert prepared.weight == 7
    async with prepared.open(Ask()) as opened:
        if opened.read is None:
            return opened.body
        return b"".join([chunk async for chunk in each(opened.read)])


async def each(read: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    while chunk := await read():
        yield chunk


async def test_the_bytes_of_a_body_and_of_a_stream_are_counted() -> None:
    metrics, chunks = Metrics(), [b"", b"de", b"abc"]

    async def read() -> bytes:
        return chunks.pop()

    assert await fetched(metrics, Content(200, CIMultiDict(), b"whole")) == b"whole"
    assert await fetched(metrics, Content(206, CIMultiDict(), read=read)) == b"abcde"
    assert told(metrics, "connector_data_bytes_total", source="File") == 10
    assert told(metrics, "connector_data_requests_total", source="File", status="2xx") == 2


async def test_a_source_that_cannot_be_opened_is_counted_as_failed() -> None:
    metrics = Metrics()
    with pytest.raises(Unreachable):
        await fetched(metrics, None)
    assert told(metrics, "connector_data_requests_total", source="File", status="failed") == 1


class ReadOnly(Source):
    """A source that looks at a request before it opens anything."""

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        def opened(ask: Ask) -> AbstractAsyncContextManager[Content]:
            only_read(ask)
            return nullcontext(Content(200, CIMultiDict()))

        return Prepared(opened)


async def test_a_request_that_a_source_refuses_is_counted_as_failed() -> None:
    metrics = Metrics()
    prepared = CountedSource(ReadOnly(), "File", metrics).prepare(cast("Tx", None), asset(), Reader(None, "a-1"))
    with pytest.raises(PeerError):
        async with prepared.open(Ask("DELETE")):
            pass
    assert told(metrics, "connector_data_requests_total", source="File", status="failed") == 1
