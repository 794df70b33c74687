"""Many exchanges, one after the other and at once: from the catalog to the bytes and to the end of the transfer.

An exchange that is lost is looked at on both sides. EDC gives an exchange up where a message of its own was refused
once (`409`), and that is its own loss; whatever else is lost is ours, and fails the case.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from connector.client import ApiError
from tests.interop.backend import content_of
from tests.interop.directions import Direction, WeConsume, WeProvide
from tests.interop.edc import COMPLETED, OVER, Edc
from tests.interop.matrix import Case, Wrong, must

ROW: Final = 200
BURST: Final = 100
IN_FLIGHT: Final = 16
LIMIT_S: Final = 150.0
SHOWN: Final = 5
"""Losses whose story is printed."""


def cases(way: Direction) -> Iterator[Case]:
    """In a row, then at once."""
    yield Case(way.group, f"{ROW} exchanges in a row", partial(many, way, ROW, 1), LIMIT_S)
    yield Case(way.group, f"{BURST} exchanges, {IN_FLIGHT} in flight", partial(many, way, BURST, IN_FLIGHT), LIMIT_S)


@dataclass(slots=True)
class Tally:
    """What came of a number of exchanges."""

    took_ms: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def told(self) -> str:
        """For the reader of the matrix."""
        cuts = statistics.quantiles(self.took_ms, n=20) if len(self.took_ms) > 1 else [0.0] * 19
        text = f"p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms, {len(self.lost)} lost"
        return "\n".join([text, *self.lost[:SHOWN]])


async def many(way: Direction, count: int, in_flight: int) -> str:
    """Raise Wrong if one is lost."""
    asset = await way.offer()
    exchange = consumed if way.group == "we-consume" else provided
    tally, slots = Tally(), asyncio.Semaphore(in_flight)

    async def one() -> None:
        async with slots:
            began = time.monotonic()
            try:
                await exchange(way, asset)
            except (ApiError, Wrong) as error:
                tally.lost.append(str(error))
            else:
                tally.took_ms.append((time.monotonic() - began) * 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    if tally.lost:
        raise Wrong(tally.told())
    return tally.told()


async def consumed(way: Direction, asset: str) -> None:
    """Our node gets the data from EDC."""
    fetched = await way.on.ours.client.obtain(way.provider, asset)
    must("whether the bytes fetched are the bytes served", fetched.payload == content_of(asset), True)


async def provided(way: Direction, asset: str) -> None:
    """EDC gets the data from our node, and ends the transfer, as it cannot complete it."""
    edc = way.on.edc
    transfer = await edc.pull(way.provider, await edc.agree(way.provider, asset))
    await way.on.reads(await edc.address(transfer), asset)
    await edc.client.transfers.terminate(transfer, "done")
    await edc.transfer_at(transfer, *OVER)
