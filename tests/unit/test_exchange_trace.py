"""One id for an exchange: both sides find the same, for the negotiation and the transfers under its agreement."""

import re
from dataclasses import replace

import pytest
import structlog

from connector.engine.steps import REMEMBERED, Steps
from connector.exchange.ports import Commit, Store
from connector.exchange.records import Happened, Negotiation, Peer
from connector.exchange.trace import agreement_id, trace_of, traceparent
from connector.http.middleware import _TRACEPARENT
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Role
from connector.storage.sqlite import SqliteStore
from tests.unit.storage_records import a_message, a_negotiation, a_transfer

MAKER, BUYER = "did:web:maker.example", "did:web:buyer.example"
AT_PROVIDER = a_negotiation("n-p", peer=Peer(BUYER, "https://buyer.example"), peer_pid="n-c")
AT_CONSUMER = a_negotiation(
    "n-c", process=NegotiationProcess(Role.CONSUMER), peer=Peer(MAKER, "https://maker.example"), peer_pid="n-p"
)


def test_both_sides_of_a_negotiation_find_the_same_trace() -> None:
    assert trace_of(MAKER, AT_PROVIDER) == trace_of(BUYER, AT_CONSUMER)


def test_a_consumer_knows_it_before_the_provider_has_answered() -> None:
    assert trace_of(BUYER, replace(AT_CONSUMER, peer_pid=None)) == trace_of(BUYER, AT_CONSUMER)


def test_transfers_have_the_trace_of_the_negotiation_behind_them() -> None:
    agreed = agreement_id(MAKER, AT_PROVIDER)
    assert trace_of(BUYER, a_transfer(agreement_id=agreed)) == trace_of(MAKER, AT_PROVIDER)


def test_consumers_that_choose_the_same_pid_get_different_agreements() -> None:
    other = replace(AT_PROVIDER, peer=Peer("did:web:other.example", "https://other.example"))
    assert agreement_id(MAKER, other) != agreement_id(MAKER, AT_PROVIDER)


def test_any_agreement_id_of_a_peer_makes_a_trace() -> None:
    for identifier in ("", "contract 7", "urn:uuid:5f0e0a4a-6b7f-4d6e-9a37-1c1ad0f1a5b3", "ä" * 300):
        assert re.fullmatch("[0-9a-f]{32}", trace_of(MAKER, a_transfer(agreement_id=identifier)))


def test_the_header_is_one_that_we_take_up_ourselves() -> None:
    trace = trace_of(MAKER, AT_PROVIDER)
    found = _TRACEPARENT.fullmatch(traceparent(trace, "message-1"))
    assert found is not None
    assert found[1] == trace
    assert traceparent(trace, "message-1") == traceparent(trace, "message-1") != traceparent(trace, "message-2")


def step(record: Negotiation) -> Commit:
    return Commit(events=(Happened("contract.negotiation.requested", 1, record),))


@pytest.fixture
async def store() -> object:
    return await SqliteStore.open()


async def test_a_step_is_one_line_with_names_and_states_only(store: Store) -> None:
    with structlog.testing.capture_logs() as lines:
        Steps(MAKER, store).note(step(AT_PROVIDER))
    await store.close()
    assert lines == [
        {
            "event": "contract.negotiation.requested",
            "log_level": "info",
            "node": MAKER,
            "trace": trace_of(MAKER, AT_PROVIDER),
            "process": "n-p",
            "peer_process": "n-c",
            "counterparty": BUYER,
            "role": "PROVIDER",
            "state": "REQUESTED",
            "agreement": "agreement-1",
            "asset": "asset-1",
            "error": "something",
        }
    ]


async def test_the_trace_of_a_message_is_known_from_the_step_before_it_or_looked_up(store: Store) -> None:
    assert isinstance(store, SqliteStore)
    steps = Steps(MAKER, store)
    steps.note(step(AT_PROVIDER))
    before = store.statements
    assert await steps.trace(a_message(topic="n-p")) == trace_of(MAKER, AT_PROVIDER)
    callback = a_message(kind="callback", topic="callback:n-p:https://hook.example")
    assert await steps.trace(callback) == trace_of(MAKER, AT_PROVIDER)
    assert store.statements == before
    await store.run(lambda tx: tx.negotiations.add(AT_PROVIDER))
    await store.run(lambda tx: tx.transfers.add(a_transfer("t-1")))
    for kind, topic in (("transfer", "t-1"), ("push", "push:t-1")):
        assert await Steps(MAKER, store).trace(a_message(kind=kind, topic=topic)) == trace_of(MAKER, a_transfer())
    assert await Steps(MAKER, store).trace(a_message(topic="n-p")) == trace_of(MAKER, AT_PROVIDER)
    assert await Steps(MAKER, store).trace(a_message(topic="gone")) == ""
    await store.close()


async def test_the_memory_of_traces_has_an_end(store: Store) -> None:
    steps = Steps(MAKER, store)
    with structlog.testing.capture_logs():
        steps.note(Commit(events=tuple(Happened("x", 1, a_transfer(f"t-{i}")) for i in range(REMEMBERED + 5))))
    for topic, known in (("t-0", ""), ("t-4", ""), ("t-5", trace_of(MAKER, a_transfer()))):  # the store has none
        assert await steps.trace(a_message(kind="transfer", topic=topic)) == known
    await store.close()
