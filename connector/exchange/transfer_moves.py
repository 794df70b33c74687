"""Our side of a transfer: asking the strategy, turning a decision into a message, opening and closing the data plane.

The right to data lives in the same transaction as the state: a start message is promised together with its grant, and
whatever ends or pauses a transfer deletes the grant in the same commit, so no token outlives its transfer by a moment.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from connector.exchange.events import transfer_event
from connector.exchange.moves import Judgements, decided, delay, due, party_of, pids, post, process_path, tried
from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import Agreement, Outgoing, Timer, Transfer
from connector.exchange.strategy import Act, Decision, TransferView
from connector.policy import frequency
from connector.policy.circumstances import Circumstances, Counterparty, Scope
from connector.policy.evaluate import Verdict, ends_at, evaluate
from connector.protocol.errors import Conflict
from connector.protocol.process import Role
from connector.protocol.transfer import Event, State
from connector.protocol.transfer_messages import (
    DataAddress,
    TransferCompletionMessage,
    TransferRequestMessage,
    TransferStartMessage,
    TransferSuspensionMessage,
    TransferTerminationMessage,
)
from connector.protocol.vocabulary import EDC, HTTP_PUSH

END_TIMER: Final = "agreement-end"
PUSH: Final = "push:"
"""Topic prefix: a push has a lane of its own, so that data that takes long does not hold back our messages."""
PAUSED: Final = frozenset({State.SUSPENDED, State.COMPLETED, State.TERMINATED})


def judge(node: Node, tx: Tx, record: Transfer, party: Counterparty, scope: Scope = "transfer") -> Verdict:
    """Evaluate the agreement's policy for this transfer, now; "monitor" if it runs, without a message at hand."""
    agreement = tx.agreements.get(record.agreement_id)
    used = 0 if agreement.used_by in (None, record.id) else 1
    return evaluate(agreement.policy, Circumstances(scope, party, node.clock.now(), agreement.created_at, used))


def arrived(
    node: Node,
    tx: Tx,
    record: Transfer,
    event: Event,
    *,
    ours: bool,
    party: Counterparty,
    detail: str = "",
    address: Mapping[str, str] | None = None,
) -> Transfer:
    """Note that `event` has brought `record` into its state, tell of it, and ask the strategy what comes next."""
    resumed = event is Event.START and ours is (record.process.us is Role.CONSUMER)  # by the consumer
    if resumed and ours:
        detail = "the provider's own START, which brings the address, comes next"
    record = acknowledged(node, tx, record, event, ours=ours, detail=detail, address=address)
    if record.process.state in PAUSED:
        close(tx, record)
    if record.process.over:
        tx.drop_timers(record.id)
        return record
    if ours and event is Event.START and record.process.us is Role.PROVIDER and record.format.startswith(HTTP_PUSH):
        _promise_push(node, tx, record)
    judgements = Judgements()
    return decided(
        node,
        record,
        judgements,
        lambda: node.transfers.decide(_view(node, tx, record, event, judgements, ours=ours, party=party)),
        lambda record, decision: carry_out(node, tx, record, decision),
        owed=(Event.START,) if resumed and not ours else (),
    )


def _view(
    node: Node, tx: Tx, record: Transfer, event: Event, judgements: Judgements, *, ours: bool, party: Counterparty
) -> TransferView:
    return TransferView(
        role=record.process.us,
        state=record.process.state or State.REQUESTED,
        event=event,
        ours=ours,
        id=record.id,
        counterparty=party,
        agreement_id=record.agreement_id,
        asset_id=record.asset_id,
        format=record.format,
        judge=lambda: judgements.take("transfer", judge(node, tx, record, party)),
    )


def acknowledged(
    node: Node,
    tx: Tx,
    record: Transfer,
    event: Event,
    *,
    ours: bool,
    detail: str = "",
    address: Mapping[str, str] | None = None,
) -> Transfer:
    """Note that `event` has brought `record` into its state, and tell of it."""
    record = record.noted(node.clock.now(), f"{'we' if ours else 'peer'}:{event}", detail)
    transfer_event(node, tx, record, address=address)
    return record


def close(tx: Tx, record: Transfer) -> None:
    """Take away the right to data: our grant or push as provider, our endpoint data reference as consumer."""
    rights = tx.grants if record.process.us is Role.PROVIDER else tx.edrs
    if rights.find(record.id) is not None:
        rights.delete(record.id)
    if record.process.us is Role.PROVIDER and record.format.startswith(HTTP_PUSH):
        tx.drop_messages(PUSH + record.id)


def carry_out(node: Node, tx: Tx, record: Transfer, decision: Decision) -> Transfer:
    """Do what was decided. Raise Conflict if it is not possible now, or not an act of a transfer."""
    if decision.act == Act.HOLD:
        return record
    if decision.after_ms > 0:
        delay(tx, record, decision)
        return record
    if decision.act not in _MOVES:
        raise Conflict(f"{decision.act} is not an act of a transfer")
    return _MOVES[decision.act](node, tx, record, decision)


def decision_due(node: Node, tx: Tx, timer: Timer) -> None:
    """Carry out a delayed decision, unless the process has gone on or ended since."""
    record = tx.transfers.find(timer.subject)
    if record is not None and (decision := due(timer, record)) is not None:
        tx.transfers.save(tried(node, record, decision, lambda r, d: carry_out(node, tx, r, d)))


