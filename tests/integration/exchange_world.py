"""Two real nodes in one process: real stores, engines and protocol applications; only network and time are the test's.

The wire hands each request to the other node's own aiohttp application, in a task of its own, as a server would.
Nothing sleeps: `quiet` returns when nobody has anything to do but wait for the clock, `pass_time` moves that.
"""

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from typing_extensions import override

from connector.engine.engine import Engine
from connector.exchange import catalog, negotiate, publish, transfer
from connector.exchange.hold import AT_ONCE, FOLLOW_UP
from connector.exchange.node import Node
from connector.exchange.ports import Answer, Clock, Commit, DataPlane, Notary, Refresher, Seal, Store, Tx, Wire
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import (
    Asset,
    ContractDefinition,
    Edr,
    Grant,
    Negotiation,
    Outgoing,
    Peer,
    PolicyDefinition,
    Transfer,
)
from connector.exchange.strategy import (
    HOLD,
    AutomaticNegotiation,
    AutomaticTransfer,
    Decision,
    NegotiationStrategy,
    NegotiationView,
    TransferStrategy,
    TransferView,
)
from connector.http.dsp import dsp_application
from connector.identity.directory import Directory
from connector.identity.mock import MockIdentity
from connector.passport.credential import About, Issued
from connector.passport.model_check import ModelCheck
from connector.passport.report import Bundle, Report
from connector.passport.sdjwt import SdJwt
from connector.passport.verification import Verification
from connector.policy.model import Policy, Rule
from connector.policy.parse import parse_policy
from connector.protocol.errors import PeerError, Unreachable
from connector.protocol.transfer_messages import DataAddress, http_pull_address
from connector.protocol.vocabulary import EDC, HTTP_PULL, HTTP_PUSH
from connector.storage.sqlite import SqliteStore

T = TypeVar("T")
START_MS: Final = 1_790_000_000_000
PROVIDER, CONSUMER, STRANGER = "provider", "consumer", "stranger"
BPNS: Final = {"BPNL0000000000PR": PROVIDER, "BPNL0000000000C0": CONSUMER, "BPNL0000000000ST": STRANGER}
DIRECTORY: Final = Directory(BPNS)
OPEN: Final = Policy((Rule("use"),))


class StillClock(Clock):
    """Time that only a test moves."""

    def __init__(self) -> None:
        self.at = START_MS
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @override
    def now(self) -> int:
        return self.at

    @override
    async def sleep_until(self, at: int) -> None:
        if at > self.at:
            awake = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (at, next(self._numbers), awake))
            await awake

    @property
    def next(self) -> int | None:
        """When the next sleeper wants to be woken."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def set_back(self, ms: int) -> None:
        """As an operator or a time server does; whoever sleeps is woken, as by the real clock."""
        self.at -= ms
        while self._sleepers:
            if not (awake := heapq.heappop(self._sleepers)[2]).done():
                awake.set_result(None)

    def move_to(self, at: int) -> None:
        self.at = max(self.at, at)
        while (due := self.next) is not None and due <= self.at:
            heapq.heappop(self._sleepers)[2].set_result(None)


class Work:
    """Counts what is going on outside of the event loop's own queue."""

    def __init__(self) -> None:
        self._open = 0
        self._done = asyncio.Event()

    async def on(self, doing: Awaitable[T]) -> T:
        self._open += 1
        try:
            return await doing
        finally:
            self._open -= 1
            self._done.set()

    async def rest(self) -> None:
        calm = 0
        while calm < 25:
            calm += 1
            if self._open:
                self._done.clear()
                await self._done.wait()
                calm = 0
            await asyncio.sleep(0)


@dataclass
class Crash:
    """When a node dies: before or after its n-th transaction, or its n-th request."""

    transaction: int = 0
    request: int = 0
    after: bool = False
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    async def at(self, what: str, number: int, doing: Callable[[], Awaitable[T]]) -> T:
        hit = number == getattr(self, what)
        if self.happened.is_set() or (hit and not self.after):
            self.happened.set()
            await self.silence()
        result = await doing()
        if hit or self.happened.is_set():
            self.happened.set()
            await self.silence()
        return result

    @staticmethod
    async def silence() -> NoReturn:
        """A dead process answers nothing and goes on with nothing."""
        await asyncio.Event().wait()
        raise AssertionError("nothing comes after death")


