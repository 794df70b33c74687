"""Every metric there is, in one table: what is counted, the reference page, and the test of alerts follow from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EXCHANGE_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
"""An automatic exchange takes well below a second, one with people in it takes days."""
MESSAGE_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH: Final = (1, 2, 4, 8, 16, 32)


class Kind(StrEnum):
    """The kinds of Prometheus' data model that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `present`: read from memory at the moment of a scrape, nobody counts it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    present: bool = False


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
TABLE: Final = (
    Metric(
        "connector_negotiations_total",
        _C,
        "Negotiations that came into a state; reason says who ended one: us, peer, refused, abandoned, other",
        ("role", "state", "reason"),
    ),
    Metric(
        "connector_transfers_total",
        _C,
        "Transfers that came into a state; reason as for negotiations",
        ("role", "state", "reason"),
    ),
    Metric(
        "connector_negotiation_seconds",
        _H,
        "From the request of a negotiation until it is finalized",
        ("role",),
        EXCHANGE_S,
    ),
    Metric(
        "connector_transfer_start_seconds",
        _H,
        "From the request of a transfer until it is started for the first time",
        ("role",),
        EXCHANGE_S,
    ),
    Metric(
        "connector_delivery_seconds",
        _H,
        "Attempts to deliver a message; outcome is done (taken or refused for good), again, dead, or fault (ours)",
        ("kind", "outcome"),
        MESSAGE_S,
    ),
    Metric("connector_dead_letters_total", _C, "Messages given up after all their attempts", ("kind",)),
    Metric("connector_outbox_messages", _G, "Messages not delivered yet, without dead letters", present=True),
    Metric(
        "connector_outbox_oldest_seconds",
        _G,
        "Age of the oldest message that has not been delivered, 0 if there is none",
        present=True,
    ),
    Metric(
        "connector_outbox_overdue_seconds",
        _G,
        "How long a message has been waiting for an attempt that is due: this node is behind, not its peers",
        present=True,
    ),
    Metric(
        "connector_tokens_issued_total",
        _C,
        "Tokens issued; kind is identity (for messages to peers) or access (to data)",
        ("kind",),
    ),
    Metric(
        "connector_tokens_refused_total",
        _C,
        "Tokens of others that were refused; status 503 means that it could not be told",
        ("kind", "status"),
    ),
    Metric(
        "connector_data_requests_total",
        _C,
        "Requests for data, by pull or push, that were let in; status is the class of the source's answer, or failed",
        ("source", "status"),
    ),
    Metric("connector_data_bytes_total", _C, "Bytes of data that left sources, as they were sent", ("source",)),
    Metric(
        "connector_policy_denials_total",
        _C,
        "Policies that did not permit a negotiation or transfer, by the operand of the constraint that denied",
        ("scope", "operand"),
    ),
    Metric(
        "connector_http_request_seconds",
        _H,
        "Requests to this node; route is the template of the path, status a class",
        ("surface", "method", "route", "status"),
        REQUEST_S,
    ),
    Metric(
        "connector_limited_total",
        _C,
        "Refused because a limit was reached: connections, failures, rate, requests, negotiations, transfers, pulls",
        ("limit",),
    ),
    Metric("connector_store_statements_total", _C, "SQL statements run", present=True),
    Metric("connector_store_commits_total", _C, "Commits of the database", present=True),
    Metric(
        "connector_store_failures_total",
        _C,
        "Transactions that the database could not carry out: it is full, locked or away",
        present=True,
    ),
    Metric(
        "connector_store_batch_transactions",
        _H,
        "Transactions that shared one commit",
        buckets=BATCH,
        present=True,
    ),
    Metric("connector_disk_free_bytes", _G, "Free space where the data folder is", present=True),
)
