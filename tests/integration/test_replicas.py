"""Three processes that are one node: a partner's messages go to any of them, one is killed, nobody notices.

The provider runs as replicas on one PostgreSQL database, behind a balancer that gives each request to the next one.
What they send to the consumer, a node in this process, passes a recorder that can hold it back.
"""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from connector import wiring
from connector.client import Client, Dataset, Provider, template
from connector.config import Config
from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.exchange.query import QuerySpec
from connector.identity.did import did_of_url
from connector.sandbox.ports import HOST, Ports
from connector.sandbox.process import NodeProcess
from tests.integration.postgres_cluster import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPLICAS = 3
AT_ONCE = 12
SOON_S = 30.0
"""Nothing here takes longer; a test that would wait for ever fails instead."""
TAKEN_OVER_S = 10.0
"""A generous bound; the figure that counts is printed."""
KEY = "the-operators-key"
BPNS = ("BPNL0000000MAKER", "BPNL0000000BUYER")
OF_CONNECTION = frozenset({"Connection", "Content-Length", "Date", "Host", "Keep-Alive", "Transfer-Encoding"})
EVERYTHING = QuerySpec(limit=1000)
Forward = Callable[[web.Request, bytes], Awaitable[web.Response]]


@dataclass(frozen=True)
class Sent:
    """A message of the provider on its way to the consumer."""

    at: float
    id: str
    kind: str
    process: str


class Front:
    """A server in front of others: each request goes to the next of `targets` that can be reached."""

    def __init__(self, targets: Sequence[int]) -> None:
        self.targets = list(targets)
        self.sent: list[Sent] = []
        self.authorizations: list[tuple[int, str]] = []
        self.news = asyncio.Condition()
        self.open = asyncio.Event()
        self.open.set()
        self._turn = count()

    @asynccontextmanager
    async def serve(self, port: int) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, HOST, port, reuse_address=True, reuse_port=True).start()
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            yield
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.method == "POST" and body.startswith(b"{"):
            doc = json.loads(body)
            async with self.news:
                self.sent.append(Sent(time.monotonic(), doc.get("@id", ""), doc["@type"], doc.get("consumerPid", "")))
                self.news.notify_all()
        await self.open.wait()
        headers = {name: value for name, value in request.headers.items() if name not in OF_CONNECTION}
        for _ in self.targets:
            port = self.targets[next(self._turn) % len(self.targets)]
            try:
                url = f"http://{HOST}:{port}{request.raw_path}"
                async with self._session.request(request.method, url, data=body, headers=headers) as answer:
                    if "Authorization" in request.headers:
                        self.authorizations.append((port, request.headers["Authorization"]))
                    kept = {k: v for k, v in answer.headers.items() if k not in OF_CONNECTION}
                    return web.Response(status=answer.status, body=await answer.read(), headers=kept)
            except aiohttp.ClientConnectorError:
                continue  # it is not there; the next one is
            except aiohttp.ClientError:
                break  # it may have got it
        return web.Response(status=502)

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_S), self.news:
            await self.news.wait_for(what)


@dataclass
class World:
    """A consumer, and the replicas of a provider."""

    provider: Provider
    balancer: Front
    recorder: Front
    consumer: str
    replicas: list[NodeProcess] = field(default_factory=list)
    public: list[int] = field(default_factory=list)
    dataset: Dataset | None = None

    def buyer(self) -> Client:
        return Client(self.consumer, KEY)

    def replica(self, number: int) -> Client:
        return Client(self.replicas[number].ready.management, KEY)

    async def exchange(self) -> str:
        """Contract and transfer, which goes on."""
        assert self.dataset is not None
        async with self.buyer() as buyer:
            return await buyer.pull(await buyer.agree(self.provider, self.dataset))


