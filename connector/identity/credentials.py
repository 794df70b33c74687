"""Verifiable credentials as JWTs, in the two profiles of DCP 1.0: read from strangers, and made.

`vc11-sl2021/jwt` is W3C VC 1.1 with the credential in the claim `vc` (what Catena-X uses), `vc20-bssl/jwt` is W3C VC
2.0 with the credential as the payload itself. Where the JWT and the credential in it say the same thing twice, they
must not contradict each other; of two times the stricter counts. Reading proves nothing: signature, trust and status
are looked at by those who know the world (credential_checks.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.identity.proofs import kid_of
from connector.identity.refusal import Check, Refusal, refusing
from connector.identity.replay import LEEWAY_S
from connector.identity.status_list import StatusEntry, parse_status
from connector.policy.circumstances import ProvenCredential
from connector.protocol.errors import Invalid, PeerError
from connector.protocol.reading import at, checked, items, obj, optional_text, text

CONTEXT_1: Final = "https://www.w3.org/2018/credentials/v1"
CONTEXT_2: Final = "https://www.w3.org/ns/credentials/v2"
CATENA_X_CONTEXT: Final = "https://w3id.org/catenax/credentials/v1.0.0"
CREDENTIAL: Final = "VerifiableCredential"
MAX_CHARS: Final = 1 << 18
"""Longest credential read: a status list is one too."""

_CATENA_X_TYPES: Final = "https://w3id.org/catenax/credentials/"
_LONGEST_DATE: Final = 40
_LAST_YEAR_S: Final = 253_402_300_799  # the end of 9999, in seconds


class Profile(StrEnum):
    """Data model, status list and proof that belong together (DCP 1.0, appendix)."""

    VC11 = "vc11-sl2021/jwt"
    VC20 = "vc20-bssl/jwt"


_FORMATS: Final = {
    **{profile.value: profile for profile in Profile},
    "vc10-sl2021/jwt": Profile.VC11,  # a misprint of the standard's examples
    "VC1_0_JWT": Profile.VC11,  # EDC
    "VC2_0_JOSE": Profile.VC20,
    "jwt": Profile.VC11,
}


def profile_of(name: str) -> Profile | None:
    """The profile that a `format` or `profile` of a message stands for, None if we do not know it."""
    return _FORMATS.get(name)


@dataclass(frozen=True, slots=True)
class SchemaReference:
    """One entry of `credentialSchema`: where the schema lies, and of which kind it says that it is."""

    url: str
    type: str


@dataclass(frozen=True, slots=True)
class VerifiableCredential:
    """A credential as its JWT says it, nothing proved. Times in ms, None where it sets no bound.

    `types` are short names without `VerifiableCredential`; `json` is the credential in the form of its data model.
    """

    jwt: str = field(repr=False)
    jws: CompactJws = field(repr=False)
    json: Mapping[str, Any] = field(repr=False)
    profile: Profile
    id: str | None
    types: tuple[str, ...]
    issuer: str
    subjects: tuple[Mapping[str, Any], ...]
    valid_from: int | None
    valid_until: int | None
    status: tuple[StatusEntry, ...]
    schemas: tuple[SchemaReference, ...]

    @classmethod
    def parse(cls, jwt: str, *, profile: Profile | None = None) -> Self:
        """Take a credential apart. Raise Refusal 403 (check `credential`) with the place of what is wrong.

        profile: what its issuer says that it is, in a delivery to its holder; without that its contexts and types have
        to tell.
        """
        with refusing(Check.CREDENTIAL):
            jws = CompactJws.parse(jwt, max_chars=MAX_CHARS)
            doc, place = _document(jws.payload)
            issuer = _issuer(doc, place)
            if jws.payload.get("iss", issuer if not place else None) != issuer:
                raise PeerError(403, "iss and the credential's issuer must be the same", "/iss")
            kid_of(jws.header, issuer)
            valid_from, valid_until = _times(jws.payload, doc, place)
            return cls(
                jwt=jwt,
                jws=jws,
                json=doc,
                profile=profile or _profile(doc, place),
                id=optional_text(doc, "id", place),
                types=_types(doc, place, told=profile is not None),
                issuer=issuer,
                subjects=_subjects(doc, place),
                valid_from=valid_from,
                valid_until=valid_until,
                status=tuple(parse_status(entry, p) for entry, p in items(doc, "credentialStatus", place)),
                schemas=tuple(_schema(entry, p) for entry, p in items(doc, "credentialSchema", place)),
            )

    def check_time(self, now: int) -> None:
        """Raise Refusal 403 unless the credential is valid at `now` (ms), give or take the leeway of clocks."""
        leeway = LEEWAY_S * 1000
        if self.valid_from is not None and now + leeway < self.valid_from:
            raise Refusal(Check.CREDENTIAL_TIME, f"the {self.name} is not valid yet")
        if self.valid_until is not None and now - leeway >= self.valid_until:
            raise Refusal(Check.CREDENTIAL_TIME, f"the {self.name} has expired; its holder has to renew it")

    @property
    def name(self) -> str:
        """What to call it in a log line."""
        return "/".join(self.types) or CREDENTIAL

    def proven(self) -> tuple[ProvenCredential, ...]:
        """What it says, one for each subject; for policies, once everything about it is checked."""
        return tuple(ProvenCredential(self.id, self.types, self.issuer, s, self.valid_until) for s in self.subjects)


def _document(payload: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The credential and its place in the payload: in `vc`, or the payload itself, not both."""
    if "vc" not in payload:
        return dict(payload), ""
    if "@context" in payload:
        raise PeerError(403, "the payload and its claim vc are both a credential: which one counts?", "/vc")
    return obj(payload["vc"], "/vc"), "/vc"


