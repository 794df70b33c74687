"""Sending what was promised, and what the answer means.

    2xx                 it took effect
    no answer, 5xx, 429 nobody knows: again, later, with the same `@id` (peers recognise a repeat by it); also 405
    409, 404            a peer that is busy, or not yet done with the message before (EDC): look whether it has taken
                        ours, else again a few times, soon; but a first request has no message before it, so there
                        404 means that there is no such offer
    any other status    it was refused: the process learns why, and ends unless the refusal is harmless

What cannot be delivered in all attempts becomes a dead letter: kept, shown, and sent again when an operator says so.
"""

import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from connector.exchange import credentials, negotiation_moves, transfer_moves
from connector.exchange.events import negotiation_event, transfer_event
from connector.exchange.hold import AT_ONCE, FOLLOW_UP
from connector.exchange.moves import Record, named, party_of, process_path, take_leave, tried
from connector.exchange.node import Node
from connector.exchange.ports import Answer, Tx
from connector.exchange.records import CredentialRequest, Negotiation, Outgoing, Transfer
from connector.exchange.strategy import Act, Decision
from connector.exchange.trace import traceparent
from connector.exchange.transfer_moves import PUSH
from connector.protocol import negotiation, transfer
from connector.protocol.errors import ConnectorError, LocalError, NotFound, PeerError, Unreachable
from connector.protocol.negotiation_messages import ContractNegotiation, ContractNegotiationError
from connector.protocol.process import Role
from connector.protocol.reading import told
from connector.protocol.transfer_messages import TransferError, TransferProcess

