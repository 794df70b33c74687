"""Two real nodes with real listeners, and what can be done to them: a line that fails, a disk that fills, and such.

The cell maker is reached through a line (`Line`), which is a proxy on loopback that does what a test wants of a bad
network or a bad peer. What a node shows of itself is read as an operator reads it: readiness and metrics.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from aiohttp import ClientSession

from connector import wiring
from connector.client import Client, Offer, Provider, template
from connector.client.exchanging import by_id, one_dataset
from connector.config import Config
from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.identity.did import did_of_url
from connector.protocol.vocabulary import VERSION
from connector.sandbox.ports import HOST, Ports
from connector.wiring import RunningNode

KEY: Final = "the-operators-key"
BPNS: Final = {"maker": "BPNL0000000MAKER", "oem": "BPNL0000000BUYER"}
ASSET: Final = "passport"
SOON_S: Final = 8.0
"""Within this time everything here happens; a test that would wait for ever fails instead."""

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Line:
    """The way to a node. `behaviour` takes the place of the node as long as it is set; `met` counts who met it."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self._target = port, target
        self.behaviour: Behaviour | None = None
        self.met = asyncio.Semaphore(0)
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, HOST, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._drop()
        await self._server.wait_closed()

    async def fail(self, behaviour: Behaviour) -> None:
        """From now on do this, and break what is open."""
        self.behaviour = behaviour
        await self._drop()

    async def heal(self) -> None:
        """Lead to the node again."""
        self.behaviour = None
        await self._drop()

    async def _drop(self) -> None:
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                if self.behaviour is not None:
                    self.met.release()
                    await self.behaviour(reader, writer)
                else:
                    await self._pass(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(HOST, self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, there))
                group.create_task(_pump(there_reader, writer))
        finally:
            there.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()


@dataclass
class Pair:
    """The nodes by name (`maker`, `oem`), and the line to the maker. A node that is stopped is not in `nodes`."""

    settings: Mapping[str, Config]
    line: Line
    nodes: dict[str, RunningNode] = field(default_factory=dict)
    offer: Offer | None = None
    _lives: dict[str, Any] = field(default_factory=dict)

    async def start(self, name: str) -> RunningNode:
        life = wiring.start(self.settings[name])
        self.nodes[name] = await life.__aenter__()
        self._lives[name] = life
        return self.nodes[name]

    async def stop(self, name: str) -> None:
        del self.nodes[name]
        await self._lives.pop(name).__aexit__(None, None, None)

    async def close(self) -> None:
        for name in list(self.nodes):
            await self.stop(name)

    def client(self, name: str) -> Client:
        return Client(f"{self.nodes[name].management.url}/management", KEY)

    @property
    def provider(self) -> Provider:
        maker = self.settings["maker"]
        return Provider(maker.did, f"{maker.dsp_root}/{VERSION}")

    async def publish(self) -> None:
        async with self.client("maker") as maker, self.client("oem") as oem:
            await maker.payloads.publish(ASSET, passports()[0], semantic_id=PASSPORT_SEMANTIC_ID)
            only = template("by-bpn", [BPNS["oem"]])
            await maker.offer("offer", [ASSET], access=only, contract=only)
            self.offer = one_dataset(await oem.catalogs.request(self.provider, by_id(ASSET)), ASSET).offers[0]

    async def negotiate(self) -> str:
        """Ask for a contract; the negotiation's id at the OEM."""
        assert self.offer is not None
        async with self.client("oem") as oem:
            return await oem.negotiations.start(self.provider, self.offer)

    async def final(self, negotiation: str) -> None:
        """A negotiation of the OEM comes to its end, and leaves nothing behind."""
        async with self.client("oem") as oem:
            ended = await oem.negotiations.wait(negotiation, timeout_s=SOON_S)
            assert ended.state == "FINALIZED", await oem.negotiations.timeline(negotiation)

    async def exchange(self) -> None:
        """A whole exchange: contract, transfer, verified data."""
        async with self.client("oem") as oem:
            fetched = await oem.obtain(self.provider, ASSET, semantic_id=PASSPORT_SEMANTIC_ID, timeout_s=SOON_S)
            assert fetched.verified is not None
            assert fetched.verified.ok

    async def down(self, name: str) -> set[str]:
        """The components that readiness says are down."""
        async with ClientSession() as session, session.get(f"{self._management(name)}/check/readiness") as answer:
            doc = await answer.json()
            down = {c["component"] for c in doc["componentResults"] if not c["isHealthy"]}
            assert (answer.status == 200) is doc["isSystemHealthy"] is (not down)
            return down

    async def alive(self, name: str) -> bool:
        """Whether liveness says that nothing has to be restarted."""
        async with ClientSession() as session, session.get(f"{self._management(name)}/check/liveness") as answer:
            return answer.status == 200

    async def counted(self, name: str, metric: str, **labels: str) -> float:
        """A metric's value, summed over what has these labels."""
        async with ClientSession() as session, session.get(f"{self._management(name)}/metrics") as answer:
            text = await answer.text()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = re.findall(rf"^{metric}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for names, value in lines if all(part in names for part in wanted))

    def _management(self, name: str) -> str:
        return f"{self.nodes[name].management.url}/management"


@asynccontextmanager
async def pair(folder: Path, *, urls: Mapping[str, str] | None = None) -> AsyncIterator[Pair]:
    """Both nodes, ready, with an offer. folder: each node has one in it. urls: their databases, a file if not given."""
    with Ports() as ports:
        public = {name: ports.take() for name in BPNS}
        listens = {"maker": ports.take(), "oem": public["oem"]}
        dids = {name: did_of_url(f"http://localhost:{port}") for name, port in public.items()}
        settings = {
            name: Config(
                did=dids[name],
                bpn=BPNS[name],
                data=folder / name,
                development=True,
                url=f"http://{HOST}:{public[name]}",
                host=HOST,
                port=listens[name],
                management_host=HOST,
                management_port=0,
                management_key=KEY,
                directory={BPNS[other]: did for other, did in dids.items()},
                database=urls[name] if urls else "sqlite",
            )
            for name in BPNS
        }
        ports.hand_over()
        async with Line(public["maker"], listens["maker"]) as line:
            both = Pair(settings, line)
            try:
                for name in BPNS:
                    await both.start(name)
                await both.publish()
                yield both
            finally:
                await both.close()


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again: for what can only be seen from outside, and comes soon."""
    async with asyncio.timeout(SOON_S):
        while not await reached():
            pass  # each question is a request, which lets others work
