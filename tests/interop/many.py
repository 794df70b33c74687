"""Many exchanges, one after the other and at once: from the catalog to the bytes and to the end of the transfer.

An exchange counts when the bytes are right and both sides say that it is over; a refusal, when both say so. EDC takes a
step back where a message of ours reaches it before it has stored our last answer; not one exchange may be lost by that.
One that is lost is told with what EDC and our node say of it.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from connector.client import ApiError, Offer
from tests.interop.backend import content_of
from tests.interop.directions import Direction
from tests.interop.edc import COMPLETED, OVER
from tests.interop.matrix import Case, Wrong, must
from tests.interop.scene import OPEN, PAST, dated

ROW: Final = 200
BURST: Final = 100
IN_FLIGHT: Final = 16
LIMIT_S: Final = 240.0
EACH_S: Final = 45.0
"""How long a step of an exchange may take beside others, on a machine that is busy."""
SHOWN: Final = 5
"""Losses whose story is printed."""


def cases(way: Direction) -> Iterator[Case]:
    """In a row, then at once; and refusals, where we give them at once."""

    def case(name: str, exchange: Exchange, count: int, in_flight: int) -> Case:
        return Case(way.group, f"{count} {name}", partial(many, way, exchange, count, in_flight), LIMIT_S)

    exchange = consumed if way.group == "we-consume" else provided
    yield case("exchanges in a row", exchange, ROW, 1)
    yield case(f"exchanges, {IN_FLIGHT} in flight", exchange, BURST, IN_FLIGHT)
    if exchange is provided:
        yield case("refusals in a row", refused, BURST, 1)


Exchange = Callable[[Direction, str], Awaitable[None]]
"""What is done many times with an asset. Raises Wrong or ApiError where it does not end as it must."""


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


async def many(way: Direction, exchange: Exchange, count: int, in_flight: int) -> str:
    """Raise Wrong if one is lost."""
    asset = await way.offer(contract=dated("gteq", PAST))
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
    """Our node gets the data from EDC and completes the transfer; both sides know that it is over."""
    client = way.on.ours.client
    transfer = await client.pull(await client.agree(way.provider, asset, timeout_s=EACH_S), timeout_s=EACH_S)
    fetched = await client.transfers.fetch(transfer)
    must("whether the bytes fetched are the bytes served", fetched.payload == content_of(asset), True)
    await client.transfers.complete(transfer)
    await way.on.ours.transfer_at(transfer, "COMPLETED", seconds=EACH_S)
    await way.on.edc.transfer_at(await way.on.edc.twin("transferprocesses", transfer), *COMPLETED, seconds=EACH_S)


async def provided(way: Direction, asset: str) -> None:
    """EDC gets the data from our node, and ends the transfer, as it cannot complete it; both sides know."""
    edc, ours = way.on.edc, way.on.ours
    offer = await edc.offer_of(way.provider, asset)
    negotiation = await edc.client.negotiations.start(way.provider, offer)
    agreement = (await edc.negotiation_at(negotiation, "FINALIZED", seconds=EACH_S))["contractAgreementId"]
    transfer = await edc.transfer(way.provider, agreement)
    await edc.transfer_at(transfer, "STARTED", seconds=EACH_S)
    await way.on.reads(await edc.address(transfer), asset)
    await edc.client.transfers.terminate(transfer, "done")
    await edc.transfer_at(transfer, *OVER, seconds=EACH_S)
    await ours.transfer_at(await ours.twin("transferprocesses", transfer), "TERMINATED", seconds=EACH_S)


async def refused(way: Direction, asset: str) -> None:
    """EDC asks on terms that we do not offer: we end it as soon as we have answered, and EDC knows."""
    edc, ours = way.on.edc, way.on.ours
    offer = await edc.offer_of(way.provider, asset)
    negotiation = await edc.client.negotiations.start(way.provider, Offer(offer.id, asset, OPEN))
    try:
        await edc.negotiation_at(negotiation, "TERMINATED", seconds=EACH_S)
    except Wrong as wrong:
        found = await ours.twin("contractnegotiations", negotiation)
        said = (await ours.client.negotiations.timeline(found)).history
        raise Wrong(f"{wrong}; our timeline: {', '.join(f'{entry.at} {entry.what}' for entry in said)}") from wrong
    await ours.negotiation_at(await ours.twin("contractnegotiations", negotiation), "TERMINATED", seconds=EACH_S)
