"""Who we are and how others prove who they are: one of the three forms of identity, with all that it needs."""

from functools import partial

from connector.clock import FreshIds, SystemClock
from connector.config import Config
from connector.exchange.ports import Identity, Store
from connector.http.client import Outbound
from connector.identity.credential_checks import CredentialChecks
from connector.identity.credential_schemas import CredentialSchemas
from connector.identity.dcp import DcpIdentity
from connector.identity.didweb import DidIdentity
from connector.identity.directory import Directory
from connector.identity.keys import SigningKey
from connector.identity.mock import MockIdentity
from connector.identity.proofs import Proofs
from connector.identity.replay import ReplayGuard
from connector.identity.resolver import DidResolver
from connector.identity.scopes import read_scopes
from connector.identity.status_lists import StatusLists
from connector.identity.sts import EmbeddedTokenService
from connector.identity.tokens import TokenVerifier
from connector.identity.trusted_issuers import TrustedIssuers
from connector.identity.wallets import Wallets
from connector.storage.store import SharedStore


def identity_port(
    config: Config, store: Store, key: SigningKey, resolver: DidResolver, directory: Directory, wire: Outbound
) -> Identity:
    """The identity that the settings name. `wire` reaches wallets, status lists and schemas of strangers."""
    if config.identity == "mock":
        return MockIdentity(config.did, directory, anonymous=config.identity_anonymous or None)
    clock, ids = SystemClock(), FreshIds()
    guard = ReplayGuard(clock, shared=store if isinstance(store, SharedStore) else None)
    verifier = TokenVerifier(config.did, resolver, guard, clock)
    if config.identity == "did":
        return DidIdentity(key, verifier, directory, clock, ids)
    sts, proofs = EmbeddedTokenService(key, clock, ids), Proofs(resolver, clock)
    fetch = partial(wire.get, accept="*/*")  # some issuers serve nothing to those who name what they can read
    checks = CredentialChecks(
        TrustedIssuers(config.trusted_issuers),
        proofs,
        CredentialSchemas(fetch, clock),
        StatusLists(fetch, proofs, clock),
        clock,
    )
    return DcpIdentity(
        sts,
        verifier,
        Wallets(resolver, sts, wire),
        proofs,
        checks,
        directory,
        clock,
        scopes=read_scopes(config.scopes),
        optional=read_scopes(config.optional_scopes, "/identity/optional_scopes"),
        keep_s=config.keep_credentials,
    )
