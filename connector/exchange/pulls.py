"""The pulls of others' assets that this node has open, or opens when data is wanted.

Whatever is there is used first, a running transfer before an agreement before a new negotiation; each time the peer has
the last word, and what it refuses is done anew. However many want data of one asset at the same time, one contract is
made and one transfer begun, and all of them use its token.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from connector.exchange import catalog, negotiate, transfer
from connector.exchange.fetch import Denied
from connector.exchange.flights import Flights
from connector.exchange.node import Node
from connector.exchange.ports import Tx, Waiter
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Negotiation, Peer, Transfer
from connector.policy.parse import parse_policy
from connector.protocol import negotiation
from connector.protocol import transfer as transfers
from connector.protocol.catalog import DatasetView, read_dataset
from connector.protocol.errors import Conflict, NotFound, PeerError, Unreachable
from connector.protocol.vocabulary import HTTP_PULL

LONGEST_S: Final = 30.0
_ATTEMPTS: Final = 4
"""A token that is there, a new one under the agreement, one under a new agreement; and one that others have refused."""
T = TypeVar("T")
R = TypeVar("R", Negotiation, Transfer)


@dataclass(frozen=True, slots=True)
class Offered:
    """An asset of a provider, and where its catalog is."""

    peer: Peer
    asset_id: str


@dataclass(frozen=True, slots=True)
class Pull:
    """A running transfer. `fresh`: it was begun for this; `steps` tell a person what was done and what was there."""

    transfer_id: str
    fresh: bool
    steps: tuple[str, ...]


class Pulls:
    """Those of one node. What several want at once is done once in this process."""

    def __init__(self, node: Node, waiter: Waiter) -> None:
        self._node = node
        self._waiter = waiter
        self._flights: Flights[Pull] = Flights()

    async def through(self, offered: Offered, use: Callable[[str], Awaitable[T]], steps: list[str]) -> T:
        """What `use` makes of a running transfer; what the peer refuses is tried the next, longer way.

        steps: what was done is appended. Raise what `use` raises but Denied and Conflict; NotFound (there are no terms
        for us) or Unreachable (a step failed, the reason says which).
        """
        refused: set[str] = set()
        renegotiate = False
        for _ in range(_ATTEMPTS):
            pull = await self._open(offered, frozenset(refused), renegotiate=renegotiate)
            steps += pull.steps
            renegotiate = renegotiate or pull.fresh
            if pull.transfer_id in refused:
                continue
            try:
                return await use(pull.transfer_id)
            except (Denied, Conflict) as refusal:
                steps.append(f"{pull.transfer_id} is of no use any more: {refusal.reason}")
                refused.add(pull.transfer_id)
        raise Unreachable(f"{offered.peer.id} gives us no data of {offered.asset_id}: {steps[-1]}")

    async def _open(self, offered: Offered, refused: frozenset[str], *, renegotiate: bool) -> Pull:
        running = await self._running(offered, refused)
        if running is not None:
            return running
        key = offered.peer.id, offered.asset_id
        return await self._flights.share(key, lambda: self._begun(offered, refused, renegotiate=renegotiate))

    async def _begun(self, offered: Offered, refused: frozenset[str], *, renegotiate: bool) -> Pull:
        """A new transfer; or the one that was begun while this work waited for its turn."""
        begun = await self._running(offered, refused)
        if begun is None and not renegotiate:
            begun = await self._agreed(offered)
        return begun or await self._negotiated(offered)

    async def _running(self, offered: Offered, refused: frozenset[str]) -> Pull | None:
        """The newest transfer that we have a token of, if the peer has not refused it."""

        def newest(tx: Tx) -> str | None:
            found = tx.edrs.query(_newest(offered))
            return found[0].id if found else None

        transfer_id = await self._node.store.read(newest)
        if transfer_id is None or transfer_id in refused:
            return None
        return Pull(transfer_id, fresh=False, steps=(f"the token of {offered.asset_id} is there",))

    async def _agreed(self, offered: Offered) -> Pull | None:
        """A new transfer under the newest agreement."""

        def newest(tx: Tx) -> str | None:
            criteria = (Criterion("consumerId", "=", self._node.id),)
            found = [a for a in tx.agreements.query(_newest(offered, *criteria)) if a.retired_at is None]
            return found[0].id if found else None

        agreement_id = await self._node.store.read(newest)
        if agreement_id is None:
            return None
        try:
            transfer_id = await self._pull(agreement_id)
        except (Conflict, Unreachable):
            return None
        return Pull(transfer_id, fresh=True, steps=(f"the agreement on {offered.asset_id} is there",))

    async def _negotiated(self, offered: Offered) -> Pull:
        """A new transfer under a new agreement, on the first of the terms that are offered to us."""
        body = await catalog.ask_dataset(self._node, offered.peer, offered.asset_id)
        dataset: DatasetView = understood(read_dataset, orjson.loads(body), offered.peer.id)
        if not dataset.offers:
            raise NotFound(f"{offered.peer.id} offers {offered.asset_id} on no terms to this node")
        parties = {"@type": "Offer", "assigner": offered.peer.id, "target": offered.asset_id}
        terms = parse_policy({**dataset.offers[0], **parties})
        begun = await negotiate.request(self._node, negotiate.Contract(offered.peer, terms))
        contract = await self._reached(begun.id, lambda tx: tx.negotiations.get(begun.id), negotiation.State.FINALIZED)
        if contract.agreement_id is None:
            raise Unreachable(f"the negotiation of {offered.asset_id} is final without an agreement")
        transfer_id = await self._pull(contract.agreement_id)
        done = f"{offered.asset_id} was negotiated: agreement {contract.agreement_id}"
        return Pull(transfer_id, fresh=True, steps=(done,))

    async def _pull(self, agreement_id: str) -> str:
        begun = await transfer.request(self._node, transfer.Order(agreement_id, HTTP_PULL))
        running = await self._reached(begun.id, lambda tx: tx.transfers.get(begun.id), transfers.State.STARTED)
        return running.id

    async def _reached(self, ident: str, load: Callable[[Tx], R], state: str) -> R:
        """A process when it is in a state. Raise Unreachable if it ended, or if nobody goes on with it."""
        record: R | None = None

        def there(candidate: object) -> bool:
            if not isinstance(candidate, Negotiation | Transfer):
                return False
            return candidate.process.over or candidate.process.state == state

        async def reached() -> bool:
            nonlocal record
            record = await self._node.store.read(load)
            return there(record)

        await self._waiter.wait_until(ident, reached, LONGEST_S, lambda event: there(event.record))
        if record is None or record.process.state != state:
            now = record.process.state if record else "gone"
            raise Unreachable(f"{ident} is {now} and not {state}: {record.error if record else ''}".rstrip(": "))
        return record


def _newest(offered: Offered, *criteria: Criterion) -> QuerySpec:
    about = (Criterion("assetId", "=", offered.asset_id), Criterion("providerId", "=", offered.peer.id), *criteria)
    return QuerySpec(limit=10, descending=True, criteria=about)


def understood(parse: Callable[[Any], T], doc: object, whom: str) -> T:
    """What a peer said, read. Raise Unreachable if it cannot be."""
    try:
        return parse(doc)
    except PeerError as error:
        raise Unreachable(f"what {whom} says cannot be read: {error}") from error
