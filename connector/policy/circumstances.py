"""What a policy is judged by, and what an operand finds in it. The clock and the identity are arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scope = Literal["catalog", "negotiation", "transfer"]


@dataclass(frozen=True, slots=True)
class ProvenCredential:
    """What a trusted issuer says of a counterparty: valid and not revoked when it was looked at.

    `types` are short names (`MembershipCredential`), `subject` is the credential's as JSON, `valid_until` in ms.
    """

    id: str | None
    types: tuple[str, ...]
    issuer: str
    subject: Mapping[str, object]
    valid_until: int | None


@dataclass(frozen=True, slots=True)
class Counterparty:
    """Who asks, by its verified token: participant id (a DID), BPN if a credential proves one.

    `claims` are what its token says: the counterparty's own words. `credentials` are what others say of it.
    """

    id: str
    bpn: str | None
    claims: Mapping[str, object]
    credentials: tuple[ProvenCredential, ...] = ()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When and for whom a policy is judged. Times are milliseconds since the epoch.

    `agreed_at` is when the agreement was concluded, None while there is none.
    """

    scope: Scope
    counterparty: Counterparty
    now: int
    agreed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What an operand says of a constraint: true, false, or None for "cannot be checked".

    found: for a person, completes "... is (not) met" ("by BPNL...") or "... cannot be checked: " (why).
    pending: nothing can be said before there is an agreement; this never stands in the way of concluding one.
    """

    truth: bool | None
    found: str
    pending: bool = False
