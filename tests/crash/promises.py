"""What two nodes must have kept, however often they were killed: nothing lost, nothing doubled, nothing stuck."""

from collections import Counter
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from connector.client import Client, Negotiation, Timeline, Transfer
from connector.exchange.query import QuerySpec

EVERYTHING: Final = QuerySpec(limit=1000)
"""More than any run here makes."""


@dataclass(slots=True)
class Broken:
    """What was not kept, a line for each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """All of them."""
        kinds = (("lost", self.lost), ("doubled", self.doubled), ("stuck", self.stuck))
        return [f"{kind}: {line}" for kind, lines in kinds for line in lines]


async def judge(oem: Client, maker: Client, *, settled_s: float) -> Broken:
    """Compare both sides when everything has come where it was to come, or has not after `settled_s` seconds."""
    broken = Broken()
    for side in (oem, maker):
        for contract in (await side.negotiations.query(EVERYTHING)).items:
            ended: Negotiation | Transfer = await side.negotiations.wait(contract.id, timeout_s=settled_s)
            await _look(broken, ended, "FINALIZED", side.negotiations.timeline)
        for moving in (await side.transfers.query(EVERYTHING)).items:
            ended = await side.transfers.wait(moving.id, timeout_s=settled_s)
            await _look(broken, ended, "STARTED", side.transfers.timeline)
        broken.stuck += [f"dead letter {letter}" for letter in (await side.dead_letters.query()).items]
    await _negotiations(broken, oem, maker)
    await _transfers(broken, oem, maker)
    return broken


async def _look(
    broken: Broken, process: Negotiation | Transfer, wanted: str, timeline: Callable[[str], Awaitable[Timeline]]
) -> None:
    """One process on one side: it is where it was to get, owes nothing, and did each step once."""
    told = await timeline(process.id)
    if (process.state, told.undelivered) != (wanted, ()):
        broken.stuck.append(f"{process}: {told}")
    steps = Counter(entry.what for entry in told.history if entry.what.startswith(("we:", "peer:")))
    broken.doubled += [f"{step} {n} times in {process.id}" for step, n in steps.items() if n > 1]


async def _negotiations(broken: Broken, oem: Client, maker: Client) -> None:
    ours, theirs = [(await side.negotiations.query(EVERYTHING)).items for side in (oem, maker)]
    _same(
        broken,
        "negotiation",
        {(n.id, n.raw.get("correlationId"), n.agreement_id) for n in ours},
        {(n.raw.get("correlationId"), n.id, n.agreement_id) for n in theirs},
    )
    agreed = Counter(n.agreement_id for n in ours)
    broken.doubled += [f"agreement {agreement} of {n} negotiations" for agreement, n in agreed.items() if n > 1]
    for side in (oem, maker):
        kept = {a.id for a in (await side.agreements.query(EVERYTHING)).items}
        _same(broken, "agreement", set(agreed), kept)


async def _transfers(broken: Broken, oem: Client, maker: Client) -> None:
    pulls, served = [(await side.transfers.query(EVERYTHING)).items for side in (oem, maker)]
    _same(
        broken,
        "transfer",
        {(t.id, t.raw.get("correlationId")) for t in pulls},
        {(t.raw.get("correlationId"), t.id) for t in served},
    )


def _same(broken: Broken, what: str, expected: AbstractSet[object], found: AbstractSet[object]) -> None:
    broken.lost += [f"{what} {one} is on one side only" for one in expected - found]
    broken.doubled += [f"{what} {one} is nobody's" for one in found - expected]
