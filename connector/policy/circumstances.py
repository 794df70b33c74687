"""What a policy is judged by, and what an operand finds in it. The clock and the identity are arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scope = Literal["catalog", "negotiation", "transfer", "monitor"]
"""When a policy is judged. "monitor": while a transfer runs, without a message of the counterparty at hand."""
Waiver = Literal["later", "earlier", "legal"]
"""Why a constraint stands in nobody's way although it was not checked: it can only be checked once there is an
agreement; it was checked when the counterparty last proved who it is; it is an agreement between people."""


@dataclass(frozen=True, slots=True)
class ProvenCredential:
    """What a trusted issuer says of a counterparty: valid and not revoked when it was looked at.

    `types` are short names (`MembershipCredential`), `subject` is the credential's as JSON, `valid_until` in ms.
    `valid_from` (ms) matters for moments other than that at which it was looked at.
    """

    id: str | None
    types: tuple[str, ...]
    issuer: str
    subject: Mapping[str, object]
    valid_until: int | None
    valid_from: int | None = None


@dataclass(frozen=True, slots=True)
class Counterparty:
    """Who asks, by its verified token: participant id (a DID), BPN if a credential proves one.

    `claims` are what its token says: the counterparty's own words. `credentials` are what others say of it, `groups`
    are those that our own operator has put it into.
    """

    id: str
    bpn: str | None
    claims: Mapping[str, object]
    credentials: tuple[ProvenCredential, ...] = ()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When and for whom a policy is judged. Times are milliseconds since the epoch.

    `agreed_at` is when the agreement was concluded, None while there is none. `used` is how many other transfers have
    been started under it, None if nobody counted.
    """

    scope: Scope
    counterparty: Counterparty
    now: int
    agreed_at: int | None = None
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What an operand says of a constraint: true, false, or None for "cannot be checked".

    found: for a person, completes "... is (not) met" ("by BPNL...") or "... cannot be checked: " (why).
    waived: nothing was checked, for a reason that must not stand in the way; see `Waiver`.
    """

    truth: bool | None
    found: str
    waived: Waiver | None = None
