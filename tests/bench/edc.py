"""A real EDC pair, as the tool in the folder of tools starts it, and its catalog through our own client.

EDC keeps its offers in memory, so they have to be published one by one; that it needs longer for a page the more there
are is what is to be seen. What takes longer than a limit is cut off.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.client import Client, Provider
from connector.protocol.vocabulary import EDC as VOCABULARY
from tests.bench import catalogs
from tests.bench.program import Unusable, run
from tests.bench.report import Report, Summary

TOOL: Final = "edc-pair"
NEEDED: Final = ("java", "javac", "mvn")
UP_S: Final = 280.0
"""The first time, Maven fetches the jars."""
STOP_S: Final = 20.0
KEPT: Final = Path(__file__).resolve().parents[2] / "build" / "edc-pair"
"""Where it keeps its jars from one run to the next. `make interop` has the same: there is one pair at a time."""
PUBLISHERS: Final = 8
CONTEXT: Final = ({"@vocab": VOCABULARY}, "http://www.w3.org/ns/odrl.jsonld")
"""An EDC as it is delivered does not know Catena-X's context, which our client sends with policies."""
ANYBODY: Final = {"@type": "PolicyDefinition", "policy": {"@type": "Set"}}
WARM_UP: Final = 20
"""A JVM gets several times faster with the first answers."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A running pair: what the tool calls it, and the file that describes it."""

    label: str
    file: Path
    pids: tuple[int, ...]

    def must_run(self) -> None:
        """Raise Unusable if one of its processes has ended: then somebody else has answered, or nobody."""
        if gone := [pid for pid in self.pids if not Path(f"/proc/{pid}").exists()]:
            raise Unusable(f"{len(gone)} of its processes ended early; another EDC on the same ports?")


def missing(tools: Path) -> str:
    """What EDC cannot be had for; empty if nothing."""
    if not (tools / TOOL).exists():
        return f"{TOOL} is not in the folder of tools beside the repository"
    absent = [name for name in NEEDED if shutil.which(name) is None]
    return f"{', '.join(absent)} not on PATH (Java 17 or newer and Maven are needed)" if absent else ""


@asynccontextmanager
async def running(tools: Path, folder: Path, *more: str) -> AsyncIterator[Pair]:
    """A pair that is started, one node after the other so that their times are their own; on the way out it ends.

    more: options of the tool, such as --tuned. Raise Unusable if it does not start.
    """
    tool, options = str(tools / TOOL), ("--workdir", str(folder))
    ours = True
    try:
        code, said = await run(UP_S, tool, "up", "--one-by-one", *more, *options)
        if code:
            ours = False  # the tool has ended what it started; what runs is somebody else's
            raise Unusable(f"{TOOL} has ended with {code}: {said}")
        described = json.loads((folder / "pair.json").read_bytes())
        pids = tuple(described[side]["pid"] for side in ("provider", "consumer"))
        yield Pair(described["label"], folder / "pair.json", pids)
    finally:
        if ours:
            await run(STOP_S, tool, "down", *options)


async def catalog(pair: Pair, label: str, sizes: Sequence[int], rounds: int, limit_s: float, report: Report) -> None:
    """Put its catalogs of so many offers beside ours, for as long as `limit_s` allows; what is cut off is noted."""
    described = json.loads(pair.file.read_bytes())
    provider, consumer = described["provider"], described["consumer"]
    address, made, size = Provider(provider["participant_id"], provider["dsp"]), 0, 0
    try:
        async with (
            asyncio.timeout(limit_s),
            Client(provider["management"], provider["api_key"]) as publisher,
            Client(consumer["management"], consumer["api_key"]) as client,
        ):
            for size in sizes:
                await _publish(publisher, range(made, size))
                made = size
                took = await catalogs.asked(client, address, size, rounds, warm_up=WARM_UP if size == sizes[0] else 1)
                for what, values in took.items():
                    report.put_beside(catalogs.name(size, what), label, Summary.of(values, "ms"))
    except TimeoutError:
        report.notes.append(f"{label}: the catalog of {size:,} was cut off after {limit_s:g} s")


async def _publish(publisher: Client, numbers: range) -> None:
    """Each with a definition and a policy of its own, as ours have."""
    left = iter(numbers)

    async def worker() -> None:
        for number in left:
            asset = catalogs.asset_id(number)
            await publisher.assets.create(asset, data_address=catalogs.NOWHERE)
            await publisher.api.post(
                "/v3/policydefinitions", {"@context": CONTEXT, "@id": f"policy-{asset}", **ANYBODY}
            )
            await publisher.definitions.create(
                f"offer-{asset}", access_policy=f"policy-{asset}", contract_policy=f"policy-{asset}", assets=[asset]
            )

    async with asyncio.TaskGroup() as group:
        for _ in range(PUBLISHERS):
            group.create_task(worker())
