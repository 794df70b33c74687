"""What an operator may do to messages that were given up: have them sent again, or let them go."""

from dataclasses import replace

from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import Outgoing
from connector.protocol.errors import Conflict


async def retry(node: Node, message_id: str) -> None:
    """Send it again, now, with all its attempts before it. Raise NotFound, or Conflict if it is still being tried."""

    def tx(tx: Tx) -> None:
        message = _dead(tx, message_id)
        tx.outbox.delete(message_id)
        tx.send(replace(message, dead=False, attempts=0, due_at=node.clock.now()))

    await node.store.run(tx)


async def discard(node: Node, message_id: str) -> None:
    """Forget it; the process it belongs to stays as it is. Raise NotFound, or Conflict if it is still being tried."""

    def tx(tx: Tx) -> None:
        _dead(tx, message_id)
        tx.outbox.delete(message_id)

    await node.store.run(tx)


def _dead(tx: Tx, message_id: str) -> Outgoing:
    message = tx.outbox.get(message_id)
    if not message.dead:
        raise Conflict(f"message {message_id} is not given up: it will be tried again by itself")
    return message
