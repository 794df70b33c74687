"""make simulate: many seeds on all cores until one fails, or one seed with its whole history.

make simulate SEEDS=10000           seeds 0 to 9999
make simulate SEEDS=1000 FROM=5000  seeds 5000 to 5999
make simulate SEED=123              prints what happens in seed 123
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Self

from tests.simulation.plan import Plan
from tests.simulation.world import simulate

AT_ONCE = 20
"""Seeds in one piece of work."""
PAUSE_S = 5.0


@dataclass(slots=True)
class Tally:
    """What some seeds came to."""

    seeds: int = 0
    packets: int = 0
    commits: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    failed: tuple[int, list[str]] | None = None

    def add(self, other: Self) -> None:
        self.seeds += other.seeds
        self.packets += other.packets
        self.commits += other.commits
        self.seen += other.seen
        if other.failed is not None and (self.failed is None or other.failed[0] < self.failed[0]):
            self.failed = other.failed


def some(first: int, count: int, plan: Plan | None = None) -> Tally:
    """Run a few seeds, up to the first that fails."""
    tally = Tally()
    for seed in range(first, first + count):
        story = simulate(seed, plan)
        tally.seeds += 1
        tally.packets += story.packets
        tally.commits += sum(story.commits.values())
        tally.seen.update(what for _, what, _ in story.lines if what in TOLD)
        if story.complaints:
            tally.failed = (seed, story.complaints)
            break
    return tally


TOLD = (
    *("dies", "lost", "cut off", "bad gateway", "stale", "clock jumps", "disk full", "data leaves"),
    *("contract.negotiation.finalized", "contract.negotiation.terminated"),
    *("transfer.process.started", "transfer.process.suspended"),
    *("transfer.process.completed", "transfer.process.terminated"),
)


def many(first: int, count: int, workers: int) -> Iterator[Tally]:
    """The tally so far, now and then; the last one is complete, or ends with a failure."""
    total, begins = Tally(), iter(range(first, first + count, AT_ONCE))
    with ProcessPoolExecutor(workers) as pool:
        running: set[Future[Tally]] = set()
        while True:
            while len(running) < 2 * workers and total.failed is None and (begin := next(begins, None)) is not None:
                running.add(pool.submit(some, begin, min(AT_ONCE, first + count - begin)))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)  # what began before a failure ends as well
            for piece in done:
                total.add(piece.result())
            yield total
    yield total


def say(*words: object, sep: str = " ") -> None:
    """Print at once, also into a pipe."""
    print(*words, sep=sep, flush=True)  # noqa: T201 - it is a command


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__, add_help=True)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one and print its history")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return replay(options.seed)
    began, told, tally = time.monotonic(), 0.0, Tally()
    for tally in many(options.first, options.seeds, options.workers):
        spent = time.monotonic() - began
        if spent - told >= PAUSE_S:
            told = spent
            say(f"{tally.seeds:>8} of {options.seeds} seeds, {tally.seeds / spent:.0f} a second")
    if tally.failed is not None:
        seed, complaints = tally.failed
        say(f"seed {seed} fails:", *complaints, f"replay it with: make simulate SEED={seed}", sep="\n  ")
        return 1
    spent = time.monotonic() - began
    say(f"{tally.seeds} seeds hold, in {spent:.0f} s: {tally.packets} requests, {tally.commits} commits;")
    say("  " + ", ".join(f"{tally.seen[what]} {what}" for what in TOLD))
    return 0


def replay(seed: int) -> int:
    story = simulate(seed)
    say(story)
    say(f"seed {seed} {'fails' if story.complaints else 'holds'}, history {story.digest[:16]}")
    return 1 if story.complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
