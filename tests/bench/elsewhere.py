"""What others say: a measuring program that knows only the management API, and a real EDC pair beside ours.

Both are used where they lie in the folder of tools beside the repository, and are no part of it.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from connector.sandbox.nodes import Sandbox
from tests.bench.exchanging import NEGOTIATIONS, REUSED, WHOLE
from tests.bench.report import Report, Target

SHOWN: Final[Mapping[str, tuple[str, str, tuple[Target, ...]]]] = {
    "exchange.total_ms": ("whole exchange", "ms", WHOLE),
    "exchange.reuse_total_ms": ("reused agreement, to the first byte", "ms", REUSED),
    "exchange.onecall_total_ms": ("one call, to the first byte", "ms", ()),
    "negotiations.per_s": ("negotiations, 32 in flight", "1/s", NEGOTIATIONS),
}
PROGRAM: Final = "exchange-bench"
EDC: Final = "edc-pair"
MEASURE_S: Final = 150.0
UP_S: Final = 280.0
"""The first time, Maven fetches the jars."""
KEPT: Final = Path(__file__).resolve().parents[2] / "build" / "edc-pair"
"""Where the EDC pair keeps its jars from one run to the next."""
STOP_S: Final = 20.0


class Unusable(Exception):
    """A tool did not do its work."""


async def measure(box: Sandbox, tools: Path, folder: Path, report: Report, *, quick: bool, edc: bool) -> None:
    """Run the program on our pair, in turns with a tuned EDC pair if `edc`."""
    pair = folder / "pair.json"
    pair.write_text(json.dumps(box.pair_json("connector")), encoding="utf-8")
    if not edc:
        (ours,) = await _program(tools, folder, pair, quick=quick)
        _add(ours, "independent program: ", report, targets=True)
        return
    async with _edc(tools, KEPT) as other:
        ours, theirs = await _program(tools, folder, pair, "--vs", str(other), quick=quick)
    _add(ours, "independent program: ", report, targets=True)
    _add(theirs, f"{theirs['label']}: ", report, targets=False)


async def _program(tools: Path, folder: Path, pair: Path, *more: str, quick: bool) -> list[dict[str, Any]]:
    """Run the program; one result for each pair."""
    out = folder / "figures.json"
    options = ["--parts", "exchange,negotiations", "--json", str(out), *more, *(["--quick"] if quick else [])]
    await _run(MEASURE_S, str(tools / PROGRAM), str(pair), *options)
    pairs: list[dict[str, Any]] = json.loads(out.read_bytes())["pairs"]
    return pairs


def _add(pair: Mapping[str, Any], prefix: str, report: Report, *, targets: bool) -> None:
    """The program gives median and p95 only: samples that have both."""
    for key, (name, unit, promised) in SHOWN.items():
        found = pair["figures"].get(key)
        if found is not None:
            worst = found["p95"] if found["n"] > 1 else None
            report.summarised(prefix + name, unit, found["median"], worst, *(promised if targets else ()))
    failures = Counter(failure[:160] for failure in pair["failures"])
    report.notes += [f"{prefix}{count} x {failure}" for failure, count in failures.items()]


@asynccontextmanager
async def _edc(tools: Path, folder: Path) -> AsyncIterator[Path]:
    """An EDC pair whose state machines wait 50 ms instead of a second: the file that describes it."""
    options = ("--workdir", str(folder))
    try:
        await _run(UP_S, str(tools / EDC), "up", "--tuned", *options)
        yield folder / "pair.json"
    finally:
        await _run(STOP_S, str(tools / EDC), "down", *options)


async def _run(limit_s: float, *command: str) -> None:
    """Run a Python program to its end. Raise Unusable with the end of what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    name = Path(command[0]).name
    try:
        async with asyncio.timeout(limit_s):
            said, _ = await process.communicate()
    except TimeoutError as error:
        raise Unusable(f"{name} was not ready in {limit_s:g} s") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise Unusable(f"{name} has ended with {process.returncode}: {said.decode(errors='replace')[-300:]}")
