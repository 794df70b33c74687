"""Who may have what, asked for every request: a verified token is only the beginning.

Behind it must stand, at this moment, a grant, a running transfer, an agreement in force and its asset. They are read in
one go and kept in memory, so that a request costs a look-up; every commit that touches one of them takes it out again
at once, also under a stream that has begun. Commits of other replicas are heard of a moment later (but those about
secrets are not), those of foreign processes never: nothing is trusted for longer than `recheck_ms`. The dates of an
agreement are looked at as well: the timer that ends its transfers may be late, after a fall of the node or when its
clock was set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from connector.dataplane.recent import Recent, SingleFlight
from connector.dataplane.source import Prepared, Reader, Source
from connector.dataplane.tokens import AccessClaims, AccessTokens
from connector.exchange.ports import Clock, Commit, Store, Tx
from connector.exchange.records import Agreement, Asset, Grant, Secret, Transfer
from connector.exchange.terms import groups_of
from connector.identity.authorization import credentials
from connector.policy.circumstances import Circumstances, Counterparty
from connector.policy.evaluate import ends_at, evaluate
from connector.protocol.errors import Invalid, PeerError
from connector.protocol.transfer import Event, State
from connector.protocol.transfer_messages import short_name

RECHECK_MS: Final = 2_000
MEMORY: Final = 64 << 20
"""Bytes kept for opened accesses, payloads included."""
_Key = tuple[str, str]
_SECRETS: Final[_Key] = ("secret", "")


@dataclass(frozen=True, slots=True)
class Opened:
    """An asset that may leave, made ready. `until`: first moment (ms) at which the agreement's dates may end that."""

    asset_id: str
    prepared: Prepared
    until: int | None


Load = Callable[[Tx], Opened]
"""Raises PeerError 403 if the asset must not leave."""


@dataclass(slots=True, eq=False)
class Access:
    """An open door: one transfer's consumer may have one asset. `stale` once something about it has changed.

    `read` finds out anew what stands behind the claims.
    """

    name: str
    claims: AccessClaims
    read: Load = field(repr=False)
    asset_id: str
    prepared: Prepared = field(repr=False)
    until: int | None
    checked_at: int
    stale: bool = False

    def depends_on(self) -> tuple[_Key, ...]:
        """What must not change under it."""
        claims = self.claims
        named = ("transfer", claims.transfer_id), ("agreement", claims.agreement_id), ("asset", self.asset_id)
        return (*named, _SECRETS)


class Sources:
    """The sources of a node by the `type` of a data address."""

    def __init__(self, by_type: Mapping[str, Source]) -> None:
        self._by_type = dict(by_type)

    def knows(self, asset: Asset) -> bool:
        """Whether there is a source for this asset."""
        return _type(asset) in self._by_type

    def check(self, asset: Asset) -> None:
        """Raise Invalid with the place of the fault if a data address of a known type can never be served."""
        if (source := self._by_type.get(_type(asset))) is not None:
            source.check(asset)

    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        """Make an asset ready. Raise LocalError if it cannot be served."""
        source = self._by_type.get(_type(asset))
        if source is None:
            known = ", ".join(sorted(self._by_type))
            raise Invalid(f"no source serves data addresses of this type; known are {known}", "/dataAddress/type")
        return source.prepare(tx, asset, reader)


def _type(asset: Asset) -> str:
    return next((value for key, value in asset.data_address.items() if short_name(key) in {"type", "@type"}), "")


