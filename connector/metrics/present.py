"""What is so at this moment: read from memory (and the file system's own figures) when somebody asks, never by SQL."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector
from typing_extensions import override

from connector.metrics.table import BATCH, TABLE


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the present state is to be had. `batches`: commits by how many transactions they had. Times in ms."""

    now: Callable[[], int]
    waiting: Callable[[], int]
    oldest: Callable[[], int | None]
    due_since: Callable[[], int | None]
    statements: Callable[[], int]
    batches: Callable[[], Mapping[int, int]]
    failures: Callable[[], int]
    free_bytes: Callable[[], int]


class Present(Collector):
    """Prometheus' view of them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @override
    def collect(self) -> Iterator[Family]:
        read = self._sources
        gauges: dict[str, float] = {
            "connector_outbox_messages": read.waiting(),
            "connector_outbox_oldest_seconds": self._since(read.oldest()),
            "connector_outbox_overdue_seconds": self._since(read.due_since()),
            "connector_disk_free_bytes": read.free_bytes(),
        }
        batches = dict(read.batches())
        counters = {
            "connector_store_statements_total": read.statements(),
            "connector_store_commits_total": sum(batches.values()),
            "connector_store_failures_total": read.failures(),
        }
        for name, value in gauges.items():
            yield GaugeMetricFamily(name, _HELP[name], value=value)
        for name, value in counters.items():
            yield CounterMetricFamily(name, _HELP[name], value=value)
        yield _histogram("connector_store_batch_transactions", batches)

    def _since(self, at: int | None) -> float:
        return 0 if at is None else max(0, self._sources.now() - at) / 1000


def _histogram(name: str, counted: Mapping[int, int]) -> HistogramMetricFamily:
    below = [(f"{float(edge)}", sum(n for size, n in counted.items() if size <= edge)) for edge in BATCH]
    buckets = [*below, ("+Inf", sum(counted.values()))]
    return HistogramMetricFamily(
        name, _HELP[name], buckets=buckets, sum_value=sum(size * n for size, n in counted.items())
    )


_HELP = {metric.name: metric.help for metric in TABLE}
