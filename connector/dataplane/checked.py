"""Data from elsewhere, judged by its aspect model on the way out: a backend's answer, a file.

What the passport store serves was judged when it was published. Of an asset that only points somewhere nobody knows
what stands there today, so its JSON is judged when it is served, as the asset asks (`privateProperties.validation`):

    block   only JSON that fits the model leaves; what cannot be judged does not fit. Nothing is sent before the verdict
    warn    everything leaves as it comes, and what does not fit is logged; the default
    off     nothing is judged

Only answers to GET are the asset's own data; what a backend says to other methods is not described by the model. A
verdict is remembered by the digest of the bytes: data that does not change is hashed and not judged again.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import orjson
import structlog
from multidict import CIMultiDict
from typing_extensions import override

from connector.dataplane.payloads import Validate
from connector.dataplane.recent import Recent
from connector.dataplane.source import Ask, Content, Prepared, Reader, Source, SourceFault
from connector.exchange.ports import Tx
from connector.exchange.records import Asset, Validation
from connector.protocol.errors import LocalError

MAX_JUDGED: Final = 16 << 20
"""Bytes of an answer that is judged; a larger one is not, so `block` refuses it."""

_IN_A_THREAD: Final = 64 << 10
"""From this size on judging would hold up others for a millisecond."""
_REMEMBERED: Final = 10_000
_OK: Final = 200
_BODILESS: Final = frozenset({204, 304})
_log = structlog.get_logger(__name__)


class CheckedSource(Source):
    """A source whose JSON is judged when it is served, if the asset names an aspect model."""

    def __init__(self, inner: Source, validate: Validate) -> None:
        self._inner = inner
        self._judge = _Judge(validate)

    @override
    def check(self, asset: Asset) -> None:
        self._inner.check(asset)

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        prepared = self._inner.prepare(tx, asset, reader)
        if asset.semantic_id is None or asset.validation is Validation.OFF:
            return prepared
        guard = _Guard(prepared, self._judge, asset.id, asset.semantic_id, asset.validation is Validation.BLOCK)
        return replace(prepared, open=guard.open)


class _Judge:
    """Verdicts by semantic id and digest: what speaks against the data, "" if nothing does."""

    def __init__(self, validate: Validate) -> None:
        self._validate = validate
        self._known: Recent[tuple[str, bytes], str] = Recent(_REMEMBERED)

    async def verdict(self, semantic_id: str, body: bytes) -> tuple[str, bool]:
        """Give the verdict, and whether it is a new one."""
        key = (semantic_id, hashlib.sha256(body).digest())
        if (known := self._known.get(key)) is not None:
            return known, False
        if len(body) < _IN_A_THREAD:
            fault = self._fault(semantic_id, body)
        else:
            fault = await asyncio.to_thread(self._fault, semantic_id, body)
        self._known.put(key, fault)
        return fault, True

    def _fault(self, semantic_id: str, body: bytes) -> str:
        try:
            self._validate(semantic_id, orjson.loads(body))
        except orjson.JSONDecodeError:
            return "it is not JSON"
        except LocalError as fault:
            return str(fault)
        return ""


@dataclass(frozen=True, slots=True)
class _Guard:
    """One asset's data for one reader, judged. `block`: what does not fit stays here."""

    prepared: Prepared
    judge: _Judge
    asset_id: str
    semantic_id: str
    block: bool

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Content]:
        """Open what was asked for; raises SourceFault if it must not leave."""
        return self._guarded(ask) if ask.method == "GET" else self.prepared.open(ask)

    @asynccontextmanager
    async def _guarded(self, ask: Ask) -> AsyncIterator[Content]:
        async with self.prepared.open(_whole_and_plain(ask) if self.block else ask) as content:
            yield await self._blocking(content) if self.block else self._warning(content)

    async def _blocking(self, content: Content) -> Content:
        if content.status in _BODILESS or content.status not in range(200, 300):
            return content
        if reason := _unfit_to_judge(content):
            raise self._refusal(reason)
        body = content.body
        if content.read is not None:
            collected = bytearray()
            while len(collected) <= MAX_JUDGED and (chunk := await content.read()):
                collected += chunk
            body = bytes(collected)
        if len(body) > MAX_JUDGED:
            raise self._refusal(f"it is longer than {MAX_JUDGED} bytes")
        fault, _ = await self.judge.verdict(self.semantic_id, body)
        if fault:
            raise self._refusal(fault)
        return Content(content.status, content.headers, body=body, reason=content.reason)

    def _refusal(self, reason: str) -> SourceFault:
        _log.error("data refused", asset=self.asset_id, semantic_id=self.semantic_id, reason=reason)
        return SourceFault(
            "the data does not fit the aspect model of the asset, so it is not given out; ask the provider"
        )

    def _warning(self, content: Content) -> Content:
        if content.read is None or _unfit_to_judge(content):
            return content
        return replace(content, read=self._watched(content.read))

    def _watched(self, read: Callable[[], Awaitable[bytes]]) -> Callable[[], Awaitable[bytes]]:
        """Pass on what is read, and judge it when it has come to its end."""
        seen: bytearray | None = bytearray()

        async def watched() -> bytes:
            nonlocal seen
            chunk = await read()
            if seen is not None and chunk:
                seen += chunk
                if len(seen) > MAX_JUDGED:
                    seen = None
            elif seen is not None:
                body, seen = bytes(seen), None
                await self._warn(body)
            return chunk

        return watched

    async def _warn(self, body: bytes) -> None:
        fault, new = await self.judge.verdict(self.semantic_id, body)
        if fault and new:
            _log.warning("data does not fit", asset=self.asset_id, semantic_id=self.semantic_id, reason=fault)


def _whole_and_plain(ask: Ask) -> Ask:
    """Ask for all of the data, unpacked: a part of it cannot be judged."""
    headers = CIMultiDict(ask.headers)
    for name in ("Range", "If-Range"):
        headers.popall(name, None)
    headers["Accept-Encoding"] = "identity"
    return replace(ask, headers=headers)


def _unfit_to_judge(content: Content) -> str:
    """Tell why an answer cannot be judged; "" if it can."""
    if content.status != _OK:
        return f"the answer is a {content.status}"
    kind = content.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return "it is not declared as JSON"
    if content.headers.get("Content-Encoding", "identity").lower() != "identity":
        return "it is packed"
    return ""
