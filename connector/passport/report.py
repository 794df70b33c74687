"""What a file with a passport proves, to somebody who has only the file: who signed which field, when, with which key.

A bundle is what a reader keeps: the presentation of the credential, the plain aspect with its detached signature, for
whom and under which agreement it was made, and the issuer's DID document as it was then, because did:web has no past.
Nothing here asks a network. A key from a document in the same file proves that the file is whole and who it says it is
from; who wants more hands in a DID document from elsewhere.

The command line, the management API and the tests all show this one report.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from connector.passport import sdjwt, signature
from connector.passport.canonical import canonical
from connector.passport.credential import AGREEMENT, Credential, binding_key
from connector.passport.diff import changes
from connector.passport.disclosure import class_map
from connector.passport.names import Names
from connector.passport.sdjwt import SdJwt
from connector.passport.signature import Resolve
from connector.passport.verification import Check
from connector.passport.views import view_faults
from connector.protocol.errors import ConnectorError, PeerError
from connector.semantics.registry import SchemaRegistry, bundled

KIND: Final = "BatteryPassportBundle"
_SHOWN_CHANGES: Final = 5


@dataclass(frozen=True, slots=True)
class Bundle:
    """A passport as a reader keeps it. `fetched_at` in ms; `did_document` is the issuer's at that time."""

    presentation: str = field(repr=False)
    aspect: Any = field(repr=False)
    aspect_signature: str
    semantic_id: str
    audience: str
    nonce: str
    agreement_id: str
    fetched_at: int
    did_document: Mapping[str, Any] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The file."""
        return {
            "type": KIND,
            "credential": self.presentation,
            "aspect": self.aspect,
            "aspectSignature": self.aspect_signature,
            "semanticId": self.semantic_id,
            "audience": self.audience,
            "nonce": self.nonce,
            "agreementId": self.agreement_id,
            "fetchedAt": self.fetched_at,
            "didDocument": self.did_document,
        }

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read the file. Raise PeerError 400 if it is none."""
        if not isinstance(doc, dict) or doc.get("type") != KIND:
            raise PeerError(400, f"not a passport bundle: its type must be {KIND}", "/type")
        names = ("credential", "aspectSignature", "semanticId", "audience", "nonce", "agreementId")
        for name in names:
            if not isinstance(doc.get(name), str):
                raise PeerError(400, "the bundle lacks a text", f"/{name}")
        at, document = doc.get("fetchedAt"), doc.get("didDocument")
        if isinstance(at, bool) or not isinstance(at, int) or not isinstance(document, dict):
            raise PeerError(
                400, "the bundle lacks the time it was fetched, or the issuer's DID document", "/didDocument"
            )
        texts = {name: str(doc[name]) for name in names}
        return cls(
            presentation=texts["credential"],
            aspect=doc.get("aspect"),
            aspect_signature=texts["aspectSignature"],
            semantic_id=texts["semanticId"],
            audience=texts["audience"],
            nonce=texts["nonce"],
            agreement_id=texts["agreementId"],
            fetched_at=at,
            did_document=document,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The findings; `credential` is None if it could not be proven, and then no field counts as signed."""

    checks: Mapping[str, Check]
    credential: Credential | None

    @property
    def ok(self) -> bool:
        """Every check holds."""
        return all(check.ok for check in self.checks.values())

    def to_json(self) -> dict[str, Any]:
        """For programs, and for the API."""
        doc: dict[str, Any] = {
            "ok": self.ok,
            "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in self.checks.items()},
        }
        found = self.credential
        if found is None:
            return doc | {"fields": [], "hidden": []}
        signed = {"issuer": found.issuer, "key": found.kid, "issuedAt": found.about.issued_s * 1000}
        return doc | {
            "passport": {
                "id": found.about.passport_id,
                "aspect": found.about.aspect,
                "version": found.about.version,
                "supersedes": found.about.supersedes,
                "classMap": found.about.class_map,
                "completeness": found.about.completeness,
                **signed,
            },
            "fields": [
                {"field": s.place, "class": s.disclosure_class, "group": s.group, "digest": s.digest, **signed}
                for s in sorted(found.shown, key=lambda shown: shown.place)
            ],
            "hidden": [{"class": name, "digest": digest} for name, digest in found.hidden],
        }


def verify(
    bundle: Bundle,
    resolve: Resolve,
    *,
    passport_id: str | None = None,
    issuer: str | None = None,
    fresh: Callable[[int], bool] | None = None,
    registry: SchemaRegistry | None = None,
) -> Report:
    """Judge a bundle; never raises for what is in it.

    passport_id: which passport was asked for. issuer: the DID that is expected to have signed. fresh: judges the time
    (in seconds) of a presentation that was asked for just now; left out for a file, whose presentation is of when it
    was fetched. registry: the schemas to judge by, those delivered with the connector if left out.
    """
    checks: dict[str, Check] = {}
    fetched_s = bundle.fetched_at // 1000
    credential = _proven(checks, bundle, resolve, passport_id)
    if credential is not None:
        checks["issuer"] = _issuer(credential, issuer, str(bundle.did_document.get("id")))
        checks["identifier"] = _identifier(credential)
        checks["model"] = _model(credential, registry or bundled())
    good = fresh or (lambda issued: abs(issued - fetched_s) <= _CLOCKS_APART_S)
    checks["binding"] = _binding(bundle, resolve, good)
    checks["aspect"] = _aspect(bundle, credential, resolve)
    return Report(checks, credential)


_CLOCKS_APART_S: Final = 300


def _proven(checks: dict[str, Check], bundle: Bundle, resolve: Resolve, passport_id: str | None) -> Credential | None:
    latest = bundle.fetched_at // 1000 + _CLOCKS_APART_S
    try:
        found = Credential.read(bundle.presentation, resolve, lambda issued: issued <= latest)
    except ConnectorError as fault:
        checks["credential"] = Check(ok=False, detail=str(fault))
        return None
    about = found.about
    detail = f"version {about.version} of {about.passport_id}, signed with {found.kid}"
    if passport_id not in (None, about.passport_id):
        checks["credential"] = Check(ok=False, detail=f"{detail}; asked for was {passport_id}")
    else:
        shown = f"{len(found.shown)} fields shown, {len(found.hidden)} hidden"
        checks["credential"] = Check(ok=True, detail=f"{detail}; {shown}")
    return found


def _issuer(credential: Credential, expected: str | None, kept: str) -> Check:
    """expected: as asked for; `kept` stands in the file, whose DID document is the word of whoever made the file."""
    if credential.issuer != (expected or kept):
        return Check(ok=False, detail=f"issued by {credential.issuer}; expected {expected or kept}")
    return Check(ok=True, detail=f"issued by {expected or kept}" + ("" if expected else ", by the word of this file"))


def _identifier(credential: Credential) -> Check:
    """The credential is about the passport that it holds: an issuer may contradict itself."""
    subject, said = credential.about.passport_id, Names.of(credential.passport).passport_id
    if said is None:
        return Check(ok=True, detail="not compared: the passport's own identifier is not visible")
    if said != subject:
        detail = f"the credential is about {subject[:200]}; the passport in it says {said[:200]}"
        return Check(ok=False, detail=f"{detail} at /metadata/passportIdentifier")
    return Check(ok=True, detail=f"the passport calls itself {subject}, as the credential does")


def _model(credential: Credential, registry: SchemaRegistry) -> Check:
    """What is visible fits the aspect model: who signs may still be wrong.

    Which class a field has, and so what may be missing, our edition of the class map says, and of no other edition.
    """
    about, known = credential.about, class_map()
    if (about.aspect, about.class_map) != (known.aspect, known.edition):
        theirs = f"{about.aspect[:200]}, edition {about.class_map[:40]} of the class map"
        return Check(ok=True, detail=f"not checked: other edition ({theirs}; known here is {known.edition})")
    shown = frozenset(field.disclosure_class for field in credential.shown)
    try:
        faults = view_faults(about.aspect, credential.passport, shown, registry)
    except ConnectorError as fault:
        return Check(ok=False, detail=str(fault))
    if faults:
        more = "" if len(faults) == 1 else f" (the first of {len(faults)} faults)"
        return Check(ok=False, detail=f"{faults[0].text}{more}")
    return Check(ok=True, detail=f"fits {about.aspect}, showing {', '.join(sorted(shown))}")


def _binding(bundle: Bundle, resolve: Resolve, good: Callable[[int], bool]) -> Check:
    expected = {"aud": bundle.audience, "nonce": bundle.nonce, AGREEMENT: bundle.agreement_id}
    try:
        presentation = SdJwt.parse(bundle.presentation)
        sdjwt.check_binding(presentation, resolve(binding_key(presentation)), expected, good)
    except ConnectorError as fault:
        return Check(ok=False, detail=str(fault))
    return Check(ok=True, detail=f"made for {bundle.audience} under agreement {bundle.agreement_id}")


def _aspect(bundle: Bundle, credential: Credential | None, resolve: Resolve) -> Check:
    """The plain aspect is signed by the same party, and says what the credential says."""
    try:
        signer = signature.verify(bundle.aspect, bundle.aspect_signature, resolve)
        same = credential is None or canonical(credential.passport) == canonical(bundle.aspect)
    except ConnectorError as fault:
        where = _difference(credential, bundle.aspect)
        return Check(ok=False, detail=f"{fault}{where}")
    if credential is None:
        return Check(ok=True, detail=f"signed with {signer.kid}, but there is no credential to compare it with")
    if signer.did != credential.issuer:
        return Check(ok=False, detail=f"signed by {signer.did}, the credential by {credential.issuer}")
    if not same or bundle.semantic_id != credential.about.aspect:
        return Check(ok=False, detail=f"it is not what the credential says{_difference(credential, bundle.aspect)}")
    return Check(ok=True, detail=f"the plain aspect says the same, signed with {signer.kid}")


def _difference(credential: Credential | None, aspect: object) -> str:
    """Where the aspect departs from what was signed."""
    if credential is None:
        return ""
    try:
        places = [change.place for change in changes(credential.passport, aspect, class_map())]
    except ConnectorError:
        return ""
    more = f" and {len(places) - _SHOWN_CHANGES} more places" if len(places) > _SHOWN_CHANGES else ""
    return f"; it departs from what was signed at {', '.join(places[:_SHOWN_CHANGES])}{more}" if places else ""
