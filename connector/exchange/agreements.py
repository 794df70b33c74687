"""Ending what an agreement allows, before its own dates do.

Tractus-X's agreement retirement, but at once: EDC waits for its policy monitor.
"""

from dataclasses import replace

from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Agreement, Transfer
from connector.exchange.transfer_moves import end
from connector.protocol.errors import Conflict
from connector.protocol.transfer import TERMINAL


async def retire(node: Node, agreement_id: str, reason: str) -> list[str]:
    """Allow no new transfer and terminate the running ones, at once. Return the ids of those.

    Raise NotFound, or Conflict if it is retired already or not ours to retire.
    """

    def tx(tx: Tx) -> list[str]:
        agreement = _ours(node, tx, agreement_id)
        if agreement.retired_at is not None:
            raise Conflict(f"agreement {agreement_id} is retired already")
        tx.agreements.save(replace(agreement, retired_at=node.clock.now(), retirement_reason=reason))
        running = _running(tx, agreement_id)
        for record in running:
            tx.transfers.save(end(node, tx, record, f"the agreement was retired: {reason}"))
        return [record.id for record in running]

    return await node.store.run(tx)


async def reactivate(node: Node, agreement_id: str) -> None:
    """Allow new transfers again. Raise NotFound if the agreement is not retired."""

    def tx(tx: Tx) -> None:
        agreement = _ours(node, tx, agreement_id)
        if agreement.retired_at is None:
            raise Conflict(f"agreement {agreement_id} is not retired")
        tx.agreements.save(replace(agreement, retired_at=None, retirement_reason=None))

    await node.store.run(tx)


def _ours(node: Node, tx: Tx, agreement_id: str) -> Agreement:
    agreement = tx.agreements.get(agreement_id)
    if agreement.provider_id != node.id:
        raise Conflict(f"agreement {agreement_id} was given by {agreement.provider_id}: only the provider retires it")
    return agreement


def _running(tx: Tx, agreement_id: str) -> list[Transfer]:
    criteria = (Criterion("contractId", "=", agreement_id), Criterion("state", "not in", tuple(TERMINAL)))
    count = tx.transfers.count(criteria)
    return tx.transfers.query(QuerySpec(limit=min(count, 10_000), criteria=criteria)) if count else []