def agreement_ended(node: Node, tx: Tx, timer: Timer) -> None:
    """End a transfer whose agreement no longer permits it: the exact moment its dates run out."""
    record = tx.transfers.find(timer.subject)
    if record is None or record.process.over:
        return
    verdict = judge(node, tx, record, party_of(node, tx, record), "monitor")
    if verdict.permitted:
        _watch_end(tx, record, tx.agreements.get(record.agreement_id), after=timer.due_at)
        return
    judgements = Judgements()
    judgements.take("monitor", verdict)
    record = judgements.noted(record, node.clock.now())
    tx.transfers.save(end(node, tx, record, verdict.public_reason))


def end(node: Node, tx: Tx, record: Transfer, reason: str) -> Transfer:
    """Terminate for a reason of our own, unless that is under way already."""
    try:
        return carry_out(node, tx, record, Decision(Act.TERMINATE, reasons=(reason,)))
    except Conflict:
        return record


def _request(node: Node, tx: Tx, record: Transfer, _: Decision) -> Transfer:
    message = TransferRequestMessage(
        id=node.ids(),
        consumer_pid=record.id,
        agreement_id=record.agreement_id,
        format=record.format,
        callback_address=node.dsp_address,
        data_address=_destination(record),
    )
    return post(node, tx, record, Event.REQUEST, message, "/transfers/request")


def _destination(record: Transfer) -> DataAddress | None:
    """Where the provider is to push to, EDC's property names under their full IRIs; None for a pull."""
    address = record.destination or {}
    if not record.format.startswith(HTTP_PUSH) or "baseUrl" not in address:
        return None
    properties = tuple((key if ":" in key else EDC + key, value) for key, value in address.items())
    return DataAddress(
        endpoint_type=address.get("type", "HttpData"), endpoint=address["baseUrl"], properties=properties
    )


def _start(node: Node, tx: Tx, record: Transfer, _: Decision) -> Transfer:
    record.process.send(Event.START, record.id)  # raises Conflict before anything is opened
    address = None
    if record.process.us is Role.PROVIDER:
        agreement = tx.agreements.get(record.agreement_id)
        if not record.format.startswith(HTTP_PUSH):
            address = _open(node, tx, record)
        if frequency.limits(agreement.policy):  # whether the consumer confirms our message or not: it has the token
            tx.agreements.save(replace(agreement, used_by=record.id))
        _watch_end(tx, record, agreement)
    message = TransferStartMessage(**pids(node, record), data_address=address)
    return post(node, tx, record, Event.START, message, process_path(record, "start"))


def _open(node: Node, tx: Tx, record: Transfer) -> DataAddress:
    """A second start leaves the first opening as it is: the peer may refuse it, and reads on with what it has."""
    opened, bpn = tx.grants.find(record.id), party_of(node, tx, record).bpn
    address, grant = node.data_plane.open_pull(record, bpn, node.clock.now(), opened)
    if opened is None:
        tx.grants.add(grant)
    return address


def _watch_end(tx: Tx, record: Transfer, agreement: Agreement, after: int | None = None) -> None:
    if (moment := ends_at(agreement.policy, agreement.created_at, after)) is not None:
        tx.set_timer(Timer(f"end:{record.id}", moment, END_TIMER, record.id))


def _suspend(node: Node, tx: Tx, record: Transfer, decision: Decision) -> Transfer:
    message = TransferSuspensionMessage(**pids(node, record), code=decision.code, reason=decision.reasons)
    record = post(node, tx, record, Event.SUSPEND, message, process_path(record, "suspension"))
    close(tx, record)
    return record


def _complete(node: Node, tx: Tx, record: Transfer, _: Decision) -> Transfer:
    message = TransferCompletionMessage(**pids(node, record))
    record = post(node, tx, record, Event.COMPLETE, message, process_path(record, "completion"))
    close(tx, record)
    return record


def _terminate(node: Node, tx: Tx, record: Transfer, decision: Decision) -> Transfer:
    reason = "; ".join(decision.reasons)
    reachable = record.process.state is not None and record.peer_pid is not None
    if reachable:
        record.process.send(Event.TERMINATE, record.id)  # raises Conflict before anything is taken back
    elif record.process.over:
        raise Conflict(f"the transfer is {record.process.state} already")
    tx.drop_messages(record.id)
    tx.drop_timers(record.id)
    close(tx, record)
    if not reachable:
        ended = record.process.abandon()
        record = record.noted(node.clock.now(), "abandoned", reason, process=ended, error=reason or None)
        transfer_event(node, tx, record)
        return record
    message = TransferTerminationMessage(**pids(node, record), code=decision.code, reason=decision.reasons)
    record = post(node, tx, record, Event.TERMINATE, message, process_path(record, "termination"))
    return replace(record, error=reason or None)


_Move = Callable[[Node, Tx, Transfer, Decision], Transfer]
_MOVES: Final[Mapping[str, _Move]] = {
    Act.REQUEST: _request,
    Act.START: _start,
    Act.SUSPEND: _suspend,
    Act.COMPLETE: _complete,
    Act.TERMINATE: _terminate,
}


def _promise_push(node: Node, tx: Tx, record: Transfer) -> None:
    """Have the data sent: a task of the outbox like any message, so that it is retried and survives a crash."""
    now = node.clock.now()
    tx.send(
        Outgoing(
            id=node.ids(),
            created_at=now,
            topic=PUSH + record.id,
            kind="push",
            event="PUSH",
            url=(record.destination or {}).get("baseUrl", ""),
            body=b"",
            due_at=now,
        )
    )
