"""Sending what was promised, and what the answer means.

    2xx                 it took effect
    no answer, 5xx, 429 nobody knows: again, later, with the same `@id` (peers recognise a repeat by it)
    409, 404            a peer that is busy, or not yet done with the message before (EDC): look whether it has taken
                        ours, else again a few times, soon
    any other status    it was refused: the process learns why, and ends unless the refusal is harmless

What cannot be delivered in all attempts becomes a dead letter: kept, shown, and sent again when an operator says so.
"""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from connector.exchange import negotiation_moves, transfer_moves
from connector.exchange.events import negotiation_event, transfer_event
from connector.exchange.node import Node
from connector.exchange.ports import Answer, Tx
from connector.exchange.records import Negotiation, Outgoing, Transfer
from connector.exchange.strategy import Act, Decision
from connector.protocol import negotiation, transfer
from connector.protocol.errors import ConnectorError, LocalError, PeerError, Unreachable
from connector.protocol.negotiation_messages import ContractNegotiation, ContractNegotiationError
from connector.protocol.process import Role
from connector.protocol.transfer_messages import TransferError, TransferProcess

FIRST_MS: Final = 250
LONGEST_MS: Final = 300_000
ATTEMPTS: Final = 24
"""With the back-off above this is a little more than one hour."""
BUSY_ATTEMPTS: Final = 6
SEND_TIMEOUT_S: Final = 10.0
_BUSY: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND})
_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_OK: Final = range(200, 300)
_MESSAGES: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `ok`: taken; `final`: refused for good; neither: try again."""

    ok: bool
    reason: str = ""
    final: bool = False
    ack: Any = None


def backoff_ms(attempts: int, jitter: float) -> int:
    """How long to wait after this many attempts: doubling, capped, spread over the upper half by `jitter` in [0, 1)."""
    full = min(LONGEST_MS, FIRST_MS * 2 ** min(attempts - 1, 30))
    return int(full / 2 + jitter * full / 2)


async def deliver(node: Node, message: Outgoing) -> Outgoing | None:
    """Make one attempt. Return the message as it is to be tried again, or None when it is settled or dead."""
    outcome = await _attempt(node, message)
    if outcome.ok or outcome.final:
        await node.store.run(lambda tx: _settle(node, tx, message, outcome))
        return None
    return await node.store.run(lambda tx: _postpone(node, tx, message, outcome.reason))


async def retry(node: Node, message_id: str) -> None:
    """Send a dead letter again, now, with all its attempts before it. Raise NotFound."""

    def tx(tx: Tx) -> None:
        message = tx.outbox.get(message_id)
        tx.outbox.delete(message_id)
        tx.send(replace(message, dead=False, attempts=0, due_at=node.clock.now()))

    await node.store.run(tx)


async def _attempt(node: Node, message: Outgoing) -> Outcome:
    try:
        match message.kind:
            case "push":
                return await _push(node, message)
            case "callback":
                return _judge(message, await _call_back(node, message))
            case _:
                return await _tell(node, message)
    except Unreachable as error:
        return Outcome(ok=False, reason=error.reason)
    except PeerError as error:
        return Outcome(ok=False, reason=error.reason, final=error.status < HTTPStatus.INTERNAL_SERVER_ERROR)
    except LocalError as error:
        return Outcome(ok=False, reason=error.reason, final=True)


async def _tell(node: Node, message: Outgoing) -> Outcome:
    """Send a DSP message to the counterparty."""
    token = await node.identity.token(message.audience or "", address=_base(message.url))
    headers = _MESSAGES | {"Authorization": token}
    answer = await node.wire.send("POST", message.url, headers=headers, body=message.body, timeout_s=SEND_TIMEOUT_S)
    outcome = _judge(message, answer)
    if answer.status in _BUSY and await _taken(node, message):
        return Outcome(ok=True, reason="the peer's own state shows that it has taken this")
    return outcome


def _judge(message: Outgoing, answer: Answer) -> Outcome:
    if answer.status in _OK:
        return Outcome(ok=True, ack=_ack(message, answer))
    reason = f"{answer.status}: {_told(answer)}"
    busy = answer.status in _BUSY and message.attempts + 1 < BUSY_ATTEMPTS
    again = answer.status in _AGAIN or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Outcome(ok=False, reason=reason, final=not (busy or again))


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
        said = "; ".join(str(r) for r in error.reason) or error.code
    except ConnectorError:
        try:
            failed = TransferError.parse(answer.json())
            said = "; ".join(str(r) for r in failed.reason) or failed.code
        except ConnectorError:
            said = answer.body[:200].decode(errors="replace").strip()
    return (said or "no reason given")[:500]


async def _taken(node: Node, message: Outgoing) -> bool:
    """Whether the peer's own record of the process is already where our message leads."""
    record = await node.store.read(lambda tx: _find(tx, message))
    if record is None or record.peer_pid is None or record.process.pending is None:
        return False
    kind = "negotiations" if message.kind == "negotiation" else "transfers"
    url = f"{record.peer.address}/{kind}/{record.peer_pid}"
    token = await node.identity.token(record.peer.id, address=record.peer.address)
    answer = await node.wire.send("GET", url, headers={"Authorization": token}, timeout_s=SEND_TIMEOUT_S)
    if answer.status not in _OK:
        return False
    shown = (ContractNegotiation if kind == "negotiations" else TransferProcess).parse(answer.json())
    wanted = record.process.after_pending
    return wanted is not None and wanted is not record.process.state and shown.state == wanted


