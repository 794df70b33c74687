"""A counterparty whose message was refused for what it is: noted where an operator looks, in the exchange's timeline.

Who sent the message is proved before its credentials are looked at. So the reason of a refusal can be kept with the
process that the message was for, if that is with this counterparty. Nobody else can write there, and of refusals in a
row the first is noted: more would push out of the timeline what came before.
"""

from typing import Final, TypeVar

from connector.exchange.node import Node
from connector.exchange.ports import Repository, Tx
from connector.exchange.records import Negotiation, Transfer
from connector.protocol.errors import PeerError

R = TypeVar("R", Negotiation, Transfer)
NOTED: Final = "denied"
"""What the timeline's entry is called."""


class Denied(PeerError):
    """A refusal by credentials. `sender` is the proven participant, or None; `cause` is for us alone."""

    def __init__(self, status: int, told: str, *, sender: str | None, cause: str) -> None:
        super().__init__(status, told)
        self.sender = sender
        self.cause = cause


async def note(node: Node, denied: Denied, pid: str) -> None:
    """Keep the reason with the process `pid`, if it is one with the sender and has not ended."""
    now = node.clock.now()

    def tx(tx: Tx) -> None:
        _note(tx.negotiations, denied, pid, now)
        _note(tx.transfers, denied, pid, now)

    await node.store.run(tx)


def _note(records: Repository[R], denied: Denied, pid: str, now: int) -> None:
    record = records.find(pid)
    if record is None or record.peer.id != denied.sender or record.process.over:
        return
    if not record.history or record.history[-1].what != NOTED:
        records.save(record.noted(now, NOTED, f"a message of the counterparty was refused: {denied.cause}"))
