"""What was measured, beside what was promised and beside the floor; for the terminal and for docs/benchmarks.md."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

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
class Summary:
    """What is left of samples: their median and their 95th percentile, None if there was one sample."""

    median: float
    p95: float | None = None

    @classmethod
    def of(cls, values: Sequence[float], unit: str) -> Self:
        """Of one sample or more; the unit tells whether the large ones are the good ones."""
        worst = percentile_95(values, rates=unit.endswith("/s")) if len(values) > 1 else None
        return cls(statistics.median(values), worst)


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity; `p95` is None if it was measured once. `floor` is what the same work costs at least, same unit.

    beside: the same quantity of others, measured in turns with ours, by their names.
    """

    name: str
    unit: str
    median: float
    p95: float | None
    targets: tuple[Target, ...] = ()
    floor: float | None = None
    beside: Mapping[str, Summary] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if not self.targets:
            return ""
        return "met" if all(self._holds(target) for target in self.targets) else "missed"

    def _holds(self, target: Target) -> bool:
        value = self.p95 if target.p95 and self.p95 is not None else self.median
        return value >= target.bound if target.at_least else value <= target.bound

    def row(self, others: Sequence[str] = ()) -> tuple[str, ...]:
        """One cell for each of COLUMNS, then three for each of `others`: median, p95, and ours divided by theirs."""
        return (
            self.name,
            _number(self.median),
            "" if self.p95 is None else _number(self.p95),
            self.unit,
            ", ".join(map(str, self.targets)),
            self.verdict,
            "" if self.floor is None else _number(self.floor),
            _number(self.median / self.floor) if self.floor else "",
            *(cell for other in others for cell in self._beside(self.beside.get(other))),
        )

    def _beside(self, other: Summary | None) -> tuple[str, str, str]:
        if other is None:
            return "", "", ""
        ratio = _number(self.median / other.median) if other.median else ""
        return _number(other.median), "" if other.p95 is None else _number(other.p95), ratio


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
        ours = Summary.of(values, unit)
        figure = Figure(name, unit, ours.median, ours.p95, targets, floor)
        self.figures.append(figure)
        return figure

    def has(self, name: str) -> bool:
        """Whether there is a figure of that name."""
        return any(figure.name == name for figure in self.figures)

    def put_beside(self, name: str, other: str, theirs: Summary) -> None:
        """Put what was measured of `other` beside our figure of that name. Raise LookupError if there is none."""
        for at, figure in enumerate(self.figures):
            if figure.name == name:
                self.figures[at] = replace(figure, beside={**figure.beside, other: theirs})
                return
        raise LookupError(f"there is no figure of ours for: {name}")

    def failed(self, what: str, error: BaseException) -> None:
        """Remember that something did not run; of several errors at once the first is told."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self.failures.append(f"{what}: {type(error).__name__}: {error}")

    def text(self) -> str:
        """For the terminal."""
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(_aligned(i, cell, widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows]
        return "\n".join([*lines, "", *self._remarks(), self.summary()])

    def markdown(self, machine: Sequence[tuple[str, str]]) -> str:
        """For the page."""
        head, *rows = self._rows()
        line = tuple("---:" if _is_number(i) else "---" for i in range(len(head)))
        table = ["| " + " | ".join(row) + " |" for row in [head, line, *rows]]
        where = [f"- {name}: {value}" for name, value in machine]
        return "\n".join([*where, "", *table, "", *(f"- {line}" for line in self._remarks()), f"- {self.summary()}"])

    def _rows(self) -> list[tuple[str, ...]]:
        """The head, and a row for each figure; others have columns only if something of them was measured."""
        others = list(dict.fromkeys(other for figure in self.figures for other in figure.beside))
        head = (*COLUMNS, *(cell for other in others for cell in (other, "p95", f"x {other}")))
        return [head, *(figure.row(others) for figure in self.figures)]

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
    return column >= len(COLUMNS) or COLUMNS[column] in {"median", "p95", "floor", "x floor"}


def _aligned(column: int, cell: str, width: int) -> str:
    return cell.rjust(width) if _is_number(column) else cell.ljust(width)


def _number(value: float) -> str:
    """Three significant digits, whole numbers from 100 on."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
