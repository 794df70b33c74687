"""The network between the nodes: it loses, doubles, delays, reorders and cuts what they send each other.

A request arrives at the other node's own aiohttp application, in a task of its own, as from a server; so all that lies
between HTTP and the use cases is the product's: routing, identity, limits, parsing, the hold until the answer has left.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from typing_extensions import override
from yarl import URL

from connector.exchange.ports import Wire
from connector.protocol.errors import PeerError, Unreachable
from tests.simulation.virtual import between

if TYPE_CHECKING:
    from tests.simulation.machine import Life, Machine
    from tests.simulation.world import World

SUFFIX = ".sim"
DATA, INBOX = "/data", "/inbox"


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does to one packet: probabilities, and delays in seconds."""

    loss: float = 0.0
    double: float = 0.0
    slow: float = 0.0
    broken: float = 0.0
    latency: tuple[float, float] = (0.001, 0.02)
    slowness: tuple[float, float] = (0.2, 45.0)
    """Longer than a sender waits for its answer (10 s), so that repeats overtake what they repeat."""

    def delay(self, rng: random.Random) -> float:
        return between(rng, *(self.slowness if rng.random() < self.slow else self.latency))


FAIR = Weather()


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=CIMultiDict)
    body: bytes = b""

    def json(self) -> object:
        try:
            return json.loads(self.body) if self.body else None
        except ValueError as error:
            raise Unreachable(f"the peer answered {self.status}, but not with JSON") from error


@dataclass(slots=True)
class Packet:
    """A request under way. `answer` is what its sender waits for."""

    number: int
    sender: str
    receiver: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    answer: asyncio.Future[Said]
    doc: dict[str, Any]

    @property
    def key(self) -> str:
        """The message's `@id`; "" for what is no message."""
        return str(self.doc.get("@id", ""))

    @override
    def __str__(self) -> str:
        what = self.doc.get("@type", f"{self.method} {self.path}")
        extra = self.doc.get("eventType", "")
        return f"#{self.number} {self.sender}->{self.receiver} {what} {extra} {self.key}"


