"""Agreements outside of a negotiation: taking over one made elsewhere, ending one before its own dates do.

Ending is Tractus-X's agreement retirement, but at once: EDC waits for its policy monitor.
"""

from dataclasses import dataclass, replace

from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Agreement, Negotiation, Peer, Transfer
from connector.exchange.transfer_moves import end
from connector.policy.model import Policy
from connector.protocol.errors import Conflict, Invalid
from connector.protocol.negotiation import NegotiationProcess, State
from connector.protocol.process import Role
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


@dataclass(frozen=True, slots=True)
class Foreign:
    """An agreement that was made elsewhere: by another connector of ours, or on paper."""

    id: str
    counterparty: Peer
    provider_id: str
    policy: Policy
    signed_at: int | None = None


async def adopt(node: Node, foreign: Foreign) -> Agreement:
    """Take over an agreement, so that transfers can follow. Raise Invalid, or Conflict if the id is taken.

    It gets a negotiation that is final from the start, like any other agreement; its timeline says where it came from.
    """
    if foreign.provider_id not in (node.id, foreign.counterparty.id):
        raise Invalid("the provider is either this node or the counterparty", "/providerId", foreign.provider_id)
    if not foreign.policy.target:
        raise Invalid("the agreement names no asset: its policy needs a target", "/policy/target")
    us = Role.PROVIDER if foreign.provider_id == node.id else Role.CONSUMER
    consumer_id = foreign.counterparty.id if us is Role.PROVIDER else node.id
    now = node.clock.now()
    policy = replace(
        foreign.policy, kind="Agreement", id=foreign.id, assigner=foreign.provider_id, assignee=consumer_id
    )
    contract = Negotiation(
        id=node.ids(),
        created_at=now,
        updated_at=now,
        process=NegotiationProcess(us, State.FINALIZED),
        peer=Peer(foreign.counterparty.id, foreign.counterparty.address.rstrip("/")),
        offer=policy,
        offered_by=Role.PROVIDER,
        agreement_id=foreign.id,
    ).noted(now, "operator:adopted", "the agreement was made elsewhere")
    agreement = Agreement(
        id=foreign.id,
        created_at=foreign.signed_at or now,
        provider_id=foreign.provider_id,
        consumer_id=consumer_id,
        asset_id=foreign.policy.target,
        policy=policy,
        negotiation_id=contract.id,
    )

    def tx(tx: Tx) -> Agreement:
        tx.agreements.add(agreement)
        tx.negotiations.add(contract)
        return agreement

    return await node.store.run(tx)
