"""What the data plane's tests share: one running transfer over an asset, in a store that lives in memory.

The store keeps to the ports as far as the data plane uses them: transactions are all or nothing, commits are told after
they happened, a read sees one state.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar, cast

from aiohttp import ClientSession, DummyCookieJar, web
from aiohttp.client import _RequestContextManager
from yarl import URL

from connector.dataplane.backend import Backends
from connector.dataplane.plane import EmbeddedDataPlane
from connector.dataplane.proxy import HttpSource
from connector.dataplane.source import Source
from connector.dataplane.tokens import AccessTokens
from connector.exchange.ports import Caller, Commit, Tx
from connector.exchange.records import Agreement, Asset, Grant, Happened, Outgoing, Payload, Peer, Secret, Transfer
from connector.http.client import Outbound
from connector.http.guard import AddressPolicy
from connector.http.middleware import application
from connector.http.public import public_routes, render
from connector.http.server import serve
from connector.identity.keys import SigningKey
from connector.policy.circumstances import ProvenCredential
from connector.policy.model import Policy
from connector.protocol.errors import Conflict, NotFound, PeerError
from connector.protocol.process import Pending, Role
from connector.protocol.transfer import Event, State, TransferProcess
from tests.unit.identity_world import NOW, StillClock

PROVIDER, CONSUMER = "did:web:provider.example", "did:web:consumer.example"
BPN = "BPNL00000000CONS"
TRANSFER, AGREEMENT, ASSET = "transfer-1", "agreement-1", "asset-1"
LOCAL = AddressPolicy(allow_loopback=True, allow_http=True)
KEY = SigningKey.generate(PROVIDER)
R = TypeVar("R")


class Record(Protocol):
    """Anything the store keeps."""

    @property
    def id(self) -> str: ...


T = TypeVar("T")


class Shelf(Generic[R]):
    """The records of one kind."""

    def __init__(self, rows: dict[str, Any]) -> None:
        self.rows = rows

    def find(self, identifier: str) -> R | None:
        return self.rows.get(identifier)

    def get(self, identifier: str) -> R:
        if identifier not in self.rows:
            raise NotFound(f"there is no {identifier}")
        return cast("R", self.rows[identifier])

    def get_many(self, identifiers: Iterable[str]) -> dict[str, R]:
        return {name: self.rows[name] for name in identifiers if name in self.rows}

    def add(self, record: Record) -> None:
        if record.id in self.rows:
            raise Conflict(f"{record.id} is taken")
        self.rows[record.id] = record

    def save(self, record: Record) -> None:
        self.get(record.id)
        self.rows[record.id] = record

    def delete(self, identifier: str) -> None:
        self.get(identifier)
        del self.rows[identifier]


KINDS = ("assets", "partners", "agreements", "transfers", "grants", "secrets", "payloads", "edrs")


class ShortTx:
    """One transaction over copies of the shelves."""

    def __init__(self, rows: Mapping[str, dict[str, Any]]) -> None:
        self.rows = {kind: dict(rows[kind]) for kind in KINDS}
        self.events: list[Happened] = []
        self.messages: list[Outgoing] = []
        for kind in KINDS:
            setattr(self, kind, Shelf[Any](self.rows[kind]))

    def emit(self, event: Happened) -> None:
        self.events.append(event)

    def send(self, message: Outgoing) -> None:
        self.messages.append(message)


class ShortStore:
    """A store in memory; `reads` counts what a cache should have saved; `meanwhile` runs once inside the next read."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self.listeners: list[Callable[[Commit], None]] = []
        self.reads = 0
        self.meanwhile: Callable[[], Any] | None = None

    async def run(self, fn: Callable[[Tx], T]) -> T:
        draft = ShortTx(self.rows)
        result = fn(cast("Tx", draft))
        self.rows = draft.rows
        for listener in self.listeners:
            listener(Commit(events=tuple(draft.events), messages=tuple(draft.messages)))
        return result

    async def read(self, fn: Callable[[Tx], T]) -> T:
        self.reads += 1
        result = fn(cast("Tx", ShortTx(self.rows)))
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            await meanwhile()
        return result

    def listen(self, listener: Callable[[Commit], None]) -> None:
        self.listeners.append(listener)

    async def close(self) -> None:
        pass


class Assertions:
    """Takes `Bearer <participant>|<access token>` for a signed assertion of that participant."""

    def __init__(self) -> None:
        self.credentials: tuple[ProvenCredential, ...] = ()

    async def verify(self, authorization: str | None, *, single_use: bool) -> Caller:
        assert not single_use  # a jti returns in Tractus-X's refreshes
        who, _, token = (authorization or "").removeprefix("Bearer ").partition("|")
        if not who:
            raise PeerError(401, "no assertion")
        return Caller(who, None, {"token": token} if token else {}, self.credentials)