class WatchedStore(Store):
    """A real store that can be told to die."""

    def __init__(self, inner: SqliteStore, work: Work, crash: Crash) -> None:
        self.inner = inner
        self._work = work
        self._crash = crash
        self.transactions = 0

    @override
    async def run(self, fn: Callable[[Tx], T]) -> T:
        self.transactions += 1
        return await self._crash.at("transaction", self.transactions, lambda: self._work.on(self.inner.run(fn)))

    @override
    async def read(self, fn: Callable[[Tx], T]) -> T:
        if self._crash.happened.is_set():
            await Crash.silence()
        return await self._work.on(self.inner.read(fn))

    @override
    def listen(self, listener: Callable[[Commit], None]) -> None:
        self.inner.listen(lambda commit: None if self._crash.happened.is_set() else listener(commit))

    @override
    async def close(self) -> None:
        await self.inner.close()


@dataclass(frozen=True)
class Said:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=CIMultiDict)

    def json(self) -> object:
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Unreachable(f"the peer answered {self.status}, but not with JSON") from error


@dataclass(frozen=True)
class Request:
    """What went over the wire."""

    sender: str
    method: str
    url: str
    body: Any

    @property
    def kind(self) -> str:
        return str(self.body["@type"]) if self.body else self.method


Fault = Callable[[Request], Awaitable[Said | None]]
"""Answers in the place of the peer; None lets the request pass."""


class LocalWire(Wire):
    """Leads to the other nodes of the world."""

    def __init__(self, world: "World", sender: str) -> None:
        self._world = world
        self._sender = sender
        self.requests = 0

    @override
    def check(self, url: str) -> None:
        if not url.startswith("http"):
            raise PeerError(400, "messages cannot go to this address")

    @override
    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = 10.0
    ) -> Answer:
        self.requests += 1
        request = Request(self._sender, method, url, json.loads(body) if body else None)
        crash = self._world.sides[self._sender].crash
        return await crash.at("request", self.requests, lambda: self._send(request, headers, body or b""))

    async def _send(self, request: Request, headers: Mapping[str, str], body: bytes) -> Said:
        self._world.log.append(request)
        for fault in tuple(self._world.faults):
            if (said := await fault(request)) is not None:
                return said
        return await self._world.deliver(request.method, request.url, headers, body)


