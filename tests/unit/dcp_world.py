"""What the tests of DCP share: an authority that issues, a consumer with a wallet, and we who let in or refuse.

Everything is in memory and in order until a test changes it: `shown` is what the wallet shows, `status_bits` what the
authority has taken back, `web.pages` what stands where.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from typing_extensions import override

from connector.exchange.ports import Answer, Wire
from connector.identity.credential_checks import CredentialChecks
from connector.identity.credential_schemas import CredentialSchemas
from connector.identity.credentials import Profile, VerifiableCredential, credential, sign_credential
from connector.identity.dcp import DcpIdentity
from connector.identity.dcp_messages import PresentationQueryMessage, PresentationResponseMessage
from connector.identity.did import did_document
from connector.identity.directory import Directory
from connector.identity.keys import SigningKey
from connector.identity.presentations import envelope, sign_presentation
from connector.identity.proofs import Proofs
from connector.identity.replay import ReplayGuard
from connector.identity.resolver import DidResolver
from connector.identity.scopes import CATENA_X_TYPE, read_scopes
from connector.identity.shown import Shown
from connector.identity.status_list import CONTEXT, REVOCATION, StatusEntry, list_subject, list_type, with_bit
from connector.identity.status_lists import StatusLists
from connector.identity.sts import EmbeddedTokenService
from connector.identity.tokens import TokenVerifier, issue_token
from connector.identity.trusted_issuers import TrustedIssuers
from connector.identity.wallets import Wallets
from connector.protocol.errors import PeerError
from connector.storage.connection import Unavailable
from tests.unit.identity_world import NOW, OURS, THEIRS, Counter, StillClock, Web

AUTHORITY = "did:web:authority.example"
STRANGER = "did:web:stranger.example"
BPN = "BPNL00000000CONS"
OTHER_BPN = "BPNL0000000OTHER"
WALLET = "https://consumer.example/dcp"
LIST = "https://authority.example/status/1"
MEMBERSHIP, PARTNER, GOVERNANCE = "MembershipCredential", "BpnCredential", "DataExchangeGovernanceCredential"
TYPES = (MEMBERSHIP, PARTNER, GOVERNANCE)
SCOPES = tuple(f"{CATENA_X_TYPE}:{name}:read" for name in TYPES)
YEAR_MS = 365 * 24 * 3600 * 1000
SUBJECTS: Mapping[str, Mapping[str, Any]] = {
    MEMBERSHIP: {"holderIdentifier": BPN, "memberOf": "Catena-X"},
    PARTNER: {"holderIdentifier": BPN, "bpn": BPN},
    GOVERNANCE: {
        "holderIdentifier": BPN,
        "group": "UseCaseFramework",
        "useCase": "DataExchangeGovernance",
        "contractTemplate": "https://catena-x.example/framework",
        "contractVersion": "1.0",
    },
}


@dataclass
class Reply(Answer):
    """What a server in memory answers."""

    code: int = 200
    content: bytes = b""

    @property
    @override
    def status(self) -> int:
        return self.code

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return {}

    @property
    @override
    def body(self) -> bytes:
        return self.content

    @override
    def json(self) -> object:
        return orjson.loads(self.content)


@dataclass
class Remembered(Shown):
    """What participants have shown last, in memory; `full`: there is no room for more."""

    last: dict[str, tuple[str, ...]] = field(default_factory=dict)
    full: bool = False

    @override
    async def by(self, holder: str) -> tuple[str, ...]:
        return self.last.get(holder, ())

    @override
    async def keep(self, holder: str, credentials: Sequence[VerifiableCredential]) -> None:
        if self.full:
            raise Unavailable("the disk is full")
        self.last[holder] = tuple(credential.jwt for credential in credentials)


@dataclass
class Wallet(Wire):
    """The consumer's wallet on the wire: `answer` is asked for each query."""

    answer: Callable[[PresentationQueryMessage], Reply]
    queries: list[PresentationQueryMessage] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @override
    def check(self, url: str) -> None:
        if not url.startswith("https://"):
            raise PeerError(400, "the URL must be https")

    @override
    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = 10.0
    ) -> Answer:
        assert (method, headers["Content-Type"]) == ("POST", "application/json")
        query = PresentationQueryMessage.parse(orjson.loads(body or b""))
        self.queries.append(query)
        self.urls.append(url)
        self.tokens.append(headers["Authorization"].removeprefix("Bearer "))
        return self.answer(query)


