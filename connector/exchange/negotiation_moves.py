"""Our side of a contract negotiation: asking the strategy, and turning a decision into a message.

Everything here runs inside a transaction and returns the changed record; whoever called saves it, so that one
transaction writes a record once. What is sent takes effect when the peer answers (`delivery`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import structlog

from connector.exchange.events import negotiation_event
from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import Agreement, Negotiation, Outgoing, Timer, Transfer
from connector.exchange.strategy import Act, Decision, NegotiationView
from connector.exchange.terms import terms_of
from connector.policy.circumstances import Circumstances, Counterparty
from connector.policy.equality import difference
from connector.policy.evaluate import evaluate
from connector.policy.model import Policy
from connector.policy.parse import parse_policy
from connector.protocol.errors import Conflict, LocalError
from connector.protocol.messages import Message
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

log = structlog.get_logger()
DECISION_TIMER: Final = "negotiation"


def party_of(node: Node, record: Negotiation) -> Counterparty:
    """The counterparty as we know it without a message of its own at hand."""
    return Counterparty(record.peer.id, node.directory.bpn_of(record.peer.id), {})


def arrived(
    node: Node, tx: Tx, record: Negotiation, event: Event, *, ours: bool, party: Counterparty, detail: str = ""
) -> Negotiation:
    """Note that `event` has brought `record` into its state, tell of it, and ask the strategy what comes next."""
    who = "we" if ours else "peer"
    record = record.noted(node.clock.now(), f"{who}:{event}", detail)
    negotiation_event(node, tx, record)
    if record.process.over:
        tx.drop_timers(record.id)
        return record
    try:
        decision = node.negotiations.decide(_view(node, tx, record, event, ours=ours, party=party))
        return carry_out(node, tx, record, decision)
    except LocalError as error:
        return record.noted(node.clock.now(), "held", error.reason, error=error.reason)
    except Exception:  # a plug-in's fault must not undo what the peer was promised
        log.exception("the negotiation strategy failed", negotiation=record.id)
        return record.noted(node.clock.now(), "held", "the strategy failed, see the log", error="the strategy failed")


def _view(node: Node, tx: Tx, record: Negotiation, event: Event, *, ours: bool, party: Counterparty) -> NegotiationView:
    now = node.clock.now()
    found = terms_of(tx, record.offer.id or "", party, now) if _needs_terms(record, event, ours=ours) else None
    terms = found[1] if found else record.asked
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
        judge=lambda: evaluate(record.offer, Circumstances("negotiation", party, now, None)),
    )


def _needs_terms(record: Negotiation, event: Event, *, ours: bool) -> bool:
    return record.process.us is Role.PROVIDER and not ours and event in (Event.REQUEST, Event.ACCEPT)


def carry_out(node: Node, tx: Tx, record: Negotiation, decision: Decision) -> Negotiation:
    """Do what was decided. Raise Conflict if it is not possible now, or not an act of a negotiation."""
    if decision.act == Act.HOLD:
        return record
    if decision.after_ms > 0:
        doc = asdict(replace(decision, after_ms=0, policy=None)) | {"policy": _stored(decision.policy)}
        tx.set_timer(delayed(DECISION_TIMER, record, decision, doc))
        return record
    if decision.act not in _MOVES:
        raise Conflict(f"{decision.act} is not an act of a negotiation")
    return _MOVES[decision.act](node, tx, record, decision)


def delayed(kind: str, record: Negotiation | Transfer, decision: Decision, doc: dict[str, Any]) -> Timer:
    """The timer that carries a decision until it is due; `made_at` tells later whether things have moved on since."""
    due = record.updated_at + decision.after_ms
    detail = json.dumps({"made_at": record.updated_at, "decision": doc})
    return Timer(f"decision:{record.id}", due, kind, record.id, detail)


def _stored(policy: Policy | None) -> dict[str, Any] | None:
    return None if policy is None else policy.to_json()


def decision_due(node: Node, tx: Tx, timer: Timer) -> None:
    """Carry out a delayed decision, unless the process has gone on or ended since."""
    record, detail = tx.negotiations.find(timer.subject), json.loads(timer.detail)
    if record is None or record.process.over or record.updated_at != detail["made_at"]:
        return
    doc = detail["decision"]
    doc["policy"] = parse_policy(doc["policy"]) if doc["policy"] else None
    doc["reasons"] = tuple(doc["reasons"])
    try:
        record = carry_out(node, tx, record, Decision(**doc))
    except LocalError as error:
        record = record.noted(node.clock.now(), "held", error.reason)
    tx.negotiations.save(record)


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
    path = "/negotiations/offers" if initial else _path(record, "offers")
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
    path = "/negotiations/request" if initial else _path(record, "request")
    return post(node, tx, record, Event.REQUEST, message, path)


def _accept(node: Node, tx: Tx, record: Negotiation, _: Decision) -> Negotiation:
    message = ContractNegotiationEventMessage(**_pids(node, record), event_type="ACCEPTED")
    return post(node, tx, record, Event.ACCEPT, message, _path(record, "events"))


def _agree(node: Node, tx: Tx, record: Negotiation, _: Decision) -> Negotiation:
    now = node.clock.now() // 1000 * 1000  # the signing time has whole seconds on the wire, and must be the same here
    policy = replace(
        record.offer,
        kind="Agreement",
        id=node.ids(),
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
    message = ContractAgreementMessage(**_pids(node, record), agreement=policy.to_json())
    record = post(node, tx, record, Event.AGREE, message, _path(record, "agreement"))
    tx.agreements.add(agreement)
    return replace(record, agreement_id=agreement.id)


def _verify(node: Node, tx: Tx, record: Negotiation, _: Decision) -> Negotiation:
    message = ContractAgreementVerificationMessage(**_pids(node, record))
    return post(node, tx, record, Event.VERIFY, message, _path(record, "agreement/verification"))


def _finalize(node: Node, tx: Tx, record: Negotiation, _: Decision) -> Negotiation:
    message = ContractNegotiationEventMessage(**_pids(node, record), event_type="FINALIZED")
    return post(node, tx, record, Event.FINALIZE, message, _path(record, "events"))


def _terminate(node: Node, tx: Tx, record: Negotiation, decision: Decision) -> Negotiation:
    reason = "; ".join(decision.reasons)
    tx.drop_messages(record.id)
    tx.drop_timers(record.id)
    if record.process.state is None or record.peer_pid is None:
        return _give_up(node, tx, record, reason)
    message = ContractNegotiationTerminationMessage(**_pids(node, record), code=decision.code, reason=decision.reasons)
    record = replace(record, error=reason or None)
    return post(node, tx, record, Event.TERMINATE, message, _path(record, "termination"))


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


def _pids(node: Node, record: Negotiation) -> dict[str, Any]:
    ours, theirs = record.id, record.peer_pid or ""
    consumer = record.process.us is Role.CONSUMER
    return {
        "id": node.ids(),
        "consumer_pid": ours if consumer else theirs,
        "provider_pid": theirs if consumer else ours,
    }


def _path(record: Negotiation, rest: str) -> str:
    return f"/negotiations/{quote(record.peer_pid or '', safe='')}/{rest}"


def post(node: Node, tx: Tx, record: Negotiation, event: Event, message: Message, path: str) -> Negotiation:
    """Make `message` pending and promise it. Raise Conflict if the state does not allow it."""
    key, now = message.id or node.ids(), node.clock.now()
    record = replace(record, process=record.process.send(event, key), updated_at=now)
    tx.send(
        Outgoing(
            id=key,
            created_at=now,
            topic=record.id,
            kind="negotiation",
            event=event,
            url=record.peer.address + path,
            body=json.dumps(message.to_json(), separators=(",", ":")).encode(),
            audience=record.peer.id,
            due_at=now,
        )
    )
    return record
