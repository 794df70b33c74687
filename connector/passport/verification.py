"""The verdict on a received payload: four questions, each with its own answer.

A consumer that only hears "invalid" cannot act. So a body that came back from a data plane is asked four things, and
the report names the ones that failed: was it changed on the way (RFC 9530 digest), is it what somebody signed (RFC
7515 over RFC 8785), is that somebody the partner of the agreement, and does it fit the aspect model that was offered.
The questions are independent: a proxy that reformats JSON breaks the digest and leaves the signature good.

The body travels as plain `application/json`; its proof travels in the header fields named here, by `seal` on the
provider's side, and is judged by `verify_payload` on the consumer's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from connector.passport import signature
from connector.passport.canonical import parse
from connector.passport.model_check import Fit, ModelCheck
from connector.protocol.errors import ConnectorError, PeerError

CONTENT_DIGEST: Final = "Content-Digest"
"""RFC 9530: the SHA-256 of the bytes as sent."""

PAYLOAD_SIGNATURE: Final = "Payload-Signature"
"""The detached JWS over the canonical form of the body."""

PAYLOAD_DISCLOSURE: Final = "Payload-Disclosure"
"""The disclosure classes that a view of a passport shows, apart by spaces; without it, nothing is withheld."""

PAYLOAD_SEMANTIC_ID: Final = "Payload-Semantic-Id"
"""The aspect model the body claims to fit, for instance `urn:samm:io.catenax.pcf:7.0.0#Pcf`."""


@dataclass(frozen=True, slots=True)
class Check:
    """One answer. `detail` tells a person what was found, without quoting the payload at length."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Four answers about one body.

    `digest`: the bytes are those the sender hashed. `signature`: the value is the one that the named key signed.
    `signer`: the named key belongs to the expected party, which counts only together with `signature`.
    `schema`: the value fits the agreed semantic id.
    """

    digest: Check
    signature: Check
    signer: Check
    schema: Check

    @property
    def ok(self) -> bool:
        """All four answers are yes; nothing less may be used."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed, in the order of the fields."""
        return tuple(field.name for field in fields(self) if not getattr(self, field.name).ok)


def seal(body: bytes, semantic_id: str, key: signature.SigningKey) -> dict[str, str]:
    """Make the header fields that travel beside a body, so that `verify_payload` can judge it.

    Raises Invalid if the body is not JSON with a canonical form.
    """
    return {
        CONTENT_DIGEST: signature.digest(body),
        PAYLOAD_SIGNATURE: signature.sign(parse(body), key),
        PAYLOAD_SEMANTIC_ID: semantic_id,
    }


def verify_payload(
    body: bytes,
    headers: Mapping[str, str],
    *,
    expected_signer: str,
    model: ModelCheck,
    resolve: signature.Resolve,
) -> Verification:
    """Judge a body by what came beside it and by what was agreed; never raises for what a peer sent.

    headers: field names in any case. expected_signer: the DID of the agreement's provider. model: the verdict on the
    same body by the aspect model of the agreed asset. resolve: see `signature.Resolve`.
    """
    sent = {name.lower(): value for name, value in headers.items()}
    jws = sent.get(PAYLOAD_SIGNATURE.lower())
    return Verification(
        _digest(body, sent),
        _signature(body, jws, resolve),
        _signer(jws, expected_signer),
        Check(ok=model.fit is Fit.VALID, detail=model.reason),
    )


def _digest(body: bytes, sent: Mapping[str, str]) -> Check:
    field = sent.get(CONTENT_DIGEST.lower())
    if field is None:
        return Check(ok=False, detail=f"there is no {CONTENT_DIGEST} field")
    try:
        signature.check_digest(body, field)
    except PeerError as fault:
        return Check(ok=False, detail=fault.reason)
    return Check(ok=True, detail=f"{len(body)} bytes arrived as they were sent")


def _signature(body: bytes, jws: str | None, resolve: signature.Resolve) -> Check:
    if jws is None:
        return Check(ok=False, detail=f"there is no {PAYLOAD_SIGNATURE} field")
    try:
        signer = signature.verify(parse(body), jws, resolve)
    except ConnectorError as fault:
        return Check(ok=False, detail=str(fault))
    return Check(ok=True, detail=f"signed with {signer.kid}")


def _signer(jws: str | None, expected: str) -> Check:
    if jws is None:
        return Check(ok=False, detail=f"nobody signed; expected {expected}")
    try:
        named = signature.Signer.of(signature.key_id(jws)).did
    except PeerError as fault:
        return Check(ok=False, detail=fault.reason)
    if named != expected:
        return Check(ok=False, detail=f"the signature names {named}; expected {expected}")
    return Check(ok=True, detail=f"the signature names {expected}, as agreed")
