"""Endpoint data references: how our own applications get at the data of a running pull.

Applications keep the id of a transfer and ask for the address again and again, so freshness is decided here: an address
whose token is about to expire is refreshed first (Tractus-X, `auto_refresh`).
"""

from connector.exchange.node import Node
from connector.exchange.records import Edr


async def data_address(node: Node, transfer_id: str, *, auto_refresh: bool = True) -> Edr:
    """The reference of a running pull. Raise NotFound (none: not started, suspended, ended) or Unreachable."""
    if auto_refresh:
        return await node.refresher.fresh(transfer_id)
    return await node.store.read(lambda tx: tx.edrs.get(transfer_id))


async def refresh(node: Node, transfer_id: str) -> Edr:
    """Get a new token from the provider now. Raise NotFound, Conflict (it cannot be refreshed) or Unreachable."""
    return await node.refresher.fresh(transfer_id, force=True)


async def forget(node: Node, transfer_id: str) -> None:
    """Drop a reference; the transfer itself goes on. Raise NotFound."""
    await node.store.run(lambda tx: tx.edrs.delete(transfer_id))
