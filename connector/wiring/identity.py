"""Who we are and how others prove who they are: one of the three forms of identity, with all that it needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from connector.clock import FreshIds, SystemClock
from connector.config import Config
from connector.exchange import ports
from connector.exchange.ports import Clock, Identity, Store
from connector.http.client import Outbound
from connector.identity.bdrs import MAX_BYTES, RemoteDirectory
from connector.identity.bdrs import PATH as DIRECTORY_PATH
from connector.identity.credential_checks import CredentialChecks
from connector.identity.credential_schemas import CredentialSchemas
from connector.identity.dcp import DcpIdentity
from connector.identity.didweb import DidIdentity
from connector.identity.directory import Directory
from connector.identity.jws import CompactJws, b64url
from connector.identity.keys import SigningKey
from connector.identity.mock import MockIdentity
from connector.identity.proofs import Proofs
from connector.identity.replay import ReplayGuard
from connector.identity.resolver import DidResolver
from connector.identity.scopes import CATENA_X_TYPE, Scope, read_scopes
from connector.identity.shown import StoredShown
from connector.identity.status_lists import StatusLists
from connector.identity.sts import EmbeddedTokenService, SecureTokenService
from connector.identity.sts_remote import RemoteTokenService
from connector.identity.tokens import TokenVerifier
from connector.identity.trusted_issuers import TrustedIssuers
from connector.identity.wallet import Wallet, WalletParts
from connector.identity.wallet_access import AccessTokenReader
from connector.identity.wallet_requests import IssuerClient
from connector.identity.wallets import Wallets
from connector.protocol.errors import Unreachable
from connector.storage.store import SharedStore

_MEMBERSHIP: Final = Scope(CATENA_X_TYPE, "MembershipCredential", "read")
"""What the BPN directory wants to see (CX-0167)."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How we prove who we are, and others who they are. With DCP and without an external wallet: `wallet`, `holder`."""

    identity: Identity
    directory: ports.Directory
    sts: EmbeddedTokenService | None = None
    wallet: Wallet | None = None
    holder: IssuerClient | None = None

    async def close(self) -> None:
        """Give up what is under way."""
        if isinstance(self.directory, RemoteDirectory):
            await self.directory.close()


def trust(
    config: Config, store: Store, key: SigningKey, resolver: DidResolver, wire: Outbound, systems: Outbound
) -> Trust:
    """The identity that the settings name.

    wire: reaches wallets, issuers, status lists and schemas of strangers. systems: reaches what the settings name.
    """
    directory = Directory(config.directory)
    if config.identity == "mock":
        return Trust(MockIdentity(config.did, directory, anonymous=config.identity_anonymous or None), directory)
    clock = SystemClock()
    guard = ReplayGuard(clock, shared=store if isinstance(store, SharedStore) else None)
    verifier = TokenVerifier(config.did, resolver, guard, clock)
    if config.identity == "did":
        return Trust(DidIdentity(key, verifier, directory, clock, FreshIds()), directory)
    return _Dcp(config, key, resolver, wire, systems, verifier, clock).trust(store, guard, directory)


class _Dcp:
    """The parts of DCP, put together in one of two ways: with our own wallet, or with one elsewhere."""

    def __init__(
        self,
        config: Config,
        key: SigningKey,
        resolver: DidResolver,
        wire: Outbound,
        systems: Outbound,
        verifier: TokenVerifier,
        clock: Clock,
    ) -> None:
        self._config, self._key, self._resolver = config, key, resolver
        self._wire, self._systems, self._verifier, self._clock = wire, systems, verifier, clock
        self._scopes = read_scopes(config.scopes)
        self._proofs = Proofs(resolver, clock)
        fetch = partial(wire.get, accept="*/*")  # some issuers serve nothing to those who name what they can read
        self._trusted = TrustedIssuers(config.trusted_issuers)
        lists = StatusLists(fetch, self._proofs, clock)
        self._checks = CredentialChecks(self._trusted, self._proofs, CredentialSchemas(fetch, clock), lists, clock)

    def trust(self, store: Store, guard: ReplayGuard, directory: ports.Directory) -> Trust:
        """All of it."""
        config, key, clock = self._config, self._key, self._clock
        if config.sts_url:
            service = (config.sts_url, config.sts_client_id, config.sts_client_secret)
            remote = RemoteTokenService(config.did, *service, self._systems)
            wallets = Wallets(self._resolver, remote, self._systems)
            directory = self._directory(directory, partial(self._shown_by, wallets, remote))
            return Trust(self._identity(remote, directory, store), directory)
        sts, access = EmbeddedTokenService(key, clock, FreshIds()), AccessTokenReader(key, guard, clock)
        parts = WalletParts(
            key=key,
            verifier=self._verifier,
            access=access,
            checks=self._checks,
            trusted=self._trusted,
            store=store,
            clock=clock,
            ids=FreshIds(),
        )
        wallet = Wallet(parts)
        directory = self._directory(directory, partial(wallet.present, config.did, [_MEMBERSHIP]))
        if isinstance(directory, RemoteDirectory):
            wallet.when_taken(directory.look_again)
        needed = [name for scope in self._scopes if (name := scope.credential_type) is not None]
        holder = IssuerClient(
            self._resolver, sts.for_issuer, self._wire, wallet.recheck, needed=needed, issuer=config.wallet_issuer
        )
        return Trust(self._identity(sts, directory, store), directory, sts, wallet, holder)

    def _identity(self, sts: SecureTokenService, directory: ports.Directory, store: Store) -> DcpIdentity:
        return DcpIdentity(
            sts,
            self._verifier,
            Wallets(self._resolver, sts, self._wire),
            self._proofs,
            self._checks,
            directory,
            StoredShown(store, self._clock),
            self._clock,
            scopes=self._scopes,
            optional=read_scopes(self._config.optional_scopes, "/identity/optional_scopes"),
            keep_s=self._config.keep_credentials,
        )

    def _directory(self, fixed: ports.Directory, present: Callable[[], Awaitable[str | None]]) -> ports.Directory:
        config = self._config
        if not config.bdrs_url:
            return fixed

        async def fetch(presentation: str) -> bytes:
            bearer = {"Authorization": f"Bearer {presentation}", "Accept": "application/json"}
            url = config.bdrs_url + DIRECTORY_PATH
            answer = await self._systems.send("GET", url, headers=bearer, max_bytes=MAX_BYTES)
            if answer.status != HTTPStatus.OK:
                raise Unreachable(f"it answered {answer.status}")
            return answer.body

        return RemoteDirectory(fixed, fetch, present, self._clock, refresh_s=config.bdrs_refresh)

    async def _shown_by(self, wallets: Wallets, sts: RemoteTokenService) -> str | None:
        """A presentation of our membership by the external wallet, made out to ourselves."""
        token = CompactJws.parse(await sts.with_scopes(sts.did, [str(_MEMBERSHIP)])).payload.get("token")
        shown = await wallets.query(sts.did, str(token), [_MEMBERSHIP])
        return f"{shown[0].jws.signing_input.decode()}.{b64url(shown[0].jws.signature)}" if shown else None
