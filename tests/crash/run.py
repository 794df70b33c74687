"""`make crash`: many exchanges between two real nodes, either of which is killed again and again while they run.

First on SQLite, then on PostgreSQL; at the end a node starts with ten thousand open transfers. The moments come from a
seed; machines differ, so the same seed makes the same plan but not the same run. Exit code 1 if anything was lost,
doubled or stuck, or if the time was not enough.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connector.protocol.errors import LocalError  # noqa: E402 - after the path is set
from connector.sandbox.cluster import binaries, driver  # noqa: E402 - after the path is set
from connector.sandbox.databases import Databases, in_files, on_postgres  # noqa: E402 - after the path is set
from tests.crash.crowd import starts  # noqa: E402 - after the path is set
from tests.crash.load import Load  # noqa: E402 - after the path is set
from tests.crash.nodes import Node, Pair, pair_of_nodes  # noqa: E402 - after the path is set
from tests.crash.promises import EVERYTHING, Broken, judge  # noqa: E402 - after the path is set

AT_ONCE: Final = 8
"""Exchanges that run at the same time."""
LONGEST_S: Final = 0.7
"""A node that has recovered is killed after this time at the latest: about as long as two dozen exchanges take."""
UNRECOVERED: Final = 0.25
"""How often a node is killed while the exchanges that the last kill has stopped still stand."""
LIMIT_S: Final = 240.0
SETTLED_S: Final = 20.0
CROWD: Final = 10_000
START_S: Final = 10.0
"""A start with a crowd, and the first exchange after it, take a few seconds; more is too much."""


@dataclass(slots=True)
class Tally:
    """What one run has shown. Times in seconds: a node's start, and from there until all exchanges have moved."""

    database: str
    asked: int
    done: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    ready: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    took: float = 0.0
    broken: Broken = field(default_factory=Broken)

    @property
    def held(self) -> bool:
        """Whether all promises were kept."""
        return self.done == self.asked and not self.broken.lines


async def crash(database: str, databases: Databases, exchanges: int, seed: int, folder: Path) -> Tally:
    """Run one database's share."""
    dice = random.Random(seed)  # noqa: S311 - it makes a plan, not a secret
    assets = [f"passport-{n}" for n in range(exchanges)]
    tally = Tally(database, exchanges)
    began = time.monotonic()
    async with pair_of_nodes(folder, databases) as pair:
        await pair.publish(assets)
        load = Load(pair, assets, at_once=AT_ONCE)
        working = asyncio.create_task(load.run())
        try:
            async with asyncio.timeout(LIMIT_S - (time.monotonic() - began)):
                await _kill_until(working, pair, load, dice, tally)
                await working
        except TimeoutError:
            tally.broken.stuck.append(f"{len(load.progress.running)} exchanges did not end in {LIMIT_S:g} s")
            await asyncio.gather(*(node.start() for node in pair.nodes if not node.up))  # the time was up between two
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
        tally.done = len(load.progress.done)
        await _judge(pair, assets, tally)
    tally.took = time.monotonic() - began
    return tally


async def _kill_until(done: asyncio.Task[None], pair: Pair, load: Load, dice: random.Random, tally: Tally) -> None:
    while True:
        await asyncio.wait([done], timeout=dice.uniform(0, LONGEST_S))
        if done.done():
            return
        victims = dice.choice([[pair.maker], [pair.oem], [pair.maker, pair.oem]])
        load.fall()
        await asyncio.gather(*(node.kill() for node in victims))
        stopped = set(load.progress.running)
        tally.ready += await asyncio.gather(*(_start(node, tally) for node in victims))
        ready_at = time.monotonic()
        load.up.set()
        if dice.random() < UNRECOVERED:
            continue
        if (recovered_at := await load.progress.moved_since(ready_at, stopped)) is not None:
            tally.moved.append(recovered_at - ready_at)


async def _start(node: Node, tally: Tally) -> float:
    tally.kills[node.who.name] = tally.kills.get(node.who.name, 0) + 1
    return await node.start()


async def _judge(pair: Pair, assets: Sequence[str], tally: Tally) -> None:
    async with pair.oem.client() as oem, pair.maker.client() as maker:
        broken = await judge(oem, maker, settled_s=SETTLED_S)
        broken.stuck += tally.broken.stuck
        asked = sorted(n.asset_id for n in (await oem.negotiations.query(EVERYTHING)).items)
        broken.lost += [f"{asset} was never negotiated" for asset in set(assets) - set(asked)]
        broken.doubled += [f"{a} was negotiated twice" for a, b in pairwise(asked) if a == b]
    tally.broken = broken


def _table(tallies: Sequence[Tally]) -> str:
    rows = [("", *(t.database for t in tallies))]

    def row(name: str, *cells: object) -> None:
        rows.append((name, *map(str, cells)))

    row("exchanges done", *(f"{t.done} of {t.asked}" for t in tallies))
    for name in sorted({name for t in tallies for name in t.kills}):
        row(f"kill -9 of the {name}", *(t.kills.get(name, 0) for t in tallies))
    row("start until ready, p50 / max", *(_spread(t.ready) for t in tallies))
    row("ready until all move again, p50 / max", *(_spread(t.moved) for t in tallies))
    row("lost", *(len(t.broken.lost) for t in tallies))
    row("doubled", *(len(t.broken.doubled) for t in tallies))
    row("stuck", *(len(t.broken.stuck) for t in tallies))
    row("took", *(f"{t.took:.0f} s" for t in tallies))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} / {max(seconds):.2f} s" if seconds else "none"


@contextmanager
def _folder() -> Iterator[Path]:
    """Where PostgreSQL's user may get to as well, if it is not us."""
    with tempfile.TemporaryDirectory(prefix="crash-", dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _crowd(count: int) -> bool:
    """Start with a crowd, print how it went; whether that was soon enough."""
    with _folder() as folder:
        measured = await starts(folder, count)
    _say("\nstart with                                          ready   first exchange   resident")
    for start in measured:
        _say(f"{start.what:50}  {start.ready_s:4.1f} s  {start.exchange_s:12.2f} s  {start.resident:6.0f} MiB")
    return all(start.ready_s <= START_S and start.exchange_s <= START_S for start in measured)


async def _all(options: argparse.Namespace) -> int:
    stores: list[tuple[str, Databases]] = [("SQLite", in_files)]
    try:
        driver()
        binaries()
        stores.append(("PostgreSQL", on_postgres(None)))
    except LocalError as error:
        _say(f"not on PostgreSQL: {error.reason}")
    tallies = []
    for name, databases in stores:
        with _folder() as folder:
            tallies.append(await crash(name, databases, options.exchanges, options.seed, folder))
    _say(_table(tallies))
    for tally in tallies:
        for line in tally.broken.lines:
            _say(f"{tally.database}: {line}")
    soon = await _crowd(CROWD)
    return 0 if soon and all(tally.held for tally in tallies) else 1


def main() -> int:
    """Read the options, run, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exchanges", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))  # noqa: S311 - as above
    options = parser.parse_args()
    _say(f"make crash SEED={options.seed} repeats this run")
    return asyncio.run(_all(options))


if __name__ == "__main__":
    sys.exit(main())