class Hooks(LocalWire):
    """The operator's own systems: keeps what they got, answers what the test wants."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Mapping[str, str], Any]] = []
        self.answers: list[int] = []

    @override
    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = 10.0
    ) -> Answer:
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.got.append((url, headers, json.loads(body or b"")))
        return Said(status)


class Shelf(DataPlane):
    """A data plane in memory: a token is good while the grant it was made with is there."""

    def __init__(self) -> None:
        self.opened = 0
        self.pushed: list[str] = []
        self.push_faults: list[Exception] = []
        self.push_gate: asyncio.Event | None = None

    @override
    def formats(self, asset: Asset) -> tuple[str, ...]:
        return (HTTP_PULL, HTTP_PUSH) if asset.data_address else ()

    @override
    def open_pull(
        self, transfer: Transfer, consumer_bpn: str | None, now: int, opened: Grant | None = None
    ) -> tuple[DataAddress, Grant]:
        if opened is not None:
            return http_pull_address("http://data.test/public", opened.refresh_token or ""), opened
        self.opened += 1
        token = f"token-{self.opened}"
        grant = Grant(transfer.id, now, transfer.peer.id, consumer_bpn, transfer.agreement_id, transfer.asset_id, token)
        return http_pull_address("http://data.test/public", token), grant

    @override
    async def push(
        self, transfer: Transfer, asset: Asset, consumer_bpn: str | None, *, headers: Mapping[str, str]
    ) -> None:
        if self.push_gate is not None:
            await self.push_gate.wait()
        if self.push_faults:
            raise self.push_faults.pop(0)
        self.pushed.append(transfer.id)


class NoProof(Notary):
    """Nothing of this world is signed."""

    @property
    @override
    def kid(self) -> str:
        raise AssertionError("there are no passports here")

    @override
    def seal(self, semantic_id: str, payload: object) -> Seal:
        return Seal(json.dumps(payload).encode(), "digest", "signature")

    @override
    async def check_model(self, body: bytes, headers: Mapping[str, str], semantic_id: str) -> ModelCheck:
        raise AssertionError("nothing here has a model")

    @override
    async def verify(self, body: bytes, headers: Mapping[str, str], *, signer: str, model: ModelCheck) -> Verification:
        raise AssertionError("nothing here is verified")

    @override
    def check(self, semantic_id: str, payload: object) -> None:
        raise AssertionError("there are no passports here")

    @override
    def issue(self, passport: object, about: About) -> tuple[bytes, Issued]:
        raise AssertionError("there are no passports here")

    @override
    def seal_view(self, semantic_id: str, view: object, classes: frozenset[str]) -> Seal:
        raise AssertionError("there are no passports here")

    @override
    def bind(self, presentation: SdJwt, *, audience: str, nonce: str, agreement_id: str, now: int) -> SdJwt:
        raise AssertionError("there are no passports here")

    @override
    async def did_document(self, did: str) -> Mapping[str, Any]:
        raise AssertionError("there are no passports here")

    @override
    def judge(self, bundle: Bundle, *, passport_id: str, issuer: str, now: int) -> Report:
        raise AssertionError("there are no passports here")


class AsItIs(Refresher):
    """Tokens of this world do not expire."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @override
    async def fresh(self, edr_id: str, *, force: bool = False) -> Edr:
        return await self._store.read(lambda tx: tx.edrs.get(edr_id))


class Script(NegotiationStrategy, TransferStrategy):
    """Decides by what has happened: "REQUEST" is the peer's message, "OFFER sent" ours that was taken.

    A list is used up one by one; what a script does not mention is held.
    """

    def __init__(self, **decisions: Any) -> None:
        self.decisions = {key.replace("_", " "): value for key, value in decisions.items()}
        self.views: list[Any] = []

    @override
    def decide(self, view: NegotiationView | TransferView) -> Decision:
        self.views.append(view)
        found = self.decisions.get(f"{view.event} sent" if view.ours else str(view.event), HOLD)
        found = (found.pop(0) if found else HOLD) if isinstance(found, list) else found
        decision: Decision = found(view) if callable(found) else found
        return decision


@dataclass
class Side:
    """One node and what it is made of."""

    node: Node
    engine: Engine
    store: WatchedStore
    app: web.Application
    plane: Shelf
    hooks: Hooks
    crash: Crash

    async def negotiation(self, identifier: str | None = None) -> Negotiation:
        """By its id, or the newest."""
        records: list[Negotiation] = await self.every("negotiations")
        return max((r for r in records if identifier in (None, r.id)), key=_age)

    async def transfer(self, identifier: str | None = None) -> Transfer:
        records: list[Transfer] = await self.every("transfers")
        return max((r for r in records if identifier in (None, r.id)), key=_age)

    async def every(self, kind: str) -> list[Any]:
        return await self.store.inner.read(lambda tx: getattr(tx, kind).query(QuerySpec(limit=1000)))

    async def dead(self) -> list[Outgoing]:
        return [message for message in await self.every("outbox") if message.dead]


def _age(record: Negotiation | Transfer) -> int:
    return int(record.id.removeprefix("id-"))