def transfer(state: State = State.STARTED, pending: Event | None = None, **changes: Any) -> Transfer:
    process = TransferProcess(Role.PROVIDER, state, Pending(pending, "key") if pending else None)
    return Transfer(
        **{
            "id": TRANSFER,
            "created_at": NOW,
            "updated_at": NOW,
            "process": process,
            "peer": Peer(CONSUMER, "https://consumer.example/dsp"),
            "agreement_id": AGREEMENT,
            "asset_id": ASSET,
            "format": "HttpData-PULL",
            **changes,
        }
    )


def agreement(**changes: Any) -> Agreement:
    return replace(Agreement(AGREEMENT, NOW, PROVIDER, CONSUMER, ASSET, Policy(), "negotiation-1"), **changes)


@dataclass
class World:
    """A provider's data plane; `token` opens the one transfer."""

    store: ShortStore
    clock: StillClock
    tokens: AccessTokens
    plane: EmbeddedDataPlane
    assertions: Assertions
    token: str = ""
    refresh_token: str = ""
    url: str = ""
    session: ClientSession = field(init=False)

    async def put(self, kind: str, record: Record, event: str | None = None) -> None:
        """Replace a record, telling of it if `event` is given."""

        def fn(tx: Tx) -> None:
            cast("ShortTx", tx).rows[kind][record.id] = record
            if event:
                tx.emit(Happened(event, NOW, cast("Any", record)))

        await self.store.run(fn)

    async def open(self, data_address: Mapping[str, str], **properties: Any) -> None:
        """Offer an asset and start the transfer over it."""
        await self.put("assets", Asset(ASSET, NOW, properties, {}, data_address), "asset.updated")
        await self.put("agreements", agreement())
        await self.put("transfers", transfer())
        await self.start()

    async def start(self) -> None:
        """Start (anew): a fresh grant and a fresh token."""
        address, grant = self.plane.open_pull(transfer(), BPN, self.clock.now())
        await self.put("grants", grant)
        await self.put("transfers", transfer(), "transfer.process.started")
        self.token = address.get("authorization") or ""
        self.refresh_token = address.get("refreshToken") or ""

    async def revoke(self) -> None:
        """What the use cases do when a transfer is suspended: the grant goes with the promise of the message."""

        def fn(tx: Tx) -> None:
            tx.grants.delete(TRANSFER)
            tx.transfers.save(transfer(pending=Event.SUSPEND))
            tx.send(Outgoing("m", NOW, TRANSFER, "transfer", "SUSPEND", "https://consumer.example", b""))

        await self.store.run(fn)

    @property
    def grant(self) -> Grant:
        return cast("Grant", self.store.rows["grants"][TRANSFER])

    async def secret(self, name: str, value: str) -> None:
        await self.put("secrets", Secret(name, NOW, value), "secret.updated")

    async def payload(self, payload: Payload) -> None:
        await self.put("payloads", payload, None)

    def ask(self, method: str = "GET", path: str = "", **options: Any) -> "_RequestContextManager":
        """A consumer's request with its token, the path spelled exactly as given."""
        headers = {"Authorization": self.token, **options.pop("headers", {})}
        url = URL(self.url + path, encoded=True)
        return self.session.request(method, url, headers=headers, allow_redirects=False, **options)


def world(sources: Mapping[str, Source], outbound: Outbound) -> World:
    store, clock, assertions = ShortStore(), StillClock(), Assertions()
    tokens = AccessTokens(KEY, clock)
    plane = EmbeddedDataPlane(
        public_url="https://p.example/public",
        store=cast("Any", store),
        clock=clock,
        tokens=tokens,
        sources=sources,
        assertions=assertions,
        outbound=outbound,
    )
    return World(store, clock, tokens, plane, assertions)


@asynccontextmanager
async def running(extra: Mapping[str, Source] | None = None, *, idle_s: float = 5.0) -> AsyncIterator[World]:
    """A provider's data plane behind a real listener, and a consumer's client. HttpData is always among the sources."""
    backends, outbound = Backends(idle_s=idle_s), Outbound(LOCAL)
    http = HttpSource(backends, "https://p.example/public")
    it = world({"HttpData": http, "ProxyHttpData": http, **(extra or {})}, outbound)
    app = application(render)
    app.add_routes(public_routes(it.plane))
    listener = await serve(app, "127.0.0.1", 0, exact_below="/")
    it.url = f"{listener.url}/public"
    async with ClientSession(auto_decompress=False, cookie_jar=DummyCookieJar()) as it.session:
        try:
            yield it
        finally:
            await backends.close()
            await outbound.close()
            await listener.close()


@asynccontextmanager
async def backend(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """A server of the operator's; yields its root URL."""
    app = web.Application(client_max_size=1 << 30)

    async def handle(request: web.Request) -> web.StreamResponse:
        return cast("web.StreamResponse", await handler(request))

    app.router.add_route("*", "/{tail:.*}", handle)
    listener = await serve(app, "127.0.0.1", 0, exact_below="/")
    try:
        yield listener.url
    finally:
        await listener.close()