def _profile(doc: dict[str, Any], place: str) -> Profile:
    context = next((value for value, _ in items(doc, "@context", place)), None)
    if context == CONTEXT_1 and place:
        return Profile.VC11
    if context == CONTEXT_2:
        return Profile.VC20
    raise PeerError(
        403, f"the first context must be {CONTEXT_1} (in the claim vc) or {CONTEXT_2}", at(place, "@context")
    )


def _types(doc: dict[str, Any], place: str, *, told: bool) -> tuple[str, ...]:
    types = [checked(value, p).removeprefix(_CATENA_X_TYPES) for value, p in items(doc, "type", place)]
    if CREDENTIAL not in types and not told:
        raise PeerError(403, f"one of the types must be {CREDENTIAL}", at(place, "type"))
    return tuple(dict.fromkeys(name for name in types if name != CREDENTIAL))


def _issuer(doc: dict[str, Any], place: str) -> str:
    issuer = doc.get("issuer")
    if isinstance(issuer, dict):
        return text(issuer, "id", at(place, "issuer"))
    return text(doc, "issuer", place)


def _subjects(doc: dict[str, Any], place: str) -> tuple[Mapping[str, Any], ...]:
    subjects = tuple(obj(value, p) for value, p in items(doc, "credentialSubject", place))
    if not subjects:
        raise PeerError(403, "a credential says something about somebody", at(place, "credentialSubject"))
    return subjects


def _schema(entry: object, place: str) -> SchemaReference:
    doc = obj(entry, place)
    return SchemaReference(text(doc, "id", place), text(doc, "type", place))


def _times(claims: Mapping[str, Any], doc: dict[str, Any], place: str) -> tuple[int | None, int | None]:
    """(from, until) in ms: the latest of all beginnings and the earliest of all ends."""
    starts = [_seconds(claims, name) for name in ("nbf", "iat") if claims.get(name) is not None]
    starts += [_date(doc, name, place) for name in ("issuanceDate", "validFrom") if doc.get(name) is not None]
    ends = [_seconds(claims, "exp")] if claims.get("exp") is not None else []
    ends += [_date(doc, name, place) for name in ("expirationDate", "validUntil") if doc.get(name) is not None]
    return max(starts, default=None), min(ends, default=None)


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_YEAR_S:
        raise PeerError(403, f"{name} must be a number of seconds", f"/{name}")
    return int(value * 1000)


def _date(doc: dict[str, Any], name: str, place: str) -> int:
    value = checked(doc[name], at(place, name), limit=_LONGEST_DATE)
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        read = None
    if read is None or "T" not in value.upper():
        raise PeerError(403, f"{name} must be a date and time (XML Schema dateTime)", at(place, name))
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)


def iso(ms: int) -> str:
    """A time as credentials write it: UTC, whole seconds."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def credential(
    profile: Profile,
    *,
    identifier: str,
    types: Sequence[str],
    issuer: str,
    subject: Mapping[str, Any],
    valid_from: int,
    valid_until: int | None = None,
    status: StatusEntry | None = None,
    contexts: Sequence[str] = (),
) -> dict[str, Any]:
    """A credential as JSON, to be signed. Times in ms; `types` and `contexts` come after those of the data model.

    identifier: a URI (`urn:uuid:...`). subject: with the holder's DID as `id`.
    """
    first, begin, end = {
        Profile.VC11: (CONTEXT_1, "issuanceDate", "expirationDate"),
        Profile.VC20: (CONTEXT_2, "validFrom", "validUntil"),
    }[profile]
    doc: dict[str, Any] = {
        "@context": [first, *contexts],
        "id": identifier,
        "type": [CREDENTIAL, *types],
        "issuer": issuer,
        begin: iso(valid_from),
    }
    if valid_until is not None:
        doc[end] = iso(valid_until)
    if status is not None:
        doc["credentialStatus"] = status.to_json()
    return {**doc, "credentialSubject": dict(subject)}


def sign_credential(key: SigningKey, doc: Mapping[str, Any], *, wrapped: bool = False) -> str:
    """A credential as JWT by its issuer's key. Raise Invalid if the key is somebody else's.

    wrapped: in the claim `vc` although it is of VC 2.0: EDC reads status lists of either kind only there.
    """
    if doc["issuer"] != key.did:
        raise Invalid("a credential is signed by its issuer", "/issuer", doc["issuer"])
    begin, end = doc.get("issuanceDate") or doc.get("validFrom"), doc.get("expirationDate") or doc.get("validUntil")
    claims: dict[str, Any] = {"iss": key.did, "jti": doc["id"]}
    if isinstance(subject := doc["credentialSubject"].get("id"), str):
        claims["sub"] = subject
    if begin is not None:
        claims["iat"] = claims["nbf"] = int(datetime.fromisoformat(begin).timestamp())
    if end is not None:
        claims["exp"] = int(datetime.fromisoformat(end).timestamp())
    if wrapped or doc["@context"][0] == CONTEXT_1:
        return key.sign_jwt({**claims, "vc": doc})
    return key.sign_jwt({**doc, **claims}, {"typ": "vc+jwt"})
