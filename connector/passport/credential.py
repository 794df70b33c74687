"""The passport credential: one SD-JWT for each version of a passport, opened group by group.

Every group of the class map is one disclosure: an object from JSON pointers to values. The digests stand by class, so a
reader who is not let into a class still sees that the class exists, and nothing about what is in it: each class always
has as many digests as the map has groups for it, in no order, and decoys stand for groups that this passport lacks.
Presence is information: whether there was an accident must not be told by the length of a list. For the same reason no
digest of the whole passport stands in clear, by which who knows all but one field could guess that field.

The salts are made once and kept with the version, so that all readers of a version can see that they hold the same.
The version before is named by the digest of its JWT, which tells nothing either. The holder is the operator's node,
which binds each presentation to a reader, the reader's nonce and the agreement.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from connector.passport import sdjwt
from connector.passport.disclosure import ClassMap, assemble
from connector.passport.sdjwt import Disclosure, Jwt, JwtSigner, SdJwt
from connector.passport.signature import Resolve, Signer
from connector.protocol.errors import Invalid, PeerError

TYPE: Final = "dc+sd-jwt"
"""The media type of the drafts of SD-JWT VC; the names `vct` and `cnf` are theirs too."""
VCT: Final = "urn:battery-passport-connector:passport:1"
AGREEMENT: Final = "agreement_id"
"""The claim of our own in the key-binding JWT: under which agreement a presentation was made."""
MAX_CHARS: Final = sdjwt.MAX_CHARS - (8 << 10)
"""Of a credential with all its disclosures: with a key-binding JWT it must still be what readers take."""
_GROUPS: Final = "groups"


@dataclass(frozen=True, slots=True)
class About:
    """What everybody who gets the credential may know. `version` counts from 1; `issued_s` is in seconds.

    `supersedes`: digest of the JWT of the version before. `class_map`, `completeness`: editions of the tables used.
    """

    passport_id: str
    aspect: str
    version: int
    issued_s: int
    class_map: str
    completeness: str
    supersedes: str | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential with all that can be disclosed; `disclosures` are secret."""

    jwt: str
    disclosures: tuple[Disclosure, ...] = field(repr=False)

    @property
    def digest(self) -> str:
        """What the next version names it by."""
        return sdjwt.digest_of(self.jwt)

    @property
    def class_map(self) -> str:
        """The edition of the map that its groups were made by."""
        return str(Jwt.parse(self.jwt, "the credential").payload.get("class_map"))

    @property
    def kid(self) -> str:
        """The key that signed it."""
        return str(Jwt.parse(self.jwt, "the credential").header.get("kid"))


def issue(about: About, fields: Mapping[str, Any], classes: ClassMap, key: JwtSigner, salts: Iterable[bytes]) -> Issued:
    """Sign a version of a passport, given as fields (`ClassMap.split`).

    salts: fresh random bytes (at least `sdjwt.SALT_BYTES` each), one for every group of the map.
    Raise Invalid if a field is not in the map, the salts do not suffice, or it would be longer than readers take.
    """
    by_group: dict[str, dict[str, Any]] = {}
    for place, value in fields.items():
        by_group.setdefault(classes.group_of(place).title, {})[place] = value
    disclosures: list[Disclosure] = []
    digests: dict[str, list[str]] = {name: [] for name in classes.classes}
    fresh = iter(salts)
    for group in classes.groups:
        if (salt := next(fresh, None)) is None:
            raise Invalid("there are fewer salts than groups")
        made = Disclosure.make(salt, group.title, by_group.get(group.title, {}))
        digests[group.disclosure_class].append(made.digest)  # without fields it is a decoy: nobody ever gets to see it
        if group.title in by_group:
            disclosures.append(made)
    own = {
        "iss": Signer.of(key.kid).did,
        "iat": about.issued_s,
        "vct": VCT,
        "sub": about.passport_id,
        "cnf": {"kid": Signer.of(key.kid).did},
        "aspect": about.aspect,
        "version": about.version,
        "class_map": about.class_map,
        "completeness": about.completeness,
        **({} if about.supersedes is None else {"supersedes": about.supersedes}),
        _GROUPS: {name: {"_sd": sorted(found)} for name, found in digests.items() if found},
    }
    issued = Issued(sdjwt.sign(own, key, TYPE), tuple(disclosures))
    if (size := len(issued.jwt) + sum(len(made.encoded) + 1 for made in disclosures)) > MAX_CHARS:
        raise Invalid(f"the passport is too long: as a credential it has {size} characters; readers take {MAX_CHARS}")
    return issued


def present(issued: Issued, classes: ClassMap, granted: Iterable[str]) -> SdJwt:
    """The credential with the groups that a reader of these classes may see.

    Raise Invalid if its groups were made by another edition of the map: they cannot be cut anew under one signature.
    """
    if issued.class_map != classes.edition:
        raise Invalid(
            f"the passport was signed by edition {issued.class_map} of the class map; this node has {classes.edition}:"
            " publish it again"
        )
    wanted = frozenset(granted)
    shown = {group.title for group in classes.groups if group.disclosure_class in wanted}
    return SdJwt(issued.jwt, sdjwt.select(issued.disclosures, lambda disclosure: disclosure.name in shown))


