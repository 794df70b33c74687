"""What every use case is given: the node's own name and its ports. Built once, by `connector.wiring`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from connector.exchange.makers import Makers
from connector.exchange.offered_models import OfferedModels
from connector.exchange.ports import (
    Clock,
    DataPlane,
    Directory,
    Holder,
    Identity,
    Ids,
    Notary,
    Refresher,
    Store,
    TwinRegistry,
    Wire,
)
from connector.exchange.records import CallbackAddress
from connector.exchange.strategy import NegotiationStrategy, TransferStrategy
from connector.exchange.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node is an object, not the process: several may live in one.

    `dsp_address` is our base URL of the protocol version (no trailing slash): what peers are given as callback address.
    `wire` leads to peers, `hooks` to the operator's own systems, which may be on private networks.
    `connectors_of` gives the root URLs of the connectors that a DID's document names,
    `twins` announces what is published as a passport, if there is such a registry, `makers` knows who makes a part,
    `jitter` a float in [0, 1) that spreads retries. `holder` asks issuers for credentials; None without a wallet.
    `offered_models` is what partners' catalogs have said; in `publications` those of one passport wait for each other.
    """

    dsp_address: str
    store: Store
    clock: Clock
    ids: Ids
    identity: Identity
    wire: Wire
    hooks: Wire
    data_plane: DataPlane
    directory: Directory
    notary: Notary
    refresher: Refresher
    negotiations: NegotiationStrategy
    transfers: TransferStrategy
    connectors_of: Callable[[str], Awaitable[Sequence[str]]]
    jitter: Callable[[], float]
    callbacks: tuple[CallbackAddress, ...] = ()
    holder: Holder | None = None
    twins: TwinRegistry | None = None
    makers: Makers | None = None
    offered_models: OfferedModels = field(default_factory=OfferedModels, repr=False)
    publications: Turns = field(default_factory=Turns, repr=False)

    @property
    def id(self) -> str:
        """Our participant id."""
        return self.identity.id
