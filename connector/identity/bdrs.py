"""The BPN directory of the data space (BDRS, Catena-X CX-0167): a map of all partners, fetched whole and kept.

It is shown to members only: the request carries a presentation of our MembershipCredential, made out to ourselves. The
map is used for `refresh_s`; the first look-up after that begins to fetch the next one and is answered from the old one,
which stays in use for as long as the directory is away. Whose DID is not in it is worth waiting for the next one
(`find`): a partner may be new. Nothing is fetched when nobody asks. After a failure there is a pause, which ends when
our wallet gets credentials (`look_again`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from typing_extensions import override

from connector.exchange import ports
from connector.exchange.ports import Clock
from connector.identity.did import did_web_url
from connector.identity.directory import BPN
from connector.identity.jws import json_object
from connector.protocol.errors import ConnectorError, PeerError, Unreachable

PATH: Final = "/bpn-directory"
MAX_BYTES: Final = 16 << 20
MAX_ENTRIES: Final = 200_000
RETRY_MS: Final = 10_000
"""After a failure, and before a BPN that nobody knows makes us look again."""
log = structlog.get_logger()


class RemoteDirectory(ports.Directory):
    """The fetched map behind a fixed one, which wins.

    fetch: gets the map with our presentation as bearer token (raise Unreachable). present: makes that presentation;
    None if we hold no membership yet.
    """

    def __init__(
        self,
        fixed: ports.Directory,
        fetch: Callable[[str], Awaitable[bytes]],
        present: Callable[[], Awaitable[str | None]],
        clock: Clock,
        *,
        refresh_s: int = 900,
    ) -> None:
        self._fixed = fixed
        self._fetch = fetch
        self._present = present
        self._clock = clock
        self._refresh = refresh_s * 1000
        self._dids: Mapping[str, str] = {}
        self._bpns: Mapping[str, str] = {}
        self._due = 0
        self._retry = 0
        self._flight: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @override
    def bpn_of(self, participant_id: str) -> str | None:
        """The BPN, or None; a look-up that comes too late or finds nothing begins a fetch."""
        return self._fixed.bpn_of(participant_id) or self._found(self._bpns.get(participant_id))

    @override
    def did_of(self, bpn: str) -> str | None:
        """The DID, or None; as `bpn_of`."""
        return self._fixed.did_of(bpn) or self._found(self._dids.get(bpn))

    @override
    async def find(self, bpn: str) -> str | None:
        """As `did_of`, but who asks before the map has come, or for a partner that is new, waits for the fetch.

        What is no BPN stands in no map, and nothing is fetched for it.
        """
        did = self._fixed.did_of(bpn)
        if did is not None or not BPN.fullmatch(bpn):
            return did
        if self._wants(self._dids.get(bpn)):
            self.refresh()
        if bpn not in self._dids and self._flight is not None:
            await asyncio.wait({self._flight})
        return self._dids.get(bpn)

    def _found(self, value: str | None) -> str | None:
        """What a look-up has found. Look-ups are made in transactions as well, which run in threads of the store."""
        if self._wants(value):
            self._loop.call_soon_threadsafe(self._begin)
        return value

    def _wants(self, value: str | None) -> bool:
        now = self._clock.now()
        return (now >= self._due or value is None) and now >= self._retry

    def _begin(self) -> None:
        if not self._closed:
            self.refresh()

    def refresh(self) -> asyncio.Task[None]:
        """Begin to fetch the map, or join the fetch under way; what goes wrong is logged."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly(), name="bpn directory")
            self._flight.add_done_callback(self._landed)
        return self._flight

    def look_again(self) -> None:
        """Fetch at once if that has failed a moment ago: we hold more credentials now, and may be let in.

        A fetch under way may have begun without them; how it ends is waited for.
        """
        if self._flight is not None:
            self._flight.add_done_callback(lambda _: self.look_again())
        elif self._due <= self._clock.now() < self._retry:
            self._begin()

    def _landed(self, _: asyncio.Task[None]) -> None:
        self._flight = None

    async def close(self) -> None:
        """Give up a fetch under way, and begin no other."""
        self._closed = True
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

    async def _fly(self) -> None:
        began = self._clock.now()
        self._retry = began + RETRY_MS
        try:
            token = await self._present()
            if token is None:
                raise Unreachable("we hold no MembershipCredential to show to it")
            entries = read_directory(await self._fetch(token))
        except ConnectorError as fault:
            log.warning("the BPN directory cannot be fetched", reason=fault.reason, known=len(self._dids))
            return
        self._dids, self._bpns = entries, {did: bpn for bpn, did in entries.items()}
        self._due = began + self._refresh
        log.info("BPN directory fetched", partners=len(entries))


def read_directory(body: bytes) -> dict[str, str]:
    """The map of an answer: DIDs by BPN. Entries that are none are left out. Raise PeerError if it is no map at all.

    Where two BPNs claim one DID, neither is believed: it would be a choice between two partners.
    """
    try:
        listed = json_object(body)
    except ValueError:
        raise PeerError(502, "the BPN directory is not a JSON object of BPNs and DIDs") from None
    if len(listed) > MAX_ENTRIES:
        raise PeerError(502, f"the BPN directory has more than {MAX_ENTRIES} entries")
    good = {bpn: did for bpn, did in listed.items() if BPN.fullmatch(bpn) and _is_did(did)}
    once: dict[str, str] = {}
    twice = {did for bpn, did in good.items() if once.setdefault(did, bpn) != bpn}
    return {bpn: did for bpn, did in good.items() if did not in twice}


def _is_did(did: object) -> bool:
    try:
        return isinstance(did, str) and bool(did_web_url(did))
    except PeerError:
        return False
