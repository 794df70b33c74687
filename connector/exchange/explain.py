"""Why an offer is visible to somebody or not, or would be: a policy judged without any consequence.

The same function judges here as in an exchange, on the same kind of circumstances. What the question leaves open is
filled with what this node knows of the counterparty: its number (directory), its groups, and what it has proven last.
Credentials that are pasted into the question are taken at their word: nothing is verified, and nothing comes of it.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.terms import groups_of
from connector.policy.circumstances import Circumstances, Counterparty, ProvenCredential, Scope
from connector.policy.evaluate import Verdict, evaluate
from connector.policy.model import Policy
from connector.protocol.errors import Invalid

MAX_CREDENTIALS: Final = 32
_JWT_PARTS: Final = 3
_CREDENTIAL: Final = "VerifiableCredential"
_LAST_YEAR_S: Final = 253_402_300_799  # the end of 9999
_NUMBERS: Final = ("bpn", "holderIdentifier")


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks for what, when. None: what this node knows, or now; `agreed_at` None: there is no agreement yet.

    participant_id: or a BPN that the directory knows.
    policy: itself, or the id of a policy definition. used: transfers that there have been under the agreement.
    """

    policy: Policy | str
    scope: Scope
    participant_id: str
    bpn: str | None = None
    groups: frozenset[str] | None = None
    credentials: tuple[ProvenCredential, ...] | None = None
    claims: Mapping[str, object] | None = None
    at: int | None = None
    agreed_at: int | None = None
    used: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict, and what it was judged by."""

    verdict: Verdict
    policy: Policy
    circumstances: Circumstances


async def explain(node: Node, question: Question) -> Answer:
    """Judge. Raise NotFound if there is no policy of that id."""
    ident = await node.directory.find(question.participant_id) or question.participant_id
    credentials = question.credentials
    if credentials is None:
        credentials = await node.identity.shown(ident)
    bpn = question.bpn or _number(credentials) or node.directory.bpn_of(ident)

    def read(tx: Tx) -> tuple[Policy, frozenset[str]]:
        policy = tx.policies.get(question.policy).policy if isinstance(question.policy, str) else question.policy
        return policy, groups_of(tx, ident, bpn) if question.groups is None else question.groups

    policy, groups = await node.store.read(read)
    party = Counterparty(ident, bpn, question.claims or {}, credentials, groups)
    now = node.clock.now() if question.at is None else question.at
    circumstances = Circumstances(question.scope, party, now, question.agreed_at, question.used)
    return Answer(evaluate(policy, circumstances), policy, circumstances)


def _number(credentials: Sequence[ProvenCredential]) -> str | None:
    """The business partner number that pasted credentials name."""
    named = (credential.subject.get(member) for credential in credentials for member in _NUMBERS)
    return next((value for value in named if isinstance(value, str)), None)


def pasted(documents: object, pointer: str = "/credentials") -> tuple[ProvenCredential, ...]:
    """Read credentials as people have them at hand: JSON of a credential, a JWT with one in it, or a type's name.

    Raise Invalid with the place of what is none of these.
    """
    if not isinstance(documents, list) or len(documents) > MAX_CREDENTIALS:
        raise Invalid(f"credentials are a list of at most {MAX_CREDENTIALS}", pointer)
    return tuple(_credential(document, f"{pointer}/{i}") for i, document in enumerate(documents))


def _credential(document: object, at: str) -> ProvenCredential:
    claims: Mapping[str, Any] = {}
    if isinstance(document, str):
        if document.count(".") == _JWT_PARTS - 1:
            claims = _claims(document, at)
            document = claims.get("vc", claims)
        else:
            document = {"type": document}
    if not isinstance(document, Mapping):
        raise Invalid("a credential is an object, a JWT or the name of its type", at)
    types = [name for name in _listed(document.get("type")) if isinstance(name, str)]
    names = tuple(name.rpartition("/")[2].rpartition("#")[2] for name in types if name != _CREDENTIAL)
    if not names:
        raise Invalid("a credential has a type", f"{at}/type", document.get("type"))
    subject: object = next(iter(_listed(document.get("credentialSubject"))), {})
    if not isinstance(subject, Mapping):
        raise Invalid("the subject of a credential is an object", f"{at}/credentialSubject", subject)
    ident = document.get("id")
    return ProvenCredential(
        ident if isinstance(ident, str) else None,
        names,
        _issuer(document, claims, at),
        subject,
        min(_times(document, ("validUntil", "expirationDate"), claims, ("exp",), at), default=None),
        max(_times(document, ("validFrom", "issuanceDate"), claims, ("nbf", "iat"), at), default=None),
    )


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _claims(text: str, at: str) -> Mapping[str, Any]:
    """The payload of a JWT. It says of the credential in it what that does not say itself (VC-DM 1.1, 6.3.1)."""
    part = text.split(".")[1]
    try:
        payload = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise Invalid("this is not a JWT with a credential in it", at)
    return payload


def _issuer(document: Mapping[str, Any], claims: Mapping[str, Any], at: str) -> str:
    named = document.get("issuer")
    named = named.get("id") if isinstance(named, Mapping) else named
    told = claims.get("iss")
    if named is not None and told is not None and named != told:
        raise Invalid("iss and the credential's issuer are the same, or no verifier takes it", f"{at}/iss", told)
    return str(named or told or "an issuer that was not named")


def _times(
    document: Mapping[str, Any], dates: Sequence[str], claims: Mapping[str, Any], seconds: Sequence[str], at: str
) -> list[int]:
    """All that is said of one bound, in ms. Of times that differ verifiers go by the stricter one, and so do we."""
    said = [_instant(document[name], f"{at}/{name}") for name in dates if document.get(name) is not None]
    return said + [_seconds(claims[name], f"{at}/{name}") for name in seconds if claims.get(name) is not None]


def _instant(value: object, at: str) -> int:
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise Invalid("the dates of a credential are ISO 8601 instants", at, value) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _seconds(value: object, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_YEAR_S:
        raise Invalid("the times of a JWT are seconds since 1970", at, value)
    return int(value * 1000)
