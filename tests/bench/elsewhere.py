"""What others say: an independent measuring program on our pair, and on a real EDC pair in turns with ours.

EDC is measured twice: as it is delivered, its state machines waiting a second, and tuned, waiting 50 ms. Each time the
program meets a fresh pair of ours; of our two results the worse one stands in the table, so that no ratio flatters us.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from connector.sandbox.nodes import Sandbox, sandbox
from tests.bench import catalogs, edc
from tests.bench.program import Call, Load, Result, Unusable
from tests.bench.report import Figure, Report, Summary

PREFIX: Final = "independent program: "
ALONE: Final = ("exchange", "negotiations")
BESIDE: Final = ("idle", "exchange", "negotiations")
CATALOG_ROUNDS: Final = 10
EDC_S: Final = 440.0
"""What both EDC pairs may take in all."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to run EDC, and how much is measured of it: untuned, it needs more than three seconds for an exchange."""

    label: str
    options: tuple[str, ...]
    load: Load
    catalogs: tuple[int, ...]
    catalog_s: float


LIMITS: Final = {"idle": 80.0, "exchange": 180.0, "negotiations": 180.0}
ALONE_LOAD: Final = Load(rounds=20, warm_up=10, negotiations=200, idle_s=20, turns=1, limits=LIMITS)
QUICK_LOAD: Final = Load(rounds=3, warm_up=1, negotiations=20, idle_s=5, turns=1, limits=dict.fromkeys(LIMITS, 60.0))
KINDS: Final = (
    Kind("EDC", (), replace(ALONE_LOAD, rounds=8, warm_up=2, turns=2), (100, 10_000), 150.0),
    Kind("tuned EDC", ("--tuned",), replace(ALONE_LOAD, warm_up=5, turns=2), (100,), 30.0),
)


@dataclass(slots=True)
class Found:
    """What the program has said so far, of ours and of others."""

    ours: dict[str, Figure] = field(default_factory=dict)
    others: dict[str, dict[str, Summary]] = field(default_factory=dict)

    def take(self, results: Sequence[Result], other: str = "") -> None:
        """Ours, and then the other's if there is one."""
        mine, *theirs = results
        for name, figure in mine.figures.items():
            self.ours[name] = worse(self.ours.get(name, figure), figure)
        for result in theirs:
            for name, figure in result.figures.items():
                self.others.setdefault(name, {})[other] = Summary(figure.median, figure.p95)

    def show(self, report: Report) -> None:
        """One figure for each quantity of ours, with the others' beside it."""
        for name, figure in self.ours.items():
            report.figures.append(replace(figure, name=PREFIX + name, beside=self.others.get(name, {})))


def worse(one: Figure, other: Figure) -> Figure:
    """The same quantity measured twice: the larger one, or of rates the smaller one; of p95 too."""
    pick: Callable[[Iterable[float]], float] = min if one.unit.endswith("/s") else max
    known = [figure.p95 for figure in (one, other) if figure.p95 is not None]
    return replace(one, median=pick((one.median, other.median)), p95=pick(known) if known else None)


async def alone(tools: Path, folder: Path, report: Report, *, quick: bool) -> None:
    """Run the program on our pair only."""
    found, load = Found(), QUICK_LOAD if quick else ALONE_LOAD
    try:
        async with sandbox(2) as box:
            ours = _described(folder, box)
            for part in ALONE:
                await part_of(Call(tools, folder, part, load), [ours], found, report)
    finally:
        found.show(report)


async def beside_edc(tools: Path, folder: Path, report: Report, *, quick: bool) -> None:
    """Run the program on our pair and on an EDC pair in turns, for each way to run EDC."""
    found = Found()
    try:
        for kind in KINDS:
            shown = replace(kind, load=QUICK_LOAD, catalogs=kind.catalogs[:1], catalog_s=30.0) if quick else kind
            try:
                await _kind(shown, tools, folder, found, report)
            except Exception as error:  # noqa: BLE001 - one kind's fault is no reason not to see the other
                report.failed(kind.label, error)
    finally:
        found.show(report)


async def _kind(kind: Kind, tools: Path, folder: Path, found: Found, report: Report) -> None:
    async with sandbox(2) as box, edc.running(tools, edc.KEPT, *kind.options) as pair:
        ours = _described(folder, box)
        report.notes.append(f"{kind.label}: {pair.label}")
        for part in BESIDE:
            await part_of(Call(tools, folder, part, kind.load), [ours, pair.file], found, report, kind.label)
            pair.must_run()
        sizes = [size for size in kind.catalogs if report.has(catalogs.name(size, catalogs.PAGE_ASKED))]
        await edc.catalog(pair, kind.label, sizes, CATALOG_ROUNDS, kind.catalog_s, report)


async def part_of(call: Call, pairs: Sequence[Path], found: Found, report: Report, other: str = "") -> None:
    """What it has found is kept whether or not all went well."""
    what = f"{other or 'independent program'}, {call.part}"
    try:
        results, trouble = await call.on(pairs)
    except (Unusable, TimeoutError) as error:
        report.failed(what, error)
        return
    found.take(results, other)
    if trouble:
        report.failures.append(f"{what}: {trouble}")
    for who, result in zip((f"{PREFIX}ours", other), results, strict=False):
        report.notes += [f"{who}: {count} x {failure}" for failure, count in result.losses.items()]


def _described(folder: Path, box: Sandbox) -> Path:
    """Our pair, as the program wants it."""
    pair = folder / "pair.json"
    pair.write_text(json.dumps(box.pair_json("connector")), encoding="utf-8")
    return pair
