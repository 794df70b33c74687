"""What every use case is given: the node's own name and its ports. Built once, by `connector.wiring`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from connector.exchange.ports import Clock, DataPlane, Directory, Identity, Ids, Notary, Store, Wire
from connector.exchange.records import CallbackAddress, Edr
from connector.exchange.strategy import NegotiationStrategy, TransferStrategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node is an object, not the process: several may live in one.

    `dsp_address` is our base URL of the protocol version (no trailing slash): what peers are given as callback address.
    `connectors_of` gives the root URLs of the connectors that a DID's document names,
    `refresh_edr` a reference with a fresh token from its provider, `jitter` a float in [0, 1) that spreads retries.
    """

    dsp_address: str
    store: Store
    clock: Clock
    ids: Ids
    identity: Identity
    wire: Wire
    data_plane: DataPlane
    directory: Directory
    notary: Notary
    negotiations: NegotiationStrategy
    transfers: TransferStrategy
    connectors_of: Callable[[str], Awaitable[Sequence[str]]]
    refresh_edr: Callable[[Edr], Awaitable[Edr]]
    jitter: Callable[[], float]
    callbacks: tuple[CallbackAddress, ...] = ()

    @property
    def id(self) -> str:
        """Our participant id."""
        return self.identity.id
