"""Groups that an operator puts business partners into, for policies to refer to (Tractus-X, business partner groups).

Nothing has to be indexed when a group changes: offers are kept by the group's name, and who is in it is asked for each
message. So a change counts for the next message, and at the latest with the next access token.
"""

from dataclasses import replace

from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.query import QuerySpec
from connector.exchange.records import BusinessPartner

_PAGE = 1000


async def add(node: Node, partner: BusinessPartner) -> BusinessPartner:
    """Put a partner into groups. Raise Conflict if it is in some already."""
    await node.store.run(lambda tx: tx.partners.add(partner))
    return partner


async def change(node: Node, partner: BusinessPartner) -> None:
    """Replace the groups of a partner. Raise NotFound."""

    def tx(tx: Tx) -> None:
        tx.partners.save(replace(partner, created_at=tx.partners.get(partner.id).created_at))

    await node.store.run(tx)


async def remove(node: Node, partner_id: str) -> None:
    """Take a partner out of all groups. Raise NotFound."""
    await node.store.run(lambda tx: tx.partners.delete(partner_id))


async def members(node: Node) -> dict[str, list[str]]:
    """All groups by name, each with its members, both in order."""

    def read(tx: Tx) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for offset in range(0, tx.partners.count(), _PAGE):
            for partner in tx.partners.query(QuerySpec(limit=_PAGE, offset=offset)):
                for group in partner.groups:
                    found.setdefault(group, []).append(partner.id)
        return {group: sorted(found[group]) for group in sorted(found)}

    return await node.store.read(read)
