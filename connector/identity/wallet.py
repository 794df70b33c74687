"""The built-in wallet: the credential service of DCP 1.0 (clauses 5.4, 6.5 and 6.6), as who holds the credentials.

Three doors, each behind a self-issued token. Verifiers come with an access token of ours and see what it grants, cut
down to what they ask for. Issuers bring credentials and offers; they are heard if they are trusted, and a credential is
kept if everything about it is proved: by its issuer, about us, in force. A trusted issuer may bring what nobody asked
for (a reissue after its own key change, say); a request of ours is answered only by the issuer that was asked.

Whether a credential's form pleases a verifier is for the verifier to say: what its issuer signed is shown as it is.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import structlog

from connector.exchange import credentials
from connector.exchange.ports import Caller, Clock, Ids, Store, Tx
from connector.exchange.records import Asked, Held, HeldCredential
from connector.identity.authorization import claimed_sender
from connector.identity.credential_checks import CredentialChecks
from connector.identity.credentials import Profile, VerifiableCredential, profile_of
from connector.identity.dcp_messages import (
    CredentialContainer,
    CredentialMessage,
    CredentialObject,
    CredentialOfferMessage,
    Decision,
    PresentationQueryMessage,
    PresentationResponseMessage,
)
from connector.identity.jws import b64url
from connector.identity.keys import SigningKey
from connector.identity.presentations import MAX_CREDENTIALS, envelope, sign_presentation
from connector.identity.refusal import Check, Refusal, refusing
from connector.identity.scopes import Scope
from connector.identity.tokens import TokenVerifier
from connector.identity.trusted_issuers import TrustedIssuers
from connector.identity.wallet_access import AccessTokenReader
from connector.protocol.errors import Conflict, PeerError
from connector.protocol.reading import at

STATUS_PATIENCE_S: Final = 1.0
"""How long a verifier waits for an issuer's status list that is not at hand; it looks at the list itself."""
_NEXT_TIME: Final = "reissue"
_TOLD: Final = {
    401: "the sender is not authenticated",
    403: "this wallet does not do that for this sender",
    503: "it cannot be told right now; send again later with a fresh token",
}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletParts:
    """What a wallet is made of. `key` signs presentations; `trusted` are the issuers that may bring credentials."""

    key: SigningKey
    verifier: TokenVerifier
    access: AccessTokenReader
    checks: CredentialChecks
    trusted: TrustedIssuers
    store: Store
    clock: Clock
    ids: Ids


