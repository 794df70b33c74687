"""EDC is away: stopped in the middle of exchanges and started again without memory, or alive but silent.

One outage serves all cases that are about it, because stopping and starting takes longest. EDC's memory store comes
back empty, so nothing that was under way can be finished: what counts is that our side does not hang and says why.
"""

import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from connector.client import Negotiation, Provider
from tests.interop.directions import Direction, Process, WeConsume, WeProvide
from tests.interop.door import door
from tests.interop.exchanging import REFUSED, running
from tests.interop.matrix import Case, must
from tests.interop.scene import Scene

LIMIT_S: Final = 90.0
ENDED_S: Final = 45.0
"""A message to a process that the peer has forgotten is answered with 404 and sent a few times more; then the process
is ended, with a message that has the same fate."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What was under way in one direction when EDC went away, and why our message could not be delivered meanwhile."""

    negotiation: Process
    transfer: Process
    address: Mapping[str, Any]
    undelivered: str


@dataclass(slots=True)
class Outage:
    """Stops EDC in the middle of a negotiation and a transfer in each direction, and starts it again; once."""

    on: Scene
    begun: dict[str, Begun] = field(default_factory=dict)
    asked: str = ""
    """The negotiation that we began while EDC was down."""
    why: str = ""
    """What its timeline said then."""

    def cases(self) -> Iterator[Case]:
        """Those about the outage, then those about silence."""
        ways = (WeConsume(self.on), WeProvide(self.on))
        yield Case(ways[0].group, "EDC down: our request waits, and is delivered", self.delivered, LIMIT_S)
        for way in ways:
            for thing, run in (("negotiation", self.negotiation), ("transfer", self.transfer)):
                yield Case(way.group, f"EDC restarted in the middle of a {thing}", partial(run, way), LIMIT_S)
        for way in ways:
            yield Case(way.group, "EDC silent in the middle of a negotiation", partial(silent, way), LIMIT_S)

    async def _play(self) -> None:
        """Let it happen, unless it has."""
        if self.begun:
            return
        ways = (WeConsume(self.on), WeProvide(self.on))
        edc, ours, by_hand = self.on.edc, self.on.ours, self.on.by_hand
        asset = await self.on.edc_offers()
        offer = await ours.offer_of(edc.provider, asset)
        before = [(way.group, await way.negotiating(), *await running(way)) for way in ways]
        dsp = urlsplit(edc.dsp)
        async with door(dsp.port or 0) as closed:
            await edc.stop()
            address = dsp._replace(netloc=f"{dsp.hostname}:{closed.port}").geturl()
            self.asked = await ours.client.negotiations.start(Provider(edc.id, address), offer)
            for group, negotiation, transfer, token in before:
                await by_hand.client.negotiations.approve(negotiation.ours)
                self.begun[group] = Begun(negotiation, transfer, token, await by_hand.undelivered(negotiation.ours))
            self.why = await ours.undelivered(self.asked)
            await edc.start()
            await self.on.edc_offers(asset)
            await closed.open()
            await ours.negotiation_at(self.asked, "FINALIZED", seconds=ENDED_S)

    async def delivered(self) -> str:
        """Said to nobody at first, and an agreement in the end."""
        await self._play()
        found = await self.on.ours.negotiation_at(self.asked, "FINALIZED", seconds=ENDED_S)
        twin = await self.on.edc.twin("contractnegotiations", self.asked)
        must(
            "EDC's agreement",
            (await self.on.edc.negotiation_at(twin, "FINALIZED"))["contractAgreementId"],
            found.agreement_id,
        )
        return f"our timeline while EDC was down: {self.why}"

    async def negotiation(self, way: Direction) -> str:
        """Our message waits while EDC is down; EDC does not know the negotiation any more, and our record says so."""
        await self._play()
        begun = self.begun[way.group]
        found = await self.on.by_hand.negotiation_at(begun.negotiation.ours, "TERMINATED", seconds=ENDED_S)
        must(f"whether our record names EDC's answer ({found.error})", "404" in (found.error or ""), True)
        return f"our timeline while EDC was down: {begun.undelivered}\nour errorDetail: {found.error}"

    async def transfer(self, way: Direction) -> str:
        """The data is refused by name where EDC had it; our operator ends what EDC has forgotten."""
        await self._play()
        begun, client = self.begun[way.group], self.on.ours.client
        note = ""
        if way.group == "we-consume":
            note = f"our fetch: {await self.on.ours.refusal(begun.transfer.ours)}\n"
        await client.transfers.terminate(begun.transfer.ours, "the other side has forgotten it")
        must("the old token's answer", (await self.on.get(begun.address))[0], *REFUSED)
        found = await self.on.ours.transfer_at(begun.transfer.ours, "TERMINATED", seconds=ENDED_S)
        must(f"whether our record names EDC's answer ({found.error})", "404" in (found.error or ""), True)
        return f"{note}our errorDetail: {found.error}"


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    """A process that takes connections and does nothing with them."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def silent(way: Direction) -> str:
    """Our message gets no answer in time and is sent again; EDC finds it twice when it wakes, and goes on once."""
    process = await way.negotiating()
    by_hand = way.on.by_hand
    async with frozen(way.on.edc.pid):
        await by_hand.client.negotiations.approve(process.ours)
        why = await by_hand.undelivered(process.ours)
    found = await finished(way, process)
    theirs = await way.on.edc.negotiation_at(process.edc, "FINALIZED")
    must("EDC's agreement", theirs["contractAgreementId"], found.agreement_id)
    return f"our timeline meanwhile: {why}"


async def finished(way: Direction, process: Process) -> Negotiation:
    """The negotiation, final, with our operator's help."""
    by_hand = way.on.by_hand
    if way.group == "we-provide":
        await by_hand.negotiation_at(process.ours, "VERIFIED")
        await by_hand.client.negotiations.approve(process.ours)
    return await by_hand.negotiation_at(process.ours, "FINALIZED")
