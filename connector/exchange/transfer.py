"""What an operator may do to transfers: start one under an agreement, pause, resume, complete, end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.exchange.events import transfer_event
from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import CallbackAddress, Negotiation, Peer, Transfer
from connector.exchange.strategy import Act, Decision
from connector.exchange.transfer_moves import carry_out
from connector.protocol import negotiation
from connector.protocol.errors import Conflict, Invalid, PeerError
from connector.protocol.process import Role
from connector.protocol.transfer import TransferProcess
from connector.protocol.vocabulary import HTTP_PUSH


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be transferred: under which agreement, in which format, for a push also to where."""

    agreement_id: str
    format: str
    address: str | None = None
    """The provider's DSP base URL; None: where the agreement was negotiated."""
    destination: Mapping[str, str] | None = None
    private_properties: Mapping[str, Any] = field(default_factory=dict)
    callbacks: tuple[CallbackAddress, ...] = ()


async def request(node: Node, order: Order) -> Transfer:
    """Ask the provider for the data of an agreement. Raise NotFound, Conflict (not final) or Invalid."""
    if order.address is not None:
        try:
            node.wire.check(order.address)
        except PeerError as error:
            raise Invalid(error.reason, "/counterPartyAddress", order.address) from error
    if order.format.startswith(HTTP_PUSH) and not (order.destination or {}).get("baseUrl"):
        raise Invalid("a push needs a dataDestination with a baseUrl", "/dataDestination/baseUrl")
    return await node.store.run(lambda tx: begin(node, tx, order))


def begin(node: Node, tx: Tx, order: Order) -> Transfer:
    """Start a transfer inside a transaction; `request` and the one-call form share it."""
    agreement = tx.agreements.get(order.agreement_id)
    if agreement.consumer_id != node.id:
        raise Conflict(f"agreement {agreement.id} lets {agreement.consumer_id} have the data, not this node")
    contract = tx.negotiations.get(agreement.negotiation_id)
    if contract.process.state is not negotiation.State.FINALIZED:
        raise Conflict(f"agreement {agreement.id} is not final: its negotiation is {contract.process.state}")
    now = node.clock.now()
    record = Transfer(
        id=node.ids(),
        created_at=now,
        updated_at=now,
        process=TransferProcess(Role.CONSUMER),
        peer=Peer(agreement.provider_id, (order.address or contract.peer.address).rstrip("/")),
        agreement_id=agreement.id,
        asset_id=agreement.asset_id,
        format=order.format,
        destination=order.destination,
        callbacks=order.callbacks,
        private_properties=order.private_properties,
    )
    record = record.noted(now, "initiated")
    transfer_event(node, tx, record, "initiated")
    record = carry_out(node, tx, record, Decision(Act.REQUEST))
    tx.transfers.add(record)
    return record


def follow(node: Node, tx: Tx, contract: Negotiation) -> None:
    """Start the transfer that was asked for together with a contract (`POST /v3/edrs`), now that it is final.

    The negotiation must have been saved in its final state.
    """
    if contract.transfer_format is None or contract.process.us is not Role.CONSUMER or contract.agreement_id is None:
        return
    begin(node, tx, Order(contract.agreement_id, contract.transfer_format, callbacks=contract.callbacks))


async def act(node: Node, transfer_id: str, decision: Decision) -> Transfer:
    """Carry out a person's decision. Raise NotFound, or Conflict if the state does not allow it."""

    def tx(tx: Tx) -> Transfer:
        record = tx.transfers.get(transfer_id)
        record = carry_out(node, tx, record.noted(node.clock.now(), f"operator:{decision.act}"), decision)
        tx.transfers.save(record)
        return record

    return await node.store.run(tx)
