"""Fetching data as a consumer, and saying what it is worth.

A payload that its provider published under an aspect model comes with a digest, a signature and a semantic id; all of
it is verified here, and the report says which check failed. Other data is passed on as it is, and the report says so.

Whether JSON fits its aspect model is told in every case. Which model that is, the caller may say, or the twin that led
here, the payload itself, or the dataset in the provider's catalog. The catalog is remembered from when the contract
was made; if it is not, the provider is asked for the dataset once in a while, and only about JSON that says nothing.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from connector.exchange import catalog, edrs
from connector.exchange.node import Node
from connector.exchange.offered_models import NOBODY_SAYS
from connector.exchange.ports import Answer
from connector.exchange.records import Edr
from connector.passport.model_check import Fit, ModelCheck
from connector.passport.verification import PAYLOAD_SEMANTIC_ID, PAYLOAD_SIGNATURE, Verification
from connector.protocol.errors import ConnectorError, Unreachable

REQUEST: Final = "request"
TWIN: Final = "twin"
PAYLOAD: Final = "payload"
CATALOG: Final = "catalog"
"""Who may say which model it is (`ModelCheck.named_by`); the first of them counts."""
_OK = range(200, 300)
_DENIED = (401, 403)
_PATIENCE_S: Final = 5.0
"""How long the verdict waits for a catalog; the data is there already."""
_UNNAMED: Final = (
    "nobody says which model this is: neither who asks nor the payload, nor the provider's catalog as far as it answers"
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came. `verification` is None exactly for data that carries no proof and was not expected to."""

    body: bytes
    content_type: str
    semantic_id: str | None
    verification: Verification | None
    model: ModelCheck

    @property
    def ok(self) -> bool | None:
        """Whether every check holds; None for data that has no proof and shows no fault."""
        if self.model.fit is Fit.INVALID:
            return False
        return None if self.verification is None else self.verification.ok


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


async def fetch(
    node: Node, transfer_id: str, *, path: str = "", semantic_id: str | None = None, named_by: str = REQUEST
) -> Fetched:
    """GET the data of a running pull; `path` is appended to its endpoint.

    semantic_id: what the payload is expected to be, according to `named_by`; with it, data without proof fails
    verification. Raise NotFound (no running pull) or Unreachable.
    """
    edr = await edrs.data_address(node, transfer_id)
    return await judged(node, edr, await ask(node, edr, path), semantic_id=semantic_id, named_by=named_by)


async def judged(
    node: Node, edr: Edr, answer: Answer, *, semantic_id: str | None = None, named_by: str = REQUEST
) -> Fetched:
    """What came of a running pull, with what it is worth. Never raises for what a peer says."""
    claimed = answer.headers.get(PAYLOAD_SEMANTIC_ID)
    model = await check_model(node, edr, answer, semantic_id, named_by)
    proven = semantic_id is not None or claimed is not None or PAYLOAD_SIGNATURE in answer.headers
    verification = (
        await node.notary.verify(answer.body, answer.headers, signer=edr.provider_id, model=model) if proven else None
    )
    return Fetched(answer.body, _kind(answer), claimed, verification, model)


async def check_model(
    node: Node, edr: Edr, answer: Answer, semantic_id: str | None = None, named_by: str = REQUEST
) -> ModelCheck:
    """Hold the data of a pull to the aspect model that it is said to have. Never raises for what a peer says."""
    claimed = answer.headers.get(PAYLOAD_SEMANTIC_ID)
    if semantic_id is None:
        if claimed is None and not _is_json(answer):
            return ModelCheck.skipped(f"the data is {_kind(answer)[:100]} and not JSON")
        semantic_id, named_by = await _named(node, edr, claimed)
    if not semantic_id:
        return ModelCheck.skipped(_UNNAMED)
    return replace(await node.notary.check_model(answer.body, answer.headers, semantic_id), named_by=named_by)


async def _named(node: Node, edr: Edr, claimed: str | None) -> tuple[str, str]:
    """Which model it is, and who says so. The payload's word holds unless the catalog contradicts it, now as before."""
    told = node.offered_models.told(edr.provider_id, edr.asset_id, node.clock.now())
    if claimed and told in (None, NOBODY_SAYS, claimed):
        return claimed, PAYLOAD
    if told is None or claimed:
        told = await _asked(node, edr)
    return (told, CATALOG) if told else (claimed or NOBODY_SAYS, PAYLOAD)


async def _asked(node: Node, edr: Edr) -> str:
    """What the provider's catalog says now; one that does not answer names no model, and is left alone for as long."""
    about = edr.provider_id, edr.asset_id
    node.offered_models.note(*about, NOBODY_SAYS, node.clock.now())
    with suppress(ConnectorError, TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            transfer = await node.store.read(lambda tx: tx.transfers.get(edr.id))
            await catalog.ask_dataset(node, transfer.peer, edr.asset_id)  # which takes note of the answer
    return node.offered_models.told(*about, node.clock.now()) or NOBODY_SAYS


def _kind(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "application/octet-stream")


def _is_json(answer: Answer) -> bool:
    kind = _kind(answer).partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
