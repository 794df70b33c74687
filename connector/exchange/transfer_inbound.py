"""What a counterparty may do to a transfer: each DSP message, checked and taken (DSP 2025-1, clause 8).

An agreement opens exactly what it names: its own asset, to its own consumer, after it was finalized, while it is not
retired. Everything else about it is answered as if it did not exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from connector.exchange.moves import checked_pids, heard_from
from connector.exchange.negotiation_inbound import check_address, message_content, message_key
from connector.exchange.node import Node
from connector.exchange.ports import Caller, Tx
from connector.exchange.records import Agreement, Edr, Peer, Transfer
from connector.exchange.terms import counterparty
from connector.exchange.transfer_moves import acknowledged, arrived
from connector.protocol import negotiation
from connector.protocol.errors import PeerError
from connector.protocol.messages import UNKNOWN_PID, Message
from connector.protocol.process import Role
from connector.protocol.reading import told
from connector.protocol.transfer import Event, State, TransferProcess
from connector.protocol.transfer_messages import (
    DataAddress,
    TransferCompletionMessage,
    TransferRequestMessage,
    TransferStartMessage,
    TransferSuspensionMessage,
    TransferTerminationMessage,
)
from connector.protocol.transfer_messages import TransferProcess as TransferProcessMessage
from connector.protocol.vocabulary import EDC, HTTP_PUSH

Change = Callable[[Tx, Transfer], Transfer]
ADDRESS_NAMES: Final = (
    *("endpoint", "authorization", "authType", "endpointType"),
    *("refreshToken", "refreshEndpoint", "refreshAudience", "expiresIn"),
)
"""The parts of a pull address that a consumer keeps, under their plain names."""


def as_seen_by_peers(record: Transfer) -> TransferProcessMessage:
    """The TransferProcess object: pids and the state that both sides know."""
    ours, theirs = record.id, record.peer_pid or UNKNOWN_PID
    consumer, provider = (ours, theirs) if record.process.us is Role.CONSUMER else (theirs, ours)
    return TransferProcessMessage(
        consumer_pid=consumer, provider_pid=provider, state=record.process.state or State.REQUESTED
    )


async def show(node: Node, caller: Caller, pid: str) -> TransferProcessMessage:
    """Answer `GET /transfers/{pid}`, on either side. Raise PeerError 404 to anybody but the counterparty."""
    return as_seen_by_peers(await node.store.read(lambda tx: _load(tx, caller, pid)))


async def receive_request(node: Node, caller: Caller, message: TransferRequestMessage) -> TransferProcessMessage:
    """Open a transfer as provider.

    A repeat (by its `@id`, or the same agreement and format under the same consumerPid) is answered with what is there;
    another message that uses the consumerPid again is refused.
    """
    check_address(node, message.callback_address, "/callbackAddress")
    destination = _destination(message)
    if destination is not None:
        check_address(node, destination["baseUrl"], "/dataAddress/endpoint")

    def tx(tx: Tx) -> Transfer:
        known = tx.transfers.find_by_peer(caller.id, message.consumer_pid)
        if known is not None and _repeats(known, message):
            return known
        agreement = _agreement(node, tx, caller, message.agreement_id)
        asset = tx.assets.find(agreement.asset_id)
        if asset is None or message.format not in node.data_plane.formats(asset):
            raise PeerError(400, f"this asset cannot be had as {message.format}", "/format")
        now = node.clock.now()
        record = Transfer(
            id=node.ids(),
            created_at=now,
            updated_at=now,
            process=TransferProcess(Role.PROVIDER).receive(Event.REQUEST, message_key(message)),
            peer=Peer(caller.id, message.callback_address.rstrip("/"), caller.bpn),
            peer_pid=message.consumer_pid,
            agreement_id=agreement.id,
            asset_id=agreement.asset_id,
            format=message.format,
            destination=destination,
        )
        tx.transfers.add(arrived(node, tx, record, Event.REQUEST, ours=False, party=counterparty(tx, caller)))
        return record

    return as_seen_by_peers(await node.store.run(tx))


def _repeats(known: Transfer, message: TransferRequestMessage) -> bool:
    """True if `message` says again what opened `known`. Raise PeerError 400 if it is another one."""
    same = (known.agreement_id, known.format) == (message.agreement_id, message.format)
    if known.process.us is Role.PROVIDER and (message_key(message) in known.process.seen or same):
        return True
    raise PeerError(400, "this pid belongs to another transfer: take a fresh one", "/consumerPid")


def _destination(message: TransferRequestMessage) -> Mapping[str, str] | None:
    """Where a push goes, under plain names; None for a pull, whose destination means nothing."""
    if not message.format.startswith(HTTP_PUSH):
        return None
    address = message.data_address
    endpoint = (address.endpoint or address.get("baseUrl") or address.get("endpoint")) if address else None
    if address is None or endpoint is None:
        raise PeerError(400, "a push needs a dataAddress with an endpoint", "/dataAddress")
    named = {name.removeprefix(EDC): value for name, value in address.properties}
    return {**named, "type": named.get("type", address.endpoint_type), "baseUrl": endpoint}


def _agreement(node: Node, tx: Tx, caller: Caller, agreement_id: str) -> Agreement:
    agreement = tx.agreements.find(agreement_id)
    if agreement is None or agreement.consumer_id != caller.id or agreement.provider_id != node.id:
        raise PeerError(404, "there is no such agreement", "/agreementId")
    if not _final(tx, agreement):
        raise PeerError(400, "this agreement is not finalized", "/agreementId")
    if agreement.retired_at is not None:
        raise PeerError(400, "this agreement has been retired by the provider", "/agreementId")
    return agreement


def _final(tx: Tx, agreement: Agreement) -> bool:
    """A consumer may use what our FINALIZED told it before its answer to that message has reached us."""
    process = tx.negotiations.get(agreement.negotiation_id).process
    finalizing = process.pending is not None and process.pending.event is negotiation.Event.FINALIZE
    return process.state is negotiation.State.FINALIZED or finalizing


async def receive_start(node: Node, caller: Caller, pid: str, message: TransferStartMessage) -> None:
    """Take a start: the provider's address for a pull, or the consumer's wish to resume."""
    address = _plain(message.data_address) if message.data_address is not None else None

    def change(tx: Tx, record: Transfer) -> Transfer:
        if record.process.us is Role.CONSUMER and address is not None and "endpoint" in address:
            _keep(node, tx, record, address)
        return record

    await _take(node, caller, pid, Event.START, message, change, address=address)


def _plain(address: DataAddress) -> dict[str, str]:
    found = {name: value for name in ADDRESS_NAMES if (value := address.get(name)) is not None}
    if address.endpoint is not None:
        found.setdefault("endpoint", address.endpoint)
    return {"endpointType": address.endpoint_type} | found


def _keep(node: Node, tx: Tx, record: Transfer, address: Mapping[str, str]) -> None:
    agreement, now = tx.agreements.find(record.agreement_id), node.clock.now()
    seconds = address.get("expiresIn", "")
    edr = Edr(
        id=record.id,
        created_at=now,
        asset_id=record.asset_id,
        agreement_id=record.agreement_id,
        negotiation_id=agreement.negotiation_id if agreement else "",
        provider_id=record.peer.id,
        address=address,
        expires_at=now + 1000 * int(seconds) if seconds.isdecimal() and len(seconds) < len("1000000000") else None,
    )
    if tx.edrs.find(edr.id) is not None:
        tx.edrs.delete(edr.id)  # `save` would keep the age of the reference before
    tx.edrs.add(edr)


async def receive_suspension(node: Node, caller: Caller, pid: str, message: TransferSuspensionMessage) -> None:
    """Take a suspension; data stops with this commit."""
    await _take(node, caller, pid, Event.SUSPEND, message, _reason(message))


async def receive_completion(node: Node, caller: Caller, pid: str, message: TransferCompletionMessage) -> None:
    """Take a completion; data stops with this commit."""
    await _take(node, caller, pid, Event.COMPLETE, message)


async def receive_termination(node: Node, caller: Caller, pid: str, message: TransferTerminationMessage) -> None:
    """Take a termination; data stops with this commit."""
    await _take(node, caller, pid, Event.TERMINATE, message, _reason(message))


def _reason(message: TransferSuspensionMessage | TransferTerminationMessage) -> Change:
    why = told(message.reason) or message.code or "no reason given"
    return lambda _, record: replace(record, error=f"by the counterparty: {why}"[:2000])


async def _take(
    node: Node,
    caller: Caller,
    pid: str,
    event: Event,
    message: Message,
    change: Change | None = None,
    *,
    address: Mapping[str, str] | None = None,
) -> None:
    def tx(tx: Tx) -> None:
        record = checked_pids(tx, _load(tx, caller, pid), message)
        process = record.process.receive(event, message_key(message), content=message_content(message))
        if process is record.process:
            return  # a repeat: what it asked for is done
        record = _settled(node, tx, heard_from(record, caller), event)
        record = replace(record, process=process, error=None)
        if change is not None:
            record = change(tx, record)
        detail, party = record.error or "", counterparty(tx, caller)
        record = arrived(node, tx, record, event, ours=False, party=party, detail=detail, address=address)
        tx.transfers.save(record)

    await node.store.run(tx)


def _load(tx: Tx, caller: Caller, pid: str) -> Transfer:
    record = tx.transfers.find(pid)
    if record is None or record.peer.id != caller.id:
        raise PeerError(404, "there is no such transfer")
    return record


def _settled(node: Node, tx: Tx, record: Transfer, event: Event) -> Transfer:
    """Take back our pending message, which the peer's `event` has settled, and tell of it if it is proven by that."""
    pending = record.process.pending
    if pending is None:
        return record
    tx.drop_messages(record.id)
    proven = record.process.proven_by(event)
    if proven is record.process:
        return record
    return acknowledged(node, tx, replace(record, process=proven), pending.event, ours=True)
