"""Getting a passport as a consumer: the plain aspect, the credential made out for us, and the verdict on both.

The transfer runs already; here is what is done with its data. The result is a bundle that proves itself later, without
us and without a network.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.exchange import edrs, fetch
from connector.exchange.node import Node
from connector.exchange.ports import Answer
from connector.exchange.records import Edr
from connector.passport.model_check import ModelCheck
from connector.passport.report import Bundle, Report
from connector.passport.verification import PAYLOAD_DISCLOSURE, PAYLOAD_SEMANTIC_ID, PAYLOAD_SIGNATURE, Verification
from connector.protocol.errors import PeerError, Unreachable


@dataclass(frozen=True, slots=True)
class Received:
    """A passport as it came. `verification` and `model` judge the plain aspect, `report` the bundle with it."""

    bundle: Bundle = field(repr=False)
    verification: Verification
    model: ModelCheck
    report: Report

    @property
    def ok(self) -> bool:
        """All checks hold."""
        return self.verification.ok and self.report.ok


@dataclass(frozen=True, slots=True)
class Proof:
    """The credential of a passport that came, with all that proves it offline, and the verdict on it."""

    bundle: Bundle = field(repr=False)
    report: Report


async def receive(node: Node, transfer_id: str) -> Received:
    """Get the passport that a running pull leads to. Raise NotFound (no running pull) or Unreachable."""
    edr = await edrs.data_address(node, transfer_id)
    plain = await fetch.ask(node, edr, "")
    proof = await prove(node, edr, plain)
    model = await fetch.check_model(node, edr, plain)
    verification = await node.notary.verify(plain.body, plain.headers, signer=edr.provider_id, model=model)
    return Received(proof.bundle, verification, model, proof.report)


def is_offered(plain: Answer) -> bool:
    """Whether who sent a plain aspect has the credential of it as well: it says which classes it shows."""
    return PAYLOAD_DISCLOSURE in plain.headers


async def prove(node: Node, edr: Edr, plain: Answer) -> Proof:
    """Get the credential that says the same as a plain aspect of this pull. Raise Denied or Unreachable."""
    nonce = node.ids()
    presented = await fetch.ask(node, edr, f"/credential?nonce={nonce}")
    try:
        document = await node.notary.did_document(edr.provider_id)
    except PeerError as fault:
        raise Unreachable(f"the DID document of {edr.provider_id} is not usable: {fault.reason}") from fault
    bundle = Bundle(
        presentation=presented.body.decode("ascii", errors="replace"),
        aspect=as_json(plain.body),
        aspect_signature=plain.headers.get(PAYLOAD_SIGNATURE, ""),
        semantic_id=plain.headers.get(PAYLOAD_SEMANTIC_ID, ""),
        audience=node.id,
        nonce=nonce,
        agreement_id=edr.agreement_id,
        fetched_at=node.clock.now(),
        did_document=document,
    )
    report = node.notary.judge(bundle, passport_id=edr.asset_id, issuer=edr.provider_id, now=node.clock.now())
    return Proof(bundle, report)


def as_json(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """What came, as JSON; None if it is none: the verdicts say so."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
