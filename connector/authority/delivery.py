"""Credentials and offers on their way to wallets (DCP 1.0, 6.5 and 6.6): sent at once, again when it is worth it.

Where the wallet is, the holder's DID document says. 2xx settles a delivery; a 4xx is the wallet's last word, because
what it refused it will refuse again; anything else is tried again with growing pauses for about a day. What was given
up stays in the register, for the operator, until the holder asks once more. Nothing polls: a commit wakes the sender,
and otherwise it sleeps until the next delivery is due.

A holder gets one message at a time, and the holders of one host only some of those that are under way, so that a wallet
that never answers, or a host full of such, keeps nobody else waiting. What waits for its turn waits in the register: no
more is in memory than is on its way.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from connector.authority.keys import Keys
from connector.authority.model import Delivery
from connector.authority.register import Register, Tx
from connector.engine.waiting import until
from connector.exchange.ports import Clock, Ids, Wire
from connector.identity.dcp_messages import CREDENTIAL_SERVICE
from connector.identity.did import service_endpoints
from connector.identity.resolver import DidResolver
from connector.identity.tokens import issue_token
from connector.protocol.errors import ConnectorError, LocalError, PeerError

PAUSES_S: Final = (1, 5, 30, 120, 600, 3600, 14_400, 28_800, 43_200)
AT_ONCE: Final = 16
"""Deliveries under way."""
PER_HOST: Final = 4
"""Of these, to holders whose DIDs are at one host."""
TIMEOUT_S: Final = 10.0
_OK: Final = range(200, 300)
_LATER: Final = frozenset({408, 425, 429})
_REFUSED: Final = range(400, 500)
_LONGEST: Final = 300

log = structlog.get_logger()


class Refused(LocalError):
    """The wallet has said no, or there is none: sending again is of no use."""


class Sender:
    """Sends what the register has to send, until it is stopped."""

    def __init__(
        self, register: Register, keys: Keys, resolver: DidResolver, wire: Wire, clock: Clock, ids: Ids
    ) -> None:
        self._register = register
        self._keys = keys
        self._resolver = resolver
        self._wire = wire
        self._clock = clock
        self._ids = ids
        self._news = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        """By holder."""
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with what an earlier process has left."""
        self._loop = asyncio.create_task(self._run())

    def wake(self) -> None:
        """There is something new to send."""
        self._news.set()

    async def stop(self) -> None:
        """End; what was not sent stays in the register."""
        tasks = [*self._under_way.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            now, busy = self._clock.now(), list(self._under_way)
            try:
                due, later = await self._register.run(partial(_choose, now=now, busy=busy))
            except LocalError as error:  # a full disk, for instance: it may pass
                log.warning("the register cannot be read", reason=error.reason)
                await self._sleep(self._clock.now() + PAUSES_S[0] * 1000)
                continue
            for delivery in due:
                task = self._under_way[delivery.holder] = asyncio.create_task(self._attempt(delivery))
                task.add_done_callback(self._ended(delivery.holder))
            await self._sleep(later)

    def _ended(self, holder: str) -> Callable[[asyncio.Task[None]], None]:
        def note(_: asyncio.Task[None]) -> None:
            del self._under_way[holder]
            self._news.set()

        return note

    async def _sleep(self, at: int | None) -> None:
        """Until something is new, or it is `at` (ms)."""
        if at is None:
            await self._news.wait()
        else:
            await until(at, self._news, self._clock)

    async def _attempt(self, delivery: Delivery) -> None:
        after: Delivery | None = None
        about = {"delivery": delivery.id, "holder": delivery.holder, "path": delivery.path}
        try:
            await self._send(delivery)
        except ConnectorError as error:
            after = self._after(delivery, error)
            log.warning("not delivered", **about, reason=error.reason[:_LONGEST], again=after.due is not None)
        except Exception:  # a fault of ours must neither stop the others nor be tried without a pause
            log.exception("a delivery failed", **about)
            after = self._after(delivery, LocalError("an internal fault: see the log"))
        else:
            log.info("delivered", **about)

        def settle(tx: Tx) -> None:
            if after is None:
                tx.drop_delivery(delivery.id)
            else:
                tx.put_delivery(after)

        try:
            await self._register.run(settle)
        except LocalError as error:  # it will be sent once more: wallets know a delivery that they have
            log.warning("the register cannot be written", reason=error.reason)
            await self._clock.sleep_until(self._clock.now() + PAUSES_S[0] * 1000)

    def _after(self, delivery: Delivery, error: ConnectorError) -> Delivery:
        final = isinstance(error, Refused) or (isinstance(error, PeerError) and error.status in _REFUSED)
        attempts = delivery.attempts + 1
        final = final or attempts > len(PAUSES_S)
        due = None if final else self._clock.now() + PAUSES_S[attempts - 1] * 1000
        return replace(delivery, due=due, attempts=attempts, failure=error.reason[:_LONGEST])

    async def _send(self, delivery: Delivery) -> None:
        """Raise Refused if that is final, PeerError or Unreachable otherwise."""
        document = await self._resolver.resolve(delivery.holder)
        endpoints = service_endpoints(document, CREDENTIAL_SERVICE)
        if not endpoints:
            raise Refused(f"the DID document of {delivery.holder} names no {CREDENTIAL_SERVICE}")
        url = endpoints[0].rstrip("/") + delivery.path
        self._wire.check(url)
        claims = {} if delivery.token is None else {"token": delivery.token}
        now = self._clock.now()
        token = issue_token(self._keys.current, audience=delivery.holder, jti=self._ids(), now=now, claims=claims)
        answer = await self._wire.send(
            "POST",
            url,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            body=delivery.body,
            timeout_s=TIMEOUT_S,
        )
        if answer.status in _OK:
            return
        reason = f"the wallet at {url} answered {answer.status}"
        if answer.status in _REFUSED and answer.status not in _LATER:
            raise Refused(reason)
        raise LocalError(reason)


def _choose(tx: Tx, now: int, busy: Collection[str]) -> tuple[list[Delivery], int | None]:
    """What may be sent now beside what is under way to the holders `busy`, and when (ms) more will be due."""
    chosen: list[Delivery] = []
    holders, hosts = [*busy], Counter(map(_host, busy))
    while len(holders) < AT_ONCE:
        full = [host for host, under_way in hosts.items() if under_way >= PER_HOST]
        if (delivery := tx.due_delivery(now, busy=holders, full=full)) is None:
            break
        chosen.append(delivery)
        holders.append(delivery.holder)
        hosts[_host(delivery.holder)] += 1
    return chosen, tx.next_delivery_at(now)


def _host(did: str) -> str:
    """The beginning of all DIDs (did:web) at a DID's host."""
    return ":".join(did.split(":", 3)[:3])
