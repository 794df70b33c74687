"""What the moves of negotiations and transfers share: promising a message, asking a strategy, deciding later.

Everything here runs inside a transaction and returns the changed record; whoever called saves it, so that one
transaction writes a record once.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, TypeVar
from urllib.parse import quote

import structlog

from connector.exchange.node import Node
from connector.exchange.ports import Caller, Tx
from connector.exchange.records import Negotiation, Outgoing, Timer, Transfer
from connector.exchange.strategy import Act, Decision
from connector.exchange.terms import groups_of
from connector.policy.circumstances import Counterparty, Scope
from connector.policy.evaluate import Verdict
from connector.policy.parse import parse_policy
from connector.protocol.errors import Conflict, Invalid, NotFound, PeerError
from connector.protocol.messages import Message
from connector.protocol.negotiation import Event as NegotiationEvent
from connector.protocol.negotiation_messages import ContractNegotiationTerminationMessage
from connector.protocol.process import Role
from connector.protocol.transfer import Event as TransferEvent
from connector.protocol.transfer_messages import TransferTerminationMessage

log = structlog.get_logger()
Record = TypeVar("Record", Negotiation, Transfer)
KINDS: Final = {Negotiation: "negotiation", Transfer: "transfer"}
"""`Outgoing.kind` and `Timer.kind` of a record's messages and delayed decisions."""
TRACED: Final = 20
"""Steps of a verdict that are kept in a timeline, which has many lines and is written with each change."""
_IMPOSSIBLE: Final = (Conflict, Invalid, NotFound, PeerError)
"""What a decision may run into; any other error is a fault of this side and undoes the whole transaction."""


def party_of(node: Node, tx: Tx, record: Negotiation | Transfer) -> Counterparty:
    """The counterparty as we know it without a message of its own at hand: nothing that it would have to prove anew."""
    bpn = record.peer.bpn or node.directory.bpn_of(record.peer.id)
    return Counterparty(record.peer.id, bpn, {}, (), groups_of(tx, record.peer.id, bpn))


@dataclass(slots=True)
class Judgements:
    """The verdicts that a decision rests on, kept for the timeline; the strategy asks for as many as it likes."""

    _found: list[tuple[Scope, Verdict]] = field(default_factory=list)

    def take(self, scope: Scope, verdict: Verdict) -> Verdict:
        """Remember a verdict, once."""
        if (scope, verdict) not in self._found:
            self._found.append((scope, verdict))
        return verdict

    def noted(self, record: Record, now: int) -> Record:
        """The record with a line in its timeline for each verdict."""
        for scope, verdict in self._found:
            said = f"{'permitted' if verdict.permitted else 'denied'}: {verdict.reason}"
            judged = {"scope": scope, **verdict.to_json(at_most=TRACED)}
            record = record.noted(now, f"policy:{scope}", said, judged=judged)
        return record


def heard_from(record: Record, caller: Caller) -> Record:
    """The record with the BPN that its counterparty has just proved."""
    if caller.bpn in (None, record.peer.bpn):
        return record
    return replace(record, peer=replace(record.peer, bpn=caller.bpn))


def pids(node: Node, record: Negotiation | Transfer) -> dict[str, Any]:
    """The members that every message of a running process has: a fresh `@id` and both pids."""
    ours, theirs = record.id, record.peer_pid or ""
    consumer, provider = (ours, theirs) if record.process.us is Role.CONSUMER else (theirs, ours)
    return {"id": node.ids(), "consumer_pid": consumer, "provider_pid": provider}


def process_path(record: Negotiation | Transfer, rest: str = "") -> str:
    """Where the peer takes messages about this process, below its base URL; without `rest`, where it shows it."""
    path = f"/{KINDS[type(record)]}s/{quote(record.peer_pid or '', safe='')}"
    return f"{path}/{rest}" if rest else path


def post(
    node: Node, tx: Tx, record: Record, event: NegotiationEvent | TransferEvent, message: Message, path: str
) -> Record:
    """Make `message` pending and promise it. Raise Conflict if the state does not allow it.

    What went wrong before has been dealt with by that, so the record's `error` is cleared.
    """
    key, process = message.id or node.ids(), _untyped(record)
    record = replace(record, process=process.send(event, key), updated_at=node.clock.now(), error=None)
    _promise(node, tx, record, event, key, message, path)
    return record


def take_leave(node: Node, tx: Tx, record: Record) -> Record:
    """Tell the peer that a process has ended whose pid for it came too late. Whatever it answers changes nothing."""
    said = pids(node, record) | {"reason": (record.error,) if record.error else ()}
    message = (
        ContractNegotiationTerminationMessage(**said)
        if KINDS[type(record)] == "negotiation"
        else TransferTerminationMessage(**said)
    )
    path = process_path(record, "termination")
    _promise(node, tx, record, TransferEvent.TERMINATE, said["id"], message, path)
    return record.noted(node.clock.now(), "left", "the peer has answered after the end, and is told of it")


