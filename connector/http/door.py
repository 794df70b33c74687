"""Who comes in, and how often: the limits of `limits.py` applied to requests.

In order of cost: an address whose tokens keep failing is not heard (a token costs a signature check, and perhaps the
fetch of a DID document); then the token is checked; then its owner has a rate, a number of requests at once, and a
number of open processes. A token that proves good costs its address nothing, so partners behind one proxy or NAT do
not use up each other's patience; but one that keeps failing there shuts the door for its neighbours as well.

No layer of middleware is added: what a request holds stands in it under `HELD`, and `middleware.errors`, which sees
every request out, gives it back.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import structlog
from aiohttp import web

from connector.exchange.ports import Caller, Repository, Store, Tx
from connector.exchange.query import Criterion
from connector.exchange.states import NEGOTIATION, TRANSFER
from connector.http.limits import Allowed, Buckets, Holdings, Limited, Turnstile, network_of
from connector.http.middleware import HELD
from connector.protocol import negotiation, transfer
from connector.protocol.errors import LocalError
from connector.protocol.process import Role

WINDOW_MS: Final = 60_000
_BUSY_MS: Final = 1000
_FULL_MS: Final = 60_000
_LONGEST_NAME: Final = 200
_PROTOCOL: Final = "protocol"
_VISITORS: Final = "visitors"

_log = structlog.get_logger(__name__)
T = TypeVar("T")


def monotonic_ms() -> float:
    """Time that nobody sets, in ms."""
    return time.monotonic() * 1000


class Refusals:
    """Counts what limits refuse, by reason; a line in the log is written once per window and reason.

    count: told each reason. Reasons are ours and few, whoever is refused.
    """

    def __init__(self, count: Callable[[str], None] = lambda _: None, now: Callable[[], float] = monotonic_ms) -> None:
        self._count = count
        self._now = now
        self._told: dict[str, tuple[float, int]] = {}  # reason: (when it was told, how many were not told since)

    def note(self, reason: str, who: str) -> None:
        """Note one refusal; `who` may be a stranger's own word and stands in the log, shortened."""
        self._count(reason)
        now = self._now()
        at, unheard = self._told.get(reason, (None, 0))
        if at is not None and now - at < WINDOW_MS:
            self._told[reason] = (at, unheard + 1)
            return
        self._told[reason] = (now, 0)
        _log.warning("a limit was reached", limit=reason, who=who[:_LONGEST_NAME], more_before=unheard)


class Door:
    """The limits of all surfaces of a listener. Without `allowed` it is open."""

    def __init__(
        self,
        allowed: Allowed | None = None,
        refusals: Refusals | None = None,
        now: Callable[[], float] = monotonic_ms,
    ) -> None:
        self._allowed = a = allowed or Allowed()
        self._refusals = refusals or Refusals()
        self._now = now
        self._failures = Buckets(a.failures_per_minute / 60, a.failures_per_minute)
        self._rates = Buckets(a.requests_per_second, a.burst)
        self._requests = Turnstile(each=a.requests_at_once)
        self._pulls = Turnstile(each=a.pulls_at_once)
        self._holdings = Holdings()

    async def proven(self, request: web.Request, surface: str, check: Callable[[], Awaitable[T]]) -> T:
        """Have a token or key checked. Raise what `check` raises, or Limited if this address has had too many refused.

        Each surface counts for itself: who polls for data with an expired token may still send messages.
        """
        key = (surface, network_of(request.remote))
        if wait := self._failures.take(key, self._now()):
            raise self._limited("failures", key[1], "too many tokens or keys from this address were refused", wait)
        try:
            owner = await check()
        except LocalError:
            self._failures.give_back(key)  # not the token's fault
            raise
        self._failures.give_back(key)
        return owner

    async def caller(self, request: web.Request, check: Callable[[], Awaitable[Caller]]) -> Caller:
        """The counterparty that sent a protocol message, within its limits. Raise as `check` does, or Limited."""
        caller = await self.proven(request, _PROTOCOL, check)
        new = caller.id not in self._rates
        if wait := self._rates.take(caller.id, self._now()):
            raise self._limited("rate", caller.id, "too many requests in a short time", wait)
        if new:
            self._failures.take((_PROTOCOL, network_of(request.remote)), self._now())
        self._hold(request, self._requests, caller.id, "requests", "too many requests at the same time")
        return caller

    def visitor(self, request: web.Request) -> None:
        """Let in who proves nothing, as often as a counterparty. Raise Limited if its address comes too often."""
        address = network_of(request.remote)
        if wait := self._rates.take((_VISITORS, address), self._now()):
            raise self._limited("rate", address, "too many requests in a short time", wait)

    async def may_open(self, store: Store, caller: Caller, kind: str, us: Role) -> None:
        """Raise Limited if `caller` holds as many open processes of this kind, with us in this role, as it may.

        kind: `negotiations` or `transfers`.
        """
        limit: int = getattr(self._allowed, kind)
        key = (caller.id, kind, us)
        if not limit or (verdict := self._holdings.open(key, self._now())):
            return
        if verdict is None:
            held = await store.read(lambda tx: open_processes(tx, caller.id, kind, us))
            self._holdings.counted(key, limit - held, self._now())
            if self._holdings.open(key, self._now()):
                return
        reason = f"you have {limit} open {kind} here: end some before you begin another"
        raise self._limited(kind, caller.id, reason, _FULL_MS)

    def pull(self, request: web.Request, transfer_id: str) -> None:
        """Let a request for data in. Raise Limited if there are too many of its transfer under way."""
        self._hold(request, self._pulls, transfer_id, "pulls", "too many requests of this transfer at the same time")

    def _hold(self, request: web.Request, turnstile: Turnstile, key: str, limit: str, reason: str) -> None:
        if not turnstile.enter(key):
            raise self._limited(limit, key, reason, _BUSY_MS)
        request[HELD] = lambda: turnstile.leave(key)

    def _limited(self, limit: str, who: str, reason: str, wait_ms: float) -> Limited:
        self._refusals.note(limit, who)
        return Limited(reason, wait_ms)


_OPEN: Final[Mapping[str, tuple[int, ...]]] = {
    "negotiations": tuple(code for name, code in NEGOTIATION.items() if name not in negotiation.TERMINAL),
    "transfers": tuple(code for name, code in TRANSFER.items() if name not in transfer.TERMINAL),
}


def open_processes(tx: Tx, peer: str, kind: str, us: Role) -> int:
    """How many processes of a kind that `peer` has with us, as `us`, have not ended."""
    records: Repository[object] = getattr(tx, kind)
    criteria = (
        Criterion("counterPartyId", "=", peer),
        Criterion("type", "=", us),
        Criterion("state", "in", _OPEN[kind]),
    )
    return records.count(criteria)