@dataclass(frozen=True, slots=True)
class Shown:
    """A field that is visible: where, in which group of which class, and the digest by which the issuer signed it."""

    place: str
    group: str
    disclosure_class: str
    digest: str


@dataclass(frozen=True, slots=True)
class Credential:
    """What a proven presentation says. `hidden` are pairs (class, digest): withheld groups and decoys alike."""

    about: About
    issuer: str
    kid: str
    shown: tuple[Shown, ...]
    hidden: tuple[tuple[str, str], ...]
    passport: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, text: str, resolve: Resolve, still_good: Callable[[int], bool] = lambda _: True) -> Self:
        """Prove a presentation and read it.

        still_good: judges when it was issued (seconds). Raise PeerError 400 naming what does not hold, and what
        `resolve` raises.
        """
        presentation = SdJwt.parse(text)
        token = Jwt.parse(presentation.jwt, "the credential")
        signer = Signer.of(token.header.get("kid"))
        if token.header.get("typ") != TYPE or token.payload.get("vct") != VCT:
            raise PeerError(400, f"the credential is not a passport credential ({TYPE}, {VCT})")
        if not token.verify(resolve(signer.kid)):
            raise PeerError(400, f"the credential is not what {signer.kid} signed")
        if token.payload.get("iss") != signer.did:
            raise PeerError(400, "the credential names an issuer whose key it is not signed with", "/iss")
        about = _about(token.payload)
        if not still_good(about.issued_s):
            raise PeerError(400, "the credential was issued in the future", "/iat")
        disclosures = [_named(number, encoded) for number, encoded in enumerate(presentation.disclosures)]
        shown, hidden, fields = _opened(token.payload, disclosures)
        return cls(about, signer.did, signer.kid, shown, hidden, assembled(fields))


def binding_key(presentation: SdJwt) -> str:
    """The key id that the key-binding JWT names, which must be one of the holder's. Raise PeerError 400 if it is not.

    The holder is named by its DID, not by one of its keys: a node with a new key still stands for what it issued.
    """
    confirmed = Jwt.parse(presentation.jwt, "the credential").payload.get("cnf")
    holder = confirmed.get("kid") if isinstance(confirmed, dict) else None
    token = Jwt.parse(presentation.key_binding or "", "the key-binding JWT")
    signer = Signer.of(token.header.get("kid"))
    if signer.did != holder:
        raise PeerError(
            400, f"the key-binding JWT is signed by {signer.did}; the holder is {str(holder)[:200]}", "/cnf"
        )
    return signer.kid


def assembled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The aspect made of disclosed fields. Raise PeerError 400 if they do not fit together."""
    try:
        return assemble(fields)
    except Invalid as fault:
        raise PeerError(400, f"the disclosed fields do not fit together: {fault.reason}", fault.pointer) from None


def _named(number: int, encoded: str) -> Disclosure:
    try:
        return Disclosure.parse(encoded)
    except PeerError as fault:
        raise PeerError(
            400, f"disclosure {number + 1} cannot be read: {fault.reason}", f"/disclosures/{number}"
        ) from None


def _opened(
    payload: Mapping[str, Any], disclosures: Sequence[Disclosure]
) -> tuple[tuple[Shown, ...], tuple[tuple[str, str], ...], dict[str, Any]]:
    """Fields by class as they were signed: shown, hidden, and the values of those shown."""
    opened = sdjwt.uncover(payload, disclosures).get(_GROUPS)
    signed = payload.get(_GROUPS)
    if not isinstance(opened, dict) or not isinstance(signed, dict):
        raise PeerError(400, "the credential has no groups", f"/{_GROUPS}")
    by_name = {disclosure.name: disclosure.digest for disclosure in disclosures}
    shown: list[Shown] = []
    hidden: list[tuple[str, str]] = []
    fields: dict[str, Any] = {}
    for name, groups in opened.items():
        if not isinstance(groups, dict) or not isinstance(signed[name], dict):
            raise PeerError(400, "a class of the credential is not an object of groups", f"/{_GROUPS}")
        open_here = {by_name[group] for group in groups if group in by_name}
        hidden += [(name, digest) for digest in signed[name].get("_sd", []) if digest not in open_here]
        for group, values in groups.items():
            if not isinstance(values, dict) or group not in by_name or values.keys() & fields.keys():
                raise PeerError(400, f"the group {group[:80]!r} is not made of fields of its own", f"/{_GROUPS}")
            shown += [Shown(place, group, name, by_name[group]) for place in values]
            fields |= values
    return tuple(shown), tuple(hidden), fields


def _about(payload: Mapping[str, Any]) -> About:
    texts = {name: payload.get(name) for name in ("sub", "aspect", "class_map", "completeness")}
    numbers = [payload.get(name) for name in ("version", "iat")]
    supersedes = payload.get("supersedes")
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    if not all(isinstance(text, str) for text in texts.values()) or not whole:
        raise PeerError(400, "the credential lacks sub, aspect, version, iat, class_map or completeness")
    if not isinstance(supersedes, str | None):
        raise PeerError(400, "the credential names the version before in another way than by a digest", "/supersedes")
    return About(
        passport_id=str(texts["sub"]),
        aspect=str(texts["aspect"]),
        version=int(payload["version"]),
        issued_s=int(payload["iat"]),
        class_map=str(texts["class_map"]),
        completeness=str(texts["completeness"]),
        supersedes=supersedes,
    )
