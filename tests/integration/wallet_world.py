"""Nodes with wallets of their own on real sockets, and an authority that issues to them.

The nodes' DIDs are their real addresses, so everything that one fetches of another it fetches as in production.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import ClientSession, web

from connector.client import Client, Provider
from connector.config import DSP_PATH, parse
from connector.exchange import credentials as use
from connector.exchange.ports import Tx
from connector.exchange.records import Held, HeldCredential
from connector.http.server import Listener, serve
from connector.identity.credentials import Profile, VerifiableCredential, credential, sign_credential
from connector.identity.dcp_messages import CredentialContainer, CredentialMessage, Decision
from connector.identity.did import did_document, did_of_url
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey, VerificationKey
from connector.identity.scopes import CATENA_X_TYPE
from connector.identity.status_list import CONTEXT, REVOCATION, StatusEntry, list_subject, list_type, with_bit
from connector.identity.tokens import issue_token
from connector.sandbox.ports import Ports
from connector.wiring import RunningNode, start
from tests.integration.dcp_world import DAY_MS, now_ms
from tests.integration.dsp_world import KEY, WAIT_S, settings

SECRET = "the secret of a client"  # noqa: S105 - for tests
TYPES = ("MembershipCredential", "BpnCredential", "DataExchangeGovernanceCredential")
SCOPES = tuple(f"{CATENA_X_TYPE}:{name}:read" for name in TYPES)


@dataclass
class Other:
    """Somebody with a key and a DID document: an issuer, a verifier, a stranger."""

    key: SigningKey

    @property
    def did(self) -> str:
        return self.key.did

    def signed(self, jws: CompactJws) -> bool:
        """Whether this is one of theirs."""
        public = VerificationKey.from_jwk(self.key.public_jwk())
        return public.verify(jws.header["alg"], jws.signing_input, jws.signature)

    def header(self, audience: str, *, key: SigningKey | None = None, **changes: Any) -> str:
        """A self-issued token, some claims changed; None takes one out."""
        now = now_ms() // 1000
        good = {
            "iss": self.did,
            "sub": self.did,
            "aud": audience,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + 60,
        }
        sent = {name: value for name, value in (good | changes).items() if value is not None}
        return f"Bearer {(key or self.key).sign_jwt(sent)}"


@dataclass
class Others:
    """A web server with the documents of `issuer`, `verifier` and `stranger`, and the issuer's status list."""

    listener: Listener
    pages: dict[str, web.Response | dict[str, Any]]
    all: dict[str, Other]

    def __getitem__(self, name: str) -> Other:
        return self.all[name]

    def publish_list(self, *revoked: int) -> None:
        bits = bytes(16384)
        for index in revoked:
            bits = with_bit(bits, index, value=True)
        url = f"{self.listener.url}/status"
        doc = credential(
            Profile.VC11,
            identifier=url,
            types=[list_type("StatusList2021Entry")],
            issuer=self["issuer"].did,
            subject=list_subject("StatusList2021Entry", url=url, purpose=REVOCATION, bits=bits, ttl=0),
            valid_from=now_ms() - DAY_MS,
            contexts=[CONTEXT],
        )
        self.pages["/status"] = {"jwt": sign_credential(self["issuer"].key, doc)}

    def vc(
        self, holder: str, name: str = TYPES[0], *, by: str = "issuer", bpn: str = "BPNL00000000HOLD", **changes: Any
    ) -> str:
        """A credential as JWT about `holder`; members of the JSON may be changed."""
        profile = changes.pop("profile", Profile.VC11)
        status = (
            StatusEntry("StatusList2021Entry", REVOCATION, changes.pop("index"), f"{self.listener.url}/status")
            if ("index" in changes)
            else None
        )
        doc = credential(
            profile,
            identifier=f"urn:uuid:{uuid.uuid4()}",
            types=[name],
            issuer=self[by].did,
            subject={"id": holder, "holderIdentifier": bpn, "contractVersion": "1.0"}
            | ({"bpn": bpn} if name == TYPES[1] else {}),
            valid_from=now_ms() - DAY_MS,
            valid_until=changes.pop("valid_until", now_ms() + DAY_MS),
            status=status,
        )
        return sign_credential(self[by].key, doc | changes)

    def message(self, *jwts: str, holder_pid: str = "pid", **changes: Any) -> dict[str, Any]:
        """A good CredentialMessage with these."""
        containers = tuple(CredentialContainer(credential_type="X", format=Profile.VC11, payload=jwt) for jwt in jwts)
        message = CredentialMessage(
            issuer_pid="issuer-pid", holder_pid=holder_pid, status=Decision.ISSUED, credentials=containers
        )
        return {name: value for name, value in (message.to_json() | changes).items() if value is not None}


