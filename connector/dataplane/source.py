"""What a source of data is: asked by a consumer (or by a push), it opens a content that is streamed out.

Sources know nothing of tokens and agreements; who asks has been let in already. `prepare` runs inside a transaction of
the store and does everything that can be done once for many requests: read secrets, parse the address, check a payload.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from multidict import CIMultiDict

from connector.exchange.ports import Tx
from connector.exchange.records import Asset
from connector.protocol.errors import LocalError, PeerError, Unreachable


class SourceFault(LocalError):
    """The data cannot be had, and it is our side's fault; the reason says no more than a consumer may know."""


class SourceSilent(Unreachable):
    """What holds the data did not answer in time."""

    status = 504
    kind = "GatewayTimeout"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who the data is for, as the agreement and the directory say."""

    bpn: str | None
    agreement_id: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What a consumer asks for. `path` (what follows the public URL) and `query` are raw, exactly as they were sent."""

    method: str = "GET"
    path: str = ""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=CIMultiDict)
    body: Callable[[], AsyncIterator[bytes]] | None = None


@dataclass(slots=True)
class Content:
    """An answer: head, and either the whole `body` or `read`, which gives the next bytes and b"" at the end."""

    status: int
    headers: CIMultiDict[str]
    body: bytes = b""
    read: Callable[[], Awaitable[bytes]] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """One asset made ready for one reader. `weight` is the memory it takes, in bytes."""

    open: Callable[[Ask], AbstractAsyncContextManager[Content]] = field(repr=False)
    weight: int = 1024


class Source(Protocol):
    """Data of one kind, named by the `type` of an asset's data address."""

    def check(self, asset: Asset) -> None:  # noqa: ARG002 - some sources find nothing to check
        """Raise Invalid with the place of the fault if a data address can never be served, whatever is true later."""
        return

    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        """Make an asset ready. Raise LocalError if it cannot be served as it is configured."""
        ...


def only_read(ask: Ask) -> None:
    """Raise PeerError 405 unless the consumer wants to read: for data that has no other methods."""
    if ask.method not in {"GET", "HEAD"}:
        raise PeerError(405, "this asset can only be read: use GET or HEAD")