class Gate:
    """Lets token holders in. Listens to the store from the moment it is made."""

    def __init__(
        self, store: Store, clock: Clock, tokens: AccessTokens, sources: Sources, *, recheck_ms: int = RECHECK_MS
    ) -> None:
        self._store = store
        self._clock = clock
        self._tokens = tokens
        self._sources = sources
        self._recheck_ms = recheck_ms
        self._open: Recent[str, Access] = Recent(MEMORY, forgotten=self._close)
        self._by: dict[_Key, set[Access]] = {}
        self._loads: list[set[_Key]] = []
        self._readings: SingleFlight[tuple[int, str, AccessClaims], Access] = SingleFlight()
        self._commits = 0
        store.listen(self._committed)

    async def admit(self, authorization: str | None) -> Access:
        """The access behind an Authorization header, with or without `Bearer`.

        Raise PeerError: 401 there is none, 403 it opens nothing (any more); LocalError if the asset cannot be served.
        """
        token = credentials(authorization)
        if token is None:
            raise PeerError(401, "the Authorization header with the access token is missing")
        claims = self._tokens.verify(token)
        access = self._current(claims.transfer_id, claims)
        if access is None:
            access = await self._read(
                claims.transfer_id, claims, lambda tx: behind(tx, claims, self._sources, self._clock.now())
            )
        return access

    async def admit_push(self, transfer: Transfer, bpn: str | None) -> Access:
        """The access of a push, which has no token: the transfer itself is its title. Raise as `admit` does."""
        claims = AccessClaims(transfer.id, transfer.created_at, transfer.peer.id, transfer.agreement_id, 0)

        def read(tx: Tx) -> Opened:
            return pushed(tx, transfer.id, bpn, self._sources, self._clock.now())

        return await self._load(f"push {transfer.id}", claims, read)

    def holds(self, access: Access) -> bool:
        """Whether a stream that began with this access may go on without asking again."""
        now = self._clock.now()
        ended = access.until is not None and now >= access.until
        return not access.stale and not ended and 0 <= now - access.checked_at < self._recheck_ms

    async def again(self, access: Access) -> Access:
        """The access as it is now, for a stream under way. Raise PeerError 403 if it is over."""
        name, claims = access.name, access.claims
        return self._current(name, claims) or await self._read(name, claims, access.read)

    async def still(self, access: Access) -> Access:
        """The access if it holds, else as it is now: for what was opened and took its time. Raise PeerError 403."""
        return access if self.holds(access) else await self.again(access)

    def _current(self, name: str, claims: AccessClaims) -> Access | None:
        access = self._open.get(name)
        if access is None or not self.holds(access):
            return None
        known = access.claims
        same = known is claims or (known.opened_at, known.consumer_id) == (claims.opened_at, claims.consumer_id)
        return access if same and known.agreement_id == claims.agreement_id else None

    async def _read(self, name: str, claims: AccessClaims, read: Load) -> Access:
        """Load once for all who ask at the same time, unless a commit came between: what it changed may be theirs."""
        return await self._readings.do((self._commits, name, claims), lambda: self._load(name, claims, read))

    async def _load(self, name: str, claims: AccessClaims, read: Load) -> Access:
        """Read what stands behind the claims; remember it unless a commit touched it meanwhile."""
        changed: set[_Key] = set()
        now = self._clock.now()
        self._loads.append(changed)
        try:
            opened = await self._store.read(read)
        except PeerError:
            self._open.drop(name)
            raise
        finally:
            self._loads = [other for other in self._loads if other is not changed]  # equal sets are not the same load
        access = Access(name, claims, read, opened.asset_id, opened.prepared, opened.until, now)
        if changed.isdisjoint(access.depends_on()):
            for key in access.depends_on():
                self._by.setdefault(key, set()).add(access)
            self._open.put(name, access, opened.prepared.weight)
        else:
            access.stale = True
        return access

    def _close(self, access: Access) -> None:
        access.stale = True
        for key in access.depends_on():
            holders = self._by[key]
            holders.discard(access)
            if not holders:
                del self._by[key]

    def _committed(self, commit: Commit) -> None:
        """Drop what a commit touched. A message about a transfer counts as well: ours are promised before the event."""
        self._commits += 1
        touched: set[_Key] = {("transfer", message.topic) for message in commit.messages if message.kind == "transfer"}
        for name in commit.changed:  # by another replica
            touched |= {("transfer", name), ("agreement", name), ("asset", name)}
        for event in commit.events:
            match event.record:
                case Transfer(id=name):
                    touched.add(("transfer", name))
                case Agreement(id=name):
                    touched.add(("agreement", name))
                case Asset(id=name):
                    touched.add(("asset", name))
                case Secret():
                    touched.add(_SECRETS)
        for changed in self._loads:
            changed.update(touched)
        for access in [access for key in touched for access in self._by.get(key, ())]:
            self._open.drop(access.name)


def behind(tx: Tx, claims: AccessClaims, sources: Sources, now: int) -> Opened:
    """The asset, ready to be read with a token of these claims. Raise PeerError 403 otherwise."""
    grant, transfer = tx.grants.find(claims.transfer_id), tx.transfers.find(claims.transfer_id)
    if grant is None or transfer is None or not stands(grant, claims):
        raise PeerError(403, "the access was revoked: the transfer has ended, is suspended, or was started anew")
    if not flows(transfer):
        raise PeerError(403, f"nothing flows while the transfer is {transfer.process.state}")
    return _opened(tx, transfer, sources, Reader(grant.consumer_bpn, grant.agreement_id), now)


def pushed(tx: Tx, transfer_id: str, bpn: str | None, sources: Sources, now: int) -> Opened:
    """The same for a push. Raise PeerError 403 if the transfer is not running."""
    transfer = tx.transfers.find(transfer_id)
    if transfer is None or not flows(transfer):
        raise PeerError(403, "the transfer is not running")
    return _opened(tx, transfer, sources, Reader(bpn, transfer.agreement_id), now)


def stands(grant: Grant, claims: AccessClaims) -> bool:
    """Whether a grant is the one that a token was issued for."""
    shown = (claims.opened_at, claims.consumer_id, claims.agreement_id)
    return shown == (grant.created_at, grant.consumer_id, grant.agreement_id)


def flows(transfer: Transfer) -> bool:
    """Whether data may flow: the transfer is started and we have not begun to pause or end it.

    A start of ours without an answer yet counts as started: who has its token has received it.
    """
    pending = transfer.process.pending
    return transfer.process.state is State.STARTED if pending is None else pending.event is Event.START


def _opened(tx: Tx, transfer: Transfer, sources: Sources, reader: Reader, now: int) -> Opened:
    """The asset that a transfer's agreement names, while it is in force. Raise PeerError 403 otherwise."""
    agreement = tx.agreements.find(transfer.agreement_id)
    if agreement is None or agreement.consumer_id != transfer.peer.id or agreement.asset_id != transfer.asset_id:
        raise PeerError(403, "there is no agreement behind this transfer")
    if agreement.retired_at is not None:
        raise PeerError(403, "the agreement has been retired by the provider")
    until = _in_force(tx, agreement, Counterparty(transfer.peer.id, reader.bpn, {}), now)
    asset = tx.assets.find(agreement.asset_id)
    if asset is None:
        raise PeerError(403, "the asset is not offered any more")
    return Opened(asset.id, sources.prepare(tx, asset, reader), until)


def _in_force(tx: Tx, agreement: Agreement, party: Counterparty, now: int) -> int | None:
    """Until when nothing can end an agreement by date. Raise PeerError 403 if one has: what the end timer would say."""
    policy, agreed_at = agreement.policy, agreement.created_at
    end = ends_at(policy, agreed_at)
    if end is None or now < end:
        return end
    party = replace(party, groups=groups_of(tx, party.id, party.bpn))
    if not evaluate(policy, Circumstances("monitor", party, now, agreed_at)).permitted:
        raise PeerError(403, "the agreement has ended")
    return ends_at(policy, agreed_at, after=now)
