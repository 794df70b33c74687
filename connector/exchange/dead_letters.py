"""What an operator may do to messages that were given up: have them sent again, or let them go."""

from connector.exchange import delivery
from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.protocol.errors import Conflict


async def retry(node: Node, message_id: str) -> None:
    """Send it again, now. Raise NotFound, or Conflict if it is still being tried."""
    await node.store.read(lambda tx: _dead(tx, message_id))
    await delivery.retry(node, message_id)


async def discard(node: Node, message_id: str) -> None:
    """Forget it; the process it belongs to stays as it is. Raise NotFound, or Conflict if it is still being tried."""

    def tx(tx: Tx) -> None:
        _dead(tx, message_id)
        tx.outbox.delete(message_id)

    await node.store.run(tx)


def _dead(tx: Tx, message_id: str) -> None:
    if not tx.outbox.get(message_id).dead:
        raise Conflict(f"message {message_id} is not given up: it will be tried again by itself")
