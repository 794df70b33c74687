"""What participants have shown last, kept where a restart and other replicas find it (`exchange.shown`)."""

from collections.abc import Sequence
from typing import Protocol

from typing_extensions import override

from connector.exchange import shown
from connector.exchange.ports import Clock, Store
from connector.identity.credentials import VerifiableCredential


class Shown(Protocol):
    """The credentials that each participant has shown last."""

    async def by(self, holder: str) -> tuple[str, ...]:
        """Those of a participant as JWTs, none if it has shown none. Raise LocalError if it cannot be told."""
        ...

    async def keep(self, holder: str, credentials: Sequence[VerifiableCredential]) -> None:
        """Note what a participant has shown, all of it proved. Raise LocalError if it cannot be kept."""
        ...


class StoredShown(Shown):
    """They are in the node's store, and written only if they are others than before."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @override
    async def by(self, holder: str) -> tuple[str, ...]:
        return await self._store.read(lambda tx: shown.by(tx, holder))

    @override
    async def keep(self, holder: str, credentials: Sequence[VerifiableCredential]) -> None:
        jwts = tuple(dict.fromkeys(credential.jwt for credential in credentials))
        if sorted(await self.by(holder)) == sorted(jwts):  # wallets show them in any order
            return
        ends, now = [credential.valid_until for credential in credentials], self._clock.now()
        await self._store.run(lambda tx: shown.keep(tx, holder, jwts, ends, now))
