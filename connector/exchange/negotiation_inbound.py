"""What a counterparty may do to a contract negotiation: each DSP message, checked and taken (DSP 2025-1, clause 7).

A message is refused with the reason and changes nothing, or its effect and our reaction to it are committed together.
Whoever is not the counterparty of a process is answered as if it did not exist.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from connector.exchange.moves import checked_pids, heard_from
from connector.exchange.negotiation_moves import acknowledged, arrived
from connector.exchange.node import Node
from connector.exchange.ports import Caller, Tx
from connector.exchange.records import Agreement, Negotiation, Peer
from connector.exchange.terms import counterparty, terms_of
from connector.exchange.transfer import follow
from connector.policy.equality import difference
from connector.policy.model import Policy
from connector.policy.parse import parse_policy
from connector.protocol.errors import PeerError
from connector.protocol.messages import UNKNOWN_PID, Message
from connector.protocol.negotiation import Event, NegotiationProcess, State
from connector.protocol.negotiation_messages import (
    ContractAgreementMessage,
    ContractAgreementVerificationMessage,
    ContractNegotiation,
    ContractNegotiationEventMessage,
    ContractNegotiationTerminationMessage,
    ContractOfferMessage,
    ContractRequestMessage,
)
from connector.protocol.process import Role
from connector.protocol.reading import told

log = structlog.get_logger()
Change = Callable[[Tx, Negotiation], Negotiation]
Again = Callable[[Tx, Negotiation], Negotiation | None]
"""What a message changes that comes where it has come before; None if it is to be taken like any other."""


def message_key(message: Message) -> str:
    """What a repeat is recognised by: the message's `@id`, or its content for peers that send none."""
    return message.id if message.id is not None else message_content(message)


