"""Telling of what happened: EDC's event names, EDC's event JSON, and the callbacks that operators ask for.

Callbacks leave through the outbox like every other message: promised in the transaction of the event, retried, kept as
dead letters. EDC's fire-once callbacks lose events; integrators (the passport viewer among them) depend on them. The
`transactional` flag of EDC is accepted and means the same here as its absence: no hook can block a transition.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import CallbackAddress, Happened, Negotiation, Outgoing, Transfer
from connector.protocol import negotiation, transfer
from connector.protocol.process import Role
from connector.protocol.vocabulary import EDC, PROTOCOL

NEGOTIATION: Final[Mapping[negotiation.State, str]] = {
    negotiation.State.REQUESTED: "requested",
    negotiation.State.OFFERED: "offered",
    negotiation.State.ACCEPTED: "accepted",
    negotiation.State.AGREED: "agreed",
    negotiation.State.VERIFIED: "verified",
    negotiation.State.FINALIZED: "finalized",
    negotiation.State.TERMINATED: "terminated",
}
TRANSFER: Final[Mapping[transfer.State, str]] = {
    transfer.State.REQUESTED: "requested",
    transfer.State.STARTED: "started",
    transfer.State.SUSPENDED: "suspended",
    transfer.State.COMPLETED: "completed",
    transfer.State.TERMINATED: "terminated",
}
NAMES: Final = (
    *(
        f"{kind}.{verb}"
        for kind in ("asset", "policy.definition", "contract.definition", "secret")
        for verb in ("created", "updated", "deleted")
    ),
    *(f"contract.negotiation.{verb}" for verb in ("initiated", *NEGOTIATION.values())),
    *(f"transfer.process.{verb}" for verb in ("initiated", *TRANSFER.values())),
)
"""Every event there is; callbacks match them by prefix."""


def negotiation_event(node: Node, tx: Tx, record: Negotiation, verb: str | None = None) -> None:
    """Tell of a negotiation's new state; `verb` is for `initiated`, which is no state."""
    verb = verb or NEGOTIATION[record.process.state or negotiation.State.REQUESTED]
    name = f"contract.negotiation.{verb}"
    tx.emit(Happened(name, record.updated_at, record))
    for callback in _wanted(node, record.callbacks, name):
        payload = {
            "contractNegotiationId": record.id,
            "counterPartyAddress": record.peer.address,
            "counterPartyId": record.peer.id,
            "protocol": PROTOCOL,
            "assetId": record.asset_id,
            "contractAgreementId": record.agreement_id,
            "lastContractOffer": {"id": record.offer.id, "assetId": record.asset_id},
        }
        _promise(node, tx, callback, record, f"ContractNegotiation{verb.capitalize()}", payload)


def transfer_event(
    node: Node, tx: Tx, record: Transfer, verb: str | None = None, *, address: Mapping[str, str] | None = None
) -> None:
    """Tell of a transfer's new state; `address` are the plain names of a received endpoint data reference."""
    verb = verb or TRANSFER[record.process.state or transfer.State.REQUESTED]
    name = f"transfer.process.{verb}"
    tx.emit(Happened(name, record.updated_at, record))
    for callback in _wanted(node, record.callbacks, name):
        payload: dict[str, Any] = {
            "transferProcessId": record.id,
            "assetId": record.asset_id,
            "contractId": record.agreement_id,
            "type": record.process.us,
            "reason": record.error,
        }
        if address is not None and record.process.us is Role.CONSUMER:
            payload["dataAddress"] = {"properties": {_iri(k): v for k, v in address.items()}}
        _promise(node, tx, callback, record, f"TransferProcess{verb.capitalize()}", payload)


def _iri(name: str) -> str:
    """The property names under which consumers look for the parts of an endpoint data reference."""
    return f"https://w3id.org/tractusx/auth/{name}" if name.startswith(("refresh", "expires")) else f"{EDC}{name}"


def _wanted(node: Node, asked: tuple[CallbackAddress, ...], name: str) -> list[CallbackAddress]:
    return [c for c in (*asked, *node.callbacks) if any(name.startswith(prefix) for prefix in c.events)]


def _promise(
    node: Node, tx: Tx, callback: CallbackAddress, record: Negotiation | Transfer, kind: str, payload: dict[str, Any]
) -> None:
    payload["callbackAddresses"] = [
        {"uri": c.uri, "events": list(c.events), "transactional": c.transactional} for c in record.callbacks
    ]
    ident = node.ids()
    body = {"id": ident, "at": record.updated_at, "type": kind, "payload": payload}
    tx.send(
        Outgoing(
            id=ident,
            created_at=record.updated_at,
            topic=f"callback:{record.id}:{callback.uri}",
            kind="callback",
            event=kind,
            url=callback.uri,
            body=json.dumps(body).encode(),
            due_at=record.updated_at,
            auth_key=callback.auth_key,
            auth_code_id=callback.auth_code_id,
        )
    )
