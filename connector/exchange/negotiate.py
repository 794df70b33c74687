"""What an operator may do to contract negotiations: start one from either side, decide, end, forget."""

from dataclasses import dataclass, replace

from connector.exchange.events import negotiation_event
from connector.exchange.negotiation_moves import carry_out
from connector.exchange.node import Node
from connector.exchange.offer_ids import offer_id
from connector.exchange.ports import Tx
from connector.exchange.records import CallbackAddress, Negotiation, Peer
from connector.exchange.strategy import Act, Decision
from connector.policy.equality import fingerprint
from connector.policy.model import Policy
from connector.protocol.errors import Conflict, Invalid, NotFound, PeerError
from connector.protocol.negotiation import NegotiationProcess, State
from connector.protocol.process import Role


@dataclass(frozen=True, slots=True)
class Contract:
    """What a negotiation is to be about: whom to ask, at which address, for which offer."""

    peer: Peer
    offer: Policy
    callbacks: tuple[CallbackAddress, ...] = ()
    transfer_format: str | None = None


async def request(node: Node, contract: Contract) -> Negotiation:
    """Ask a provider for a contract. Raise Invalid if offer or address cannot be right."""
    if not contract.offer.id:
        raise Invalid("the offer needs the @id it has in the provider's catalog", "/policy/@id")
    if not contract.offer.target:
        raise Invalid("the offer needs the target it is about: the dataset's @id", "/policy/target")
    return await _begin(node, contract, Role.CONSUMER, Decision(Act.REQUEST))


async def offer(node: Node, peer: Peer, definition_id: str, asset_id: str) -> Negotiation:
    """Offer an asset to a consumer that has not asked, on the terms of one of our contract definitions."""

    def terms(tx: Tx) -> Policy:
        definition = tx.definitions.get(definition_id)
        tx.assets.get(asset_id)
        policy = tx.policies.get(definition.contract_policy_id).policy
        ident = offer_id(definition_id, asset_id, fingerprint(policy))
        return replace(policy, kind="Offer", id=ident, target=asset_id, assigner=node.id)

    contract = Contract(peer, await node.store.read(terms))
    return await _begin(node, contract, Role.PROVIDER, Decision(Act.OFFER))


async def _begin(node: Node, contract: Contract, us: Role, decision: Decision) -> Negotiation:
    peer = Peer(contract.peer.id, contract.peer.address.rstrip("/"))
    try:
        node.wire.check(peer.address)
    except PeerError as error:
        raise Invalid(error.reason, "/counterPartyAddress", peer.address) from error

    def tx(tx: Tx) -> Negotiation:
        now = node.clock.now()
        record = Negotiation(
            id=node.ids(),
            created_at=now,
            updated_at=now,
            process=NegotiationProcess(us),
            peer=peer,
            offer=contract.offer,
            offered_by=us,
            callbacks=contract.callbacks,
            transfer_format=contract.transfer_format,
        )
        record = record.noted(now, "initiated")
        negotiation_event(node, tx, record, "initiated")
        record = carry_out(node, tx, record, decision)
        tx.negotiations.add(record)
        return record

    return await node.store.run(tx)


async def act(node: Node, negotiation_id: str, decision: Decision) -> Negotiation:
    """Carry out a person's decision. Raise NotFound, or Conflict if the state does not allow it."""

    def tx(tx: Tx) -> Negotiation:
        record = tx.negotiations.get(negotiation_id)
        record = carry_out(node, tx, record.noted(node.clock.now(), f"operator:{decision.act}"), decision)
        tx.negotiations.save(record)
        return record

    return await node.store.run(tx)


async def forget(node: Node, negotiation_id: str) -> None:
    """Delete a negotiation that was terminated without an agreement; any other one is evidence."""

    def tx(tx: Tx) -> None:
        record = tx.negotiations.get(negotiation_id)
        if record.process.state is not State.TERMINATED:
            raise Conflict(f"negotiation {negotiation_id} is not terminated: terminate it first")
        if record.agreement_id is not None and tx.agreements.find(record.agreement_id) is not None:
            raise Conflict(f"negotiation {negotiation_id} has an agreement, which must stay explicable")
        tx.drop_messages(record.id)
        tx.negotiations.delete(negotiation_id)

    await node.store.run(tx)


async def agreement_of(node: Node, negotiation_id: str) -> str:
    """The id of the agreement a negotiation led to. Raise NotFound if it has none yet."""
    record = await node.store.read(lambda tx: tx.negotiations.get(negotiation_id))
    if record.agreement_id is None:
        raise NotFound(f"negotiation {negotiation_id} has no agreement yet: it is {record.process.state or 'INITIAL'}")
    return record.agreement_id
