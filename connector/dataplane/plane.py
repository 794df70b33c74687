"""The data plane inside the node's own process: opens transfers, answers pulls, refreshes tokens, sends pushes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from typing_extensions import override

from connector.dataplane.access import Gate, Sources, flows, stands
from connector.dataplane.push import Destination, Outbound, push
from connector.dataplane.source import Source
from connector.dataplane.tokens import AccessTokens
from connector.exchange.monitor import still_permits
from connector.exchange.ports import Caller, Clock, DataPlane, Store, Tx
from connector.exchange.records import Asset, Grant, Transfer
from connector.protocol.errors import PeerError, Unreachable
from connector.protocol.transfer_messages import DataAddress, TokenRefresh, http_pull_address
from connector.protocol.vocabulary import HTTP_PULL, HTTP_PUSH


class Assertions(Protocol):
    """Who signed a token refresh: as `Identity.verify`, but a `jti` may return (Tractus-X: the transfer's id)."""

    async def verify(self, authorization: str | None, *, single_use: bool) -> Caller:
        """Raise PeerError 401, or 503 if it cannot be told right now."""
        ...


class EmbeddedDataPlane(DataPlane):
    """public_url: the one address of all pulls (no trailing slash); the token alone says which asset is meant.

    sources: by the `type` of a data address. outbound: the guarded client that pushes leave through.
    """

    def __init__(
        self,
        *,
        public_url: str,
        store: Store,
        clock: Clock,
        tokens: AccessTokens,
        sources: Mapping[str, Source],
        assertions: Assertions,
        outbound: Outbound,
    ) -> None:
        self.public_url = public_url.rstrip("/")
        self._store = store
        self._clock = clock
        self._tokens = tokens
        self._sources = Sources(sources)
        self._assertions = assertions
        self._outbound = outbound
        self.gate = Gate(store, clock, tokens, self._sources)

    @override
    def formats(self, asset: Asset) -> tuple[str, ...]:
        return (HTTP_PULL, HTTP_PUSH) if self._sources.knows(asset) else ()

    @override
    def check(self, asset: Asset) -> None:
        self._sources.check(asset)

    @override
    def open_pull(
        self, transfer: Transfer, consumer_bpn: str | None, now: int, opened: Grant | None = None
    ) -> tuple[DataAddress, Grant]:
        grant = opened or self._tokens.opened(
            Grant(
                id=transfer.id,
                created_at=now,
                consumer_id=transfer.peer.id,
                consumer_bpn=consumer_bpn,
                agreement_id=transfer.agreement_id,
                asset_id=transfer.asset_id,
            )
        )
        refresh = TokenRefresh(
            refresh_token=self._tokens.refresh_token(grant),
            expires_in_s=self._tokens.lifetime_s,
            refresh_endpoint=f"{self.public_url}/token",
            refresh_audience=self._tokens.issuer,
            audience=transfer.peer.id,
        )
        return http_pull_address(self.public_url, self._tokens.issue(grant, now), refresh), grant

    async def refresh(self, authorization: str | None, refresh_token: str) -> tuple[str, str]:
        """A new (access token, refresh token) for a consumer that proves who it is. Raise PeerError 401 or 503.

        authorization: the consumer's self-issued token, with the access token, expired or not, in its claim `token`.
        The agreement's policy is judged anew, by what the consumer has proven last and what we know of it now; a
        refusal stands in the timeline of the transfer.
        """
        caller = await self._assertions.verify(authorization, single_use=False)
        token = caller.claims.get("token")
        if not isinstance(token, str):
            raise PeerError(401, "the assertion must carry the access token in its claim `token`", "/token")
        try:
            claims = self._tokens.verify(token, expired_too=True)
        except PeerError as fault:
            raise PeerError(401, fault.reason, "/token") from None
        if claims.consumer_id != caller.id:
            raise PeerError(401, "the access token was issued to somebody else", "/token")

        def rotate(tx: Tx) -> Grant | None:
            grant, transfer = tx.grants.find(claims.transfer_id), tx.transfers.find(claims.transfer_id)
            if grant is None or transfer is None or not stands(grant, claims) or not flows(transfer):
                raise PeerError(401, "the transfer behind this token has ended, is suspended, or was started anew")
            after = self._tokens.refreshed(grant, refresh_token)
            consumer = replace(caller, bpn=caller.bpn or grant.consumer_bpn)
            if not still_permits(tx, transfer, consumer, self._clock.now()):
                return None
            if after is not grant:
                tx.grants.save(after)
            return after

        grant = await self._store.run(rotate)
        if grant is None:
            raise PeerError(401, "the agreement behind this token does not allow it any more")
        return self._tokens.issue(grant, self._clock.now()), self._tokens.refresh_token(grant)

    @property
    def lifetime_s(self) -> int:
        """Seconds that an access token is good for."""
        return self._tokens.lifetime_s

    @override
    async def push(
        self, transfer: Transfer, asset: Asset, consumer_bpn: str | None, *, headers: Mapping[str, str]
    ) -> None:
        try:
            access = await self.gate.admit_push(transfer, consumer_bpn)
            await push(self._outbound, self.gate, access, Destination.parse(transfer.destination or {}), headers)
        except PeerError as refusal:
            raise Unreachable(refusal.reason) from refusal
