"""Two real processes, killed at random moments: what was promised is kept, once.

The moments come from a seed, but machines differ: a failure shows the seed, and the same seed makes the same plan. The
same with hundreds of exchanges, and on PostgreSQL as well: `make crash`.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from connector.client import ApiError
from connector.onboarding.folder import CONFIG_FILE
from connector.protocol.errors import LocalError
from connector.sandbox.process import NodeProcess, tail
from tests.crash.nodes import ASSET, Node, Pair, hold, pair_of_nodes
from tests.crash.promises import EVERYTHING, judge

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED: Final = 4711
ROUNDS: Final = 5
AT_ONCE: Final = 4
"""Exchanges that run when a node is killed."""
LONGEST_S: Final = 0.4
"""After this time at the latest a node is killed: about as long as that many exchanges take."""
SETTLED_S: Final = 20.0
"""Time for the last message that waits for its next attempt."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with pair_of_nodes(tmp_path_factory.mktemp("crash")) as both:
        await both.publish()
        yield both


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
        assert (await oem.negotiations.query(EVERYTHING)).total > ROUNDS, f"seed {SEED}: killed before they had begun"
        broken = await judge(oem, maker, settled_s=SETTLED_S)
        assert broken.lines == [], f"seed {SEED}"
        for transfer in (await oem.transfers.query(EVERYTHING)).items:
            await hold(oem, transfer.id)


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
    assert (code, took < 2.0) == (0, True), f"{took:.2f} s\n{tail(pair.oem.log)}"
    pair.oem.process.link.close()
    await pair.oem.start()
    await pair.exchange()
