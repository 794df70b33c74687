"""Getting a passport as a consumer: the plain aspect, the credential made out for us, and the verdict on both.

The transfer runs already; here is what is done with its data. The result is a bundle that proves itself later, without
us and without a network.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.exchange import edrs, fetch
from connector.exchange.node import Node
from connector.passport.model_check import ModelCheck
from connector.passport.report import Bundle, Report
from connector.passport.verification import PAYLOAD_SEMANTIC_ID, PAYLOAD_SIGNATURE, Verification
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


async def receive(node: Node, transfer_id: str) -> Received:
    """Get the passport that a running pull leads to. Raise NotFound (no running pull) or Unreachable."""
    edr = await edrs.data_address(node, transfer_id)
    nonce = node.ids()
    plain = await fetch.ask(node, edr, "")
    presented = await fetch.ask(node, edr, f"/credential?nonce={nonce}")
    try:
        document = await node.notary.did_document(edr.provider_id)
    except PeerError as fault:
        raise Unreachable(f"the DID document of {edr.provider_id} is not usable: {fault.reason}") from fault
    bundle = Bundle(
        presentation=presented.body.decode("ascii", errors="replace"),
        aspect=_json(plain.body),
        aspect_signature=plain.headers.get(PAYLOAD_SIGNATURE, ""),
        semantic_id=plain.headers.get(PAYLOAD_SEMANTIC_ID, ""),
        audience=node.id,
        nonce=nonce,
        agreement_id=edr.agreement_id,
        fetched_at=node.clock.now(),
        did_document=document,
    )
    model = await fetch.check_model(node, edr, plain)
    verification = await node.notary.verify(plain.body, plain.headers, signer=edr.provider_id, model=model)
    report = node.notary.judge(bundle, passport_id=edr.asset_id, issuer=edr.provider_id, now=node.clock.now())
    return Received(bundle, verification, model, report)


def _json(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """What came, as JSON; None if it is none: the verdict says so."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
