"""Fetching data as a consumer, and saying what it is worth.

A payload that its provider published under an aspect model comes with a digest, a signature and a semantic id; all of
it is verified here, and the report says which check failed. Other data is passed on as it is, and the report says so.
"""

from dataclasses import dataclass

from connector.exchange import edrs
from connector.exchange.node import Node
from connector.exchange.ports import Answer
from connector.exchange.records import Edr
from connector.passport.verification import PAYLOAD_SEMANTIC_ID, PAYLOAD_SIGNATURE, Verification
from connector.protocol.errors import Unreachable

_OK = range(200, 300)
_DENIED = (401, 403)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came. `verification` is None exactly for data that carries no proof and was not expected to."""

    body: bytes
    content_type: str
    semantic_id: str | None
    verification: Verification | None


class Denied(Unreachable):
    """The provider's data plane does not take our token (any more)."""


async def ask(node: Node, edr: Edr, path: str, *, method: str = "GET", body: bytes | None = None) -> Answer:
    """Call the endpoint of a running pull; `path` is appended to it, `body` is JSON. Raise Denied or Unreachable."""
    url = edr.address["endpoint"] + path
    node.wire.check(url)
    headers = {"Authorization": edr.address.get("authorization", "")}
    if body is not None:
        headers["Content-Type"] = "application/json"
    answer = await node.wire.send(method, url, headers=headers, body=body)
    if answer.status not in _OK:
        kind = Denied if answer.status in _DENIED else Unreachable
        said = answer.body[:200].decode(errors="replace")
        raise kind(f"the data plane of {edr.provider_id} answered {answer.status}: {said}")
    return answer


async def fetch(node: Node, transfer_id: str, *, path: str = "", semantic_id: str | None = None) -> Fetched:
    """GET the data of a running pull; `path` is appended to its endpoint.

    semantic_id: what the payload is expected to be; with it, data without proof fails verification. Without it, a
    payload is held to the aspect model that it claims. Raise NotFound (no running pull) or Unreachable.
    """
    edr = await edrs.data_address(node, transfer_id)
    answer = await ask(node, edr, path)
    claimed = answer.headers.get(PAYLOAD_SEMANTIC_ID)
    wanted = semantic_id or claimed
    proven = wanted is not None or PAYLOAD_SIGNATURE in answer.headers
    verification = (
        await node.notary.verify(answer.body, answer.headers, signer=edr.provider_id, semantic_id=wanted)
        if proven
        else None
    )
    kind = answer.headers.get("Content-Type", "application/octet-stream")
    return Fetched(answer.body, kind, claimed, verification)
