"""What must hold, whatever happens. Each check returns the complaints it has; nothing here asks the product's own logic
for its opinion, except for the tables of the state machines, which other tests hold against the standard.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from connector.exchange.ports import Tx
from connector.exchange.query import QuerySpec
from connector.exchange.records import HISTORY, Agreement, Negotiation, Outgoing, Transfer
from connector.protocol import negotiation, transfer
from connector.protocol.process import REMEMBERED, Role
from connector.protocol.vocabulary import HTTP_PULL
from tests.simulation.people import LIFETIMES
from tests.simulation.plan import Manner

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

Record = Negotiation | Transfer
DIGEST: Final = 64
"""Longer than any `@id` here: what messages say is remembered beside them."""
EVERYTHING: Final = QuerySpec(limit=1000)


def of_record(record: Record) -> Iterator[str]:
    """After each commit: the timeline leads to the state, and nobody acted on a message twice."""
    table: Mapping[Any, Any] = record.process.TABLE
    process, state = record.process, None
    if len(record.history) == HISTORY:
        return  # its beginning is gone
    taken = 0
    for entry in record.history:
        kind, _, event = entry.what.partition(":")
        if kind in ("we", "peer"):
            taken += kind == "peer"
            events = negotiation.Event if isinstance(record, Negotiation) else transfer.Event
            cell = (state, events(event), process.us if kind == "we" else process.us.other)
            if cell not in table:
                yield f"{record.id}: the timeline has {entry.what} in state {state}: {_lines(record)}"
                return
            state = table[cell]
        elif kind == "abandoned" or (kind == "refused" and (state is None or event == process.GONE)):
            state = process.ENDED
    if state is not process.state:
        yield f"{record.id} is {process.state}, its timeline says {state}: {_lines(record)}"
    keys = [key for key in process.seen if len(key) < DIGEST]
    if len(set(keys)) != len(keys) or (len(process.seen) < REMEMBERED and taken != len(keys)):
        yield f"{record.id} acted on a message twice: {process.seen}, {_lines(record)}"


def _lines(record: Record) -> str:
    return ", ".join(entry.what for entry in record.history)


class Quiet:
    """All databases, read at a moment at which nobody has anything to do."""

    def __init__(self, machines: Mapping[str, "Machine"]) -> None:
        self._machines = machines
        self._records: dict[str, Record] = {}
        self._owner: dict[str, str] = {}
        self._outbox: dict[str, list[Outgoing]] = {}
        self._rights: dict[str, set[str]] = {}
        self._agreements: dict[tuple[str, str], Agreement] = {}
        for machine in machines.values():
            machine.peek(functools.partial(self._load, machine.name))

    def _load(self, name: str, tx: Tx) -> None:
        records: list[Record] = [*tx.negotiations.query(EVERYTHING), *tx.transfers.query(EVERYTHING)]
        for record in records:
            self._records[record.id] = record
            self._owner[record.id] = name
        self._outbox[name] = tx.outbox.query(EVERYTHING)
        grants, references = tx.grants.query(EVERYTHING), tx.edrs.query(EVERYTHING)
        self._rights[name] = {grant.id for grant in grants} | {reference.id for reference in references}
        self._agreements |= {(name, agreement.id): agreement for agreement in tx.agreements.query(EVERYTHING)}

    def complaints(self, manner: Manner) -> Iterator[str]:
        """Everything that is wrong, in a world in which people behave in this manner."""
        for name, messages in self._outbox.items():
            for message in messages:
                yield f"{name} still has {message.event} {message.id}: {message.last_error}"
        for record in self._records.values():
            yield from self._of(record)
            yield from self._of_rights(record)
            if manner is Manner.CALM:
                yield from self._of_calm(record)

    def _of(self, record: Record) -> Iterator[str]:
        process, name = record.process, self._name(record)
        peer = self._peer(record)
        if process.pending is not None:
            yield f"{name} waits for an answer to a message that is nowhere: {process.pending}"
        if peer is not None and peer.process.state is not process.state and not _unaware(record, peer):
            yield f"{name}, but {self._name(peer)}: {_lines(record)} / {_lines(peer)}"
        if peer is not None and isinstance(record, Negotiation) and process.state is negotiation.State.FINALIZED:
            ours, theirs = (self._agreements.get((self._owner[r.id], r.agreement_id or "")) for r in (record, peer))
            if ours is None or theirs is None or _terms(ours) != _terms(theirs):
                yield f"{name}: the two agreements differ: {ours} {theirs}"
        if peer is None and process.over and not record.error:
            yield f"{name} has ended without a counterpart and does not say why"
        if not process.over and not self._waits(record, peer):
            yield f"{name} is stuck: {_lines(record)} / {peer and _lines(peer)}"

    def _waits(self, record: Record, peer: Record | None) -> bool:
        """Whether it is known for whom or what a process waits."""
        if peer is None:
            return False
        if record.process.state in (transfer.State.STARTED, transfer.State.SUSPENDED):
            return True
        turns = [r for r in (record, peer) if r.process.awaited]
        return bool(turns) and all(r.history[-1].what == "held" or r.error for r in turns)

    def _of_rights(self, record: Record) -> Iterator[str]:
        if not isinstance(record, Transfer):
            return
        opened = record.id in self._rights[self._owner[record.id]]
        started = record.process.state is transfer.State.STARTED
        due = started and record.format == HTTP_PULL and not self._unanswered(record)
        if opened != due:
            yield f"{self._name(record)} {'has' if opened else 'lacks'} a right to data: {_lines(record)}"
        agreement = self._agreements.get((self._owner[record.id], record.agreement_id))
        begun = record.process.state in (transfer.State.STARTED, transfer.State.SUSPENDED)
        if begun and record.process.us is Role.PROVIDER and agreement is not None:
            now = self._machines[self._owner[record.id]].clock.now()
            if why := invalid(agreement, now):
                yield f"{self._name(record)} runs on although {why}: {_lines(record)}"

    def _unanswered(self, record: Transfer) -> bool:
        """Whether the consumer has resumed, and the provider's strategy leaves its own start to a person."""
        sides = (record, self._peer(record))
        provider = next((s for s in sides if s is not None and s.process.us is Role.PROVIDER), record)
        moves = [entry.what for entry in provider.history if entry.what.startswith(("we:", "peer:"))]
        return moves[-1:] == ["peer:START"]

    def _of_calm(self, record: Record) -> Iterator[str]:
        agreement = self._agreements.get((self._owner[record.id], getattr(record, "agreement_id", None) or ""))
        good: tuple[Any, ...] = (negotiation.State.FINALIZED,)
        if isinstance(record, Transfer):
            good = (transfer.State.STARTED if record.format == HTTP_PULL else transfer.State.COMPLETED,)
            if agreement is not None and LIFETIMES[record.asset_id] is not None:
                return  # it may have run out at any moment
        if record.process.state not in good:
            yield f"{self._name(record)} did not reach {good[0]}, and nobody wanted that: {_lines(record)}"

    def _peer(self, record: Record) -> Record | None:
        theirs = self._records.get(record.peer_pid or "")
        if theirs is not None:
            return theirs
        return next((r for r in self._records.values() if r.peer_pid == record.id), None)

    def _name(self, record: Record) -> str:
        return f"{type(record).__name__.lower()} {record.id} ({record.process.us.lower()}) is {record.process.state}"


