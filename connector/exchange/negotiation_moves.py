"""Our side of a contract negotiation: asking the strategy, and turning a decision into a message.

Everything here runs inside a transaction and returns the changed record; whoever called saves it, so that one
transaction writes a record once. What is sent takes effect when the peer answers (`delivery`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from connector.exchange.events import negotiation_event
from connector.exchange.moves import Judgements, decided, delay, due, pids, post, process_path, tried
from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import Agreement, Negotiation, Timer
from connector.exchange.strategy import Act, Decision, NegotiationView
from connector.exchange.terms import Terms, terms_of
from connector.exchange.trace import agreement_id
from connector.policy.circumstances import Circumstances, Counterparty
from connector.policy.equality import difference
from connector.policy.evaluate import evaluate
from connector.protocol.errors import Conflict
from connector.protocol.negotiation import Event, State
from connector.protocol.negotiation_messages import (
    ContractAgreementMessage,
    ContractAgreementVerificationMessage,
    ContractNegotiationEventMessage,
    ContractNegotiationTerminationMessage,
    ContractOfferMessage,
    ContractRequestMessage,
)
from connector.protocol.process import Role


def arrived(
    node: Node,
    tx: Tx,
    record: Negotiation,
    event: Event,
    *,
    ours: bool,
    party: Counterparty,
    detail: str = "",
    terms: Terms | None = None,
) -> Negotiation:
    """Note that `event` has brought `record` into its state, tell of it, and ask the strategy what comes next.

    terms: what the offer is measured by, if that has been worked out already.
    """
    record = acknowledged(node, tx, record, event, ours=ours, detail=detail)
    if record.process.over:
        tx.drop_timers(record.id)
        return record
    judgements = Judgements()
    return decided(
        node,
        record,
        judgements,
        lambda: node.negotiations.decide(
            _view(node, tx, record, event, judgements, ours=ours, party=party, known=terms)
        ),
        lambda record, decision: carry_out(node, tx, record, decision),
    )


def acknowledged(node: Node, tx: Tx, record: Negotiation, event: Event, *, ours: bool, detail: str = "") -> Negotiation:
    """Note that `event` has brought `record` into its state, and tell of it."""
    record = record.noted(node.clock.now(), f"{'we' if ours else 'peer'}:{event}", detail)
    negotiation_event(node, tx, record)
    return record


def _view(
    node: Node,
    tx: Tx,
    record: Negotiation,
    event: Event,
    judgements: Judgements,
    *,
    ours: bool,
    party: Counterparty,
    known: Terms | None,
) -> NegotiationView:
    now = node.clock.now()
    terms = record.asked
    if record.process.us is Role.PROVIDER:
        asked = not ours and event in (Event.REQUEST, Event.ACCEPT)
        offered = known or terms_of(tx, record.offer.id or "", party, now) if asked else None
        visible = offered is not None and judgements.take("catalog", offered.access).permitted
        found = offered.policy if offered is not None and visible else None
        # An acceptance is of our own offer, which binds us as long as there is such an offer at all.
        terms = record.offer if found and event is Event.ACCEPT else found
    return NegotiationView(
        role=record.process.us,
        state=record.process.state or State.REQUESTED,
        event=event,
        ours=ours,
        id=record.id,
        counterparty=party,
        offer=record.offer,
        terms=terms,
        difference=difference(terms, record.offer) if terms is not None else None,
        judge=lambda: judgements.take(
            "negotiation", evaluate(record.offer, Circumstances("negotiation", party, now, None))
        ),
    )


def carry_out(node: Node, tx: Tx, record: Negotiation, decision: Decision) -> Negotiation:
    """Do what was decided. Raise Conflict if it is not possible now, or not an act of a negotiation."""
    if decision.act == Act.HOLD:
        return record
    if decision.after_ms > 0:
        delay(tx, record, decision)
        return record
    if decision.act not in _MOVES:
        raise Conflict(f"{decision.act} is not an act of a negotiation")
    return _MOVES[decision.act](node, tx, record, decision)


def decision_due(node: Node, tx: Tx, timer: Timer) -> None:
    """Carry out a delayed decision, unless the process has gone on or ended since."""
    record = tx.negotiations.find(timer.subject)
    if record is not None and (decision := due(timer, record)) is not None:
        tx.negotiations.save(tried(node, record, decision, lambda r, d: carry_out(node, tx, r, d)))


def _offer(node: Node, tx: Tx, record: Negotiation, decision: Decision) -> Negotiation:
    offer = replace(decision.policy or record.offer, kind="Offer", id=record.offer.id, target=record.asset_id)
    initial = record.process.state is None
    message = ContractOfferMessage(
        id=node.ids(),
        provider_pid=record.id,
        consumer_pid=record.peer_pid,
        offer=offer.to_json(assigner=node.id),
        callback_address=node.dsp_address if initial else None,
    )
    record = replace(record, offer=offer, offered_by=Role.PROVIDER)
    path = "/negotiations/offers" if initial else process_path(record, "offers")
    return post(node, tx, record, Event.OFFER, message, path)


def _request(node: Node, tx: Tx, record: Negotiation, decision: Decision) -> Negotiation:
    offer = replace(decision.policy or record.offer, kind="Offer", id=record.offer.id, target=record.asset_id)
    initial = record.process.state is None
    message = ContractRequestMessage(
        id=node.ids(),
        consumer_pid=record.id,
        provider_pid=record.peer_pid,
        offer=offer.to_json(assigner=record.peer.id),
        callback_address=node.dsp_address if initial else None,
    )
    record = replace(record, offer=offer, asked=offer, offered_by=Role.CONSUMER)
    path = "/negotiations/request" if initial else process_path(record, "request")
    return post(node, tx, record, Event.REQUEST, message, path)


def _accept(node: Node, tx: Tx, record: Negotiation, _: Decision) -> Negotiation:
    message = ContractNegotiationEventMessage(**pids(node, record), event_type="ACCEPTED")
    return post(node, tx, record, Event.ACCEPT, message, process_path(record, "events"))


def _agree(node: Node, tx: Tx, record: Negotiation, _: Decision) -> Negotiation:
    now = node.clock.now() // 1000 * 1000  # the signing time has whole seconds on the wire, and must be the same here
    policy = replace(
        record.offer,
        kind="Agreement",
        id=agreement_id(node.id, record),
        assigner=node.id,
        assignee=record.peer.id,
        timestamp=datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    agreement = Agreement(
        id=policy.id or "",
        created_at=now,
        provider_id=node.id,
        consumer_id=record.peer.id,
        asset_id=record.asset_id,
        policy=policy,
        negotiation_id=record.id,
    )
    message = ContractAgreementMessage(**pids(node, record), agreement=policy.to_json())
    record = post(node, tx, record, Event.AGREE, message, process_path(record, "agreement"))
    tx.agreements.add(agreement)
    return replace(record, agreement_id=agreement.id)


def _verify(node: Node, tx: Tx, record: Negotiation, _: Decision) -> Negotiation:
    message = ContractAgreementVerificationMessage(**pids(node, record))
    return post(node, tx, record, Event.VERIFY, message, process_path(record, "agreement/verification"))


def _finalize(node: Node, tx: Tx, record: Negotiation, _: Decision) -> Negotiation:
    message = ContractNegotiationEventMessage(**pids(node, record), event_type="FINALIZED")
    return post(node, tx, record, Event.FINALIZE, message, process_path(record, "events"))


def _terminate(node: Node, tx: Tx, record: Negotiation, decision: Decision) -> Negotiation:
    reason = "; ".join(decision.reasons)
    reachable = record.process.state is not None and record.peer_pid is not None
    if reachable:
        record.process.send(Event.TERMINATE, record.id)  # raises Conflict before anything is taken back
    elif record.process.over:
        raise Conflict(f"the negotiation is {record.process.state} already")
    tx.drop_messages(record.id)
    tx.drop_timers(record.id)
    if not reachable:
        return _give_up(node, tx, record, reason)
    message = ContractNegotiationTerminationMessage(**pids(node, record), code=decision.code, reason=decision.reasons)
    record = post(node, tx, record, Event.TERMINATE, message, process_path(record, "termination"))
    return replace(record, error=reason or None)


def _give_up(node: Node, tx: Tx, record: Negotiation, reason: str) -> Negotiation:
    """End a negotiation that the peer cannot be told about, because it never answered."""
    record = record.noted(node.clock.now(), "abandoned", reason, process=record.process.abandon(), error=reason or None)
    negotiation_event(node, tx, record)
    return record


_Move = Callable[[Node, Tx, Negotiation, Decision], Negotiation]
_MOVES: Final[Mapping[str, _Move]] = {
    Act.OFFER: _offer,
    Act.REQUEST: _request,
    Act.ACCEPT: _accept,
    Act.AGREE: _agree,
    Act.VERIFY: _verify,
    Act.FINALIZE: _finalize,
    Act.TERMINATE: _terminate,
}
