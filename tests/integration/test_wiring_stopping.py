"""A node that is told to stop finishes what was begun, begins nothing new, and has lost nothing when it is back."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import aiohttp

from connector.config import parse
from connector.sandbox.authority import certify
from connector.wiring import RunningNode, start
from tests.integration.dsp_world import KEY, Peer, Received, World, settings
from tests.integration.test_idle import exchange, pair, publish


class Stopping:
    """A node with a counterparty that answers when the test lets it, and the node's end, which the test begins."""

    def __init__(self, folder: Path, *, grace: int = 4) -> None:
        self.settings = settings(folder)
        self.settings["node"]["grace"] = grace
        self.gate = asyncio.Event()
        self.peer = Peer()
        self.session = aiohttp.ClientSession()
        self._node = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.peer.__aenter__()
        await self.session.__aenter__()
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gate.set()
        await self._node.aclose()
        await self.session.close()
        await self.peer.__aexit__()

    async def begin(self) -> None:
        config = parse(self.settings, {"KEY": KEY})
        self.running: RunningNode = await self._node.enter_async_context(start(config))
        self.us = World(self.running, self.session, self.peer)

    def stop(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._node.aclose())

    async def hold(self, _: object) -> None:
        """The counterparty's way to wait in the middle of an answer."""
        await self.gate.wait()

    async def ready(self) -> bool:
        async with self.session.get(f"{self.running.management.url}/management/check/readiness") as answer:
            return answer.status == 200

    async def not_ready(self) -> None:
        async with asyncio.timeout(5):
            while await self.ready():
                pass


async def test_readiness_says_no_first_while_peers_can_still_reach_the_node(tmp_path: Path) -> None:
    async with Stopping(tmp_path) as node:
        node.peer.before["ContractRequestMessage"] = node.hold
        await node.us.ask_for()
        assert await node.ready()
        ending = node.stop()
        await node.not_ready()
        assert (await node.us.get("/catalog/datasets/none")).status == 404  # it would get our DID document as well
        async with node.session.get(f"{node.running.management.url}/management/check/liveness") as answer:
            assert answer.status == 200
        assert not ending.done()
        node.gate.set()
        await ending


async def test_a_delivery_under_way_is_finished_and_its_answer_kept(tmp_path: Path) -> None:
    async with Stopping(tmp_path) as node:
        node.peer.before["ContractRequestMessage"] = node.hold
        pid = await node.us.ask_for()
        ending = node.stop()
        await node.not_ready()
        node.gate.set()
        await ending
        await node.begin()
        record = await node.us.negotiation(pid)
        assert (record.process.state, record.process.pending) == ("REQUESTED", None)
        assert len(node.peer.got) == 1


async def test_what_a_request_promises_while_the_node_stops_is_sent_after_the_next_start(tmp_path: Path) -> None:
    async with Stopping(tmp_path) as node:
        offer = await node.us.publish()
        node.peer.before["ContractRequestMessage"] = node.hold
        await node.us.ask_for()
        ending = node.stop()
        await node.not_ready()
        opened = await node.us.post("/negotiations/request", node.us.request(node.us.offer(offer)))
        assert opened.status == 201
        node.gate.set()
        await ending
        assert [got.doc["@type"] for got in node.peer.got] == ["ContractRequestMessage"]
        await node.begin()
        found: Received = await node.peer.next("ContractAgreementMessage")
        assert found.doc["providerPid"] == opened.doc["providerPid"]


async def test_a_counterparty_that_does_not_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with Stopping(tmp_path, grace=0) as node:
        node.peer.before["ContractRequestMessage"] = node.hold
        pid = await node.us.ask_for()
        async with asyncio.timeout(5):  # it would be ten seconds until the delivery gives up by itself
            await node.stop()
        node.gate.set()
        await node.begin()
        await node.us.settled(pid, "REQUESTED")


async def test_nodes_exchange_over_tls_under_a_throw_away_authority(tmp_path: Path) -> None:
    tls = tmp_path / "tls"
    certify("localhost", tls, tmp_path / "authority.pem", now=datetime.now(UTC))
    async with pair(tmp_path, tls) as (maker, buyer):
        assert maker.public.url.startswith("https:")
        await publish(maker)
        await exchange(maker, buyer)
