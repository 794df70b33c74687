"""No token twice (DCP 1.0, self-issued ID token: `jti` must not be reused).

What was seen is remembered until the token would be refused as expired anyway, and not longer. Memory is bounded, and
the bound is kept by refusing new tokens for a while, never by forgetting one that could still be replayed.

Replicas of a node remember together: a token is good for one of them, whichever it was sent to first.
"""

import hashlib
from heapq import heappop, heappush
from typing import Final, Protocol

from connector.exchange.ports import Clock
from connector.identity.jws import b64url
from connector.protocol.errors import LocalError, PeerError

LEEWAY_S: Final = 5
"""Clocks differ: how long after `exp` (and before `nbf`) a token is accepted. The conformance kit's wrong times are
60 s off, so it must stay well below that."""
CAPACITY: Final = 200_000
"""Tokens remembered at most by default: 25 MB; at a minute each, 3,000 tokens a second."""
_USED: Final = "this token was used before; make a new one (with a new jti) for each message"


class Shared(Protocol):
    """What all replicas of a node remember."""

    async def first_use(self, key: str, *, until_s: int, now_s: int) -> bool:
        """Whether nobody was told before that `key` is used; remembered until `until_s`. Raise LocalError: unknown."""
        ...


class ReplayGuard:
    """Remembers (issuer, jti) pairs in memory, and in what it shares with other replicas.

    A restart forgets them. So a token that was issued before the second in which the guard started is refused as
    transient: the sender's retry makes a new one.
    """

    def __init__(self, clock: Clock, capacity: int = CAPACITY, *, shared: Shared | None = None) -> None:
        self._clock = clock
        self._shared = shared
        self._capacity = capacity
        self._started_s = clock.now() // 1000
        self._seen: set[bytes] = set()
        self._due: dict[int, list[bytes]] = {}  # second -> what may be forgotten once it is over
        self._seconds: list[int] = []  # heap of the keys of _due: as many as there are seconds, not tokens
        self._swept_s = 0

    async def use(self, issuer: str, jti: str, *, issued_s: float, expires_s: float) -> None:
        """Let a valid token through once, at one of the replicas. Raise as `admit` does."""
        self.admit(issuer, jti, issued_s=issued_s, expires_s=expires_s)
        if self._shared is None:
            return
        key, now_s = b64url(_digest(issuer, jti)), self._clock.now() // 1000
        try:
            first = await self._shared.first_use(key, until_s=int(expires_s) + LEEWAY_S + 1, now_s=now_s)
        except LocalError as error:
            raise PeerError(
                503, "it cannot be told whether this token is new; send again with a fresh token"
            ) from error
        if not first:
            raise PeerError(401, _USED, "/jti")

    def admit(self, issuer: str, jti: str, *, issued_s: float, expires_s: float) -> None:
        """Let a valid token through once. Times are its `iat` and `exp`, in seconds.

        Raise PeerError 401 if its `jti` was used before, 503 if that cannot be told (issued before our start, or the
        memory is full): the sender may try again with a new token.
        """
        self._sweep()
        due = int(expires_s) + LEEWAY_S + 1
        if issued_s < self._started_s or due <= self._swept_s:  # the latter: our clock went back after forgetting it
            raise PeerError(
                503, "this token is older than our memory of used ones; send again with a fresh token", "/jti"
            )
        key = _digest(issuer, jti)
        if key in self._seen:
            raise PeerError(401, _USED, "/jti")
        if len(self._seen) >= self._capacity:
            raise PeerError(503, "too many tokens are in use right now; send again later with a fresh token", "/jti")
        self._seen.add(key)
        if due not in self._due:
            self._due[due] = []
            heappush(self._seconds, due)
        self._due[due].append(key)

    def __len__(self) -> int:
        """How many tokens are remembered."""
        return len(self._seen)

    def _sweep(self) -> None:
        now_s = self._clock.now() // 1000
        while self._seconds and self._seconds[0] <= now_s:
            self._swept_s = heappop(self._seconds)
            self._seen.difference_update(self._due.pop(self._swept_s))


def _digest(issuer: str, jti: str) -> bytes:
    return hashlib.sha256(f"{issuer}\0{jti}".encode()).digest()  # fixed size, whatever the sender chose
