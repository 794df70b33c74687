"""Whether a credential counts here (DCP 1.0, 5.4.3): for whom, by whom, since when, and still.

Cheap checks and those without a network call come first; nothing that a credential names is fetched before its
signature is proved to be a trusted issuer's, so a stranger cannot send us anywhere.
"""

from collections.abc import Sequence
from typing import Final

from connector.exchange.ports import Clock
from connector.identity.credential_schemas import CredentialSchemas
from connector.identity.credentials import VerifiableCredential
from connector.identity.directory import BPN
from connector.identity.proofs import ASSERTING, Proofs
from connector.identity.refusal import Check, Refusal, refusing
from connector.identity.scopes import Scope
from connector.identity.status_lists import StatusLists
from connector.identity.trusted_issuers import TrustedIssuers

_PROVING: Final = frozenset({"BpnCredential", "MembershipCredential"})


class CredentialChecks:
    """All checks of a single credential."""

    def __init__(
        self,
        trusted: TrustedIssuers,
        proofs: Proofs,
        schemas: CredentialSchemas,
        statuses: StatusLists,
        clock: Clock,
    ) -> None:
        self._trusted = trusted
        self._proofs = proofs
        self._schemas = schemas
        self._statuses = statuses
        self._clock = clock

    async def check(self, credential: VerifiableCredential, *, holder: str) -> None:
        """Raise Refusal unless it is `holder`'s (a DID), a trusted issuer's, and in force; 403 final, 503 not now."""
        if any(subject.get("id") != holder for subject in credential.subjects):
            raise Refusal(Check.CREDENTIAL_SUBJECT, f"the {credential.name} is about somebody else than its holder")
        self._trusted.check(credential.issuer, credential.types)
        credential.check_time(self._clock.now())
        with refusing(Check.CREDENTIAL_SIGNATURE):
            await self._proofs.check(credential.jws, credential.issuer, ASSERTING)
        await self._schemas.check(credential)
        await self._statuses.check(credential)

    async def recheck(self, credential: VerifiableCredential, *, fresh: bool = False) -> None:
        """Check what changes with time: dates and status (`fresh`: as it is published now). Raise Refusal."""
        credential.check_time(self._clock.now())
        await self._statuses.check(credential, fresh=fresh)


def check_coverage(scopes: Sequence[Scope], credentials: Sequence[VerifiableCredential]) -> None:
    """Raise Refusal 403 (`credential-missing`) unless each scope is answered; more than was asked for is no fault."""
    for scope in scopes:
        if not any(scope.covers(c.types, c.id) for c in credentials):
            raise Refusal(Check.CREDENTIAL_MISSING, f"no {scope.discriminator} was presented")


def bpn_of(credentials: Sequence[VerifiableCredential]) -> str | None:
    """The BPN that the credentials prove (Catena-X CX-0050), None if they prove none.

    Any of them may name it, but only those that are issued to say it prove it: who is trusted for dismantlers does not
    give out partner numbers. Raise Refusal 403 (`bpn`) if it is malformed, or if they name more than one.
    """
    named: set[str] = set()
    proven = None
    for credential in credentials:
        for bpn in (s[member] for s in credential.subjects for member in ("bpn", "holderIdentifier") if member in s):
            if not isinstance(bpn, str) or not BPN.fullmatch(bpn):
                raise Refusal(Check.BPN, f"the {credential.name} names a BPN that is none")
            named.add(bpn)
            proven = bpn if _PROVING.intersection(credential.types) else proven
    if len(named) > 1:
        raise Refusal(Check.BPN, f"the credentials name different partners: {', '.join(sorted(named))}")
    return proven
