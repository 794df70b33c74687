"""Two real processes, killed at random moments: what was promised is kept, once.

The moments come from a seed, but machines differ: a failure shows the seed, and the same seed makes the same plan.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from connector.client import ApiError, Client, Negotiation, Provider, Transfer, template
from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.exchange.query import QuerySpec
from connector.protocol.errors import LocalError
from connector.sandbox.nodes import CONFIG_FILE, LOG_FILE, Member, sandbox
from connector.sandbox.participants import CELL_MAKER, OEM
from connector.sandbox.process import NodeProcess, tail

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED: Final = 4711
ROUNDS: Final = 5
AT_ONCE: Final = 4
"""Exchanges that run when a node is killed."""
LONGEST_S: Final = 0.4
"""After this time at the latest a node is killed: about as long as that many exchanges take."""
SETTLED_S: Final = 20.0
"""Time for the last message that waits for its next attempt."""
ASSET: Final = "passport"
EVERYTHING: Final = QuerySpec(limit=1000)


class Node:
    """A node that can be killed and started again on what it has kept."""

    def __init__(self, member: Member) -> None:
        self.who = member.participant
        self.folder = member.folder
        self.process = member.process

    @property
    def pid(self) -> int:
        return self.process.process.pid

    def client(self) -> Client:
        return Client(self.who.management, self.who.api_key)

    async def kill(self) -> None:
        self.process.process.kill()
        assert await self.process.process.wait() == -signal.SIGKILL
        self.process.link.close()

    async def start(self) -> None:
        self.process = await NodeProcess.start(self.who.name, self.folder / CONFIG_FILE, self.folder / LOG_FILE)


class Pair:
    """The cell maker offers a passport, the OEM wants it."""

    def __init__(self, maker: Node, oem: Node) -> None:
        self.maker, self.oem = maker, oem
        self.provider = Provider(maker.who.did, maker.who.dsp)

    @property
    def nodes(self) -> tuple[Node, Node]:
        return self.maker, self.oem

    async def publish(self) -> None:
        async with self.maker.client() as maker:
            await maker.payloads.publish(ASSET, passports()[0], semantic_id=PASSPORT_SEMANTIC_ID)
            only = template("by-bpn", [self.oem.who.bpn])
            await maker.offer("offer", [ASSET], access=only, contract=only)

    async def exchange(self) -> str:
        """Contract, transfer, verified data; the transfer goes on."""
        async with self.oem.client() as oem:
            transfer = await oem.pull(await oem.agree(self.provider, ASSET))
            await hold(oem, transfer)
            return transfer


async def hold(oem: Client, transfer: str) -> None:
    fetched = await oem.transfers.fetch(transfer, semantic_id=PASSPORT_SEMANTIC_ID)
    assert fetched.verified is not None
    assert fetched.verified.ok, fetched.verified.failed
    assert fetched.payload == passports()[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with sandbox(2, tmp_path_factory.mktemp("crash")) as box:
        both = Pair(Node(box.members[CELL_MAKER.name]), Node(box.members[OEM.name]))
        await both.publish()
        yield both
        for node in both.nodes:
            await node.process.stop()


async def test_exchanges_end_as_promised_and_once_however_often_nodes_are_killed(pair: Pair) -> None:
    dice = random.Random(SEED)  # noqa: S311 - it makes a plan, not a secret
    for _ in range(ROUNDS):
        victims = dice.choice([[pair.maker], [pair.oem], [pair.maker, pair.oem]])
        running = [asyncio.create_task(pair.exchange()) for _ in range(AT_ONCE)]
        await asyncio.wait(running, timeout=dice.uniform(0, LONGEST_S))
        await asyncio.gather(*(node.kill() for node in victims))
        for task in running:  # whoever asked has lost its answer, or waits for a node that is gone
            task.cancel()
            with suppress(ApiError, asyncio.CancelledError):
                await task
        await asyncio.gather(*(node.start() for node in victims))
    async with pair.maker.client() as maker, pair.oem.client() as oem:
        await settled(oem, maker)
        await once(oem, maker)
        for transfer in (await oem.transfers.query(EVERYTHING)).items:
            await hold(oem, transfer.id)


async def settled(*sides: Client) -> None:
    """Every process gets where it was to get, nothing is left to be done, nothing was given up."""
    for side in sides:
        negotiations = (await side.negotiations.query(EVERYTHING)).items
        assert len(negotiations) > ROUNDS, f"seed {SEED}: the nodes were killed before they had begun"
        for found in negotiations:
            ended: Negotiation | Transfer = await side.negotiations.wait(found.id, timeout_s=SETTLED_S)
            timeline = await side.negotiations.timeline(found.id)
            assert (ended.state, timeline.undelivered) == ("FINALIZED", ()), f"seed {SEED}: {timeline}"
        for begun in (await side.transfers.query(EVERYTHING)).items:
            ended = await side.transfers.wait(begun.id, timeout_s=SETTLED_S)
            timeline = await side.transfers.timeline(begun.id)
            assert (ended.state, timeline.undelivered) == ("STARTED", ()), f"seed {SEED}: {timeline}"
        assert (await side.dead_letters.query()).total == 0


async def once(oem: Client, maker: Client) -> None:
    """Both sides tell of the same processes, one each, and of the same agreements."""
    ours, theirs = [(await side.negotiations.query(EVERYTHING)).items for side in (oem, maker)]
    assert {n.id: n.raw["correlationId"] for n in ours} == {n.raw["correlationId"]: n.id for n in theirs}
    assert {n.id: n.agreement_id for n in ours} == {n.raw["correlationId"]: n.agreement_id for n in theirs}
    assert len(ours) == len(theirs)
    agreed = Counter(n.agreement_id for n in ours)
    assert set(agreed.values()) == {1}
    for side in (oem, maker):
        assert Counter(a.id for a in (await side.agreements.query(EVERYTHING)).items) == agreed
    pulls, served = [(await side.transfers.query(EVERYTHING)).items for side in (oem, maker)]
    assert {t.id: t.raw["correlationId"] for t in pulls} == {t.raw["correlationId"]: t.id for t in served}
    assert len(pulls) == len(served)


async def test_everything_is_there_after_a_kill_while_nothing_happens(pair: Pair) -> None:
    transfer = await pair.exchange()
    before = [await kept(node) for node in pair.nodes]
    for node in pair.nodes:
        await node.kill()
        lock = node.folder / "data" / "connector.sqlite.lock"
        assert lock.read_text().strip() == str(node.pid)  # it is still there, and in nobody's way
    await asyncio.gather(*(node.start() for node in pair.nodes))
    assert [await kept(node) for node in pair.nodes] == before
    async with pair.oem.client() as oem:
        await hold(oem, transfer)
    await pair.exchange()


async def kept(node: Node) -> list[object]:
    """What an operator sees of a node, and who it is for others."""
    async with node.client() as client:
        pages = (client.assets, client.policies, client.definitions, client.negotiations, client.transfers)
        rows = [getattr(row, "raw", row) for page in pages for row in (await page.query(EVERYTHING)).items]
        agreements = [a.raw for a in (await client.agreements.query(EVERYTHING)).items]
        edrs = (await client.edrs.query(EVERYTHING)).items
        located = await client.catalogs.locate(node.who.did, node.who.dsp.removesuffix("/2025-1"))
        return [*rows, *agreements, *edrs, located]


async def test_a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="is in use by process") as refused:
        await NodeProcess.start("second", pair.maker.folder / CONFIG_FILE, tmp_path / "log")
    assert str(pair.maker.pid) in refused.value.reason
    assert "Traceback" not in (tmp_path / "log").read_text()
    await pair.exchange()


async def test_sigterm_ends_a_node_at_once_even_while_somebody_waits(pair: Pair) -> None:
    async with pair.oem.client() as oem:
        transfer = await oem.pull(await oem.agree(pair.provider, ASSET))
        waiting = asyncio.create_task(oem.transfers.wait(transfer, "SUSPENDED"))
        for _ in range(3):  # in one round trip it connects, in the next it is asked; one to spare
            await oem.check()
        began = time.monotonic()
        os.kill(pair.oem.pid, signal.SIGTERM)
        code = await pair.oem.process.process.wait()
        took = time.monotonic() - began
        assert (await waiting).state == "STARTED"  # who waits is told how it stands
    assert (code, took < 2.0) == (0, True), f"{took:.2f} s\n{tail(pair.oem.folder / LOG_FILE)}"
    pair.oem.process.link.close()
    await pair.oem.start()
    await pair.exchange()
