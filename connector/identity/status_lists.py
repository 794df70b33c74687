"""Whether a credential has been taken back: issuers' status lists, fetched, proved and kept for their time to live.

Everything that stands in the way denies: a list that cannot be had, is not signed by the credential's own issuer, is of
another kind or purpose, has expired, or is too short. There is no grace for an old list: an issuer revokes because it
matters, and who can keep its list from us could otherwise undo that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from connector.exchange.ports import Clock
from connector.identity.credentials import VerifiableCredential
from connector.identity.kept import Kept
from connector.identity.proofs import ASSERTING, Proofs
from connector.identity.refusal import Check, Refusal, refusing
from connector.identity.status_list import DENYING, StatusEntry, StatusList, list_type
from connector.protocol.errors import PeerError

TTL_S: Final = 300
"""How long a list is good that does not say it."""
MAX_TTL_S: Final = 3600
RETRY_S: Final = 5
CAPACITY: Final = 128


@dataclass(frozen=True, slots=True)
class _Proved:
    """A list with what its credential says of it."""

    content: StatusList
    credential: VerifiableCredential


class StatusLists:
    """The status lists of all issuers by URL.

    fetch: gets a URL that an issuer chose, guarded against addresses, redirects and size (Outbound.get); raises
    PeerError if it must not be asked and Unreachable if there is no good answer.
    """

    def __init__(self, fetch: Callable[[str], Awaitable[bytes]], proofs: Proofs, clock: Clock) -> None:
        self._fetch = fetch
        self._proofs = proofs
        self._clock = clock
        self._lists: Kept[_Proved] = Kept(clock, capacity=CAPACITY, retry_s=RETRY_S)

    async def check(self, credential: VerifiableCredential, *, fresh: bool = False) -> None:
        """Raise Refusal unless no list says that the credential is revoked or suspended.

        fresh: by the lists as they are published now, not by those at hand.
        403: it is (`credential-revoked`), or a list is no good (`status-list`); 503: a list cannot be had.
        """
        for entry in credential.status:
            if entry.purpose in DENYING:
                await self._check(entry, credential, fresh=fresh)

    async def _check(self, entry: StatusEntry, credential: VerifiableCredential, *, fresh: bool) -> None:
        get = self._lists.renew if fresh else self._lists.get
        proved = await get(entry.list_url, partial(self._load, entry.list_url))
        with refusing(Check.STATUS_LIST):
            if proved.credential.issuer != credential.issuer:
                raise PeerError(403, f"the status list {entry.list_url} is another issuer's")
            if list_type(entry.type) not in proved.credential.types:
                raise PeerError(403, f"the status list {entry.list_url} is not a {list_type(entry.type)}")
            if proved.content.is_set(entry):
                past = "revoked" if entry.purpose == "revocation" else "suspended"
                raise Refusal(Check.CREDENTIAL_REVOKED, f"the {credential.name} is {past} ({credential.issuer})")

    async def _load(self, url: str) -> tuple[_Proved, int]:
        began = self._clock.now()
        with refusing(Check.STATUS_LIST):
            body = await self._fetch(url)
            try:
                listed = VerifiableCredential.parse(body.decode("ascii").strip())
            except (PeerError, UnicodeDecodeError):
                kind = "it is not signed" if body.lstrip()[:1] == b"{" else "it is not a credential as JWT"
                raise PeerError(403, f"the status list {url} is no good: {kind}") from None
            try:
                content = StatusList.parse(listed.subjects[0])
                listed.check_time(began)
            except PeerError as fault:
                raise PeerError(403, f"the status list {url} is no good: {fault.reason}", fault.pointer) from fault
            await self._proofs.check(listed.jws, listed.issuer, ASSERTING)
        ttl = TTL_S * 1000 if content.ttl is None else min(content.ttl, MAX_TTL_S * 1000)
        good = began + ttl
        return _Proved(content, listed), good if listed.valid_until is None else min(good, listed.valid_until)
