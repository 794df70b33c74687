"""Metrics of one node, for Prometheus: what happened to exchanges, messages, tokens, data, requests and the database.

A `Metrics` has its own registry, so several nodes may live in one process. It is given to the others as what they know
already: a listener of commits, a wrapper of a port (`connector.metrics.ports`), a middleware. Nothing that decides
knows that it is counted. What is a present state is read from memory when somebody asks: a scrape runs no SQL.

Labels have few values, whatever strangers send: routes are templates, operands those that the engine knows.
"""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from connector.engine.engine import Attempt
from connector.exchange.ports import Commit
from connector.exchange.records import Entry, Negotiation, Outgoing, Transfer
from connector.metrics.present import Present, Sources
from connector.metrics.table import TABLE, Kind, Metric
from connector.protocol import negotiation, transfer

_BY: Final = {"we": "us", "peer": "peer", "refused": "refused", "abandoned": "abandoned"}
"""How a timeline says that a process ended, and what the label `reason` calls it."""
_STARTS: Final = ("we:START", "peer:START")
M = TypeVar("M", Counter, Histogram)


class Metrics:
    """Counts for one node. All methods may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counters = {m.name: Counter(m.name, m.help, m.labels, registry=self.registry) for m in _made(Kind.COUNTER)}
        histograms = {
            m.name: Histogram(m.name, m.help, m.labels, buckets=m.buckets, registry=self.registry)
            for m in _made(Kind.HISTOGRAM)
        }
        self._counter = _labelled(counters)
        self._histogram = _labelled(histograms)

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter of the table."""
        self._counter(name, *labels).inc(by)

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Put a duration into a histogram of the table."""
        self._histogram(name, *labels).observe(seconds)

    def read(self, sources: Sources) -> None:
        """Show the present state of a node's engine and database, whenever somebody asks."""
        self.registry.register(Present(sources))

    def text(self) -> bytes:
        """Everything, in the text format of Prometheus, 0.0.4."""
        return generate_latest(self.registry)

    def committed(self, commit: Commit) -> None:
        """Count the steps of exchanges (a listener of the store)."""
        for event in commit.events:
            verb = event.name.rpartition(".")[2].upper()
            match event.record:
                case Negotiation() as contract:
                    self.count("connector_negotiations_total", contract.process.us, verb, _reason(verb, contract))
                    if verb == negotiation.State.FINALIZED:
                        took = (event.at - contract.created_at) / 1000
                        self.observe("connector_negotiation_seconds", took, contract.process.us)
                case Transfer() as moving:
                    self.count("connector_transfers_total", moving.process.us, verb, _reason(verb, moving))
                    if verb == transfer.State.STARTED and _first_start(moving.history):
                        took = (event.at - moving.created_at) / 1000
                        self.observe("connector_transfer_start_seconds", took, moving.process.us)

    def deliveries(self, attempt: Attempt) -> Attempt:
        """Time each attempt to deliver a message, and tell how it ended."""

        async def timed(message: Outgoing, trace: str) -> Outgoing | None:
            began, outcome = time.perf_counter(), "fault"
            try:
                after = await attempt(message, trace)
                outcome = "done" if after is None else "dead" if after.dead else "again"
                return after
            finally:
                self.observe("connector_delivery_seconds", time.perf_counter() - began, message.kind, outcome)
                if outcome == "dead":
                    self.count("connector_dead_letters_total", message.kind)

        return timed


def _labelled(metrics: Mapping[str, M]) -> Callable[..., M]:
    """Finds a metric with its labels; every message asks for the same few, and the library is slow to find one."""

    @lru_cache(maxsize=4096)
    def find(name: str, *labels: str) -> M:
        return metrics[name].labels(*labels) if labels else metrics[name]

    return find


def _made(kind: Kind) -> list[Metric]:
    return [metric for metric in TABLE if metric.kind is kind and not metric.present]


def _reason(verb: str, record: Negotiation | Transfer) -> str:
    """Who ended a process, "" for one that goes on."""
    if verb != negotiation.State.TERMINATED:
        return ""
    last = record.history[-1].what.partition(":")[0] if record.history else ""
    return _BY.get(last, "other")


def _first_start(history: tuple[Entry, ...]) -> bool:
    return sum(entry.what in _STARTS for entry in history) == 1
