"""How much one party may ask for: the decisions, without clock, network or log.

A node answers strangers and partners from one process, so that one of them, broken or hostile, could take all of it.
Three kinds of limit, each per key (an address, a participant, a transfer):

* `Buckets`: how many per second, with a burst (the token bucket, kept as one number: the generic cell rate algorithm);
* `Turnstile`: how many at the same time;
* `Holdings`: how many open processes.

Keys are chosen by strangers, so memory is bounded whatever they invent: buckets keep the keys used last, turnstiles
only those that are inside. What a limit refuses is `Limited`: 429 (RFC 6585, 4) with the time after which it is worth
trying again; a dispatcher takes that for "again, later" (`exchange.delivery`), so nothing is lost.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from connector.dataplane.recent import Recent
from connector.protocol.errors import PeerError

KEYS: Final = 16_384
"""Keys remembered at most, 3 MB. Who is forgotten has a full bucket again, which a stranger gains by inventing as many
others first: each of them has cost it a request that its own address was charged for."""
_V6_NETWORK: Final = 64
_ROUNDING_MS: Final = 1e-6


class Limited(PeerError):
    """A limit was reached: 429. `retry_after_s`: whole seconds after which the same request may be taken."""

    def __init__(self, reason: str, wait_ms: float) -> None:
        super().__init__(429, reason)
        self.retry_after_s = max(1, math.ceil(wait_ms / 1000))


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one party may have; 0: no such limit. The usual values are those of the settings `limits.*`.

    requests_per_second, burst, requests_at_once, negotiations, transfers: of one counterparty, as its token names it.
    failures_per_minute: refused tokens or keys of one address. pulls_at_once: of one transfer.
    """

    requests_per_second: int = 0
    burst: int = 0
    requests_at_once: int = 0
    negotiations: int = 0
    transfers: int = 0
    pulls_at_once: int = 0
    failures_per_minute: int = 0


class Buckets:
    """Token buckets: `per_s` on average, `burst` at once; per_s 0 lets everything through. Times in ms, monotonic."""

    def __init__(self, per_s: float, burst: int, *, keys: int = KEYS) -> None:
        self._each = 1000 / per_s if per_s else 0.0
        self._burst = max(burst, 1) * self._each
        self._full_at: Recent[Hashable, float] = Recent(keys)  # when the bucket of a key will be full again

    def take(self, key: Hashable, now: float) -> float:
        """Take one. 0 if there was one, otherwise how many ms it takes until there is; then nothing is taken."""
        if not self._each:
            return 0.0
        full_at = max(now, self._full_at.get(key) or now)
        wait = full_at + self._each - now - self._burst
        if wait > _ROUNDING_MS:
            return wait
        self._full_at.put(key, full_at + self._each)
        return 0.0

    def give_back(self, key: Hashable) -> None:
        """Put one back: what it was taken for cost nothing in the end."""
        full_at = self._full_at.get(key)
        if full_at is not None:
            self._full_at.put(key, full_at - self._each)

    def __contains__(self, key: Hashable) -> bool:
        return not self._each or self._full_at.get(key) is not None

    def __len__(self) -> int:
        return len(self._full_at)


class Turnstile:
    """Counts who is inside: at most `whole` in all, and `each` under one key; 0: no such limit."""

    def __init__(self, *, whole: int = 0, each: int = 0) -> None:
        self._whole = whole
        self._each = each
        self._inside: dict[Hashable, int] = {}
        self._all = 0

    def enter(self, key: Hashable) -> bool:
        """Let one in, or tell that there is no room for it. Who was let in has to `leave`, once."""
        inside = self._inside.get(key, 0)
        if (self._each and inside >= self._each) or (self._whole and self._all >= self._whole):
            return False
        self._inside[key] = inside + 1
        self._all += 1
        return True

    def leave(self, key: Hashable) -> None:
        """Let one out."""
        self._all -= 1
        if self._inside[key] == 1:
            del self._inside[key]
        else:
            self._inside[key] -= 1

    def __len__(self) -> int:
        """How many keys are inside."""
        return len(self._inside)


class Holdings:
    """How many open processes each party holds, counted in the database as seldom as the limit allows.

    What was counted leaves room for so many more; until they are used up nobody has to count again, because processes
    that end meanwhile only make more room. A party that is at its limit is counted once per `again_ms`. Several
    replicas each grant the room that they saw, so that together they may exceed the limit by as much.
    """

    def __init__(self, *, again_ms: float = 1000, keys: int = KEYS) -> None:
        self._again_ms = again_ms
        self._room: Recent[Hashable, tuple[int, float]] = Recent(keys)  # how many more, and when that was counted

    def open(self, key: Hashable, now: float) -> bool | None:
        """True: one more may be opened (and is noted), False: none, None: count, tell `counted`, and ask again."""
        room, at = self._room.get(key) or (0, -math.inf)
        if room > 0:
            self._room.put(key, (room - 1, at))
            return True
        return False if now - at < self._again_ms else None

    def counted(self, key: Hashable, room: int, now: float) -> None:
        """Learn how many more processes may be opened."""
        self._room.put(key, (room, now))


@lru_cache(maxsize=4096)
def network_of(host: str | None) -> str:
    """What counts as one address: an IPv4 address, or the network of an IPv6 address (a host has 2^64 of those)."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return host or ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> _V6_NETWORK << _V6_NETWORK)}/{_V6_NETWORK}"
    return str(address)
