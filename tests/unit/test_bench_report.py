"""The figures of `make bench` are put beside their targets as the page says."""

from pathlib import Path

import pytest

from tests.bench import run
from tests.bench.report import BEGIN, END, Report, Summary, Target, percentile_95, write_section
from tests.bench.run import PARTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("values", "targets", "verdict"),
    [
        ([1.0, 2.0, 9.0], (), ""),
        ([1.0, 2.0, 9.0], (Target(2),), "met"),
        ([1.0, 2.1, 9.0], (Target(2),), "missed"),
        ([1.0, 2.0, 9.0], (Target(2), Target(9, p95=True)), "met"),
        ([1.0, 2.0, 9.0], (Target(2), Target(8, p95=True)), "missed"),
        ([200.0], (Target(200, at_least=True),), "met"),
        ([199.0], (Target(200, at_least=True),), "missed"),
        ([0.0], (Target(0),), "met"),
    ],
)
def test_a_target_is_met_when_all_its_bounds_hold(
    values: list[float], targets: tuple[Target, ...], verdict: str
) -> None:
    assert Report().add("figure", "ms", values, *targets).verdict == verdict


def test_p95_is_what_19_of_20_samples_do_not_exceed() -> None:
    assert percentile_95([float(n) for n in range(1, 21)]) == 19
    assert percentile_95([float(n) for n in range(1, 20)]) == 19
    assert percentile_95([7.0]) == 7


def test_p95_of_a_rate_is_at_its_slow_end() -> None:
    report = Report()
    assert report.add("figure", "1/s", [float(n) for n in range(1, 21)]).p95 == 2
    assert report.add("figure", "ms", [3.0]).p95 is None


def test_the_table_shows_the_distance_to_the_floor_and_what_did_not_run() -> None:
    report = Report(failures=["catalog: it broke"])
    report.add("whole exchange", "ms", [30.0, 30.0], Target(30), floor=12.0)
    page = report.markdown([("memory", "8 GB")])
    assert "- memory: 8 GB" in page
    assert "| whole exchange | 30 | 30 | ms | <= 30 | met | 12 | 2.5 |" in page
    assert "- did not run: catalog: it broke" in page
    assert "- 1 targets met, 0 missed" in page
    assert "whole exchange      30   30  ms    <= 30   met         12      2.5\n" in report.text()


def test_a_section_replaces_the_one_before_it_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", encoding="utf-8")
    write_section(page, "first")
    write_section(page, "second")
    assert page.read_text(encoding="utf-8") == f"above\n{BEGIN}\n\nsecond\n\n{END}\nbelow\n"


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match="markers"):
        write_section(page, "figures")
    assert page.read_text(encoding="utf-8") == "nothing\n"


def test_the_page_of_the_project_has_the_markers() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert (text.count(BEGIN), text.count(END)) == (1, 1)


def test_others_stand_beside_our_figure_with_the_ratio() -> None:
    report = Report()
    report.add("catalog", "ms", [10.0, 12.0, 14.0])
    report.add("alone", "ms", [1.0])
    report.put_beside("catalog", "EDC", Summary(120.0, 150.0))
    report.put_beside("catalog", "tuned EDC", Summary(24.0))
    head, line, beside, alone = report.markdown([]).splitlines()[1:5]
    assert head.endswith("| x floor | EDC | p95 | x EDC | tuned EDC | p95 | x tuned EDC |")
    assert line.endswith("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    assert beside == "| catalog | 12 | 14 | ms |  |  |  |  | 120 | 150 | 0.1 | 24 |  | 0.5 |"
    assert alone == "| alone | 1 |  | ms |  |  |  |  |  |  |  |  |  |  |"


def test_there_is_no_ratio_to_nothing() -> None:
    report = Report()
    report.add("lost", "%", [0.0])
    report.put_beside("lost", "EDC", Summary(0.0))
    assert "| lost | 0 |  | % |  |  |  |  | 0 |  |  |" in report.markdown([])


def test_nothing_can_stand_beside_a_figure_that_was_not_measured() -> None:
    with pytest.raises(LookupError, match="catalog"):
        Report().put_beside("catalog", "EDC", Summary(1.0))


def test_without_others_the_table_has_no_columns_for_them() -> None:
    report = Report()
    report.add("figure", "ms", [1.0])
    assert "EDC" not in report.text() + report.markdown([])


def test_the_page_and_the_help_explain_every_part() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    explained = {line.split("|")[1].strip() for line in text.splitlines() if line.count("|") == 4}
    assert {"floor", *PARTS} <= explained
    assert {"floor", *PARTS} <= {
        line.split()[0] for line in (run.__doc__ or "").splitlines() if line.startswith("    ")
    }
