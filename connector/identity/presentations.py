"""Verifiable presentations as JWTs: what a holder shows to one verifier, for a minute (DCP 1.0, 5.4).

A presentation is bound twice: `iss` and the key say whose it is, `aud` says for whom, so one that was shown to somebody
else is worth nothing here. VC 1.1 has it in the claim `vp`, with credentials as JWT strings; VC 2.0 has it as the
payload, with everything in envelopes (`data:application/vc+jwt,...`). Both ways of listing are read for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from connector.identity.credentials import CONTEXT_1, CONTEXT_2, Profile, VerifiableCredential
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.identity.proofs import kid_of
from connector.identity.refusal import Check, Refusal, refusing
from connector.identity.replay import LEEWAY_S
from connector.protocol.errors import PeerError
from connector.protocol.reading import at, checked, items, obj, text

PRESENTATION: Final = "VerifiablePresentation"
LIFETIME_S: Final = 60
MAX_CHARS: Final = 1 << 18
MAX_CREDENTIALS: Final = 16
"""In one presentation; each costs a signature."""

_SUBMISSION: Final = "https://identity.foundation/presentation-exchange/submission/v1"
_VC_DATA: Final = "data:application/vc+jwt,"
_VP_DATA: Final = "data:application/vp+jwt,"
_LAST_S: Final = 1 << 53  # what JSON numbers hold exactly


@dataclass(frozen=True, slots=True)
class VerifiablePresentation:
    """A presentation as its JWT says it, nothing proved. Times in seconds."""

    jws: CompactJws = field(repr=False)
    holder: str
    audience: tuple[str, ...]
    not_before: float
    expires_at: float
    credentials: tuple[VerifiableCredential, ...]

    @classmethod
    def parse(cls, presented: object) -> Self:
        """Take one item of a presentation response apart: a JWT, or an envelope around one.

        Raise Refusal 401 (`presentation`), or 403 (`credential`) for a credential in it.
        """
        with refusing(Check.PRESENTATION, 401):
            jws = CompactJws.parse(_unwrap(presented, _VP_DATA, ""), max_chars=MAX_CHARS)
            claims = dict(jws.payload)
            doc, place = (obj(claims["vp"], "/vp"), "/vp") if "vp" in claims else (claims, "")
            if PRESENTATION not in [value for value, _ in items(doc, "type", place)]:
                raise PeerError(401, f"the type must be {PRESENTATION}", at(place, "type"))
            if next((value for value, _ in items(doc, "@context", place)), None) not in (CONTEXT_1, CONTEXT_2):
                raise PeerError(401, f"the first context must be {CONTEXT_1} or {CONTEXT_2}", at(place, "@context"))
            holder = text(claims, "iss")
            if _holder(doc, place, holder) != holder or claims.get("sub", holder) != holder:
                raise PeerError(401, "iss, sub and holder of a presentation must be the same DID", "/iss")
            kid_of(jws.header, holder)
            listed = items(doc, "verifiableCredential", place)
            if len(listed) > MAX_CREDENTIALS:
                raise PeerError(401, f"more than {MAX_CREDENTIALS} credentials", at(place, "verifiableCredential"))
            return cls(
                jws=jws,
                holder=holder,
                audience=tuple(checked(value, p) for value, p in items(claims, "aud")),
                not_before=max((_time(claims, name) for name in ("nbf", "iat") if name in claims), default=0),
                expires_at=_time(claims, "exp"),
                credentials=tuple(VerifiableCredential.parse(_unwrap(value, _VC_DATA, p)) for value, p in listed),
            )

    def check(self, *, holder: str, audience: str, now: int) -> None:
        """Raise Refusal 401 unless it is `holder`'s, made for `audience` (DIDs), and valid at `now` (ms)."""
        if self.holder != holder:
            raise Refusal(Check.PRESENTATION_HOLDER, "it is somebody else's presentation", "/iss", status=401)
        if audience not in self.audience:
            raise Refusal(Check.PRESENTATION_AUDIENCE, "it was made for another verifier", "/aud", status=401)
        if self.expires_at < now / 1000 - LEEWAY_S:
            raise Refusal(Check.PRESENTATION_TIME, "the presentation has expired", "/exp", status=401)
        if self.not_before > now / 1000 + LEEWAY_S:
            raise Refusal(Check.PRESENTATION_TIME, "the presentation is not valid yet", "/nbf", status=401)


def _unwrap(value: object, prefix: str, place: str) -> str:
    """The JWT in an envelope of VC 2.0, or the JWT itself."""
    if isinstance(value, dict):
        value, place = value.get("id"), at(place, "id")
        if not isinstance(value, str) or not value.startswith(prefix):
            raise PeerError(401, f"expected a JWT, or an envelope {prefix}...", place)
        value = value.removeprefix(prefix)
    if not isinstance(value, str):
        raise PeerError(401, "expected a JWT, or an envelope around one", place)
    return value


def _holder(doc: dict[str, Any], place: str, default: str) -> str:
    """Who the presentation says it is of, in itself; `default` if it does not (null: as if it were not there)."""
    holder, place = doc.get("holder"), at(place, "holder")
    if isinstance(holder, dict):
        return text(holder, "id", place)
    return default if holder is None else checked(holder, place)


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_S:
        raise PeerError(401, f"{name} must be a number of seconds", f"/{name}")
    return value


def sign_presentation(
    key: SigningKey, credentials: Sequence[str], *, audience: str, jti: str, now: int, profile: Profile = Profile.VC11
) -> str:
    """A presentation of these credential JWTs (all of `profile`) by the key's DID, for `audience` (a DID).

    jti: a fresh id. now: ms.
    """
    issued = now // 1000  # down, so that it is never in the future of a receiver without leeway
    claims: dict[str, Any] = {"iss": key.did, "sub": key.did, "aud": audience, "jti": jti}
    claims |= {"iat": issued, "nbf": issued, "exp": issued + LIFETIME_S}
    if profile is Profile.VC11:
        vp = {
            "@context": [CONTEXT_1, _SUBMISSION],
            "type": [PRESENTATION],
            "holder": key.did,
            "verifiableCredential": list(credentials),
        }
        return key.sign_jwt({**claims, "vp": vp})
    enveloped = [
        {"@context": CONTEXT_2, "type": "EnvelopedVerifiableCredential", "id": _VC_DATA + jwt} for jwt in credentials
    ]
    claims |= {"@context": [CONTEXT_2], "type": [PRESENTATION], "holder": key.did, "verifiableCredential": enveloped}
    return key.sign_jwt(claims, {"typ": "vp+jwt"})


def envelope(presentation: str) -> dict[str, Any]:
    """A presentation of VC 2.0 as it stands in a presentation response."""
    return {"@context": CONTEXT_2, "type": "EnvelopedVerifiablePresentation", "id": _VP_DATA + presentation}
