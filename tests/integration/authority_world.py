"""An authority over real sockets, and holders with wallets that take notes."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import ClientResponse, ClientSession, web

from connector.authority.program import RunningAuthority, start
from connector.authority.settings import Settings, parse
from connector.client.api import Api
from connector.http.server import Listener, serve
from connector.identity.did import DidDocument, did_document, did_of_url, parse_did_document
from connector.identity.keys import SigningKey
from connector.identity.tokens import SelfIssuedToken
from connector.protocol.versions import WELL_KNOWN
from connector.sandbox.ports import Ports

KEY = "an operator's key"
BPN, OTHER_BPN = "BPNL0000000HOLDR", "BPNL0000000OTHER"
CONTEXT = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"
WAIT_S = 5.0


@dataclass(frozen=True)
class Message:
    """What a wallet got: where, the body, and the token that came with it."""

    path: str
    doc: Any
    token: SelfIssuedToken


@dataclass
class Holder:
    """A participant: DID document and wallet on loopback. `answers` are the statuses of its next answers, then 200.

    `connector` is a DSP root that the document names.
    """

    name: str = "holder"
    answers: list[int] = field(default_factory=list)
    services: bool = True
    connector: str = ""
    got: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    _listener: Listener | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get(f"/{self.name}/did.json", self._document)
        app.router.add_post("/dcp/{path}", self._take)
        self._listener = await serve(app, "127.0.0.1", 0)
        self.key = SigningKey.generate(self.did)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        await self._listener.close()

    @property
    def root(self) -> str:
        assert self._listener is not None
        return self._listener.url

    @property
    def did(self) -> str:
        return did_of_url(f"{self.root}/{self.name}")

    async def _document(self, _: web.Request) -> web.Response:
        own = {"id": f"{self.did}#cs", "type": "CredentialService", "serviceEndpoint": f"{self.root}/dcp"}
        dsp = {"id": f"{self.did}#dsp", "type": "DataService", "serviceEndpoint": f"{self.connector}{WELL_KNOWN}"}
        services = [own, dsp] if self.connector else [own]
        return web.json_response(did_document(self.did, [self.key], services if self.services else []))

    async def _take(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        token = SelfIssuedToken.parse(request.headers["Authorization"].removeprefix("Bearer "))
        self.got.put_nowait(Message(request.path, await request.json(), token))
        return web.Response(status=status)

    async def next(self) -> Message:
        """The next message that its wallet gets."""
        async with asyncio.timeout(WAIT_S):
            return await self.got.get()

    def token(self, audience: str, *, key: SigningKey | None = None, **changes: Any) -> str:
        """A good self-issued token, some claims changed; None takes one out."""
        now_s = int(time.time())
        good: dict[str, Any] = {"iss": self.did, "sub": self.did, "aud": audience, "jti": str(uuid.uuid4())}
        good |= {"iat": now_s, "exp": now_s + 60}
        claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
        return (key or self.key).sign_jwt(claims)


@dataclass
class AuthorityWorld:
    """A running authority, its operator, and one holder that is a member."""

    running: RunningAuthority
    http: ClientSession
    operator: Api
    holder: Holder

    @property
    def did(self) -> str:
        return self.running.settings.did

    @property
    def root(self) -> str:
        return self.running.settings.url

    def bearer(self, holder: Holder | None = None, **changes: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {(holder or self.holder).token(self.did, **changes)}"}

    def body(self, *ids: str, **changes: Any) -> dict[str, Any]:
        """A good request, some members changed; None takes one out."""
        doc: dict[str, Any] = {"@context": [CONTEXT], "type": "CredentialRequestMessage"}
        doc |= {"holderPid": str(uuid.uuid4()), "credentials": [{"id": i} for i in ids or ("membership", "bpn")]}
        return {name: value for name, value in {**doc, **changes}.items() if value is not None}

    async def ask(
        self, headers: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> ClientResponse:
        """Send a credential request: a good one of the member unless said otherwise."""
        sent = self.bearer() if headers is None else headers
        return await self.http.post(
            f"{self.root}/issuer/credentials", json=self.body() if body is None else body, headers=sent
        )

    async def look(self, location: str, headers: Mapping[str, str] | None = None) -> ClientResponse:
        return await self.http.get(location, headers=self.bearer() if headers is None else headers)

    async def document(self) -> DidDocument:
        """The authority's DID document, read as a peer reads it."""
        async with self.http.get(f"{self.root}/.well-known/did.json") as answer:
            return parse_did_document(await answer.json(), self.did)


def settings(folder: Path, port: int, **changes: Any) -> Settings:
    doc: dict[str, dict[str, Any]] = {
        "authority": {"did": did_of_url(f"http://localhost:{port}"), "data": str(folder), "development": True},
        "public": {"url": f"http://localhost:{port}", "port": port},
        "management": {"port": 0, "key": "env:KEY"},
        "issuing": changes,
    }
    return parse(doc, {"KEY": KEY})


@asynccontextmanager
async def authority_world(
    folder: Path, *, port: int | None = None, holder: Holder | None = None, **changes: Any
) -> AsyncIterator[AuthorityWorld]:
    """An authority with its register in `folder`; settings of issuing may be changed. holder: one that runs already."""
    with Ports() as ports:
        read = settings(folder, port or ports.take(), **changes)
        async with (
            start(read) as running,
            ClientSession() as http,
            AsyncExitStack() as stack,
            Api(running.management_url, KEY) as operator,
        ):
            member = await stack.enter_async_context(Holder()) if holder is None else holder
            await operator.post("/members", {"bpn": BPN, "did": member.did, "name": "Holder"})
            yield AuthorityWorld(running, http, operator, member)
