"""Makes an exchange traceable: one log line for each of its steps, one trace for all of its messages.

`trace` is the same on both sides (`exchange.trace`), so the lines of two nodes join to one story; `agreement` joins
them where a peer goes its own way. Nothing but names and states is written: no terms, no addresses, no tokens.
"""

from typing import Final

import structlog

from connector.exchange.ports import Commit, Store, Tx
from connector.exchange.records import Negotiation, Outgoing, Transfer
from connector.exchange.trace import trace_of
from connector.exchange.transfer_moves import PUSH

log = structlog.get_logger()
REMEMBERED: Final = 10_000
"""Processes whose trace is in memory; that of any other one is looked up when it has a message to send."""


class Steps:
    """The steps of one node's exchanges; `us` is its participant id."""

    def __init__(self, us: str, store: Store) -> None:
        self._us = us
        self._store = store
        self._traces: dict[str, str] = {}

    def note(self, commit: Commit) -> None:
        """Write a line for each event of a negotiation or transfer, and remember the trace for its messages."""
        for event in commit.events:
            record = event.record
            if isinstance(record, Negotiation | Transfer):
                log.info(
                    event.name,
                    node=self._us,
                    trace=self._keep(record),
                    process=record.id,
                    peer_process=record.peer_pid,
                    counterparty=record.peer.id,
                    role=record.process.us,
                    state=record.process.state or "INITIAL",
                    agreement=record.agreement_id,
                    asset=record.asset_id,
                    error=record.error,
                )

    async def trace(self, message: Outgoing) -> str:
        """The trace of the process that a message is about; "" if that is gone."""
        about, moving = message.topic.removeprefix(PUSH), message.kind in ("transfer", "push")
        if message.kind == "callback":
            about, moving = message.topic.split(":", 2)[1], message.event.startswith("transfer.")
        if (known := self._traces.get(about)) is not None:
            return known

        def find(tx: Tx) -> Negotiation | Transfer | None:
            return tx.transfers.find(about) if moving else tx.negotiations.find(about)

        record = await self._store.read(find)
        return "" if record is None else self._keep(record)

    def _keep(self, record: Negotiation | Transfer) -> str:
        trace = trace_of(self._us, record)
        self._traces.pop(record.id, None)  # to its end: the first to go is the one that was not touched for longest
        self._traces[record.id] = trace
        if len(self._traces) > REMEMBERED:
            del self._traces[next(iter(self._traces))]
        return trace