class Wallet:
    """The credentials of one participant, kept in the node's store."""

    def __init__(self, parts: WalletParts) -> None:
        self._with = parts
        self._taken: Callable[[], None] = lambda: None

    def when_taken(self, tell: Callable[[], None]) -> None:
        """Call `tell` each time that credentials have been taken."""
        self._taken = tell

    async def sender(self, authorization: str | None) -> Caller:
        """Who sent a message to the wallet. Raise PeerError 401 or 503; the reason is logged, not told."""
        scheme, _, token = (authorization or "").strip().partition(" ")
        with _denying(None, authorization):
            if scheme.lower() != "bearer" or not token.strip():
                raise Refusal(
                    Check.HEADER, "an Authorization header `Bearer <self-issued token>` is required", status=401
                )
            with refusing(Check.SI_TOKEN, 401):
                proved = await self._with.verifier.verify(token.strip())
        return Caller(proved.issuer, None, proved.jws.payload)

    async def query(self, sender: Caller, doc: object) -> dict[str, Any]:
        """Answer a PresentationQueryMessage. Raise PeerError 400, 401, 501 (presentation definitions) or 503."""
        message = PresentationQueryMessage.parse(doc)
        if message.presentation_definition is not None:
            raise PeerError(501, "ask by scope: presentation definitions are not understood", "/presentationDefinition")
        asked = [Scope.parse(scope, f"/scope/{i}") for i, scope in enumerate(message.scope)]
        with _denying(sender):
            granted = await self._with.access.use(sender.claims.get("token"), reader=sender.id)
        shown = await self._chosen(lambda c: _meant(asked, c) and _meant(granted, c))
        log.info("credentials shown", peer=sender.id, types=[name for c in shown for name in c.types])
        return PresentationResponseMessage(presentation=tuple(self._present(shown, sender.id))).to_json()

    async def present(self, audience: str, scopes: Sequence[Scope]) -> str | None:
        """A presentation for `audience` (a DID) of what we hold for `scopes`, as JWT; None if there is nothing."""
        shown = await self._chosen(lambda credential: _meant(scopes, credential))
        profile = next((credential.profile for credential in shown), None)
        return None if profile is None else self._signed([c for c in shown if c.profile is profile], audience, profile)

    async def deliver(self, sender: Caller, doc: object) -> None:
        """Take a CredentialMessage. Raise PeerError 400, 403, 404 (a rejection of nothing) or 503 (not now)."""
        message = CredentialMessage.parse(doc)
        us = self._with
        with _denying(sender):
            self._heard(sender)
            held = [await self._proved(c, sender, at("/credentials", i)) for i, c in enumerate(message.credentials)]
        pids, now = (sender.id, message.holder_pid, message.issuer_pid), us.clock.now()

        def keep(tx: Tx) -> None:
            if message.status is Decision.ISSUED:
                credentials.take(tx, *pids, held, now=now)
            elif tx.credential_requests.find(message.holder_pid) is None:
                raise PeerError(404, "there is no such request", "/holderPid")
            else:
                credentials.decided(tx, *pids, Asked.REJECTED, message.rejection_reason, now=now)

        with _denying(sender):
            try:
                await us.store.run(keep)
            except Conflict as fault:
                raise Refusal(Check.DELIVERY, fault.reason, fault.pointer) from fault
        if held:
            self._taken()
        types = [name for credential in held for name in credential.types]
        log.info("credentials delivered", issuer=sender.id, types=types, status=message.status.value)

    async def offer(self, sender: Caller, doc: object) -> None:
        """Take a CredentialOfferMessage: ask for what we have not, or are to have anew. Raise PeerError 400 or 403."""
        message = CredentialOfferMessage.parse(doc)
        with _denying(sender):
            self._heard(sender)
            if message.issuer != sender.id:
                raise Refusal(Check.DELIVERY, "an offer of somebody else's credentials", "/issuer")
        us, now = self._with, self._with.clock.now()

        def ask(tx: Tx) -> list[str]:
            have = {name for held in credentials.current(tx, now) for name in held.types}
            wanted = [w for o in message.credentials if (w := self._wanted(o, sender.id, have)) is not None]
            if wanted:
                credentials.ask(tx, sender.id, wanted, now=now, ids=us.ids)
            return wanted

        log.info("credentials offered", issuer=sender.id, asked_for=await us.store.run(ask))

    def _wanted(self, offered: CredentialObject, issuer: str, have: set[str]) -> str | None:
        """How to ask for what is offered (type, else id), None if there is no need to."""
        name = offered.credential_type
        if name is None:
            return offered.id
        needed = name not in have or offered.offer_reason == _NEXT_TIME
        return name if needed and self._with.trusted.trusts(issuer, [name]) else None

    def _heard(self, sender: Caller) -> None:
        if sender.id not in set(self._with.trusted):
            raise Refusal(Check.CREDENTIAL_ISSUER, f"{sender.id} is not a trusted issuer")

    async def _proved(self, container: CredentialContainer, sender: Caller, place: str) -> HeldCredential:
        """A delivered credential, everything about it checked."""
        us = self._with
        profile = profile_of(container.format)
        if profile is None:
            raise PeerError(400, f"the format is one of {', '.join(Profile)}", at(place, "format"))
        try:
            credential = VerifiableCredential.parse(container.payload, profile=profile)
        except Refusal as refusal:
            raise PeerError(400, refusal.reason, at(place, "payload")) from refusal
        if credential.issuer != sender.id:
            raise Refusal(Check.CREDENTIAL_ISSUER, f"{sender.id} delivers what {credential.issuer} has issued", place)
        await us.checks.check(credential, holder=us.key.did)
        return HeldCredential(
            id=b64url(hashlib.sha256(credential.jwt.encode()).digest()),
            created_at=us.clock.now(),
            issuer=credential.issuer,
            state=Held.ISSUED,
            valid_from=credential.valid_from,
            valid_until=credential.valid_until,
            profile=profile.value,
            types=credential.types,
            jwt=credential.jwt,
        )

    async def _chosen(self, meant: Callable[[VerifiableCredential], bool]) -> list[VerifiableCredential]:
        """What may be shown, newest first: not expired, and not taken back as far as we know."""
        now = self._with.clock.now()
        held = await self._with.store.read(lambda tx: credentials.current(tx, now))
        pairs = [(record, _parsed(record.jwt, record.profile)) for record in held]
        wanted = [(record, credential) for record, credential in pairs if meant(credential)][:MAX_CREDENTIALS]
        good = await asyncio.gather(*(self._stands(record, credential) for record, credential in wanted))
        return [credential for (_, credential), stands in zip(wanted, good, strict=True) if stands]

    async def recheck(self) -> dict[str, str]:
        """Look at the status of all that is in force, as issuers publish it now; by id, why some would be refused.

        What its issuer has revoked is noted as such.
        """
        now = self._with.clock.now()
        held = await self._with.store.read(lambda tx: credentials.current(tx, now))
        pairs = [(record, _parsed(record.jwt, record.profile)) for record in held]
        found = await asyncio.gather(*(self._refusal(record, credential, fresh=True) for record, credential in pairs))
        return {record.id: refusal.reason for record, refusal in zip(held, found, strict=True) if refusal is not None}

    async def _stands(self, record: HeldCredential, credential: VerifiableCredential) -> bool:
        """Whether a credential is worth showing."""
        refusal = await self._refusal(record, credential)
        return refusal is None or refusal.check not in (Check.CREDENTIAL_REVOKED, Check.CREDENTIAL_TIME)

    async def _refusal(
        self, record: HeldCredential, credential: VerifiableCredential, *, fresh: bool = False
    ) -> Refusal | None:
        """Why a credential would be refused, as far as we know; one that its issuer has revoked is not shown again.

        fresh: by status lists as they are now, however long that takes.
        """
        try:
            async with asyncio.timeout(None if fresh else STATUS_PATIENCE_S):
                await self._with.checks.recheck(credential, fresh=fresh)
        except TimeoutError:
            return None
        except Refusal as refusal:
            if refusal.check is Check.CREDENTIAL_REVOKED and all(e.purpose != "suspension" for e in credential.status):
                await self._with.store.run(lambda tx: credentials.revoke(tx, record.id))
            return refusal
        return None

    def _present(self, shown: Sequence[VerifiableCredential], audience: str) -> Iterable[str | dict[str, Any]]:
        """One presentation for each data model, as their formats do not mix."""
        for profile in Profile:
            if same := [credential for credential in shown if credential.profile is profile]:
                jwt = self._signed(same, audience, profile)
                yield jwt if profile is Profile.VC11 else envelope(jwt)

    def _signed(self, shown: Sequence[VerifiableCredential], audience: str, profile: Profile) -> str:
        us = self._with
        jwts = [credential.jwt for credential in shown]
        return sign_presentation(us.key, jwts, audience=audience, jti=us.ids(), now=us.clock.now(), profile=profile)


def _meant(scopes: Sequence[Scope], credential: VerifiableCredential) -> bool:
    return any(scope.covers(credential.types, credential.id) for scope in scopes)


@lru_cache(maxsize=64)
def _parsed(jwt: str, profile: str) -> VerifiableCredential:
    return VerifiableCredential.parse(jwt, profile=Profile(profile))


@contextmanager
def _denying(sender: Caller | None, authorization: str | None = None) -> Iterator[None]:
    """Log why somebody is refused; the sender is told no more than the kind of it.

    authorization: the header of a sender that is not proven yet.
    """
    try:
        yield
    except Refusal as refusal:
        log.warning(
            "denied",
            surface="wallet",
            check=refusal.check.value,
            reason=refusal.reason,
            place=refusal.pointer,
            peer=sender.id if sender else claimed_sender(authorization),
            proven=sender is not None,
        )
        raise PeerError(refusal.status, _TOLD[refusal.status]) from None
