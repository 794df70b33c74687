"""`make bench`: what the connector costs, beside its targets and beside the floor; all in one run on one machine.

    rest        start to ready, resident memory, processor time and SQL statements of idle nodes
    floor       aiohttp, SQLite and ES256 without a connector; always measured
    exchange    whole exchanges, reused agreements, negotiations, pulls and streams through a fresh pair of nodes
    catalog     the first page and one asset by id, over stocks of different sizes
    schema      loading an aspect model, cold and cached, and validations beside those of jsonschema
    passport    publishing passports, and disclosing and verifying one
    find        from what stands on a battery to a verified passport
    trust       what it costs to verify a sender by its credentials, and what exchanges with credentials take
    elsewhere   an independent measuring program on a pair of ours, in turns with a real EDC pair where that can be had

Prints one table; a whole run that is not --quick also writes docs/benchmarks.md. A missed target fails nothing: the
exit code is 1 only if something did not run; the other parts run all the same.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connector.sandbox.nodes import sandbox  # noqa: E402 - after the path is set
from tests.bench import (  # noqa: E402 - after the path is set
    catalogs,
    edc,
    elsewhere,
    exchanging,
    finding,
    floor,
    program,
    publishing,
    resting,
    trusting,
    validating,
    verifying,
)
from tests.bench.bare import bare  # noqa: E402 - after the path is set
from tests.bench.exchanging import Rounds  # noqa: E402 - after the path is set
from tests.bench.floor import Floor  # noqa: E402 - after the path is set
from tests.bench.load import within  # noqa: E402 - after the path is set
from tests.bench.machine import load_average, machine  # noqa: E402 - after the path is set
from tests.bench.report import Report, write_section  # noqa: E402 - after the path is set

PAGE: Final = ROOT / "docs" / "benchmarks.md"
TOOLS: Final = ROOT.parent / "shared" / "tools"
PARTS: Final = ("rest", "exchange", "catalog", "schema", "passport", "find", "trust", "elsewhere")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, how long a part may take, and how long all of them may without EDC."""

    rounds: Rounds
    floor: int
    starts: int
    idle_s: float
    sizes: tuple[int, ...]
    catalog: int
    part_s: float
    limit_s: float


FULL: Final = Plan(
    rounds=Rounds(exchanges=100, negotiations=400, pulls=4000, megabytes=100, repeats=5),
    floor=500,
    starts=5,
    idle_s=20.0,
    sizes=(100, 10_000, 100_000),
    catalog=50,
    part_s=180.0,
    limit_s=540.0,
)
QUICK: Final = Plan(
    rounds=Rounds(exchanges=20, negotiations=100, pulls=800, megabytes=100, repeats=2),
    floor=100,
    starts=2,
    idle_s=5.0,
    sizes=(100, 2000),
    catalog=10,
    part_s=60.0,
    limit_s=125.0,
)


@dataclass(slots=True)
class Run:
    """One run: what was asked for, and what has come of it."""

    plan: Plan
    options: argparse.Namespace
    report: Report
    folder: Path
    least: Floor | None = None

    async def all(self) -> None:
        """Every part that was asked for, within the time that there is; SIGTERM ends it in order, like Ctrl-C."""
        if (task := asyncio.current_task()) is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        limit_s = self.plan.limit_s + (elsewhere.EDC_S if self.options.edc else 0)
        try:
            async with within(limit_s):
                await self._parts()
        except TimeoutError as error:
            self.report.failed("everything", error)
        except asyncio.CancelledError:
            self.report.failures.append("everything: it was ended by a signal")

    async def _parts(self) -> None:
        with bare() as source:
            todo: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
                "rest": self._rest,
                "floor": lambda: self._floor(source),  # right before what is compared with it: disks have moods
                "exchange": lambda: self._exchange(source),
                "catalog": self._catalog,
                "schema": self._schema,
                "passport": self._passport,
                "find": self._find,
                "trust": lambda: self._trust(source),
                "elsewhere": self._elsewhere,
            }
            for name, run in todo.items():
                if name == "floor" or name in self.options.part:
                    await self.part(name, run)

    async def part(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        sys.stderr.write(f"# {name}\n")
        limit_s = self.plan.part_s + (elsewhere.EDC_S if name == "elsewhere" and self.options.edc else 0)
        try:
            async with within(limit_s):
                await run()
        except Exception as error:  # noqa: BLE001 - one part's fault is no reason not to see the others
            self.report.failed(name, error)

    async def _floor(self, source: str) -> None:
        self.least = await floor.measure(source, self.folder, self.plan.floor, self.report)

    async def _rest(self) -> None:
        await resting.starts(self.plan.starts, self.report)
        async with sandbox(2) as box:
            await resting.idle(box, self.plan.idle_s, self.report)

    async def _exchange(self, source: str) -> None:
        async with sandbox(2) as box:
            await exchanging.measure(box, source, self._known_floor(), self.plan.rounds, self.report)
        self.report.add("fdatasync of 4 KiB, after the exchanges", "ms", floor.syncs(self.folder, self.plan.floor))

    async def _catalog(self) -> None:
        await catalogs.measure(self.plan.sizes, self.plan.catalog, self._known_floor(), self.report)

    async def _schema(self) -> None:
        await validating.measure(self.folder / "schemas", self.plan.starts, self.plan.rounds.repeats * 2, self.report)

    async def _passport(self) -> None:
        async with sandbox(2) as box:
            await publishing.measure(box, self.plan.floor, self.plan.rounds.repeats, self.report)

    async def _find(self) -> None:
        async with sandbox(2) as box:
            await finding.measure(box, self.plan.rounds.exchanges, self.report)

    async def _trust(self, source: str) -> None:
        await verifying.measure(self.plan.floor, self.report)
        await trusting.measure(source, self.plan.rounds.exchanges, self.report)

    def _known_floor(self) -> Floor:
        if self.least is None:
            raise LookupError("there is no floor to compare with")
        return self.least

    async def _elsewhere(self) -> None:
        tools = self.options.tools
        if not (tools / program.NAME).exists():
            self.report.notes.append("the independent measuring program is not on this machine")
            return
        measure = elsewhere.alone
        if not self.options.edc:
            self.report.notes.append("EDC was left out")
        elif absent := edc.missing(tools):
            self.report.notes.append(f"EDC was not measured: {absent}")
        else:
            measure = elsewhere.beside_edc
        await measure(tools, self.folder, self.report, quick=self.options.quick)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--quick", action="store_true", help="fewer rounds and smaller stocks; writes no page")
    top.add_argument("--part", action="append", choices=PARTS, help="this part only, beside the floor; may be repeated")
    top.add_argument("--no-edc", dest="edc", action="store_false", help="leave the real EDC out")
    top.add_argument("--tools", type=Path, default=TOOLS, help="where the independent program and the EDC pair are")
    top.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md as it is")
    options = top.parse_args(given)
    options.part = options.part or list(PARTS)
    return options


def main() -> int:
    options = arguments()
    before, report = load_average(), Report()
    with tempfile.TemporaryDirectory(prefix="connector-bench-") as folder:
        run = Run(QUICK if options.quick else FULL, options, report, Path(folder))
        uvloop.run(run.all())
    where = machine(before, run.least.fdatasync if run.least else None)
    lines = [f"{name}: {value}" for name, value in where]
    sys.stdout.write("\n".join([*lines, "", report.text(), ""]))
    whole = set(options.part) == set(PARTS) and not options.quick and not report.failures
    if whole and not options.no_write:
        write_section(PAGE, report.markdown(where))
        sys.stdout.write(f"written to {PAGE.relative_to(ROOT)}\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