FIRST_MS: Final = 250
LONGEST_MS: Final = 300_000
ATTEMPTS: Final = 24
"""With the back-off above this is a little more than one hour."""
BUSY_ATTEMPTS: Final = 6
SEND_TIMEOUT_S: Final = 10.0
_BUSY: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND})
_STARTING: Final = HTTPStatus.METHOD_NOT_ALLOWED
"""To a POST: a server that listens before its applications are there (Jetty, when an EDC starts)."""
_AGAIN: Final = frozenset({_STARTING, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_OK: Final = range(200, 300)
_MESSAGES: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `ok`: taken; `final`: refused for good; neither: try again, `answered` if told so.

    wait_ms: how long the peer wants to be left alone at least.
    """

    ok: bool
    reason: str = ""
    final: bool = False
    answered: bool = False
    wait_ms: int = 0
    ack: Any = None


def backoff_ms(attempts: int, jitter: float) -> int:
    """How long to wait after this many attempts: doubling, capped, spread over the upper half by `jitter` in [0, 1)."""
    full = min(LONGEST_MS, FIRST_MS * 2 ** min(attempts - 1, 30))
    return int(full / 2 + jitter * full / 2)


async def deliver(node: Node, message: Outgoing, trace: str = "") -> Outgoing | None:
    """Make one attempt. Return the message as it is to be tried again, or dead; None when it is settled.

    trace: that of its exchange (`exchange.trace`), for the peer; "" if it has none.
    """
    outcome = await _attempt(node, message, trace)
    refused = outcome.final and message.kind != "callback"  # nobody would learn that a callback was refused
    if outcome.ok or refused:
        await node.store.run(lambda tx: _settle(node, tx, message, outcome))
        return None
    return await node.store.run(lambda tx: _postpone(node, tx, message, outcome))


async def _attempt(node: Node, message: Outgoing, trace: str) -> Outcome:
    try:
        match message.kind:
            case "push":
                return await _push(node, message, trace)
            case credentials.KIND:
                return await _ask(node, message)
            case "callback":
                return _judge(message, await _call_back(node, message, trace))
            case _:
                return await _tell(node, message, trace)
    except Unreachable as error:
        return Outcome(ok=False, reason=error.reason)
    except (PeerError, LocalError) as error:
        return Outcome(ok=False, reason=error.reason, final=error.status < HTTPStatus.INTERNAL_SERVER_ERROR)


async def _tell(node: Node, message: Outgoing, trace: str) -> Outcome:
    """Send a DSP message to the counterparty."""
    token = await node.identity.token(message.audience or "", address=_base(message.url))
    headers = _MESSAGES | _traced(message, trace) | {"Authorization": token, FOLLOW_UP: AT_ONCE}
    answer = await node.wire.send("POST", message.url, headers=headers, body=message.body, timeout_s=SEND_TIMEOUT_S)
    outcome = _judge(message, answer)
    if answer.status in _BUSY and await _taken(node, message):
        return Outcome(ok=True, reason="the peer's own state shows that it has taken this")
    return outcome


def _traced(message: Outgoing, trace: str) -> dict[str, str]:
    return {"traceparent": traceparent(trace, message.id)} if trace else {}


def _judge(message: Outgoing, answer: Answer) -> Outcome:
    if answer.status in _OK:
        return Outcome(ok=True, ack=_ack(message, answer))
    reason = f"{answer.status}: {_told(answer)}"
    nothing = answer.status == HTTPStatus.NOT_FOUND and message.url.endswith("/negotiations/request")
    busy = answer.status in _BUSY and not nothing and message.attempts + 1 < BUSY_ATTEMPTS
    again = answer.status in _AGAIN or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Outcome(ok=False, reason=reason, final=not (busy or again), answered=True, wait_ms=_retry_after_ms(answer))


def _retry_after_ms(answer: Answer) -> int:
    """The peer's Retry-After in whole seconds (RFC 9110, 10.2.3), no longer than our own longest pause; 0 if none."""
    seconds = answer.headers.get("Retry-After", "")
    return min(int(seconds[:9]) * 1000, LONGEST_MS) if seconds.isascii() and seconds.isdecimal() else 0


def _ack(message: Outgoing, answer: Answer) -> ContractNegotiation | TransferProcess | None:
    """What the answer to a first message says; answers to all others have nothing to read (EDC sends them empty)."""
    if not message.url.endswith(("/negotiations/request", "/negotiations/offers", "/transfers/request")):
        return None
    kind = ContractNegotiation if message.kind == "negotiation" else TransferProcess
    try:
        return kind.parse(answer.json())
    except ConnectorError as error:
        raise Unreachable(f"{answer.status}, but the acknowledgement cannot be read: {error}") from error


def _told(answer: Answer) -> str:
    """The peer's reason in one line, for our operator."""
    try:
        doc = answer.json()
        error = ContractNegotiationError.parse(doc)
        said = told(error.reason) or error.code
    except ConnectorError:
        try:
            failed = TransferError.parse(answer.json())
            said = told(failed.reason) or failed.code
        except ConnectorError:
            said = answer.body[:200].decode(errors="replace").strip()
    return (said or "no reason given")[:500]


async def _taken(node: Node, message: Outgoing) -> bool:
    """Whether the peer's own record of the process is already where our message leads."""
    record = await node.store.read(lambda tx: _find(tx, message))
    if not isinstance(record, Negotiation | Transfer) or record.peer_pid is None or record.process.pending is None:
        return False
    wanted = record.process.after_pending
    if wanted is record.process.state:
        return False  # such a state says nothing
    kind = ContractNegotiation if isinstance(record, Negotiation) else TransferProcess
    try:
        token = await node.identity.token(record.peer.id, address=record.peer.address)
        url, headers = record.peer.address + process_path(record), {"Authorization": token}
        answer = await node.wire.send("GET", url, headers=headers, timeout_s=SEND_TIMEOUT_S)
        return answer.status in _OK and kind.parse(answer.json()).state == wanted
    except ConnectorError:
        return False  # it cannot be told now


def _base(url: str) -> str:
    """The DSP base URL in front of a message's path; the mock identity names it as audience."""
    for part in ("/negotiations/", "/transfers/", "/catalog/"):
        if (at := url.rfind(part)) > 0:
            return url[:at]
    return url


async def _call_back(node: Node, message: Outgoing, trace: str) -> Answer:
    headers = _MESSAGES | _traced(message, trace)
    if message.auth_key and message.auth_code_id:
        code = message.auth_code_id
        secret = await node.store.read(lambda tx: tx.secrets.find(code))
        headers[message.auth_key] = secret.value if secret else ""
    return await node.hooks.send("POST", message.url, headers=headers, body=message.body, timeout_s=SEND_TIMEOUT_S)


async def _push(node: Node, message: Outgoing, trace: str) -> Outcome:
    def load(tx: Tx) -> tuple[Transfer, Any, str | None]:
        record = tx.transfers.get(message.topic.removeprefix(PUSH))
        return record, tx.assets.get(record.asset_id), party_of(node, tx, record).bpn

    record, asset, bpn = await node.store.read(load)
    if record.process.state is not transfer.State.STARTED:
        return Outcome(ok=False, reason=f"the transfer is {record.process.state}", final=True)
    await node.data_plane.push(record, asset, bpn, headers=_traced(message, trace))
    return Outcome(ok=True)


async def _ask(node: Node, message: Outgoing) -> Outcome:
    """Ask an issuer for credentials."""
    if node.holder is None:
        return Outcome(ok=False, reason="this node has no wallet of its own any more", final=True)
    request = await node.store.read(lambda tx: tx.credential_requests.get(message.topic))
    return Outcome(ok=True, ack=await node.holder.ask(request, json.loads(message.body)["code"]))


def _find(tx: Tx, message: Outgoing) -> Negotiation | Transfer | CredentialRequest | None:
    """What a message is about, None for callbacks."""
    match message.kind:
        case credentials.KIND:
            return tx.credential_requests.find(message.topic)
        case "negotiation":
            return tx.negotiations.find(message.topic)
        case "transfer" | "push":
            return tx.transfers.find(message.topic.removeprefix(PUSH))
    return None


def _postpone(node: Node, tx: Tx, message: Outgoing, outcome: Outcome) -> Outgoing | None:
    if tx.outbox.find(message.id) is None:
        return None  # taken back while it was on its way
    attempts, now, reason = message.attempts + 1, node.clock.now(), outcome.reason
    dead = outcome.final or attempts >= ATTEMPTS
    due = now + max(backoff_ms(attempts, node.jitter()), outcome.wait_ms)
    after = replace(message, attempts=attempts, due_at=due, last_error=reason[:2000], dead=dead)
    tx.outbox.save(after)
    if dead:
        _note(node, tx, message, f"given up after {attempts} attempts: {reason}")
    return replace(after, patient=outcome.answered)


def _note(node: Node, tx: Tx, message: Outgoing, text: str) -> None:
    match _find(tx, message):
        case Negotiation() as contract:
            tx.negotiations.save(contract.noted(node.clock.now(), f"undelivered:{message.event}", text, error=text))
        case Transfer() as moving:
            tx.transfers.save(moving.noted(node.clock.now(), f"undelivered:{message.event}", text, error=text))
        case CredentialRequest() as request:
            tx.credential_requests.save(replace(request, updated_at=node.clock.now(), error=text))


def _settle(node: Node, tx: Tx, message: Outgoing, outcome: Outcome) -> None:
    """Act on a final outcome, unless the process has gone on without it."""
    try:
        tx.outbox.delete(message.id)
    except NotFound:  # taken back while it was on its way
        _introduced_late(node, tx, message, outcome)
        return
    match _find(tx, message):
        case CredentialRequest() as request:
            credentials.answered(tx, request, outcome.ack, outcome.reason, now=node.clock.now())
        case Negotiation() as contract if contract.process.answered(message.id, ok=True) is not contract.process:
            tx.negotiations.save(_settled_negotiation(node, tx, contract, message, outcome))
        case Transfer() as moving if message.kind == "push":
            tx.transfers.save(_pushed(node, tx, moving, outcome))
        case Transfer() as moving if moving.process.answered(message.id, ok=True) is not moving.process:
            tx.transfers.save(_settled_transfer(node, tx, moving, message, outcome))


def _introduced_late(node: Node, tx: Tx, message: Outgoing, outcome: Outcome) -> None:
    """A peer whose pid we had not learned when we gave up a process would wait for us without end: it is told."""
    match _find(tx, message):
        case Negotiation(peer_pid=None) as contract if contract.process.over:
            contract, _ = _introduced(tx, contract, outcome)
            if contract.peer_pid is not None:
                tx.negotiations.save(take_leave(node, tx, contract))
        case Transfer(peer_pid=None) as moving if moving.process.over:
            moving, _ = _introduced(tx, moving, outcome)
            if moving.peer_pid is not None:
                tx.transfers.save(take_leave(node, tx, moving))


def _introduced(tx: Tx, record: Record, outcome: Outcome) -> tuple[Record, Outcome]:
    """Learn the peer's pid from the answer to a first message; one that cannot be is as good as a refusal."""
    if outcome.ack is None:
        return record, outcome
    pid = outcome.ack.provider_pid if record.process.us is Role.CONSUMER else outcome.ack.consumer_pid
    try:
        return named(tx, record, pid), outcome
    except PeerError as error:
        return record, Outcome(ok=False, reason=error.reason, final=True)


def _settled_negotiation(node: Node, tx: Tx, record: Negotiation, message: Outgoing, outcome: Outcome) -> Negotiation:
    record, outcome = _introduced(tx, record, outcome)
    record = replace(record, process=record.process.answered(message.id, ok=outcome.ok))
    event = negotiation.Event(message.event)
    if outcome.ok:
        return negotiation_moves.arrived(node, tx, record, event, ours=True, party=party_of(node, tx, record))
    text = f"{event} was refused: {outcome.reason}"
    record = record.noted(node.clock.now(), f"refused:{event}", outcome.reason, error=text)
    if record.process.state is None or event is negotiation.Event.TERMINATE:
        record = replace(record, process=record.process.abandon())
        negotiation_event(node, tx, record)
        return record
    return negotiation_moves.carry_out(node, tx, record, Decision(Act.TERMINATE, reasons=(text[:500],)))


def _settled_transfer(node: Node, tx: Tx, record: Transfer, message: Outgoing, outcome: Outcome) -> Transfer:
    record, outcome = _introduced(tx, record, outcome)
    record = replace(record, process=record.process.answered(message.id, ok=outcome.ok))
    event = transfer.Event(message.event)
    if outcome.ok:
        return transfer_moves.arrived(node, tx, record, event, ours=True, party=party_of(node, tx, record))
    text = f"{event} was refused: {outcome.reason}"
    record = record.noted(node.clock.now(), f"refused:{event}", outcome.reason, error=text)
    if record.process.state is transfer.State.STARTED and event is transfer.Event.START:
        return record  # a peer that is started already and wants no second start is still started
    if record.process.state is None or event is transfer.Event.TERMINATE:
        transfer_moves.close(tx, record)
        record = replace(record, process=record.process.abandon())
        transfer_event(node, tx, record)
        return record
    return transfer_moves.end(node, tx, record, text[:500])


def _pushed(node: Node, tx: Tx, record: Transfer, outcome: Outcome) -> Transfer:
    """Complete a transfer whose data has been sent; one that was paused or ended meanwhile only notes it."""
    now = node.clock.now()
    if not outcome.ok:
        return transfer_moves.end(node, tx, record.noted(now, "push failed", outcome.reason), "the push failed")
    done = Decision(Act.COMPLETE)
    return tried(node, record.noted(now, "pushed"), done, lambda r, d: transfer_moves.carry_out(node, tx, r, d))
