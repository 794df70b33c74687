"""What an independent program says of our nodes and of an EDC pair is put side by side, whatever fails."""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import edc, elsewhere, program
from tests.bench.elsewhere import Found, worse
from tests.bench.program import Call, Load, Result, Unusable
from tests.bench.report import Figure, Report
from tests.bench.run import QUICK, Run, arguments

LOAD = Load(
    rounds=8, warm_up=2, negotiations=50, idle_s=5, turns=2, limits={"idle": 20, "exchange": 20, "negotiations": 20}
)


def said(median: float, p95: float | None = None, n: int = 16) -> dict[str, float]:
    """A figure of the program."""
    return {"median": median, "p95": median if p95 is None else p95, "n": n}


def result(figures: dict[str, Any], failures: list[str] | None = None) -> Result:
    return Result.read({"label": "somebody", "figures": figures, "failures": failures or []}, LOAD)


def test_times_keep_their_p95_and_rates_lose_theirs() -> None:
    figures = result({"exchange.total_ms": said(30.0, 60.0), "negotiations.per_s": said(200.0, 220.0, 2)}).figures
    assert (figures["whole exchange"].median, figures["whole exchange"].p95) == (30.0, 60.0)
    assert (figures["negotiations, 32 in flight"].median, figures["negotiations, 32 in flight"].p95) == (200.0, None)


def test_idle_processor_time_is_that_of_20_seconds() -> None:
    figure = result({"idle.consumer_cpu_s_in_5s": said(0.1, n=1)}).figures["consumer, idle, processor time in 20 s"]
    assert (figure.median, figure.verdict) == (0.4, "missed")


def test_losses_are_shares_of_what_was_tried() -> None:
    whole_and_reused = {"exchange.total_ms": said(3000.0), "exchange.reuse_total_ms": said(1000.0)}
    figures = result(
        whole_and_reused | {"exchange.failed_count": said(1.0, n=2), "negotiations.failed_count": said(2.0, n=2)}
    ).figures
    assert figures["exchanges lost"].median == 5.0  # of ten whole ones and ten reused agreements
    assert figures["negotiations lost"].median == 4.0


def test_equal_failures_are_counted() -> None:
    assert result({}, ["409", "409", "timeout"]).losses == {"409": 2, "timeout": 1}


def test_of_two_results_of_ours_the_worse_one_stands() -> None:
    time = worse(Figure("a", "ms", 10.0, 30.0), Figure("a", "ms", 12.0, 20.0))
    assert (time.median, time.p95) == (12.0, 30.0)
    rate = worse(Figure("a", "1/s", 210.0, None), Figure("a", "1/s", 190.0, None))
    assert (rate.median, rate.p95) == (190.0, None)


def test_both_kinds_of_edc_stand_beside_one_figure_of_ours() -> None:
    found, report = Found(), Report()
    ours, slower = result({"exchange.total_ms": said(28.0, 40.0)}), result({"exchange.total_ms": said(30.0, 35.0)})
    found.take([ours, result({"exchange.total_ms": said(3000.0, 3500.0)})], "EDC")
    found.take([slower, result({"exchange.total_ms": said(300.0, 400.0)})], "tuned EDC")
    found.show(report)
    (row,) = [line for line in report.markdown([]).splitlines() if "whole exchange" in line]
    bounds = "ms | <= 30, p95 <= 60 | met |  |  "
    others = "| 3,000 | 3,500 | 0.01 | 300 | 400 | 0.1 |"
    assert row == f"| independent program: whole exchange | 30 | 40 | {bounds}{others}"


@pytest.fixture
def tools(tmp_path: Path) -> Callable[[str], Path]:
    """A folder of tools whose measuring program is as given."""

    def make(text: str) -> Path:
        (tmp_path / program.NAME).write_text(text, encoding="utf-8")
        return tmp_path

    return make


WRITES = """
import json, sys
pairs = [{"label": "x", "figures": {"exchange.total_ms": {"median": 1, "p95": 2, "n": 3}}, "failures": []}]
open(sys.argv[sys.argv.index("--json") + 1], "w").write(json.dumps({"pairs": pairs * (1 + sys.argv.count("--vs"))}))
print(" ".join(sys.argv[1:]))
"""


