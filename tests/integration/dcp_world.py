"""A counterparty under DCP over real sockets: holder with wallet, issuer and a third party, behind one server.

What it shows is right until a test changes it. Times are real, because the node's are.
"""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson
from aiohttp import ClientSession, web

from connector.config import parse
from connector.http.server import Listener, serve
from connector.identity.credentials import Profile, credential, sign_credential
from connector.identity.dcp_messages import QUERY_PATH, PresentationQueryMessage, PresentationResponseMessage
from connector.identity.did import did_document, parse_did_document
from connector.identity.keys import SigningKey
from connector.identity.presentations import sign_presentation
from connector.identity.status_list import CONTEXT, REVOCATION, StatusEntry, list_subject, list_type, with_bit
from connector.identity.tokens import SelfIssuedToken
from connector.wiring import RunningNode, start
from tests.integration.dsp_world import KEY, settings

NODE = "did:web:verifier.test"
MEMBERSHIP = "MembershipCredential"
SCOPE = f"org.eclipse.dspace.dcp.vc.type:{MEMBERSHIP}:read"
DAY_MS = 24 * 3600 * 1000
CATALOG_REQUEST = {"@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@type": "CatalogRequestMessage"}


LIST, BITSTRING = "StatusList2021Entry", "BitstringStatusListEntry"


def now_ms() -> int:
    return int(time.time() * 1000)


def lasting(begin: int, end: int) -> dict[str, int]:
    """Claims of a token that lasts from and to then, in seconds from now."""
    now_s = now_ms() // 1000
    return {"iat": now_s + begin, "exp": now_s + end}


def renamed(key: SigningKey, did: str) -> SigningKey:
    """The same key under another one's DID."""
    return SigningKey.from_pem(key.to_pem(), did)


def forged(key: SigningKey) -> SigningKey:
    """Another key under the very name of this one, which is published."""
    other = SigningKey.generate(key.did)
    for name in ("kid", "_header"):
        object.__setattr__(other, name, getattr(key, name))
    return other


