"""Getting a passport as a consumer: the plain aspect, the credential made out for us, and the verdict on both.

The transfer runs already; here is what is done with its data. The result is a bundle that proves itself later, without
us and without a network.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.exchange import edrs
from connector.exchange.node import Node
from connector.exchange.ports import Answer
from connector.exchange.records import Edr
from connector.passport.report import Bundle, Report
from connector.passport.verification import (
    PAYLOAD_SEMANTIC_ID,
    PAYLOAD_SIGNATURE,
    Verification,
)
from connector.protocol.errors import PeerError, Unreachable

_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Received:
    """A passport as it came. `verification` judges the plain aspect, `report` the bundle of aspect and credential."""

    bundle: Bundle = field(repr=False)
    verification: Verification
    report: Report

    @property
    def ok(self) -> bool:
        """All checks hold."""
        return self.verification.ok and self.report.ok


async def receive(node: Node, transfer_id: str) -> Received:
    """Get the passport that a running pull leads to. Raise NotFound (no running pull) or Unreachable."""
    edr = await edrs.data_address(node, transfer_id)
    nonce = node.ids()
    plain = await _get(node, edr, "")
    presented = await _get(node, edr, f"/credential?nonce={nonce}")
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
    verification = await node.notary.verify(
        plain.body, plain.headers, signer=edr.provider_id, semantic_id=bundle.semantic_id or None
    )
    return Received(bundle, verification, node.notary.judge(bundle, issuer=edr.provider_id, now=node.clock.now()))


async def _get(node: Node, edr: Edr, path: str) -> Answer:
    url = edr.address["endpoint"] + path
    node.wire.check(url)
    answer = await node.wire.send("GET", url, headers={"Authorization": edr.address.get("authorization", "")})
    if answer.status not in _OK:
        said = answer.body[:200].decode(errors="replace")
        raise Unreachable(f"the data plane of {edr.provider_id} answered {answer.status}: {said}")
    return answer


def _json(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """What came, as JSON; None if it is none: the verdict says so."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