class Network:
    """Carries packets. `weather` and `cuts` (pairs of names) change while it runs."""

    def __init__(self, world: "World", rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._protocol = _Socket(self._loop)
        self.weather = FAIR
        self.cuts: set[frozenset[str]] = set()
        self.under_way = 0
        self.sent = 0

    async def send(
        self, life: "Life", method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Said:
        host, _, path = url.removeprefix("http://").partition("/")
        self.sent += 1
        packet = Packet(
            number=self.sent,
            sender=life.machine.name,
            receiver=host.removesuffix(SUFFIX),
            method=method,
            path=f"/{path}",
            headers=headers,
            body=body,
            answer=self._loop.create_future(),
            doc=_document(body),
        )
        self._world.note("send", packet)
        for _ in range(2 if self._rng.random() < self.weather.double else 1):
            self._travel(packet, lambda: self._arrive(packet))
        try:
            async with asyncio.timeout(timeout_s):
                return await packet.answer
        except TimeoutError:
            raise Unreachable(f"no answer within {timeout_s:g} s") from None

    def _travel(self, packet: Packet, arrive: Callable[[], None]) -> None:
        """One copy, one way."""
        if self._rng.random() < self.weather.loss:
            self._world.note("lost", packet)
            return

        def end() -> None:
            self.under_way -= 1
            if frozenset((packet.sender, packet.receiver)) in self.cuts:
                self._world.note("cut off", packet)
            else:
                arrive()

        self.under_way += 1
        self._loop.call_later(self.weather.delay(self._rng), end)

    def _arrive(self, packet: Packet) -> None:
        receiver = self._world.machines[packet.receiver]
        if self._rng.random() < self.weather.broken:
            self._world.note("bad gateway", packet)
            self._answer(packet, Said(502, body=b"<html>bad gateway"))
        elif receiver.life is None or receiver.life.app is None:
            self._world.note("refused", packet)
            self._answer(packet, Unreachable(f"{packet.receiver}: no connection"))
        elif packet.path.startswith(INBOX):
            receiver.received.append(packet.body)
            self._answer(packet, Said(200))
        elif self._stale(packet, receiver):
            self._world.note("stale", packet)
        else:
            self._world.note("arrives", packet)
            receiver.life.spawn(self._serve(receiver.life, packet))

    def _stale(self, packet: Packet, receiver: "Machine") -> bool:
        """Whether this is a copy that nobody can tell from news (`protocol.process` says why): such are lost here.

        Its sender has taken the message back, the receiver has not had it, and neither waits for an answer any more.
        """
        sender = self._world.machines[packet.sender]
        if not packet.key or sender.has_promised(packet.key):
            return False
        ours, theirs = (machine.process_of(packet.doc) for machine in (sender, receiver))
        if ours is None or theirs is None:
            return False
        return ours.pending is None and theirs.pending is None and packet.key not in theirs.seen

    async def _serve(self, life: "Life", packet: Packet) -> None:
        writer = _Writer(self, life, packet)
        body = StreamReader(self._protocol, 1 << 20, loop=self._loop)
        body.feed_data(packet.body)
        body.feed_eof()
        headers = CIMultiDictProxy(CIMultiDict(packet.headers))
        message = RawRequestMessage(
            packet.method, packet.path, HttpVersion11, headers, (), False, None, False, False, URL(packet.path)
        )
        state: dict[web.RequestKey[Any] | str, Any] = {}
        task: Any = asyncio.current_task()
        protocol: Any = self._protocol
        request = web.Request(message, body, protocol, writer, task, self._loop, state=state)
        assert life.app is not None
        try:
            response = await life.app._handle(request)  # noqa: SLF001 - what aiohttp's server calls
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            self._answer(packet, Unreachable(f"{packet.receiver}: the connection broke"))

    def answered(self, packet: Packet, said: Said) -> None:
        """The node has written its answer; it travels back."""
        self._world.note(f"answers {said.status}", packet)
        if self._rng.random() < self.weather.broken:
            said = Said(502, body=b"<html>bad gateway")
        self._answer(packet, said)

    def _answer(self, packet: Packet, said: Said | Unreachable) -> None:
        def arrive() -> None:
            if packet.answer.done():
                return
            if isinstance(said, Said):
                packet.answer.set_result(said)
            else:
                packet.answer.set_exception(said)

        self._travel(packet, arrive)

    def leaves(self, life: "Life", packet: Packet, chunk: bytes) -> None:
        """Bytes of an answer are written."""
        if packet.path.startswith(DATA) and packet.method == "GET":
            self._world.data_leaves(life, chunk)


def _document(body: bytes) -> dict[str, Any]:
    if not body.startswith(b"{"):
        return {}
    doc = json.loads(body)
    return doc if isinstance(doc, dict) else {}


class _Writer(AbstractStreamWriter):
    """Where a node writes its answer."""

    def __init__(self, network: Network, life: "Life", packet: Packet) -> None:
        self._network = network
        self._life = life
        self._packet = packet
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._body = bytearray()
        self._ended = False

    @override
    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        self._status, self._headers = int(status_line.split(" ", 2)[1]), CIMultiDict(headers)
        self.output_size = len(status_line)

    @override
    async def write(self, chunk: Any) -> None:
        if self._life.dead:
            return
        if self._status == 200:
            self._network.leaves(self._life, self._packet, bytes(chunk))
        self._body += chunk

    @override
    async def write_eof(self, chunk: bytes = b"") -> None:
        if chunk:
            await self.write(chunk)
        if not self._ended and not self._life.dead:
            self._ended = True
            self._network.answered(self._packet, Said(self._status, self._headers, bytes(self._body)))

    @override
    async def drain(self) -> None:
        """The kernel has it."""

    @override
    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        raise AssertionError("no node of a simulation asks for packed answers")

    @override
    def enable_chunking(self) -> None:
        """Nothing here counts bytes."""


class _Transport:
    """A connection that is always there and always empty."""

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        """Whoever broke off raises ConnectionError as well."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def get_write_buffer_size(self) -> int:
        return 0


class _Socket(BaseProtocol):
    """What aiohttp's requests ask their connection for."""

    ssl_context = None
    peername = ("192.0.2.1", 1)
    sockname = ("192.0.2.2", 443)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        transport: Any = _Transport()
        self.transport = transport


@dataclass(frozen=True, slots=True)
class Arrived:
    """The answer to a push."""

    status: int


class SimulatedWire(Wire):
    """A node's way out. A dead process sends nothing and hears nothing."""

    def __init__(self, network: Network, life: "Life") -> None:
        self._network = network
        self._life = life

    @override
    def check(self, url: str) -> None:
        if not url.startswith("http"):
            raise PeerError(400, "messages cannot go to this address")

    @override
    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = 10.0
    ) -> Said:
        await self._life.alive()
        said = await self._network.send(self._life, method, url, headers, body or b"", timeout_s)
        await self._life.alive()
        return said

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[Any]:
        """Send a push; its data leaves chunk by chunk."""
        await self._life.alive()
        whole = bytearray()
        chunks = _once(body or b"") if isinstance(body, bytes | None) else body
        async for chunk in chunks:
            self._network._world.data_leaves(self._life, chunk)  # noqa: SLF001 - the same network
            whole += chunk
        said = await self.send(method, url, headers=headers or {}, body=bytes(whole))
        yield Arrived(said.status)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