async def test_the_program_is_asked_for_one_part_of_both_pairs(tools: Callable[[str], Path]) -> None:
    folder = tools(WRITES + "sys.exit(1)")
    results, trouble = await Call(folder, folder, "exchange", LOAD).on([Path("ours.json"), Path("a b.json")])
    assert len(results) == 2
    assert trouble.startswith(
        "ours.json --vs a b.json --parts exchange --rounds 8 --warmup 2 --repeat 2 --json"
    )  # it ended with 1


async def test_what_was_found_before_a_failure_is_kept(tools: Callable[[str], Path]) -> None:
    report, found, folder = Report(), Found(), tools(WRITES + "sys.exit(1)")
    await elsewhere.part_of(Call(folder, folder, "exchange", LOAD), [Path("ours.json")], found, report)
    assert found.ours["whole exchange"].median == 1
    assert report.failures[0].startswith("independent program, exchange: ours.json")


async def test_a_program_without_results_is_reported(tools: Callable[[str], Path]) -> None:
    report, folder = Report(), tools("raise SystemExit('nobody answers')")
    await elsewhere.part_of(Call(folder, folder, "idle", LOAD), [Path("a"), Path("b")], Found(), report, "EDC")
    assert report.failures == ["EDC, idle: Unusable: exchange-bench has ended with 1: nobody answers"]


async def test_a_program_that_hangs_is_cut_off(tools: Callable[[str], Path]) -> None:
    folder = tools("import threading; threading.Event().wait()")
    with pytest.raises(TimeoutError, match=r"exchange-bench was not over in 0\.3 s"):
        await program.run(0.3, str(folder / program.NAME))


async def test_a_pair_of_somebody_else_is_left_running(tmp_path: Path) -> None:
    called = tmp_path / "called"
    tool = f"import sys; open({str(called)!r}, 'a').write(sys.argv[1] + ' '); sys.exit('this pair is up already')"
    (tmp_path / edc.TOOL).write_text(tool, encoding="utf-8")
    with pytest.raises(Unusable, match="up already"):
        async with edc.running(tmp_path, tmp_path):
            pytest.fail("it does not run")
    assert called.read_text(encoding="utf-8") == "up "


async def test_a_pair_of_ours_is_stopped(tmp_path: Path) -> None:
    pair = {"label": "EDC 1", "provider": {"pid": 1}, "consumer": {"pid": 2**30}}
    (tmp_path / "pair.json").write_text(json.dumps(pair), encoding="utf-8")
    called = tmp_path / "called"
    tool = f"import sys; open({str(called)!r}, 'a').write(' '.join(sys.argv[1:-1]) + '; ')"
    (tmp_path / edc.TOOL).write_text(tool, encoding="utf-8")
    async with edc.running(tmp_path, tmp_path, "--tuned") as running:
        with pytest.raises(Unusable, match="1 of its processes ended early"):
            running.must_run()
    assert called.read_text(encoding="utf-8") == "up --one-by-one --tuned --workdir; down --workdir; "


def test_edc_needs_its_tool_and_java_and_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "edc-pair is not in the folder of tools" in edc.missing(tmp_path)
    (tmp_path / edc.TOOL).touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert edc.missing(tmp_path).startswith("java, javac, mvn not on PATH")


@pytest.mark.parametrize(("given", "with_edc"), [([], True), (["--no-edc"], False)])
def test_edc_is_measured_unless_it_is_left_out(given: list[str], with_edc: bool) -> None:
    assert arguments(given).edc is with_edc


async def test_a_part_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    run, ran = Run(QUICK, Namespace(part=[], edc=False), Report(), tmp_path), []

    async def breaks() -> None:
        raise OSError("no disk")

    async def works() -> None:
        ran.append(True)

    await run.part("rest", breaks)
    await run.part("catalog", works)
    assert run.report.failures == ["rest: OSError: no disk"]
    assert ran
