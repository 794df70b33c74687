"""Endpoint data references: how our own applications get at the data of a running pull.

Applications keep the id of a transfer and ask for the address again and again, so freshness is decided here: an address
whose token is about to expire is refreshed first (Tractus-X, `auto_refresh`).
"""

from typing import Final

from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import Edr
from connector.protocol.errors import Conflict, NotFound

SHARE: Final = 0.2
"""A token is refreshed when this share of its life is left: early enough for the request that it is asked for."""


async def data_address(node: Node, transfer_id: str, *, auto_refresh: bool = True) -> Edr:
    """The reference of a running pull. Raise NotFound (none: not started, suspended, ended) or Unreachable."""
    edr = await node.store.read(lambda tx: tx.edrs.get(transfer_id))
    return await refresh(node, transfer_id) if auto_refresh and _stale(node, edr) else edr


def _stale(node: Node, edr: Edr) -> bool:
    if edr.expires_at is None or "refreshToken" not in edr.address:
        return False
    life = edr.expires_at - edr.created_at
    return node.clock.now() >= edr.expires_at - life * SHARE


async def refresh(node: Node, transfer_id: str) -> Edr:
    """Get a new token from the provider now. Raise NotFound, Conflict (it cannot be refreshed) or Unreachable."""
    edr = await node.store.read(lambda tx: tx.edrs.get(transfer_id))
    if "refreshToken" not in edr.address:
        raise Conflict(f"the provider gave no refresh token for transfer {transfer_id}: start a new transfer")
    fresh = await node.refresh_edr(edr)

    def tx(tx: Tx) -> Edr:
        if tx.edrs.find(transfer_id) is None:
            raise NotFound(f"transfer {transfer_id} has ended while its token was being refreshed")
        tx.edrs.save(fresh)
        return fresh

    return await node.store.run(tx)


async def forget(node: Node, transfer_id: str) -> None:
    """Drop a reference; the transfer itself goes on. Raise NotFound."""
    await node.store.run(lambda tx: tx.edrs.delete(transfer_id))
