"""The consumer's side of the token refresh: a new access token from the provider that started the transfer.

Clients keep a transfer's id and never its age (tractusx-sdk), so the refresh belongs where the address is asked for.
Several who ask at once share one refresh, at each replica; of two replicas the first one's token stands. A lost answer
costs nothing with a provider that keeps the predecessor valid (see `tokens`); secrets go into the body and never into
the query, which proxies write into their logs.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

import structlog

from connector.dataplane.recent import SingleFlight
from connector.exchange.ports import Clock, Identity, Store, Tx, Wire
from connector.exchange.records import Edr
from connector.protocol.errors import Conflict, Unreachable

log = structlog.get_logger()
MARGIN_MS: Final = 60_000
"""Refreshed so long before the end, or in the last fifth of a shorter life."""
_THEIR_FAULT: Final = 500
"""An answer from here on may be another one next time."""
_HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


async def refresh(edr: Edr, identity: Identity, wire: Wire, clock: Clock) -> Edr:
    """The endpoint data reference with a new access token.

    Raise Conflict if it came without a refresh token; Unreachable if the provider refuses or gives no usable answer.
    """
    address = edr.address
    endpoint, token = address.get("refreshEndpoint", ""), address.get("refreshToken", "")
    if not endpoint or not token:
        raise Conflict("this endpoint data reference cannot be refreshed: the provider gave no refresh token")
    url = endpoint if endpoint.rstrip("/").endswith("/token") else f"{endpoint.rstrip('/')}/token"
    claims = {"token": address.get("authorization", "")}
    assertion = await identity.token(address.get("refreshAudience") or edr.provider_id, address=url, claims=claims)
    if not assertion.lower().startswith("bearer "):
        assertion = f"Bearer {assertion}"
    form = urlencode({"grant_type": "refresh_token", "refresh_token": token})
    sent_at = clock.now()
    answer = await wire.send("POST", url, headers={**_HEADERS, "Authorization": assertion}, body=form.encode())
    if answer.status != 200:  # noqa: PLR2004 - HTTP
        step = "; if that stays so, start a new transfer under the agreement" if answer.status < _THEIR_FAULT else ""
        raise Unreachable(f"the provider refused to refresh the token: it answered {answer.status}{step}")
    return _renewed(edr, answer.json(), sent_at)


def _renewed(edr: Edr, body: object, sent_at: int) -> Edr:
    """Read the answer: `expires_in`, or its older twin `expires`, in seconds and as a number or a text."""
    if not isinstance(body, dict) or not isinstance(body.get("access_token"), str) or not body["access_token"]:
        raise Unreachable("the provider's answer to the refresh holds no access_token")
    refreshed = {**edr.address, "authorization": body["access_token"]}
    if isinstance(body.get("refresh_token"), str) and body["refresh_token"]:
        refreshed["refreshToken"] = body["refresh_token"]
    seconds = _seconds(body)
    if seconds is None:
        refreshed.pop("expiresIn", None)
        return replace(edr, address=refreshed, expires_at=None)
    refreshed["expiresIn"] = str(seconds)
    return replace(edr, address=refreshed, expires_at=sent_at + seconds * 1000)


def _seconds(body: Mapping[str, Any]) -> int | None:
    for key in ("expires_in", "expires"):
        value = body.get(key)
        try:
            if isinstance(value, int | float | str) and (seconds := int(float(value))) > 0:
                return seconds
        except (ValueError, OverflowError):
            continue
    return None


class Refresher:
    """Keeps the store's endpoint data references usable. One per node: it shares the refreshes that are under way."""

    def __init__(self, store: Store, identity: Identity, wire: Wire, clock: Clock) -> None:
        self._store = store
        self._identity = identity
        self._wire = wire
        self._clock = clock
        self._flights: SingleFlight[str, Edr] = SingleFlight()

    async def fresh(self, edr_id: str, *, force: bool = False) -> Edr:
        """The reference with a token that is still good; `force` refreshes in any case.

        Raise NotFound (no such reference), and what `refresh` raises; one that cannot be refreshed is returned as it is
        unless forced, and so is one that is still good although its provider cannot be reached just now.
        """
        edr = await self._store.read(lambda tx: tx.edrs.get(edr_id))
        if not force and not self._due(edr):
            return edr
        try:
            return await self._flights.do(edr_id, lambda: self._refresh(edr_id, self._due if not force else _always))
        except Unreachable:
            if force or edr.expires_at is None or self._clock.now() >= edr.expires_at:
                raise
            log.info("a token that is still good could not be refreshed yet", transfer=edr_id)
            return edr

    async def _refresh(self, edr_id: str, due: Callable[[Edr], bool]) -> Edr:
        edr = await self._store.read(lambda tx: tx.edrs.get(edr_id))
        if not due(edr):
            return edr  # done while this one was on its way here
        try:
            after = await refresh(edr, self._identity, self._wire, self._clock)
        except Unreachable:
            now = await self._store.read(lambda tx: tx.edrs.get(edr_id))
            if now.address.get("authorization") != edr.address.get("authorization"):
                return now  # another replica was first, and has used the refresh token up
            raise

        def save(tx: Tx) -> Edr:
            now = tx.edrs.get(edr_id)  # NotFound: the transfer ended meanwhile
            if now.address.get("authorization") != edr.address.get("authorization"):
                return now  # the provider has started it anew meanwhile, with a younger token
            tx.edrs.save(after)
            return after

        return await self._store.run(save)

    def _due(self, edr: Edr) -> bool:
        if edr.expires_at is None or not edr.address.get("refreshToken"):
            return False
        life = edr.expires_at - edr.created_at
        expires_in = edr.address.get("expiresIn", "")
        if expires_in.isdecimal():
            life = int(expires_in) * 1000
        return self._clock.now() >= edr.expires_at - min(MARGIN_MS, life // 5)


def _always(_: Edr) -> bool:
    return True
