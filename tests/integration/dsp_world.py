"""What the tests of the protocol surface share: a real node on loopback, and a counterparty that only takes notes.

The node is built by `wiring.start` from settings; the counterparty (`Peer`) is a server that answers every message
with 200 unless a test says otherwise, and remembers what it got. Nothing waits for time: tests wait for messages and
for states, and fail after five seconds.
"""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from aiohttp import ClientSession, web
from multidict import CIMultiDictProxy

from connector.config import DSP_PATH, parse
from connector.exchange import negotiate, publish, transfer
from connector.exchange import records as r
from connector.exchange.hold import AT_ONCE, FOLLOW_UP
from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.http.server import Listener, serve
from connector.policy.parse import parse_policy
from connector.protocol.negotiation import State
from connector.wiring import RunningNode, start
from tests.conformance.official import faults

CONTEXT = ["https://w3id.org/dspace/2025/1/context.jsonld"]
EDC_CONTEXT = [*CONTEXT, "https://w3id.org/edc/dspace/v0.0.1"]
KEY = "a management key"
US, THEM, STRANGER = "provider", "consumer", "stranger"
BPNS = {"BPNL0000000000US": US, "BPNL00000000THEM": THEM}
USE: dict[str, Any] = {"permission": [{"action": "use"}]}
DATED: dict[str, Any] = {
    "permission": [
        {
            "action": "use",
            "constraint": [{"leftOperand": "inForceDate", "operator": "gteq", "rightOperand": "2020-01-01T00:00:00Z"}],
        }
    ]
}
WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the node. `doc` is its JSON, None if it is empty or something else."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def doc(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.body) if self.body else None

    @property
    def told(self) -> str:
        """The reasons of an error, in one line."""
        return "; ".join(self.doc["reason"])


@dataclass(frozen=True, slots=True)
class Received:
    """A request that the counterparty got."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    doc: Any


@dataclass
class Peer:
    """The counterparty's server. `answers`: for the next messages of a type, (status, body) instead of 200."""

    answers: dict[str, deque[tuple[int, object]]] = field(default_factory=dict)
    states: dict[str, object] = field(default_factory=dict)
    """What it answers to GET, by path; 404 for every other one."""
    pages: dict[str, object] = field(default_factory=dict)
    """Further documents that it serves, by path: its DID document."""
    before: dict[str, Callable[[Any], Awaitable[None]]] = field(default_factory=dict)
    """What it does with a message of a type before it answers."""
    got: list[Received] = field(default_factory=list)
    _listener: Listener | None = None
    _read: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self._listener = await serve(app, "127.0.0.1", 0, exact_below="/")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        await self._listener.close()

    @property
    def root(self) -> str:
        assert self._listener is not None
        return self._listener.url

    @property
    def address(self) -> str:
        """Its DSP base URL."""
        return f"{self.root}/peer"

    def answer(self, kind: str, status: int, body: object = None) -> None:
        self.answers.setdefault(kind, deque()).append((status, body))

    async def _take(self, request: web.Request) -> web.Response:
        if request.path in self.pages:
            return web.json_response(self.pages[request.path])
        body = await request.read()
        doc: Any = json.loads(body) if body else None
        self.got.append(Received(request.method, request.path, request.headers, doc))
        self._news.set()
        if request.method == "GET":
            known = self.states.get(request.path.removeprefix("/peer"))
            return web.json_response(known) if known is not None else web.Response(status=404)
        if act := self.before.get(doc["@type"]):
            await act(doc)
        status, answer = self._next_answer(doc)
        return web.json_response(answer, status=status) if answer is not None else web.Response(status=status)

    def _next_answer(self, doc: dict[str, Any]) -> tuple[int, object]:
        kind = doc["@type"]
        if queue := self.answers.get(kind):
            return queue.popleft()
        if kind in ("ContractRequestMessage", "TransferRequestMessage") and "providerPid" not in doc:
            return 201, ack(kind, consumer=doc["consumerPid"], provider=f"pp-{doc['consumerPid']}")
        if kind == "ContractOfferMessage" and "consumerPid" not in doc:
            return 201, ack("ContractOffer", consumer=f"cp-{doc['providerPid']}", provider=doc["providerPid"])
        return 200, None

    async def next(self, kind: str = "") -> Received:
        """The next request that no test has looked at yet; it must be of type `kind` ("GET" for a look)."""
        async with asyncio.timeout(WAIT_S):
            while self._read >= len(self.got):
                self._news.clear()
                await self._news.wait()
        found = self.got[self._read]
        self._read += 1
        assert not kind or kind == (found.doc["@type"] if found.method == "POST" else "GET"), found
        if found.method == "POST":
            assert faults(found.doc) == []
        return found


def ack(kind: str, *, consumer: str, provider: str) -> dict[str, Any]:
    """What a counterparty answers to an opening message."""
    of_contract = kind.startswith("Contract")
    state = "OFFERED" if "Offer" in kind else "REQUESTED"
    name = "ContractNegotiation" if of_contract else "TransferProcess"
    return message(name, consumerPid=consumer, providerPid=provider, state=state)


