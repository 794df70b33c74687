"""Ports of a node that count what passes through them. Each wraps another one and changes nothing."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType

from typing_extensions import override

from connector.dataplane.source import Ask, Content, Prepared, Reader, Source
from connector.dataplane.tokens import AccessClaims, AccessTokens
from connector.exchange.ports import Caller, Clock, Identity, Tx
from connector.exchange.records import Asset, Grant
from connector.exchange.strategy import (
    Decision,
    NegotiationStrategy,
    NegotiationView,
    TransferStrategy,
    TransferView,
)
from connector.identity.keys import SigningKey
from connector.metrics import Metrics
from connector.policy.circumstances import ProvenCredential
from connector.policy.evaluate import TraceStep, Verdict
from connector.policy.operands import OPERANDS
from connector.policy.wording import operands_in
from connector.protocol.errors import PeerError


class CountedIdentity(Identity):
    """Counts tokens issued and refused."""

    def __init__(self, inner: Identity, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    @property
    @override
    def id(self) -> str:
        return self._inner.id

    @override
    async def token(self, audience: str, *, address: str, claims: Mapping[str, str] | None = None) -> str:
        token = await self._inner.token(audience, address=address, claims=claims)
        self._metrics.count("connector_tokens_issued_total", "identity")
        return token

    @override
    async def verify(self, authorization: str | None, *, single_use: bool = True) -> Caller:
        try:
            return await self._inner.verify(authorization, single_use=single_use)
        except PeerError as refusal:
            self._metrics.count("connector_tokens_refused_total", "identity", str(refusal.status))
            raise

    @override
    async def shown(self, participant_id: str) -> tuple[ProvenCredential, ...]:
        return await self._inner.shown(participant_id)


class CountedTokens(AccessTokens):
    """Access tokens that are counted."""

    def __init__(self, key: SigningKey, clock: Clock, lifetime_s: int, *, metrics: Metrics) -> None:
        super().__init__(key, clock, lifetime_s)
        self._metrics = metrics

    @override
    def issue(self, grant: Grant, now: int) -> str:
        self._metrics.count("connector_tokens_issued_total", "access")
        return super().issue(grant, now)

    @override
    def verify(self, token: str, *, expired_too: bool = False) -> AccessClaims:
        try:
            return super().verify(token, expired_too=expired_too)
        except PeerError as refusal:
            self._metrics.count("connector_tokens_refused_total", "access", str(refusal.status))
            raise


class CountedSource(Source):
    """Counts requests and bytes of one source of data; `name` is the `type` of its data addresses."""

    def __init__(self, inner: Source, name: str, metrics: Metrics) -> None:
        self._inner = inner
        self._name = name
        self._metrics = metrics

    @override
    def check(self, asset: Asset) -> None:
        self._inner.check(asset)

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        prepared = self._inner.prepare(tx, asset, reader)

        return replace(prepared, open=lambda ask: _CountedCall(prepared, ask, self._name, self._metrics))


class _CountedCall(AbstractAsyncContextManager[Content]):
    """One request to a source, counted with its bytes."""

    __slots__ = ("_ask", "_inner", "_metrics", "_name", "_prepared", "_read")
    _inner: AbstractAsyncContextManager[Content]
    _read: Callable[[], Awaitable[bytes]]

    def __init__(self, prepared: Prepared, ask: Ask, name: str, metrics: Metrics) -> None:
        self._prepared = prepared
        self._ask = ask
        self._name = name
        self._metrics = metrics

    @override
    async def __aenter__(self) -> Content:
        status = "failed"
        try:
            self._inner = self._prepared.open(self._ask)
            content = await self._inner.__aenter__()
            status = f"{content.status // 100}xx"
        finally:
            self._metrics.count("connector_data_requests_total", self._name, status)
        if content.read is not None:
            self._read, content.read = content.read, self._counted
        elif self._ask.method != "HEAD":
            self._metrics.count("connector_data_bytes_total", self._name, by=len(content.body))
        return content

    @override
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(kind, error, trace)

    async def _counted(self) -> bytes:
        if chunk := await self._read():
            self._metrics.count("connector_data_bytes_total", self._name, by=len(chunk))
        return chunk


class CountedNegotiations(NegotiationStrategy):
    """Counts the policies that deny a negotiation; `inner` decides."""

    def __init__(self, inner: NegotiationStrategy, metrics: Metrics) -> None:
        self.inner = inner
        self._metrics = metrics

    @override
    def decide(self, view: NegotiationView) -> Decision:
        return self.inner.decide(replace(view, judge=lambda: _noted(view.judge(), "negotiation", self._metrics)))


class CountedTransfers(TransferStrategy):
    """Counts the policies that deny a transfer; `inner` decides."""

    def __init__(self, inner: TransferStrategy, metrics: Metrics) -> None:
        self.inner = inner
        self._metrics = metrics

    @override
    def decide(self, view: TransferView) -> Decision:
        return self.inner.decide(replace(view, judge=lambda: _noted(view.judge(), "transfer", self._metrics)))


def _noted(verdict: Verdict, scope: str, metrics: Metrics) -> Verdict:
    if verdict.denial is not None:
        metrics.count("connector_policy_denials_total", scope, _operand(verdict.denial))
    return verdict


def _operand(denial: TraceStep) -> str:
    """What denied: an operand that the engine knows, `rule` (the rule as a whole), or `other`."""
    if denial.condition is None:
        return "rule"
    return next((name for name in operands_in(denial.condition) if name in OPERANDS), "other")