def _unaware(*sides: Record) -> bool:
    """Whether one side gave up before it had learned the other's pid, and the other has not said anything since.

    `protocol.process` names this: nobody can be told; the other learns of it by the answer to its next message.
    """
    gone = [side for side in sides if any(entry.what == "abandoned" for entry in side.history)]
    return bool(gone) and any(not side.process.over and side.process.pending is None for side in sides)


def _terms(agreement: Agreement) -> tuple[Any, ...]:
    return (agreement.provider_id, agreement.consumer_id, agreement.asset_id, agreement.created_at, agreement.policy)


def invalid(agreement: Agreement, now: int) -> str:
    """Why an agreement is not in force at its provider's time `now` (ms); "" if it is."""
    lifetime = LIFETIMES[agreement.asset_id]
    if agreement.retired_at is not None:
        return f"agreement {agreement.id} was retired"
    if lifetime is not None and now > agreement.created_at + lifetime * 1000:
        return f"agreement {agreement.id} ended {now - agreement.created_at - lifetime * 1000} ms ago"
    return ""


def may_leave(tx: Tx, asset: str, agreement_id: str, now: int) -> str:
    """Why data of an asset must not leave its provider under an agreement at this moment; "" if it may."""
    agreement = tx.agreements.find(agreement_id)
    if agreement is None or agreement.asset_id != asset:
        return f"there is no agreement {agreement_id} about {asset}"
    if why := invalid(agreement, now):
        return why
    contract = tx.negotiations.get(agreement.negotiation_id).process
    finalizing = contract.pending is not None and contract.pending.event is negotiation.Event.FINALIZE
    if contract.state is not negotiation.State.FINALIZED and not finalizing:
        return f"the negotiation of agreement {agreement_id} is {contract.state}"
    moving = [t for t in tx.transfers.query(EVERYTHING) if t.agreement_id == agreement_id]
    if not any(_runs(t) for t in moving):
        return f"no transfer runs under agreement {agreement_id}: {[t.process for t in moving]}"
    return ""


def _runs(record: Transfer) -> bool:
    """Started, or about to be: who has the address has had our START."""
    pending = record.process.pending
    if pending is not None:
        return pending.event is transfer.Event.START
    return record.process.state is transfer.State.STARTED
