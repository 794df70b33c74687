"""What the identity tests share: time that stands still, a web of DID documents in memory, and a counterparty."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.identity.did import did_document, did_web_url
from connector.identity.keys import SigningKey
from connector.identity.replay import ReplayGuard
from connector.identity.resolver import DidResolver
from connector.identity.tokens import TokenVerifier
from connector.protocol.errors import ConnectorError, Unreachable

NOW = 1_790_000_000_000
OURS = "did:web:provider.example"
THEIRS = "did:web:consumer.example"


class StillClock:
    """Time that only a test moves, in ms."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    async def sleep_until(self, at: int) -> None:
        self.at = max(self.at, at)

    def tick(self, seconds: float) -> None:
        self.at += int(seconds * 1000)


class Counter:
    """Ids that a test can foresee."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"id-{self.count}"


@dataclass
class Web:
    """Documents by URL; `down` is what a fetch raises instead; `gate` holds fetches back until it is set."""

    pages: dict[str, bytes] = field(default_factory=dict)
    down: Callable[[], ConnectorError] | None = None
    gate: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)

    def publish(self, did: str, doc: object) -> None:
        self.pages[did_web_url(did)] = doc if isinstance(doc, bytes) else orjson.dumps(doc)

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.gate is not None:
            await self.gate.wait()
        if self.down is not None:
            raise self.down()
        if url not in self.pages:
            raise Unreachable("answered 404")
        return self.pages[url]


class World:
    """We (`OURS`) as a verifier, a counterparty (`THEIRS`) with a published key."""

    def __init__(self, **options: bool) -> None:
        self.clock = StillClock()
        self.web = Web()
        self.key = SigningKey.generate(THEIRS)
        self.web.publish(THEIRS, did_document(THEIRS, [self.key]))
        self.resolver = DidResolver(self.web.fetch, self.clock)
        self.guard = ReplayGuard(self.clock)
        self.verifier = TokenVerifier(OURS, self.resolver, self.guard, self.clock, **options)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a good token with some changed; None takes one out."""
        now_s = self.clock.now() // 1000
        good = {"iss": THEIRS, "sub": THEIRS, "aud": OURS, "jti": "jti-1", "iat": now_s, "exp": now_s + 60}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(self, key: SigningKey | None = None, **changes: Any) -> str:
        return (key or self.key).sign_jwt(self.claims(**changes))

    def document(self, **changes: Any) -> Mapping[str, Any]:
        """The counterparty's document with some members changed; None takes one out."""
        doc = {**did_document(THEIRS, [self.key]), **changes}
        return {name: value for name, value in doc.items() if value is not None}