def _base(url: str) -> str:
    """The DSP base URL in front of a message's path; the mock identity names it as audience."""
    for part in ("/negotiations/", "/transfers/", "/catalog/"):
        if (at := url.rfind(part)) > 0:
            return url[:at]
    return url


async def _call_back(node: Node, message: Outgoing) -> Answer:
    headers = dict(_MESSAGES)
    if message.auth_key and message.auth_code_id:
        code = message.auth_code_id
        secret = await node.store.read(lambda tx: tx.secrets.find(code))
        headers[message.auth_key] = secret.value if secret else ""
    return await node.hooks.send("POST", message.url, headers=headers, body=message.body, timeout_s=SEND_TIMEOUT_S)


async def _push(node: Node, message: Outgoing) -> Outcome:
    def load(tx: Tx) -> tuple[Transfer, Any]:
        record = tx.transfers.get(message.topic)
        return record, tx.assets.get(record.asset_id)

    record, asset = await node.store.read(load)
    if record.process.state is not transfer.State.STARTED:
        return Outcome(ok=False, reason=f"the transfer is {record.process.state}", final=True)
    await node.data_plane.push(record, asset, node.directory.bpn_of(record.peer.id))
    return Outcome(ok=True)


def _find(tx: Tx, message: Outgoing) -> Negotiation | Transfer | None:
    return tx.negotiations.find(message.topic) if message.kind == "negotiation" else tx.transfers.find(message.topic)


def _postpone(node: Node, tx: Tx, message: Outgoing, reason: str) -> Outgoing | None:
    if tx.outbox.find(message.id) is None:
        return None  # taken back while it was on its way
    attempts, now = message.attempts + 1, node.clock.now()
    dead = attempts >= ATTEMPTS
    due = now + backoff_ms(attempts, node.jitter())
    after = replace(message, attempts=attempts, due_at=due, last_error=reason[:2000], dead=dead)
    tx.outbox.save(after)
    if dead:
        _note(node, tx, message, f"given up after {attempts} attempts: {reason}")
    return None if dead else after


def _note(node: Node, tx: Tx, message: Outgoing, text: str) -> None:
    if message.kind == "negotiation" and (contract := tx.negotiations.find(message.topic)) is not None:
        tx.negotiations.save(contract.noted(node.clock.now(), f"undelivered:{message.event}", text, error=text))
    elif message.kind in ("transfer", "push") and (moving := tx.transfers.find(message.topic)) is not None:
        tx.transfers.save(moving.noted(node.clock.now(), f"undelivered:{message.event}", text, error=text))