class World:
    """The nodes `provider` and `consumer`, and others that a test adds."""

    def __init__(self, folder: Path | None = None) -> None:
        self.clock = StillClock()
        self.work = Work()
        self.sides: dict[str, Side] = {}
        self.log: list[Request] = []
        self.faults: list[Fault] = []
        self._folder = folder
        self._ids = count(1)

    @property
    def provider(self) -> Side:
        return self.sides[PROVIDER]

    @property
    def consumer(self) -> Side:
        return self.sides[CONSUMER]

    def next_id(self) -> str:
        return f"id-{next(self._ids)}"

    async def start(self, name: str, crash: Crash | None = None, **ports: Any) -> Side:
        """A node that runs; with a folder, on a file that outlives it."""
        before = self.sides.get(name)
        crash = crash or Crash()
        path = None if self._folder is None else self._folder / f"{name}.sqlite"
        store = WatchedStore(await SqliteStore.open(path), self.work, crash)
        plane, hooks = (before.plane, before.hooks) if before else (Shelf(), Hooks())
        given: dict[str, Any] = {
            "dsp_address": f"http://{name}.test/2025-1",
            "store": store,
            "clock": self.clock,
            "ids": self.next_id,
            "identity": MockIdentity(name, DIRECTORY),
            "wire": LocalWire(self, name),
            "hooks": hooks,
            "data_plane": plane,
            "directory": DIRECTORY,
            "notary": NoProof(),
            "refresher": AsItIs(store),
            "negotiations": AutomaticNegotiation(),
            "transfers": AutomaticTransfer(),
            "connectors_of": self._connectors_of,
            "jitter": lambda: 0.0,
        }
        node = Node(**given | ports)
        engine = Engine(node)
        app = dsp_application(node, engine.dispatcher.release, engine.dispatcher.heard)
        app.freeze()
        self.sides[name] = Side(node, engine, store, app, plane, hooks, crash)
        await engine.start()
        return self.sides[name]

    @staticmethod
    async def _connectors_of(did: str) -> Sequence[str]:
        return (f"http://{did}.test",)

    async def restart(self, name: str, **ports: Any) -> Side:
        """The node's process has died; another one takes over its database."""
        await self.stop(name)
        return await self.start(name, **ports)

    async def stop(self, name: str) -> None:
        side = self.sides[name]
        side.crash.happened.set()
        await side.engine.close()
        await side.store.close()

    async def deliver(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Said:
        """Put a request before the node that the URL names."""
        host, _, path = url.removeprefix("http://").partition("/")
        side = self.sides[host.removesuffix(".test")]
        if side.crash.happened.is_set():
            raise Unreachable(f"{host} is down")
        request = make_mocked_request(method, f"/{path}", dict(headers), payload=_payload(body))
        request.writer.output_size = 0
        setattr(request.writer, "write_eof", self._answers(url))  # noqa: B010 - a mock, which has no peer to tell
        answering = asyncio.create_task(side.app._handle(request), context=Context())  # noqa: SLF001 - the one way in
        dying = asyncio.create_task(side.crash.happened.wait())
        await asyncio.wait({answering, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if not answering.done():
            answering.cancel()
            raise Unreachable(f"{host} went down")
        response = answering.result()
        assert isinstance(response, web.Response)
        if not response.prepared:
            await request.writer.write_eof()
        content = response.body
        return Said(response.status, content if isinstance(content, bytes) else b"", response.headers)

    def _answers(self, url: str) -> Callable[..., Awaitable[None]]:
        async def write_eof(_: bytes = b"") -> None:
            self.log.append(Request("", "ANSWER", url, None))

        return write_eof

    async def quiet(self) -> None:
        await self.work.rest()

    async def pass_time(self, ms: int = 0) -> None:
        """Let `ms` go by; whoever sleeps wakes in order."""
        end = self.clock.at + ms
        await self.quiet()
        while (due := self.clock.next) is not None and due <= end:
            self.clock.move_to(due)
            await self.quiet()
        self.clock.move_to(end)
        await self.quiet()

    async def deliver_all(self) -> None:
        """Let time go by until no message waits."""
        await self.quiet()
        while any(s.engine.dispatcher.waiting for s in self.sides.values() if not s.crash.happened.is_set()):
            assert self.clock.next is not None, "a message waits for nothing"
            self.clock.move_to(self.clock.next)
            await self.quiet()

    async def close(self) -> None:
        for name in self.sides:
            await self.stop(name)

    def sent(self, sender: str | None = None) -> list[str]:
        """The types of the messages that went over the wire."""
        return [r.kind for r in self.log if r.method == "POST" and sender in (None, r.sender)]

    def fault(self, kind: str, *what: int | str | Exception) -> None:
        """The next messages of a type meet these: a status, an error, "lost", or "unanswered" (taken, answer lost)."""
        script = list(what)

        async def meet(request: Request) -> Said | None:
            if not script or request.kind != kind:
                return None
            match script.pop(0):
                case int() as status:
                    return Said(status, b'{"@type": "ContractNegotiationError", "reason": ["scripted"]}')
                case "lost":
                    raise Unreachable("lost")
                case "unanswered":
                    await self.pass_on(request)
                    raise Unreachable("no answer")
                case "garbage":
                    await self.pass_on(request)
                    return Said(200, b"<html>")
                case error:
                    assert isinstance(error, Exception)
                    raise error

        self.faults.append(meet)

    async def pass_on(self, request: Request, *, sender: str | None = None, follow_up: str = AT_ONCE) -> Said:
        """Deliver a request as it is, past all faults."""
        headers = {"Authorization": json.dumps({"clientId": sender or request.sender}), FOLLOW_UP: follow_up}
        body = b"" if request.body is None else json.dumps(request.body).encode()
        return await self.deliver(request.method, request.url, headers, body)

    async def say(self, sender: str, url: str, doc: Mapping[str, Any] | None = None) -> Said:
        """Put a message of a test's own before a node."""
        return await self.pass_on(Request(sender, "GET" if doc is None else "POST", url, doc))

    # What most tests begin with.

    async def offer(self, policy: Policy = OPEN, *, asset: str = "battery", access: Policy = OPEN) -> None:
        """The provider offers an asset."""
        node, now = self.provider.node, self.clock.now()
        await publish.add_asset(node, Asset(asset, now, data_address={"type": "Test"}))
        await publish.add_policy(node, PolicyDefinition(f"access-{asset}", now, access))
        await publish.add_policy(node, PolicyDefinition(f"terms-{asset}", now, policy))
        only = (Criterion(f"{EDC}id", "=", asset),)
        definition = ContractDefinition(f"sale-{asset}", now, f"access-{asset}", f"terms-{asset}", only)
        await publish.add_definition(node, definition)

    @property
    def peer(self) -> Peer:
        """The provider, as its consumer knows it."""
        return Peer(PROVIDER, f"http://{PROVIDER}.test/2025-1")

    async def found(self, asset: str = "battery") -> Policy:
        """The offer for an asset, as the consumer finds it in the provider's catalog."""
        doc = json.loads(await catalog.ask_dataset(self.consumer.node, self.peer, asset))
        return replace(parse_policy(doc["hasPolicy"][0]), target=asset, kind="Offer")

    async def request(self, offer: Policy | None = None, **contract: Any) -> Negotiation:
        """The consumer asks for a contract; everything that follows by itself has followed."""
        wanted = negotiate.Contract(self.peer, offer or await self.found(), **contract)
        record = await negotiate.request(self.consumer.node, wanted)
        await self.quiet()
        return record

    async def agreed(self, policy: Policy = OPEN, *, asset: str = "battery") -> str:
        """The id of a final agreement."""
        await self.offer(policy, asset=asset)
        record = await self.request(await self.found(asset))
        return await negotiate.agreement_of(self.consumer.node, record.id)

    async def transfer(self, agreement: str, form: str = HTTP_PULL, **order: Any) -> Transfer:
        record = await transfer.request(self.consumer.node, transfer.Order(agreement, form, **order))
        await self.quiet()
        return record


def _payload(body: bytes) -> StreamReader:
    reader = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**20)
    reader.feed_data(body)
    reader.feed_eof()
    return reader


@asynccontextmanager
async def world(
    folder: Path | None = None,
    *,
    provider: Mapping[str, Any] | None = None,
    consumer: Mapping[str, Any] | None = None,
) -> AsyncIterator[World]:
    """Provider and consumer, with other ports where they are given."""
    made = World(folder)
    try:
        await made.start(PROVIDER, **provider or {})
        await made.start(CONSUMER, **consumer or {})
        yield made
    finally:
        await made.close()
