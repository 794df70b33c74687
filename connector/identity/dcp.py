"""The identity of Catena-X: participants prove by verifiable credentials who they are (DCP 1.0, verifier).

Each message brings a self-issued token, which says who sends it, and in it an access token, with which the sender's
wallet is asked for credentials; from these come the BPN and all that policies are decided by. Our own messages carry
the same, so that those we talk to can ask our wallet.

What a wallet has shown is kept for a while. A kept credential is good for as long as it is valid and its status list
does not say otherwise; both are looked at again for each message.

A token refresh brings no way to ask the wallet. There the credentials that were shown last are looked at again, however
long ago that was, so that a revocation is seen at the next refresh. They are kept in the node's store, so a restart
changes nothing and replicas judge alike; who takes them from there proves them anew, once, as if they were just shown.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from typing_extensions import override

from connector.exchange.denial import Denied
from connector.exchange.ports import Caller, Clock, Directory, Identity
from connector.identity.authorization import claimed_sender
from connector.identity.credential_checks import CredentialChecks, bpn_of, check_coverage
from connector.identity.credentials import VerifiableCredential
from connector.identity.directory import receiver_of
from connector.identity.kept import Kept
from connector.identity.presentations import VerifiablePresentation
from connector.identity.proofs import PRESENTING, Proofs
from connector.identity.refusal import Check, Refusal, refusing
from connector.identity.scopes import Scope
from connector.identity.shown import Shown
from connector.identity.sts import SecureTokenService
from connector.identity.tokens import SelfIssuedToken, TokenVerifier
from connector.identity.wallets import Wallets
from connector.policy.circumstances import ProvenCredential
from connector.protocol.errors import Invalid

CAPACITY: Final = 2048
"""Counterparties whose credentials are kept in memory."""

_TOLD: Final = {
    401: "the sender is not authenticated",
    403: "the sender's credentials do not allow this",
    503: "the sender cannot be verified right now; send again later with a fresh token",
}
_NOT_NOW: Final = 503
_BEARER: Final = "bearer"
_MAX_ACCESS_TOKEN: Final = 1 << 14
log = structlog.get_logger()


class DcpIdentity(Identity):
    """Participants by their DIDs and credentials.

    verifier: judges the tokens addressed to us. scopes: what every sender has to show; optional: what it may show
    besides. Those we write to may ask our wallet for both. shown: remembers what was shown last.
    keep_s: how long shown credentials do for further messages; 0 asks the wallet for each.
    """

    def __init__(
        self,
        sts: SecureTokenService,
        verifier: TokenVerifier,
        wallets: Wallets,
        proofs: Proofs,
        checks: CredentialChecks,
        directory: Directory,
        shown: Shown,
        clock: Clock,
        *,
        scopes: Sequence[Scope],
        optional: Sequence[Scope] = (),
        keep_s: int = 300,
    ) -> None:
        if verifier.did != sts.did:
            raise Invalid("the token verifier and the token service must be of the same DID", value=verifier.did)
        self._sts = sts
        self._verifier = verifier
        self._wallets = wallets
        self._proofs = proofs
        self._checks = checks
        self._directory = directory
        self._clock = clock
        self._scopes = tuple(scopes)
        self._all = (*scopes, *optional)
        self._keep = keep_s * 1000
        self._kept: Kept[tuple[VerifiableCredential, ...]] = Kept(clock, capacity=CAPACITY)
        self._last = shown
        self._proved: OrderedDict[str, tuple[VerifiableCredential, ...]] = OrderedDict()
        """By holder; of those shown last, what was proved here."""

    @property
    @override
    def id(self) -> str:
        """Our DID."""
        return self._sts.did

    @override
    async def token(
        self,
        audience: str,
        *,
        address: str,  # a DID says who is meant, wherever it listens
        claims: Mapping[str, str] | None = None,
    ) -> str:
        """A header for one message, with an access token to our wallet.

        claims: {"token": ...} instead, for a token refresh, which is about another token. Raise Invalid for an audience
        that is neither a DID nor a known BPN and for other claims, Unreachable if there is no token to be had.
        """
        receiver = receiver_of(audience, self._directory)
        if claims is None:
            return f"Bearer {await self._sts.with_scopes(receiver, [str(scope) for scope in self._all])}"
        if claims.keys() != {"token"}:
            raise Invalid("a token can be given the claim `token`, no other", "/claims")
        return f"Bearer {await self._sts.with_token(receiver, claims['token'])}"

    @override
    async def verify(self, authorization: str | None, *, single_use: bool = True) -> Caller:
        """Who sent this header, with its token's claims and what its credentials say.

        single_use: False is a token refresh. It is asserted with a self-issued token alone: the access token in it is
        for data and opens no wallet. What was shown last must still stand, and be enough. Raise PeerError 401, 403 or
        503; the reason is logged, not told.
        """
        sender = None
        try:
            token = await self._self_issued(authorization, single_use=single_use)
            sender = token.issuer
            if single_use:
                credentials = await self._credentials(token)
            else:
                credentials = await self._standing(sender)
                check_coverage(self._scopes, credentials)
            bpn = self._known(sender, bpn_of(credentials))
            if not single_use:
                bpn = bpn or self._directory.bpn_of(sender)
        except Refusal as refusal:
            log.warning(
                "denied",
                check=refusal.check.value,
                reason=refusal.reason,
                place=refusal.pointer,
                peer=sender or claimed_sender(authorization),
                proven=sender is not None,
            )
            raise Denied(refusal.status, _TOLD[refusal.status], sender=sender, cause=refusal.reason) from None
        return Caller(sender, bpn, token.jws.payload, _proven(credentials))

    @override
    async def shown(self, participant_id: str) -> tuple[ProvenCredential, ...]:
        try:
            return _proven(await self._standing(participant_id))
        except Refusal:  # it cannot be told right now
            return ()

    async def _standing(self, holder: str) -> tuple[VerifiableCredential, ...]:
        """Of the credentials that a participant has shown last, those that still stand; none if it has shown none.

        Raise Refusal 403 if none of them does, 503 if it cannot be told.
        """
        standing = []
        ended = None
        proved = {credential.jwt: credential for credential in self._proved.get(holder, ())}
        for jwt in await self._last.by(holder):
            try:
                if (credential := proved.get(jwt)) is not None:
                    await self._checks.recheck(credential)
                else:
                    credential = VerifiableCredential.parse(jwt)
                    await self._checks.check(credential, holder=holder)
            except Refusal as refusal:
                if refusal.status == _NOT_NOW:
                    raise
                ended = refusal
            else:
                standing.append(credential)
        if ended is not None and not standing:
            raise ended
        self._remember(holder, standing)
        return tuple(standing)

    def _remember(self, holder: str, proved: Sequence[VerifiableCredential]) -> None:
        self._proved[holder] = tuple(proved)
        self._proved.move_to_end(holder)
        while len(self._proved) > CAPACITY:
            self._proved.popitem(last=False)

    async def _self_issued(self, authorization: str | None, *, single_use: bool) -> SelfIssuedToken:
        scheme, _, text = (authorization or "").strip().partition(" ")
        if scheme.lower() != _BEARER or not text.strip():
            raise Refusal(Check.HEADER, "an Authorization header `Bearer <self-issued token>` is required", status=401)
        with refusing(Check.SI_TOKEN, 401):
            return await self._verifier.verify(text.strip(), single_use=single_use)

    async def _credentials(self, token: SelfIssuedToken) -> tuple[VerifiableCredential, ...]:
        """The sender's credentials, all checked: those at hand if they still stand, else what its wallet shows."""
        access = token.jws.payload.get("token")
        if not isinstance(access, str) or not 0 < len(access) <= _MAX_ACCESS_TOKEN:
            raise Refusal(Check.ACCESS_TOKEN, "the token brings no access token to its sender's wallet", status=401)
        holder, fallen = token.issuer, None
        if (kept := self._kept.peek(holder)) is not None:
            try:
                for credential in kept:
                    await self._checks.recheck(credential)
            except Refusal as refusal:
                if refusal.status == _NOT_NOW:
                    raise
                # the wallet may have newer ones
                log.info("credentials do not stand any more", peer=holder, check=refusal.check.value)
                self._kept.drop(holder)
                fallen = refusal
            else:
                return kept
        try:
            if not self._keep:
                return (await self._ask(holder, access))[0]
            return await self._kept.get(holder, lambda: self._ask(holder, access))
        except Refusal as refusal:
            if fallen is None or refusal.check is not Check.CREDENTIAL_MISSING:
                raise
            # a good wallet leaves out what is revoked: why it is missing is what we know of the one shown before
            raise Refusal(fallen.check, f"{refusal.reason}; of those shown before, {fallen.reason}") from refusal

    async def _ask(self, holder: str, access_token: str) -> tuple[tuple[VerifiableCredential, ...], int]:
        """What the wallet shows, checked, and until when (ms) it may be kept."""
        began = self._clock.now()
        presentations = await self._wallets.query(holder, access_token, self._all)
        for presentation in presentations:
            await self._prove(presentation, holder)
        credentials = tuple(c for presentation in presentations for c in presentation.credentials)
        check_coverage(self._scopes, credentials)
        for credential in credentials:
            await self._checks.check(credential, holder=holder)
        await self._last.keep(holder, credentials)
        self._remember(holder, credentials)
        ends = [c.valid_until for c in credentials if c.valid_until is not None]
        return credentials, min([began + self._keep, *ends])

    async def _prove(self, presentation: VerifiablePresentation, holder: str) -> None:
        presentation.check(holder=holder, audience=self.id, now=self._clock.now())
        with refusing(Check.PRESENTATION_SIGNATURE, 401):
            await self._proofs.check(presentation.jws, holder, PRESENTING)

    def _known(self, sender: str, bpn: str | None) -> str | None:
        """The proven BPN, if the directory does not know it as somebody else's."""
        if bpn is None:
            return None
        if self._directory.bpn_of(sender) not in (None, bpn) or self._directory.did_of(bpn) not in (None, sender):
            raise Refusal(Check.BPN, f"the credentials say {bpn}, but the BPN directory says otherwise")
        return bpn


def _proven(credentials: Sequence[VerifiableCredential]) -> tuple[ProvenCredential, ...]:
    return tuple(says for credential in credentials for says in credential.proven())
