"""From a DID to its document, over the network, as seldom as possible.

Every message is authenticated by the sender's document, so a document that is fetched for every message doubles the
round trips, and one that is fetched never misses a key rotation. In between: a document is good for `ttl_s`; when its
host is down it serves for `stale_s` longer; a failure is not repeated for `retry_s`; requests for one DID share one
fetch; one host is asked for no more than `AT_ONCE` documents at a time, however many DIDs a stranger invents there; and
a token that the document cannot explain may force a fetch, once in `retry_s`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from connector.exchange.ports import Clock
from connector.identity.did import DidDocument, did_web_url, parse_did_document
from connector.identity.jws import json_object
from connector.identity.keys import VerificationKey
from connector.protocol.errors import PeerError, Unreachable

CAPACITY: Final = 512
AT_ONCE: Final = 16
"""Documents of one host that are being fetched; who would be one more is asked to send again later."""
MAX_BYTES: Final = 1 << 16
"""Accepted size of a document: real ones have 2 to 5 kB, and the cache keeps them whole."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Entry:
    """What fetching one DID brought; times in ms. `failure`: why the last fetch, begun at `attempted`, failed."""

    document: DidDocument | None = None
    fetched: int = 0  # when the fetch of `document` began
    attempted: int = 0
    forced: int | None = None  # when the last fetch began that the cache did not need
    failure: PeerError | Unreachable | None = None


class DidResolver:
    """Resolves did:web with a bounded cache (least recently used goes first).

    fetch: gets a URL that a stranger chose, so it must guard itself (addresses, redirects, size, time); raises
    PeerError if the URL must not be asked and Unreachable if there is no good answer.
    """

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[bytes]],
        clock: Clock,
        *,
        allow_http: bool = False,
        ttl_s: int = 300,
        stale_s: int = 3600,
        retry_s: int = 5,
        capacity: int = CAPACITY,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._allow_http = allow_http
        self._ttl = ttl_s * 1000
        self._stale = stale_s * 1000
        self._retry = retry_s * 1000
        self._capacity = capacity
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._flights: dict[str, asyncio.Task[_Entry]] = {}

    async def resolve(self, did: str) -> DidDocument:
        """The document, from the cache if it is fresh.

        Raise PeerError 401 if it is no good, Unreachable if it cannot be fetched and none is at hand.
        """
        now = self._clock.now()
        if (entry := self._entries.get(did)) is not None:
            self._entries.move_to_end(did)
            due = entry.attempted + self._retry if entry.failure is not None else 0
            if entry.document is not None and not isinstance(entry.failure, PeerError):
                due = max(due, entry.fetched + self._ttl)
            if now < due:
                return self._answer(entry)
        return self._answer(await self._shared_flight(did))

    async def key(self, kid: str) -> VerificationKey:
        """The key that a DID URL names. Raise as `resolve` does, and PeerError 401 if there is none.

        A document at hand that does not name it may be older than the key.
        """
        began = self._clock.now()
        document = await self.resolve(kid.partition("#")[0])
        if kid not in document.methods:
            document = await self.refresh(document.id, since=began) or document
        found = document.methods.get(kid)
        if found is None:
            raise PeerError(401, f"the DID document of {document.id} has no key {kid} that we can use")
        return found

    async def refresh(self, did: str, *, since: int) -> DidDocument | None:
        """The document as it was at `since` (ms) or later: it may name a key that the cached one does not.

        None if a fetch was forced less than `retry_s` ago: strangers must not make us call a host again and again.
        Raise as `resolve` does, but serve nothing stale.
        """
        entry = self._entries.get(did)
        if entry is not None and did not in self._flights:
            if entry.document is not None and entry.failure is None and entry.fetched >= since:
                return entry.document
            now = self._clock.now()
            if entry.forced is not None and now < entry.forced + self._retry:
                return None
            self._entries[did] = replace(entry, forced=now)
        entry = await self._shared_flight(did)
        if entry.failure is not None:
            raise _again(entry.failure)
        return entry.document

    def _answer(self, entry: _Entry) -> DidDocument:
        outage = isinstance(entry.failure, Unreachable)
        usable = entry.failure is None or (outage and self._clock.now() < entry.fetched + self._ttl + self._stale)
        if entry.document is not None and usable:
            return entry.document
        raise _again(entry.failure)

    async def _shared_flight(self, did: str) -> _Entry:
        """Fetch, or wait for the fetch under way. One waiter that gives up does not take it from the others."""
        flight = self._flights.get(did)
        if flight is None:
            url = did_web_url(did, allow_http=self._allow_http)
            host = did.split(":", 3)[2]
            if sum(other.split(":", 3)[2] == host for other in self._flights) >= AT_ONCE:
                raise Unreachable(f"too many DID documents of {host} are being fetched right now")
            flight = self._flights[did] = asyncio.create_task(self._fly(did, url))
            flight.add_done_callback(lambda _: self._flights.pop(did, None))
        return await asyncio.shield(flight)

    async def _fly(self, did: str, url: str) -> _Entry:
        started = self._clock.now()
        before = self._entries.get(did, _Entry())
        try:
            document = parse_did_document(await self._json(url), did)
        except PeerError as error:
            failure: PeerError | Unreachable = PeerError(
                401, f"the DID document of {did}: {error.reason}", error.pointer
            )
            entry = replace(before, attempted=started, failure=failure)
        except Unreachable as error:
            log.warning("a DID document cannot be fetched", did=did, reason=error.reason)
            failure = Unreachable(f"the DID document of {did} cannot be fetched: {error.reason}")
            entry = replace(before, attempted=started, failure=failure)
        else:
            entry = replace(before, document=document, fetched=started, attempted=started, failure=None)
        self._entries[did] = entry
        self._entries.move_to_end(did)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return entry

    async def _json(self, url: str) -> object:
        try:
            body = await self._fetch(url)
        except PeerError as refusal:  # where it points to is between us and our network: the sender is not told
            log.warning("a DID document must not be fetched", url=url, reason=refusal.reason)
            raise PeerError(401, "this node may not fetch it") from refusal
        try:
            return json_object(body if len(body) <= MAX_BYTES else b"")
        except ValueError:
            raise PeerError(401, f"it is not a JSON object of at most {MAX_BYTES} bytes") from None


def _again(failure: PeerError | Unreachable | None) -> PeerError | Unreachable:
    """The same failure as a new exception: one instance raised many times would collect tracebacks."""
    if isinstance(failure, PeerError):
        return PeerError(failure.status, failure.reason, failure.pointer)
    return Unreachable(failure.reason if failure else "the DID document cannot be fetched")
