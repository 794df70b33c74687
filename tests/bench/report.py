"""What was measured, beside what was promised and beside the floor; for the terminal and for docs/benchmarks.md."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typing_extensions import override

BEGIN: Final = "<!-- Written by `make bench`: do not edit between these two lines. -->"
END: Final = "<!-- End of what `make bench` writes. -->"
COLUMNS: Final = ("figure", "median", "p95", "unit", "target", "verdict", "floor", "x floor")


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the median, or on the 95th percentile."""

    bound: float
    at_least: bool = False
    p95: bool = False

    @override
    def __str__(self) -> str:
        return f"{'p95 ' if self.p95 else ''}{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity; `p95` is None if it was measured once. `floor` is what the same work costs at least, same unit."""

    name: str
    unit: str
    median: float
    p95: float | None
    targets: tuple[Target, ...] = ()
    floor: float | None = None

    @property
    def verdict(self) -> str:
        if not self.targets:
            return ""
        return "met" if all(self._holds(target) for target in self.targets) else "missed"

    def _holds(self, target: Target) -> bool:
        value = self.p95 if target.p95 and self.p95 is not None else self.median
        return value >= target.bound if target.at_least else value <= target.bound

    def row(self) -> tuple[str, ...]:
        """One cell for each of COLUMNS."""
        return (
            self.name,
            _number(self.median),
            "" if self.p95 is None else _number(self.p95),
            self.unit,
            ", ".join(map(str, self.targets)),
            self.verdict,
            "" if self.floor is None else _number(self.floor),
            _number(self.median / self.floor) if self.floor else "",
        )


@dataclass(slots=True)
class Report:
    """Figures in the order in which they came, what could not run, and remarks."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(
        self, name: str, unit: str, values: Sequence[float], *targets: Target, floor: float | None = None
    ) -> Figure:
        """Add a figure from its samples."""
        worst = percentile_95(values, rates=unit.endswith("/s")) if len(values) > 1 else None
        return self.summarised(name, unit, statistics.median(values), worst, *targets, floor=floor)

    def summarised(
        self, name: str, unit: str, median: float, p95: float | None, *targets: Target, floor: float | None = None
    ) -> Figure:
        """Add a figure whose samples somebody else has."""
        figure = Figure(name, unit, median, p95, targets, floor)
        self.figures.append(figure)
        return figure

    def text(self) -> str:
        """For the terminal."""
        rows = [COLUMNS, *(figure.row() for figure in self.figures)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        lines = ["  ".join(_aligned(i, cell, widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows]
        return "\n".join([*lines, "", *self._remarks(), self.summary()])

    def markdown(self, machine: Sequence[tuple[str, str]]) -> str:
        """For the page."""
        rows = [COLUMNS, tuple("---:" if _is_number(i) else "---" for i in range(len(COLUMNS)))]
        table = ["| " + " | ".join(row) + " |" for row in [*rows, *(figure.row() for figure in self.figures)]]
        where = [f"- {name}: {value}" for name, value in machine]
        return "\n".join([*where, "", *table, "", *(f"- {line}" for line in self._remarks()), f"- {self.summary()}"])

    def summary(self) -> str:
        verdicts = [figure.verdict for figure in self.figures]
        return f"{verdicts.count('met')} targets met, {verdicts.count('missed')} missed"

    def _remarks(self) -> list[str]:
        return [*self.notes, *(f"did not run: {failure}" for failure in self.failures)]


def percentile_95(values: Sequence[float], *, rates: bool = False) -> float:
    """The sample that 95 % of the samples are as good as or better than; of rates, the larger ones are better."""
    ranked = sorted(values, reverse=rates)
    return ranked[-(-95 * len(ranked) // 100) - 1]


def write_section(page: Path, section: str) -> None:
    """Replace what stands between the markers of a page. Raise ValueError if they are not there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no markers for the figures")
    page.write_text(f"{before}{begin}\n\n{section}\n\n{end}{after}", encoding="utf-8")


def _is_number(column: int) -> bool:
    return COLUMNS[column] in {"median", "p95", "floor", "x floor"}


def _aligned(column: int, cell: str, width: int) -> str:
    return cell.rjust(width) if _is_number(column) else cell.ljust(width)


def _number(value: float) -> str:
    """Three significant digits, whole numbers from 100 on."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
