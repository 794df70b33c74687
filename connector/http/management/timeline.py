"""Why a process is where it is: its history, what has not been delivered, and who can make the next move.

EDC shows a state and at most one error. A person who looks at an exchange that does not go on wants to know three
things: what happened, what the counterparty answered to our last attempt, and whose turn it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Entry, Negotiation, Outgoing, Timer, Transfer
from connector.exchange.states import negotiation_state, transfer_state
from connector.http.management.views import document, iso
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Role
from connector.protocol.transfer import TransferProcess

_AT_MOST = 200
"""Messages and timers shown."""


class Find(Protocol):
    """How to load the process, by id."""

    def __call__(self, tx: Tx, ident: str, /) -> Negotiation | Transfer:
        """Raise NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Timeline:
    """A process with its open messages and timers."""

    record: Negotiation | Transfer
    messages: tuple[Outgoing, ...]
    timers: tuple[Timer, ...]

    @classmethod
    def load(cls, tx: Tx, find: Find, ident: str) -> "Timeline":
        """Read all of it in one snapshot. Raise NotFound."""
        record = find(tx, ident)
        about = (Criterion("topic", "in", (ident, f"callback:{ident}")),)
        timers = (Criterion("subject", "=", ident),)
        return cls(
            record,
            tuple(tx.outbox.query(QuerySpec(limit=_AT_MOST, criteria=about))),
            tuple(tx.timers.query(QuerySpec(limit=_AT_MOST, criteria=timers))),
        )

    def view(self) -> dict[str, Any]:
        """The timeline as JSON."""
        record, process = self.record, self.record.process
        pending = process.pending
        return document(
            "Timeline",
            record.id,
            {
                "state": _state(record),
                "pending": None if pending is None else {"messageId": pending.key, "event": pending.event},
                "awaits": _awaits(process),
                "moves": {"ours": _moves(process, process.us), "theirs": _moves(process, process.us.other)},
                "errorDetail": record.error,
                "history": [_entry(e) for e in record.history],
                "undelivered": [_message(m) for m in self.messages],
                "timers": [{"kind": t.kind, "dueAt": iso(t.due_at)} for t in self.timers],
            },
        )


def _entry(entry: Entry) -> dict[str, Any]:
    judged = {} if entry.judged is None else {"judged": entry.judged}
    return {"at": iso(entry.at), "what": entry.what, "detail": entry.detail, **judged}


def _state(record: Negotiation | Transfer) -> str:
    return negotiation_state(record.process) if isinstance(record, Negotiation) else transfer_state(record.process)


def _message(message: Outgoing) -> dict[str, Any]:
    shown: Mapping[str, Any] = {
        "messageId": message.id,
        "kind": message.kind,
        "event": message.event,
        "url": message.url,
        "attempts": message.attempts,
        "lastError": message.last_error,
        "nextRetry": None if message.dead else iso(message.due_at),
        "dead": message.dead,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _moves(process: NegotiationProcess | TransferProcess, role: Role) -> list[str]:
    """The messages that `role` may send in the present state."""
    return sorted(event for state, event, sender in process.TABLE if state == process.state and sender is role)


def _awaits(process: NegotiationProcess | TransferProcess) -> str:
    """Whose turn it is, in a sentence."""
    if process.over:
        return "nothing: this has ended"
    if process.pending is not None:
        return f"the counterparty's answer to our {process.pending.event}"
    forward = {role: [m for m in _moves(process, role) if m != process.GONE] for role in Role}
    turns = (("the counterparty to send", process.us.other), ("this node or its operator to send", process.us))
    said = [f"{who} {' or '.join(forward[role])}" for who, role in turns if forward[role]]
    return "; ".join(said) or "nothing but a termination"