def settings(number: int, folder: Path, url: str, ports: Sequence[int], store: Path, buyer: str) -> str:
    """The same for all replicas but for the folder and the ports. JSON's strings and numbers are TOML's as well."""
    did, key = did_of_url(url.replace(HOST, "localhost")), folder.parent / "signing-key.pem"
    sections: dict[str, dict[str, object]] = {
        "node": {"did": did, "bpn": BPNS[0], "data": str(folder), "key": str(key), "development": True},
        "public": {"url": url, "host": HOST, "port": ports[number]},
        "management": {"host": HOST, "port": 0, "key": "env:KEY"},
        "store": {"url": f"file:{store}"},
        "directory": {BPNS[0]: did, BPNS[1]: buyer},
    }
    return "\n".join(
        "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in members.items())])
        for name, members in sections.items()
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("replicas")
    async with AsyncExitStack() as stack:
        ports = stack.enter_context(Ports())
        front, hook, own, *public = [ports.take() for _ in range(3 + REPLICAS)]
        ports.hand_over()
        store = folder / "store-url"
        store.write_text(stack.enter_context(postgres.new_database()))
        balancer, recorder = Front(public), Front([own])
        for server, port in ((balancer, front), (recorder, hook)):
            await stack.enter_async_context(server.serve(port))
        dids = [did_of_url(f"http://localhost:{port}") for port in (front, hook)]
        config = Config(
            did=dids[1],
            bpn=BPNS[1],
            data=folder / "buyer",
            development=True,
            url=f"http://{HOST}:{hook}",
            port=own,
            management_port=0,
            management_key=KEY,
            directory=dict(zip(BPNS, dids, strict=True)),
        )
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("KEY", KEY)
        buyer = await stack.enter_async_context(wiring.start(config))
        address = f"http://{HOST}:{front}/api/v1/dsp/2025-1"
        made = World(
            Provider(dids[0], address), balancer, recorder, f"{buyer.management.url}/management", public=public
        )

        async def start(number: int) -> NodeProcess:
            data = folder / f"replica-{number}"
            file = folder / f"replica-{number}.toml"
            file.write_text(settings(number, data, f"http://{HOST}:{front}", public, store, dids[1]))
            process = await NodeProcess.start(data.name, file, folder / f"{data.name}.log")
            stack.push_async_callback(process.stop)
            return process

        made.replicas = await asyncio.gather(*(start(number) for number in range(REPLICAS)))
        async with made.replica(0) as maker, made.buyer() as client:
            await maker.payloads.publish("passport", passports()[0], semantic_id=PASSPORT_SEMANTIC_ID)
            access, contract = (template(name, [BPNS[1]]) for name in ("by-bpn", "by-bpn"))
            await maker.offer("offer", ["passport"], access=access, contract=contract)
            made.dataset = await client.catalogs.dataset(made.provider, "passport")
        yield made


ORDER = ["ContractAgreementMessage", "ContractNegotiationEventMessage", "TransferStartMessage"]
"""What a provider that agrees to everything sends."""


async def test_any_replica_takes_any_message_and_each_leaves_once_and_in_order(world: World) -> None:
    transfers = await asyncio.gather(*(world.exchange() for _ in range(AT_ONCE)))
    assert len(set(transfers)) == AT_ONCE
    assert set(Counter(sent.id for sent in world.recorder.sent).values()) == {1}
    by_process: dict[str, list[str]] = {}
    for sent in world.recorder.sent:
        by_process.setdefault(sent.process, []).append(sent.kind)
    assert Counter(map(tuple, by_process.values())) == {tuple(ORDER[:2]): AT_ONCE, tuple(ORDER[2:]): AT_ONCE}
    assert {port for port, _ in world.balancer.authorizations} == set(world.public)


async def test_a_commit_of_one_replica_ends_the_wait_at_another(world: World) -> None:
    transfer = await world.exchange()
    async with world.replica(0) as a, world.replica(1) as b, world.buyer() as buyer:
        (ours,) = [t for t in (await a.transfers.query(EVERYTHING)).items if t.raw["correlationId"] == transfer]
        await b.transfers.wait(ours.id, "STARTED", timeout_s=SOON_S)
        waiting = asyncio.create_task(a.transfers.wait(ours.id, "SUSPENDED", timeout_s=SOON_S))
        assert (await a.transfers.get(ours.id)).state == "STARTED"
        await b.transfers.suspend(ours.id, "a pause")
        began = time.monotonic()
        assert (await waiting).state == "SUSPENDED"
        assert time.monotonic() - began < TAKEN_OVER_S
        assert (await buyer.transfers.wait(transfer, "SUSPENDED")).state == "SUSPENDED"


async def test_a_token_that_one_replica_has_taken_is_refused_by_another(world: World) -> None:
    await world.exchange()
    port, authorization = world.balancer.authorizations[-1]
    other = next(p for p in world.public if p != port)
    async with aiohttp.ClientSession(headers={"Authorization": authorization}) as session:
        url = f"http://{HOST}:{other}/api/v1/dsp/2025-1/negotiations/unknown"
        async with session.get(url) as answer:
            assert (answer.status, "used before" in await answer.text()) == (401, True)


async def test_data_stops_at_all_replicas_when_one_ends_the_transfer(world: World) -> None:
    transfer = await world.exchange()
    async with world.buyer() as buyer, world.replica(0) as a, aiohttp.ClientSession() as session:
        token = (await buyer.edrs.address(transfer)).authorization

        async def pull(number: int) -> int:
            headers = {"Authorization": token}
            async with session.get(f"http://{HOST}:{world.public[number]}/public", headers=headers) as answer:
                return answer.status

        assert [await pull(number) for number in range(REPLICAS)] == [200] * REPLICAS
        (ours,) = [t for t in (await a.transfers.query(EVERYTHING)).items if t.raw["correlationId"] == transfer]
        await a.transfers.wait(ours.id, "STARTED", timeout_s=SOON_S)
        await a.transfers.terminate(ours.id, "enough")
        await buyer.transfers.wait(transfer, "TERMINATED")
        assert [await pull(number) for number in range(REPLICAS)] == [403] * REPLICAS


async def test_what_a_killed_replica_has_left_is_finished_by_the_others(world: World) -> None:
    before = len(world.recorder.sent)
    world.recorder.open.clear()  # everybody has something under way that is not answered
    async with world.buyer() as buyer:
        running = [asyncio.create_task(world.exchange()) for _ in range(AT_ONCE)]
        await world.recorder.until(lambda: len(world.recorder.sent) == before + AT_ONCE)
        first = {sent.id for sent in world.recorder.sent[before:]}
        victim = world.replicas[-1].process
        killed = time.monotonic()
        victim.kill()

        def again() -> list[Sent]:
            return [sent for sent in world.recorder.sent[before + AT_ONCE :] if sent.id in first]

        await world.recorder.until(lambda: bool(again()))
        taken_over = again()[0].at - killed
        world.recorder.open.set()
        transfers = await asyncio.gather(*running)
        print(f"\nsent again by another replica {1000 * taken_over:.0f} ms after the kill")  # noqa: T201 - for people
        assert await victim.wait() == -signal.SIGKILL
        assert taken_over < TAKEN_OVER_S
        for transfer in transfers[:3]:
            fetched = await buyer.transfers.fetch(transfer, semantic_id=PASSPORT_SEMANTIC_ID)
            assert fetched.verified is not None
            assert fetched.verified.ok
    times = Counter(sent.id for sent in world.recorder.sent[before:])
    assert max(times.values()) <= 2, "a message was sent by two living replicas"
    assert {ident for ident, n in times.items() if n > 1} <= first
    await once(world)


async def once(world: World) -> None:
    """Both sides tell of the same processes, one each, and of the same agreements; nothing was given up."""
    async with world.buyer() as buyer, world.replica(0) as maker:
        for kind in ("negotiations", "transfers"):
            ours, theirs = [(await getattr(side, kind).query(EVERYTHING)).items for side in (buyer, maker)]
            assert {p.id: p.raw["correlationId"] for p in ours} == {p.raw["correlationId"]: p.id for p in theirs}
        agreed = [n.agreement_id for n in (await buyer.negotiations.query(EVERYTHING)).items]
        assert len(set(agreed)) == len(agreed)
        assert [(await side.dead_letters.query()).total for side in (buyer, maker)] == [0, 0]


async def test_a_partner_finds_the_node_while_one_replica_is_left(world: World) -> None:
    world.replicas[-2].process.kill()
    await world.replicas[-2].process.wait()
    await world.exchange()
    await once(world)