class DcpWorld:
    """We (`OURS`), the consumer (`THEIRS`) with its wallet, the authority, and a stranger with a document."""

    def __init__(self, profile: Profile = Profile.VC11) -> None:
        self.profile = profile
        self.clock, self.web, self.ids = StillClock(), Web(), Counter()
        self.keys = {did: SigningKey.generate(did) for did in (OURS, THEIRS, AUTHORITY, STRANGER)}
        for did, key in self.keys.items():
            services = [{"id": f"{did}#cs", "type": "CredentialService", "serviceEndpoint": WALLET}]
            self.web.publish(did, did_document(did, [key], services if did == THEIRS else ()))
        self.resolver = DidResolver(self.web.fetch, self.clock)
        self.proofs = Proofs(self.resolver, self.clock)
        self.wallet = Wallet(self.respond)
        self.publish_list()
        self.shown: Sequence[str] = [self.vc(name) for name in TYPES]
        self.presenter: dict[str, Any] = {}

    @property
    def entry_type(self) -> str:
        return {Profile.VC11: "StatusList2021Entry", Profile.VC20: "BitstringStatusListEntry"}[self.profile]

    def entry(self, index: int = 7, **changes: Any) -> StatusEntry:
        members = {"type": self.entry_type, "purpose": REVOCATION, "index": index, "list_url": LIST}
        return StatusEntry(**{**members, **changes})

    def vc_json(
        self, name: str = MEMBERSHIP, subject: Mapping[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """A good credential of the consumer as JSON, some of its members changed; None takes one out."""
        doc = credential(
            self.profile,
            identifier=f"urn:uuid:{name}",
            types=[name],
            issuer=AUTHORITY,
            subject={"id": THEIRS, **(SUBJECTS.get(name, {}) if subject is None else subject)},
            valid_from=NOW - YEAR_MS // 2,
            valid_until=NOW + YEAR_MS // 2,
            status=self.entry(),
        )
        return {name: value for name, value in {**doc, **changes}.items() if value is not None}

    def vc(self, name: str = MEMBERSHIP, *, by: str = AUTHORITY, key: SigningKey | None = None, **changes: Any) -> str:
        """A good credential of the consumer as JWT, by `by` or with another key."""
        changes.setdefault("issuer", by)
        return sign_credential(key or self.keys[by], self.vc_json(name, **changes))

    def list_jwt(self, bits: bytes, *, by: str = AUTHORITY, purpose: str = REVOCATION, ttl: int | None = None) -> str:
        doc = credential(
            self.profile,
            identifier=LIST,
            types=[list_type(self.entry_type)],
            issuer=by,
            subject=list_subject(self.entry_type, url=LIST, purpose=purpose, bits=bits, ttl=ttl),
            valid_from=NOW - 1000,
            contexts=[CONTEXT] if self.profile is Profile.VC11 else (),
        )
        return sign_credential(self.keys[by], doc)

    def publish_list(self, *revoked: int, **options: Any) -> None:
        """Put the authority's status list online, with these indices taken back."""
        bits = bytes(16384)
        for index in revoked:
            bits = with_bit(bits, index, value=True)
        self.web.pages[LIST] = self.list_jwt(bits, **options).encode()

    def vp(self, *jwts: str, by: str = THEIRS, audience: str = OURS, key: SigningKey | None = None) -> str:
        signer = key or self.keys[by]
        return sign_presentation(
            signer, jwts, audience=audience, jti=self.ids(), now=self.clock.now(), profile=self.profile
        )

    def respond(self, _: PresentationQueryMessage) -> Reply:
        jwt = self.vp(*self.shown, **self.presenter)
        return self.answer(envelope(jwt) if self.profile is Profile.VC20 else jwt)

    def answer(self, *presentations: Any) -> Reply:
        return Reply(200, orjson.dumps(PresentationResponseMessage(presentation=presentations).to_json()))

    def checks(self, trusted: Mapping[str, Sequence[str]] | None = None) -> CredentialChecks:
        return CredentialChecks(
            TrustedIssuers({AUTHORITY: ["*"]} if trusted is None else trusted),
            self.proofs,
            CredentialSchemas(self.web.fetch, self.clock),
            StatusLists(self.web.fetch, self.proofs, self.clock),
            self.clock,
        )

    def identity(
        self,
        *,
        scopes: Sequence[str] = SCOPES,
        optional: Sequence[str] = (),
        keep_s: int = 300,
        trusted: Mapping[str, Sequence[str]] | None = None,
        directory: Mapping[str, str] | None = None,
        remembered: Shown | None = None,
    ) -> DcpIdentity:
        sts = EmbeddedTokenService(self.keys[OURS], self.clock, self.ids)
        return DcpIdentity(
            sts,
            TokenVerifier(OURS, self.resolver, ReplayGuard(self.clock), self.clock),
            Wallets(self.resolver, sts, self.wallet),
            self.proofs,
            self.checks(trusted),
            Directory(directory or {}),
            remembered or Remembered(),
            self.clock,
            scopes=read_scopes(scopes),
            optional=read_scopes(optional),
            keep_s=keep_s,
        )

    def header(self, by: str = THEIRS, *, key: SigningKey | None = None, access: str | None = "access") -> str:
        """The Authorization header of a message to us."""
        claims = {} if access is None else {"token": access}
        signer = key or self.keys[by]
        return f"Bearer {issue_token(signer, audience=OURS, jti=self.ids(), now=self.clock.now(), claims=claims)}"