def _settle(node: Node, tx: Tx, message: Outgoing, outcome: Outcome) -> None:
    if tx.outbox.find(message.id) is not None:
        tx.outbox.delete(message.id)
    match message.kind:
        case "negotiation":
            _settle_negotiation(node, tx, message, outcome)
        case "transfer":
            _settle_transfer(node, tx, message, outcome)
        case "push":
            _settle_push(node, tx, message, outcome)


def _settle_negotiation(node: Node, tx: Tx, message: Outgoing, outcome: Outcome) -> None:
    record = tx.negotiations.find(message.topic)
    if record is None:
        return
    process = record.process.answered(message.id, ok=outcome.ok)
    if process is record.process:
        return  # the peer's next message has proven already that this one arrived
    record, event = replace(record, process=process), negotiation.Event(message.event)
    if outcome.ok:
        if isinstance(outcome.ack, ContractNegotiation):
            ack = outcome.ack
            theirs = ack.provider_pid if process.us is Role.CONSUMER else ack.consumer_pid
            record = replace(record, peer_pid=record.peer_pid or theirs)
        party = negotiation_moves.party_of(node, record)
        record = negotiation_moves.arrived(node, tx, record, event, ours=True, party=party)
    else:
        record = _refused_negotiation(node, tx, record, event, outcome.reason)
    tx.negotiations.save(record)


def _refused_negotiation(node: Node, tx: Tx, record: Negotiation, event: negotiation.Event, reason: str) -> Negotiation:
    text = f"{event} was refused: {reason}"
    record = record.noted(node.clock.now(), f"refused:{event}", reason, error=text)
    if record.process.state is None or event is negotiation.Event.TERMINATE:
        record = replace(record, process=record.process.abandon())
        negotiation_event(node, tx, record)
        return record
    return negotiation_moves.carry_out(node, tx, record, Decision(Act.TERMINATE, reasons=(text[:500],)))


def _settle_transfer(node: Node, tx: Tx, message: Outgoing, outcome: Outcome) -> None:
    record = tx.transfers.find(message.topic)
    if record is None:
        return
    process = record.process.answered(message.id, ok=outcome.ok)
    if process is record.process:
        return  # the peer's next message has proven already that this one arrived
    record, event = replace(record, process=process), transfer.Event(message.event)
    if outcome.ok:
        if isinstance(outcome.ack, TransferProcess):
            record = replace(record, peer_pid=record.peer_pid or outcome.ack.provider_pid)
        party = transfer_moves.party_of(node, record)
        record = transfer_moves.arrived(node, tx, record, event, ours=True, party=party)
    else:
        record = _refused_transfer(node, tx, record, event, outcome.reason)
    tx.transfers.save(record)


def _refused_transfer(node: Node, tx: Tx, record: Transfer, event: transfer.Event, reason: str) -> Transfer:
    text = f"{event} was refused: {reason}"
    again = record.process.state is transfer.State.STARTED and event is transfer.Event.START
    record = record.noted(node.clock.now(), f"refused:{event}", reason, error=text)
    if again:
        return record  # a peer that is started already and wants no second start is still started
    if record.process.state is None or event is transfer.Event.TERMINATE:
        transfer_moves.close(tx, record)
        record = replace(record, process=record.process.abandon())
        transfer_event(node, tx, record)
        return record
    return transfer_moves.end(node, tx, record, text[:500])


def _settle_push(node: Node, tx: Tx, message: Outgoing, outcome: Outcome) -> None:
    record = tx.transfers.find(message.topic)
    if record is None or record.process.over:
        return
    now = node.clock.now()
    if outcome.ok:
        record = transfer_moves.carry_out(node, tx, record.noted(now, "pushed"), Decision(Act.COMPLETE))
    else:
        record = transfer_moves.end(node, tx, record.noted(now, "push failed", outcome.reason), "the push failed")
    tx.transfers.save(record)