@asynccontextmanager
async def others() -> AsyncIterator[Others]:
    pages: dict[str, Any] = {}

    async def take(request: web.Request) -> web.Response:
        found = pages.get(request.path)
        if found is None:
            raise web.HTTPNotFound
        return web.Response(text=found["jwt"]) if "jwt" in found else web.json_response(found)

    app = web.Application()
    app.router.add_get("/{path:.*}", take)
    listener = await serve(app, "127.0.0.1", 0)
    everybody = {}
    for name in ("issuer", "verifier", "stranger"):
        key = SigningKey.generate(did_of_url(f"{listener.url}/{name}"))
        everybody[name] = Other(key)
        pages[f"/{name}/did.json"] = did_document(key.did, [key])
    world = Others(listener, pages, everybody)
    world.publish_list()
    try:
        yield world
    finally:
        await listener.close()


@dataclass
class Holder:
    """A running node with a wallet."""

    running: RunningNode
    http: ClientSession
    did: str
    client: Client

    @property
    def url(self) -> str:
        return f"{self.running.public.url}/dcp"

    @property
    def provider(self) -> Provider:
        return Provider(self.did, f"{self.running.public.url.replace('127.0.0.1', 'localhost')}{DSP_PATH}/2025-1")

    async def post(self, path: str, header: str | None, doc: object, **headers: str) -> tuple[int, Any]:
        """(status, JSON) of a message to the wallet."""
        sent = {"Content-Type": "application/json"} | ({} if header is None else {"Authorization": header}) | headers
        body = BytesIO(orjson.dumps(doc))  # aiohttp warns about much in one piece
        async with self.http.post(f"{self.url}{path}", data=body, headers=sent) as answer:
            return answer.status, await answer.json() if await answer.read() else None

    async def token(self, audience: str, scopes: str, /, **changes: str) -> tuple[int, Any]:
        """(status, JSON) of a request to the node's token service; None takes a field out."""
        form = {"grant_type": "client_credentials", "client_id": "tests", "client_secret": SECRET}
        form |= {"audience": audience, "bearer_access_scope": scopes} | changes
        url = f"{self.running.management.url}/sts/token"
        body = BytesIO(urlencode({k: v for k, v in form.items() if v}).encode())
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self.http.post(url, data=body, headers=sent) as answer:
            return answer.status, await answer.json()

    async def hold(self, *jwts: str) -> None:
        """Put credentials into the wallet behind its doors."""
        now = now_ms()

        def keep(tx: Tx) -> None:
            for jwt in jwts:
                vc = VerifiableCredential.parse(jwt)
                record = HeldCredential(
                    jwt[-40:], now, vc.issuer, Held.ISSUED, vc.valid_from, vc.valid_until, vc.profile, vc.types, jwt
                )
                use.take(tx, vc.issuer, "nobody's", "pid", [record], now=now)

        await self.running.node.store.run(keep)

    async def held(self) -> list[HeldCredential]:
        return await self.running.node.store.read(lambda tx: use.current(tx, now_ms()))

    async def until(self, reached: Callable[[Tx], bool]) -> None:
        """Return once the store is as `reached` says, looking after each commit that promises or tells something."""
        store, news = self.running.node.store, asyncio.Event()
        store.listen(lambda _: news.set())
        async with asyncio.timeout(WAIT_S):
            while not await store.read(reached):
                await news.wait()
                news.clear()


@asynccontextmanager
async def holder(
    folder: Path,
    trusted: Mapping[str, list[str]],
    *,
    port: int | None = None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[Holder]:
    """A node with a wallet that trusts these issuers."""
    async with AsyncExitStack() as stack:
        ports = stack.enter_context(Ports())
        port = port or ports.take()
        url = f"http://localhost:{port}"
        mine: dict[str, dict[str, Any]] = {
            "node": {"did": did_of_url(url), "data": str(folder)},
            "public": {"url": url, "port": port},
            "identity": {"kind": "dcp", "scopes": list(SCOPES)},
            "trusted_issuers": dict(trusted),
            "sts": {"client_id": "tests", "client_secret": "env:SECRET"},
        }
        laid = {name: {**mine.get(name, {}), **sections.get(name, {})} for name in mine.keys() | sections.keys()}
        config = parse(settings(folder, **laid) | {"directory": {}}, {"KEY": KEY, "SECRET": SECRET})
        running = await stack.enter_async_context(start(config))
        http = await stack.enter_async_context(ClientSession())
        client = await stack.enter_async_context(Client(f"{running.management.url}/management", KEY))
        yield Holder(running, http, config.did, client)


def in_our_name(key: SigningKey, audience: str, **claims: str) -> str:
    """A token that the holder of `key` made, whatever it says."""
    return f"Bearer {issue_token(key, audience=audience, jti=str(uuid.uuid4()), now=now_ms(), claims=claims)}"