def message_content(message: Message) -> str:
    """A digest of what the message says, its `@id` aside."""
    said = {name: value for name, value in message.to_json().items() if name != "@id"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def check_address(node: Node, url: str, pointer: str) -> None:
    """Raise PeerError 400 with the place if a peer names an address that we must not call."""
    try:
        node.wire.check(url)
    except PeerError as error:
        raise PeerError(error.status, error.reason, pointer) from error


def as_seen_by_peers(record: Negotiation) -> ContractNegotiation:
    """The ContractNegotiation object: pids and the state that both sides know."""
    ours, theirs = record.id, record.peer_pid or UNKNOWN_PID
    if record.process.us is Role.CONSUMER:
        return ContractNegotiation(
            consumer_pid=ours, provider_pid=theirs, state=record.process.state or State.REQUESTED
        )
    return ContractNegotiation(consumer_pid=theirs, provider_pid=ours, state=record.process.state or State.OFFERED)


async def show(node: Node, caller: Caller, pid: str) -> ContractNegotiation:
    """Answer `GET /negotiations/{pid}`. Raise PeerError 404 to anybody but the counterparty."""
    return as_seen_by_peers(await node.store.read(lambda tx: _load(tx, caller, pid)))


async def receive_request(node: Node, caller: Caller, message: ContractRequestMessage) -> ContractNegotiation:
    """Open a negotiation as provider.

    A repeat (by its `@id`, or the same offer under the same consumerPid) is answered with what is there; another
    message that uses the consumerPid again is refused.
    """
    offer = parse_policy(message.offer, "/offer")
    address = _callback(node, message.callback_address)

    def tx(tx: Tx) -> Negotiation:
        known = tx.negotiations.find_by_peer(caller.id, message.consumer_pid)
        if known is not None and _repeats(known, Role.PROVIDER, message, offer):
            return known
        party = counterparty(tx, caller)
        found = terms_of(tx, offer.id or "", party, node.clock.now())
        if found is not None and not found.access.permitted:
            log.info("an offer is not for who asks", peer=caller.id, offer=offer.id, reason=found.access.reason)
            found = None
        if found is None or (offer.target or found.asset_id) != found.asset_id:
            raise PeerError(404, "there is no such offer: ask for the catalog again", "/offer/@id")
        _assigner(offer, node.id)
        process = NegotiationProcess(Role.PROVIDER).receive(Event.REQUEST, message_key(message))
        record = _opened(node, caller, message.consumer_pid, address, process, replace(offer, target=found.asset_id))
        tx.negotiations.add(arrived(node, tx, record, Event.REQUEST, ours=False, party=party, terms=found))
        return record

    return as_seen_by_peers(await node.store.run(tx))


async def receive_initial_offer(node: Node, caller: Caller, message: ContractOfferMessage) -> ContractNegotiation:
    """Open a negotiation as consumer, at the provider's initiative."""
    offer = parse_policy(message.offer, "/offer")
    _assigner(offer, caller.id)
    address = _callback(node, message.callback_address)

    def tx(tx: Tx) -> Negotiation:
        known = tx.negotiations.find_by_peer(caller.id, message.provider_pid)
        if known is not None and _repeats(known, Role.CONSUMER, message, offer):
            return known
        process = NegotiationProcess(Role.CONSUMER).receive(Event.OFFER, message_key(message))
        record = _opened(node, caller, message.provider_pid, address, process, offer)
        tx.negotiations.add(arrived(node, tx, record, Event.OFFER, ours=False, party=counterparty(tx, caller)))
        return record

    return as_seen_by_peers(await node.store.run(tx))


def _repeats(known: Negotiation, us: Role, message: Message, offer: Policy) -> bool:
    """True if `message` says again what opened `known`. Raise PeerError 400 if it is another one."""
    same_offer = known.offer.id == offer.id and difference(known.offer, offer) is None
    if known.process.us is us and (message_key(message) in known.process.seen or same_offer):
        return True
    raise PeerError(400, "this pid belongs to another negotiation: take a fresh one", f"/{us.other.lower()}Pid")


def _opened(
    node: Node, caller: Caller, peer_pid: str, address: str, process: NegotiationProcess, offer: Policy
) -> Negotiation:
    now = node.clock.now()
    return Negotiation(
        id=node.ids(),
        created_at=now,
        updated_at=now,
        process=process,
        peer=Peer(caller.id, address, caller.bpn),
        peer_pid=peer_pid,
        offer=offer,
        offered_by=process.us.other,
    )


async def receive_counter_offer(node: Node, caller: Caller, pid: str, message: ContractRequestMessage) -> None:
    """Take a consumer's counter-offer (`POST /negotiations/{providerPid}/request`).

    An id of ours in it says what the offer is measured by, so it must be an offer of this asset to this consumer.
    """
    offer = parse_policy(message.offer, "/offer")
    _assigner(offer, node.id)

    def change(tx: Tx, record: Negotiation) -> Negotiation:
        _same_asset(record, offer)
        found = terms_of(tx, offer.id or "", counterparty(tx, caller), node.clock.now())
        if found is not None and (found.asset_id != record.asset_id or not found.access.permitted):
            raise PeerError(404, "there is no such offer of this asset: ask for the catalog again", "/offer/@id")
        return replace(record, offer=replace(offer, target=record.asset_id), offered_by=Role.CONSUMER)

    await _take(node, caller, pid, Event.REQUEST, message, change)


async def receive_offer(node: Node, caller: Caller, pid: str, message: ContractOfferMessage) -> None:
    """Take a provider's offer in a running negotiation (`POST /negotiations/{consumerPid}/offers`)."""
    offer = parse_policy(message.offer, "/offer")
    _assigner(offer, caller.id)

    def change(_: Tx, record: Negotiation) -> Negotiation:
        _same_asset(record, offer)
        return replace(record, offer=replace(offer, target=record.asset_id), offered_by=Role.PROVIDER)

    await _take(node, caller, pid, Event.OFFER, message, change)


async def receive_agreement(node: Node, caller: Caller, pid: str, message: ContractAgreementMessage) -> None:
    """Take the provider's agreement, which must be the offer on the table, between the two of us."""
    policy = parse_policy(message.agreement, "/agreement")

    def change(tx: Tx, record: Negotiation) -> Negotiation:
        agreement = _agreement(node, caller, record, policy)
        if tx.agreements.find(agreement.id) is not None:
            raise PeerError(400, "this agreement id is in use", "/agreement/@id")
        tx.agreements.add(agreement)
        return replace(record, agreement_id=agreement.id)

    def again(tx: Tx, record: Negotiation) -> Negotiation | None:
        """A provider that has forgotten our answer agrees anew, under another id: its last word counts (EDC)."""
        former, unverified = record.agreement_id, record.process.state is State.AGREED
        leaving = record.process.pending is not None and record.process.pending.event is Event.TERMINATE
        if former in (None, policy.id) or not unverified or leaving:
            return None
        record = change(tx, record)
        tx.agreements.delete(former or "")
        return acknowledged(node, tx, record, Event.AGREE, ours=False, detail=f"in the place of agreement {former}")

    await _take(node, caller, pid, Event.AGREE, message, change, again)


def _agreement(node: Node, caller: Caller, record: Negotiation, policy: Policy) -> Agreement:
    if policy.assigner != caller.id:
        raise PeerError(400, "the assigner is not the sender of this message", "/agreement/assigner")
    if policy.assignee != node.id:
        raise PeerError(400, f"the assignee is not {node.id}", "/agreement/assignee")
    if policy.target != record.asset_id:
        raise PeerError(400, f"the target is not {record.asset_id}, which was negotiated", "/agreement/target")
    if where := difference(record.offer, policy):
        raise PeerError(400, f"the agreement departs from the offer: {where}", "/agreement")
    return Agreement(
        id=policy.id or "",
        created_at=signed_at(policy, node.clock.now()),
        provider_id=caller.id,
        consumer_id=node.id,
        asset_id=record.asset_id,
        policy=policy,
        negotiation_id=record.id,
    )


def signed_at(policy: Policy, now: int) -> int:
    """When the provider signed, in ms: both sides count from the same moment. `now` if it does not say (legibly)."""
    try:
        moment = datetime.fromisoformat(policy.timestamp or "")
    except ValueError:
        return now
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


async def receive_verification(
    node: Node, caller: Caller, pid: str, message: ContractAgreementVerificationMessage
) -> None:
    """Take the consumer's verification of the agreement."""
    await _take(node, caller, pid, Event.VERIFY, message)


async def receive_event(node: Node, caller: Caller, pid: str, message: ContractNegotiationEventMessage) -> None:
    """Take ACCEPTED (from a consumer, of our own offer) or FINALIZED (from a provider)."""
    event = Event.ACCEPT if message.event_type == State.ACCEPTED else Event.FINALIZE
    await _take(node, caller, pid, event, message)


async def receive_termination(
    node: Node, caller: Caller, pid: str, message: ContractNegotiationTerminationMessage
) -> None:
    """Take a termination, which either side may send at any time before the end."""
    reason = told(message.reason) or message.code or "the counterparty gave no reason"

    def change(_: Tx, record: Negotiation) -> Negotiation:
        return replace(record, error=f"terminated by the counterparty: {reason}"[:2000])

    await _take(node, caller, pid, Event.TERMINATE, message, change)


async def _take(
    node: Node,
    caller: Caller,
    pid: str,
    event: Event,
    message: Message,
    change: Change | None = None,
    again: Again = lambda _tx, _record: None,
) -> None:
    def tx(tx: Tx) -> None:
        record = checked_pids(tx, _load(tx, caller, pid), message)
        if (renewed := again(tx, record)) is not None:
            tx.negotiations.save(renewed)
            return
        process = record.process.receive(event, message_key(message), content=message_content(message))
        if process is record.process:
            return  # a repeat: what it asked for is done
        record = _settled(node, tx, heard_from(record, caller), event)
        record = replace(record, process=process, error=None)
        if change is not None:
            record = change(tx, record)
        party = counterparty(tx, caller)
        record = arrived(node, tx, record, event, ours=False, party=party, detail=record.error or "")
        tx.negotiations.save(record)
        if event is Event.FINALIZE:
            follow(node, tx, record)

    await node.store.run(tx)


def _load(tx: Tx, caller: Caller, pid: str) -> Negotiation:
    record = tx.negotiations.find(pid)
    if record is None or record.peer.id != caller.id:
        raise PeerError(404, "there is no such negotiation")
    return record


def _settled(node: Node, tx: Tx, record: Negotiation, event: Event) -> Negotiation:
    """Take back our pending message, which the peer's `event` has settled, and tell of it if it is proven by that."""
    pending = record.process.pending
    if pending is None:
        return record
    tx.drop_messages(record.id)
    proven = record.process.proven_by(event)
    if proven is record.process:
        return record
    return acknowledged(node, tx, replace(record, process=proven), pending.event, ours=True)


def _callback(node: Node, address: str | None) -> str:
    if address is None:
        raise PeerError(400, "a first message needs a callbackAddress", "/callbackAddress")
    check_address(node, address, "/callbackAddress")
    return address.rstrip("/")


def _assigner(offer: Policy, provider: str) -> None:
    if offer.assigner not in (None, provider):
        raise PeerError(400, f"the assigner is not {provider}", "/offer/assigner")


def _same_asset(record: Negotiation, offer: Policy) -> None:
    if offer.target not in (None, record.asset_id):
        raise PeerError(400, f"the target is not {record.asset_id}, which is being negotiated", "/offer/target")