def _promise(
    node: Node, tx: Tx, record: Negotiation | Transfer, event: str, key: str, message: Message, path: str
) -> None:
    now = node.clock.now()
    tx.send(
        Outgoing(
            id=key,
            created_at=now,
            topic=record.id,
            kind=KINDS[type(record)],
            event=event,
            url=record.peer.address + path,
            body=json.dumps(message.to_json(), separators=(",", ":")).encode(),
            audience=record.peer.id,
            due_at=now,
        )
    )


def _untyped(record: Negotiation | Transfer) -> Any:  # noqa: ANN401 - which event fits which process, callers know
    return record.process


def decided(
    node: Node,
    record: Record,
    judgements: Judgements,
    decide: Callable[[], Decision],
    carry_out: Callable[[Record, Decision], Record],
    owed: tuple[str, ...] = (),
) -> Record:
    """Ask a strategy and carry out what it decides. What it found when it judged is noted first.

    owed: what the peer waits for, where the state alone does not say it (`Process.awaited`).
    A hold, or a decision that is not possible, stays in the record's timeline: it says what is being waited for.
    """
    now = node.clock.now()
    try:
        decision = decide()
    except Exception:  # a plug-in's fault must not undo what the peer was promised
        log.exception("a strategy failed", process=record.id)
        return record.noted(now, "held", "the strategy failed, see the log", error="the strategy failed, see the log")
    record = judgements.noted(record, now)
    if decision.act != Act.HOLD:
        return tried(node, record, decision, carry_out)
    if not (awaited := owed or record.process.awaited):
        return record
    return record.noted(now, "held", f"waiting for a decision: {', '.join(awaited)} or TERMINATE")


def tried(node: Node, record: Record, decision: Decision, carry_out: Callable[[Record, Decision], Record]) -> Record:
    """Carry out a decision that nobody waits for; if it is not possible, the record says why."""
    try:
        return carry_out(record, decision)
    except _IMPOSSIBLE as error:
        return record.noted(node.clock.now(), "held", error.reason, error=error.reason)


def delay(tx: Tx, record: Negotiation | Transfer, decision: Decision) -> None:
    """Keep a decision until it is due."""
    doc = asdict(replace(decision, after_ms=0, policy=None))
    doc["policy"] = None if decision.policy is None else decision.policy.to_edc_json()
    detail = json.dumps({"moment": _moment(record), "decision": doc})
    due = record.updated_at + decision.after_ms
    tx.set_timer(Timer(f"decision:{record.id}", due, KINDS[type(record)], record.id, detail))


def due(timer: Timer, record: Negotiation | Transfer) -> Decision | None:
    """The decision that was delayed, unless the process has gone on or ended since."""
    detail = json.loads(timer.detail)
    if record.process.over or detail["moment"] != _moment(record):
        return None
    doc = detail["decision"]
    policy = None if doc["policy"] is None else parse_policy(doc["policy"])
    return Decision(**doc | {"policy": policy, "reasons": tuple(doc["reasons"])})


def _moment(record: Negotiation | Transfer) -> list[str | None]:
    """What changes with every message that either side sends; a clock of milliseconds might not."""
    process = record.process
    return [process.state, process.pending.key if process.pending else None, *process.seen[-1:]]


def named(tx: Tx, record: Record, peer_pid: str | None) -> Record:
    """The record with the peer's pid, which the first answer or callback tells. Raise PeerError 400 if it is in use."""
    if record.peer_pid is not None or peer_pid is None:
        return record
    known = tx.negotiations if KINDS[type(record)] == "negotiation" else tx.transfers
    if known.find_by_peer(record.peer.id, peer_pid) is not None:
        raise PeerError(400, "this pid belongs to another process", f"/{record.process.us.other.lower()}Pid")
    return replace(record, peer_pid=peer_pid)


def checked_pids(tx: Tx, record: Record, message: Message) -> Record:
    """Check the message's pids against ours; a callback may be the first to tell us the peer's. Raise PeerError 400."""
    told = {role: getattr(message, f"{role.lower()}_pid", None) for role in Role}
    us = record.process.us
    if told[us] != record.id:
        raise PeerError(400, "the pid in the path is not the one in the message", f"/{us.lower()}Pid")
    record = named(tx, record, told[us.other])
    if told[us.other] != record.peer_pid:
        raise PeerError(400, "not the pid this process began with", f"/{us.other.lower()}Pid")
    return record
