"""What it costs to know who sent a message under DCP: processor time, without any network.

The documents and the status list are at hand, as they are between two messages; the wallet answers from memory with a
presentation that was made before. What remains is ours: reading and proving the self-issued token, the presentation and
its three credentials, and signing the token of the query.
"""

import asyncio
import time
from collections.abc import Sequence

from tests.bench.report import Report, Target
from tests.unit.dcp_world import DcpWorld

COLD_MS = 1.5
"""SI token, presentation and three credentials, in milliseconds of processor time."""


async def measure(rounds: int, report: Report) -> None:
    """Add the figures of two cases: a sender whose wallet has to be asked, and one whose credentials are kept."""
    world = DcpWorld()
    answer = world.answer(world.vp(*world.shown))
    world.wallet.answer = lambda _: answer
    headers = [world.header() for _ in range(rounds * 2 + 40)]
    asked = await _each(world, headers[: rounds + 20], keep_s=0)
    kept = await _each(world, headers[rounds + 20 :], keep_s=3600)
    report.add("SI token, VP and three VCs verified (CPU)", "ms", asked, Target(COLD_MS))
    report.add("SI token verified, credentials kept (CPU)", "ms", kept)
    for name, took in (("on one core", asked), ("on one core, credentials kept", kept)):
        report.add(f"senders verified in a second, {name}", "1/s", [1000 / ms for ms in took])


async def _each(world: DcpWorld, headers: Sequence[str], *, keep_s: int) -> list[float]:
    identity = world.identity(keep_s=keep_s)
    took = []
    for header in headers:
        began = time.process_time()
        await identity.verify(header)
        took.append((time.process_time() - began) * 1000)
        await asyncio.sleep(0)
    return took[20:]