def message(kind: str, **members: object) -> dict[str, Any]:
    """A message as a peer sends it; a fresh `@id` unless `id` is given (None: none at all)."""
    ident = members.pop("id") if "id" in members else str(uuid.uuid4())
    head: dict[str, Any] = {"@context": CONTEXT, "@type": kind} | ({"@id": ident} if ident else {})
    return head | members


def mock_token(client_id: str) -> str:
    """The Authorization header of EDC's mock identity."""
    return json.dumps({"region": "eu", "audience": "http://us", "clientId": client_id})


@dataclass
class World:
    """A running node as its counterparties see it, and the keys to its inside for what only tests look at."""

    running: RunningNode
    session: ClientSession
    peer: Peer
    token: Callable[[str], str] = mock_token

    @property
    def root(self) -> str:
        return self.running.public.url + DSP_PATH

    @property
    def base(self) -> str:
        """Where the paths of the bindings begin. (The node tells others its configured address.)"""
        return f"{self.root}/2025-1"

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        as_: str | None = THEM,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request below the base; `as_` None: without a token. A path with `://` is taken as it is."""
        sent = {FOLLOW_UP: AT_ONCE} | ({"Content-Type": "application/json"} if body is not None else {})
        if as_ is not None:
            sent["Authorization"] = self.token(as_)
        url = path if "://" in path else self.base + path
        packed = None if body is None else BytesIO(body)  # aiohttp warns about much in one piece
        async with self.session.request(method, url, data=packed, headers=sent | dict(headers or {})) as answer:
            reply = Reply(answer.status, answer.headers, await answer.read())
        assert "Server" not in reply.headers
        assert reply.headers["X-Request-ID"]
        if reply.body and reply.headers.get("Content-Type", "").startswith("application/json"):
            assert faults(reply.doc) == []
        return reply

    async def post(self, path: str, doc: object, **options: Any) -> Reply:
        return await self.ask("POST", path, json.dumps(doc).encode(), **options)

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.ask("GET", path, **options)

    async def everything(self) -> dict[str, list[Any]]:
        """Every record in the store: to see that nothing has changed."""

        def read(tx: Tx) -> dict[str, list[Any]]:
            page = QuerySpec(limit=1000)
            return {
                "negotiations": tx.negotiations.query(page),
                "agreements": tx.agreements.query(page),
                "transfers": tx.transfers.query(page),
                "edrs": tx.edrs.query(page),
                "grants": tx.grants.query(page),
                "outbox": tx.outbox.query(page),
                "timers": tx.timers.query(page),
            }

        return await self.running.node.store.read(read)

    async def negotiation(self, ident: str) -> r.Negotiation:
        return await self.running.node.store.read(lambda tx: tx.negotiations.get(ident))

    async def transfer(self, ident: str) -> r.Transfer:
        return await self.running.node.store.read(lambda tx: tx.transfers.get(ident))

    async def settled(self, ident: str, state: str) -> r.Negotiation | r.Transfer:
        """The negotiation or transfer once it is in `state` and nothing of ours waits for an answer."""

        async def look() -> r.Negotiation | r.Transfer:
            found = await self.running.node.store.read(
                lambda tx: tx.negotiations.find(ident) or tx.transfers.find(ident)
            )
            assert found is not None
            return found

        async def reached() -> bool:
            process = (await look()).process
            return process.state == state and process.pending is None

        await self.running.engine.wait_until(ident, reached, WAIT_S)
        found = await look()
        assert (found.process.state, found.process.pending) == (state, None), found.history
        return found

    async def publish(
        self,
        asset: str = "asset-1",
        terms: Mapping[str, Any] = USE,
        properties: Mapping[str, Any] | None = None,
        *,
        access: Mapping[str, Any] | None = None,
        path: str | None = None,
    ) -> str:
        """Offer an asset, to everybody unless `access` says otherwise; return the id of the offer.

        path: the asset's id as it stands in a path, if that differs.
        """
        node, now = self.running.node, self.running.node.clock.now()
        await publish.add_asset(
            node, r.Asset(asset, now, properties or {}, {}, {"type": "HttpData", "baseUrl": "http://127.0.0.1:9/"})
        )
        for name, policy in ((f"access-{asset}", access or {}), (f"terms-{asset}", terms)):
            await publish.add_policy(node, r.PolicyDefinition(name, now, parse_policy({"@type": "Set", **policy})))
        selector = (Criterion("https://w3id.org/edc/v0.0.1/ns/id", "=", asset),)
        await publish.add_definition(
            node, r.ContractDefinition(f"def-{asset}", now, f"access-{asset}", f"terms-{asset}", selector)
        )
        offers = (await self.get(f"/catalog/datasets/{path or asset}")).doc["hasPolicy"]
        return str(offers[0]["@id"])

    def offer(self, ident: str, asset: str = "asset-1", terms: Mapping[str, Any] = USE, **more: Any) -> dict[str, Any]:
        """An offer as it stands in a message."""
        return {"@id": ident, "@type": "Offer", "target": asset, **terms, **more}

    def request(self, offer: Mapping[str, Any], consumer_pid: str = "cp-1", **more: Any) -> dict[str, Any]:
        """A ContractRequestMessage that opens a negotiation."""
        members = {"consumerPid": consumer_pid, "offer": offer, "callbackAddress": self.peer.address}
        return message("ContractRequestMessage", **(members | more))

    async def as_provider(self, consumer_pid: str = "cp-1", asset: str = "asset-1") -> tuple[str, str]:
        """Publish and finalize a contract with the counterparty: (our pid, agreement id)."""
        offer = await self.publish(asset)
        opened = await self.post("/negotiations/request", self.request(self.offer(offer, asset), consumer_pid))
        pid = opened.doc["providerPid"]
        agreement = (await self.peer.next("ContractAgreementMessage")).doc["agreement"]["@id"]
        await self.settled(pid, "AGREED")
        pids = {"consumerPid": consumer_pid, "providerPid": pid}
        await self.post(
            f"/negotiations/{pid}/agreement/verification", message("ContractAgreementVerificationMessage", **pids)
        )
        await self.peer.next("ContractNegotiationEventMessage")
        await self.settled(pid, "FINALIZED")
        return pid, agreement

    async def started(self, agreement: str, consumer_pid: str = "ct-1", **more: Any) -> tuple[str, Received]:
        """Have the counterparty ask for the data of an agreement: (our pid, the start message it got)."""
        doc = message(
            "TransferRequestMessage",
            **{
                "consumerPid": consumer_pid,
                "agreementId": agreement,
                "format": "HttpData-PULL",
                "callbackAddress": self.peer.address,
            }
            | more,
        )
        opened = await self.post("/transfers/request", doc)
        assert opened.status == 201, opened.body
        begun = await self.peer.next("TransferStartMessage")
        await self.settled(opened.doc["providerPid"], "STARTED")
        return opened.doc["providerPid"], begun

    async def ask_for(self, terms: Mapping[str, Any] = USE, offer: str = "offer-1", asset: str = "asset-1") -> str:
        """Begin a negotiation as consumer; return our pid. The counterparty has the request already."""
        policy = parse_policy(self.offer(offer, asset, terms, assigner=THEM))
        begun = await negotiate.request(self.running.node, negotiate.Contract(r.Peer(THEM, self.peer.address), policy))
        await self.peer.next("ContractRequestMessage")
        return begun.id

    def agreement(self, pid: str, terms: Mapping[str, Any] = USE, **more: Any) -> dict[str, Any]:
        """The counterparty's ContractAgreementMessage for a negotiation of ours."""
        content = {
            "@id": f"agreement-{pid}",
            "@type": "Agreement",
            "target": "asset-1",
            "assigner": THEM,
            "assignee": US,
            "timestamp": "2026-11-22T00:46:01Z",
            **terms,
        }
        return message("ContractAgreementMessage", consumerPid=pid, providerPid=f"pp-{pid}", agreement=content | more)

    async def as_consumer(self) -> tuple[str, str]:
        """Finalize a contract that the counterparty provides: (our pid, agreement id)."""
        pid = await self.ask_for()
        await self.settled(pid, State.REQUESTED)
        assert (await self.post(f"/negotiations/{pid}/agreement", self.agreement(pid))).status == 200
        await self.peer.next("ContractAgreementVerificationMessage")
        await self.settled(pid, State.VERIFIED)
        final = message(
            "ContractNegotiationEventMessage", consumerPid=pid, providerPid=f"pp-{pid}", eventType="FINALIZED"
        )
        assert (await self.post(f"/negotiations/{pid}/events", final)).status == 200
        return pid, f"agreement-{pid}"

    async def pull(self, agreement: str) -> str:
        """Ask the counterparty for the data of an agreement; return our pid once it has answered."""
        begun = await transfer.request(self.running.node, transfer.Order(agreement, "HttpData-PULL"))
        await self.peer.next("TransferRequestMessage")
        await self.settled(begun.id, "REQUESTED")
        return begun.id


def settings(folder: Path, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a node for tests: mock identity, development, free ports; `sections` are laid over them."""
    doc: dict[str, Any] = {
        "node": {"did": US, "bpn": "BPNL0000000000US", "data": str(folder), "development": True},
        "public": {"url": "http://provider.test", "port": 0},
        "management": {"key": "env:KEY", "port": 0},
        "identity": {"kind": "mock"},
        "directory": dict(BPNS),
    }
    return doc | {name: {**doc.get(name, {}), **section} for name, section in sections.items()}


@asynccontextmanager
async def world(folder: Path, **sections: Mapping[str, Any]) -> AsyncIterator[World]:
    """A node with these settings and a counterparty."""
    config = parse(settings(folder, **sections), {"KEY": KEY})
    async with start(config) as running, Peer() as peer, ClientSession(auto_decompress=True) as session:
        yield World(running, session, peer)