@dataclass
class Counterparty:
    """`pages` are further documents by path; `show` makes what the wallet shows."""

    pages: dict[str, Callable[[web.Request], web.StreamResponse]] = field(default_factory=dict)
    keys: dict[str, SigningKey] = field(default_factory=dict)
    show: Callable[[PresentationQueryMessage], list[Any] | int] = field(default=lambda _: [])
    queries: list[tuple[PresentationQueryMessage, SelfIssuedToken]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _listener: Listener | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self._listener = await serve(app, "127.0.0.1", 0, exact_below="/")
        for name in ("holder", "issuer", "thirdparty"):
            self.keys[name] = SigningKey.generate(self.did(name))
            self.publish(name)
        self.publish_list()
        self.show = lambda _: [self.vp(self.vc())]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        await self._listener.close()

    @property
    def root(self) -> str:
        assert self._listener is not None
        return self._listener.url

    def did(self, name: str) -> str:
        return f"did:web:{self.root.removeprefix('http://').replace(':', '%3A')}:{name}"

    def publish(self, name: str, **changes: Any) -> None:
        """Put a document online, some members changed."""
        service = {"id": f"{self.did(name)}#cs", "type": "CredentialService", "serviceEndpoint": self.root}
        doc = did_document(self.did(name), [self.keys[name]], [service]) | changes
        self.pages[f"/{name}/did.json"] = lambda _: web.json_response(doc)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path in self.pages:
            return self.pages[request.path](request)
        if request.path != QUERY_PATH:
            raise web.HTTPNotFound
        token = SelfIssuedToken.parse(request.headers["Authorization"].removeprefix("Bearer "))
        query = PresentationQueryMessage.parse(await request.json())
        self.queries.append((query, token))
        shown = self.show(query)
        if isinstance(shown, int):
            return web.Response(status=shown)
        return web.json_response(PresentationResponseMessage(presentation=tuple(shown)).to_json())

    @property
    def list_url(self) -> str:
        return f"{self.root}/statuslist/1"

    def publish_list(self, *revoked: int, kind: str = LIST) -> str:
        """Put the signed status list for entries of `kind` online; return it."""
        bits = bytes(16384)
        for index in revoked:
            bits = with_bit(bits, index, value=True)
        doc = credential(
            Profile.VC11 if kind == LIST else Profile.VC20,
            identifier=self.list_url,
            types=[list_type(kind)],
            issuer=self.did("issuer"),
            subject=list_subject(kind, url=self.list_url, purpose=REVOCATION, bits=bits),
            valid_from=now_ms() - DAY_MS,
            contexts=[CONTEXT] if kind == LIST else [],
        )
        jwt = sign_credential(self.keys["issuer"], doc)
        self.pages["/statuslist/1"] = lambda _: web.Response(text=jwt, content_type="application/vc+jwt")
        return jwt

    def vc(self, name: str = MEMBERSHIP, *, by: str = "issuer", subject: str = "holder", **changes: Any) -> str:
        doc = credential(
            Profile.VC11,
            identifier=f"urn:uuid:{uuid.uuid4()}",
            types=[name],
            issuer=self.did(by),
            subject={"id": self.did(subject), "foo": "bar"},
            valid_from=changes.pop("valid_from", now_ms() - DAY_MS),
            valid_until=changes.pop("valid_until", now_ms() + DAY_MS),
        )
        return sign_credential(self.keys[by], doc | changes)

    def status(self, index: int = 7, kind: str = LIST) -> dict[str, str]:
        return StatusEntry(kind, REVOCATION, index, self.list_url).to_json()

    def vp(self, *jwts: str, by: str = "holder", audience: str = NODE) -> str:
        return sign_presentation(self.keys[by], jwts, audience=audience, jti=str(uuid.uuid4()), now=now_ms())

    def named(self, name: str) -> SigningKey:
        """The holder's key, as if it were this one's."""
        return renamed(self.keys["holder"], self.did(name))

    def header(self, by: str = "holder", *, key: SigningKey | None = None, **changes: Any) -> str:
        """A self-issued token to the node, some claims changed; None takes one out."""
        now = now_ms() // 1000
        claims = {"iss": self.did(by), "sub": self.did(by), "aud": NODE, "jti": str(uuid.uuid4())}
        good = claims | {"iat": now, "exp": now + 60, "token": "access"}
        sent = {name: value for name, value in (good | changes).items() if value is not None}
        return f"Bearer {(key or self.keys[by]).sign_jwt(sent)}"


@dataclass
class DcpNode:
    """A running node with DCP, and the counterparty."""

    running: RunningNode
    them: Counterparty
    session: ClientSession

    async def catalog(self, header: str | None, doc: Mapping[str, Any] = CATALOG_REQUEST) -> tuple[int, Any]:
        """(status, JSON) of a catalog request with this Authorization header."""
        headers = {"Content-Type": "application/json"} | ({} if header is None else {"Authorization": header})
        url = f"{self.running.public.url}/api/v1/dsp/2025-1/catalog/request"
        async with self.session.post(url, data=orjson.dumps(doc), headers=headers) as answer:
            return answer.status, await answer.json()

    async def document(self) -> dict[str, Any]:
        """The node's DID document."""
        async with self.session.get(f"{self.running.public.url}/.well-known/did.json") as answer:
            doc: dict[str, Any] = orjson.loads(await answer.read())
        assert parse_did_document(doc, NODE).methods
        return doc


@asynccontextmanager
async def dcp_node(folder: Path, **sections: Mapping[str, Any]) -> AsyncIterator[DcpNode]:
    """A node that asks for a membership and trusts the counterparty's issuer for it; nothing is kept."""
    async with Counterparty() as them, started(folder, them, sections) as node:
        yield node


@asynccontextmanager
async def started(
    folder: Path, them: Counterparty, sections: Mapping[str, Mapping[str, Any]]
) -> AsyncIterator[DcpNode]:
    """The same with a counterparty that is there already."""
    async with ClientSession() as session:
        mine: dict[str, dict[str, Any]] = {
            "node": {"did": NODE},
            "identity": {"kind": "dcp", "scopes": [SCOPE], "keep_credentials": 0},
            "trusted_issuers": {them.did("issuer"): [MEMBERSHIP, "SensitiveDataCredential"]},
        }
        laid = {name: {**mine.get(name, {}), **sections.get(name, {})} for name in mine.keys() | sections.keys()}
        config = parse(settings(folder, **laid) | {"directory": {}}, {"KEY": KEY})
        async with start(config) as running:
            yield DcpNode(running, them, session)
