"""The independent measuring program: how it is called, and what of its figures stands in our table.

It lies in the folder of tools beside the repository, is no part of it, and knows the management API only.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.bench.exchanging import NEGOTIATIONS, REUSED, WHOLE
from tests.bench.report import Figure, Target
from tests.bench.resting import PROCESSOR, RESIDENT, TARGET_S

NAME: Final = "exchange-bench"
SIDES: Final = ("provider", "consumer")
KINDS: Final = ("exchange.total_ms", "exchange.reuse_total_ms", "exchange.onecall_total_ms")
"""What its part `exchange` does, each as often; a connector without the one call leaves the last out."""
NONE_LOST: Final = Target(0)


class Unusable(Exception):
    """A tool did not do its work."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much it is to do, and how many seconds each part may take before it is cut off."""

    rounds: int
    warm_up: int
    negotiations: int
    idle_s: int
    turns: int
    limits: Mapping[str, float]

    def options(self, part: str) -> tuple[str, ...]:
        """Of a call that measures one part."""
        more = {
            "idle": {"idle-seconds": self.idle_s, "repeat": 1},
            "exchange": {"rounds": self.rounds, "warmup": self.warm_up, "repeat": self.turns},
            "negotiations": {"negotiations": self.negotiations, "repeat": self.turns},
        }[part]
        return ("--parts", part, *(word for key, value in more.items() for word in (f"--{key}", str(value))))


@dataclass(frozen=True, slots=True)
class Quantity:
    """How one of its figures is called and measured here; `scale` makes our unit of its unit."""

    name: str
    unit: str
    targets: tuple[Target, ...] = ()
    scale: float = 1.0


def quantities(load: Load, figures: Mapping[str, Any]) -> dict[str, Quantity]:
    """By its names, in the order of our table. The losses are counts of it and shares of ours."""
    attempts = (load.rounds + load.warm_up) * max(1, sum(kind in figures for kind in KINDS))
    shown: dict[str, Quantity] = {}
    for side in SIDES:
        shown[f"idle.{side}_ready_s"] = Quantity(f"{side}, start to ready", "s")
        shown[f"idle.{side}_rss_MB"] = Quantity(f"{side}, idle, resident memory", "MB", (RESIDENT,))
        shown[f"idle.{side}_cpu_s_in_{load.idle_s}s"] = Quantity(
            f"{side}, idle, processor time in {TARGET_S:g} s", "s", (PROCESSOR,), TARGET_S / load.idle_s
        )
    whole, reused, one_call = KINDS
    return shown | {
        whole: Quantity("whole exchange", "ms", WHOLE),
        reused: Quantity("reused agreement, to the first byte", "ms", REUSED),
        one_call: Quantity("one call, to the first byte", "ms"),
        "exchange.failed_count": Quantity("exchanges lost", "%", (NONE_LOST,), 100 / attempts),
        "negotiations.per_s": Quantity("negotiations, 32 in flight", "1/s", NEGOTIATIONS),
        "negotiations.failed_count": Quantity("negotiations lost", "%", (NONE_LOST,), 100 / load.negotiations),
    }


@dataclass(frozen=True, slots=True)
class Result:
    """What it has found out about one pair: figures by their names, and how often what went wrong."""

    figures: Mapping[str, Figure]
    losses: Mapping[str, int]

    @classmethod
    def read(cls, pair: Mapping[str, Any], load: Load) -> Self:
        """From its own JSON.

        Only times have a p95 here: that of a few rates is their best, as it takes the large values for the bad ones.
        """
        found = pair["figures"]
        figures = {}
        for key, what in quantities(load, found).items():
            if (given := found.get(key)) is not None:
                worst = given["p95"] if what.unit == "ms" and given["n"] > 1 else None
                figures[what.name] = Figure(what.name, what.unit, given["median"] * what.scale, worst, what.targets)
        return cls(figures, Counter(failure[:160] for failure in pair["failures"]))


@dataclass(frozen=True, slots=True)
class Call:
    """The program lies in `tools`; it measures one part and leaves its figures in `folder`."""

    tools: Path
    folder: Path
    part: str
    load: Load

    async def on(self, pairs: Sequence[Path]) -> tuple[list[Result], str]:
        """Measure a pair, or two in turns: a result for each, and what it says if it did not succeed with all.

        Raise Unusable if there are no results, TimeoutError if it is cut off.
        """
        out = self.folder / f"{self.part}.json"
        out.unlink(missing_ok=True)
        first, *others = map(str, pairs)
        beside = [word for other in others for word in ("--vs", other)]
        options = [*beside, *self.load.options(self.part), "--json", str(out)]
        code, said = await run(self.load.limits[self.part], str(self.tools / NAME), first, *options)
        if not out.exists():
            raise Unusable(f"{NAME} has ended with {code}: {said}")
        results = [Result.read(pair, self.load) for pair in json.loads(out.read_bytes())["pairs"]]
        return results, said if code else ""


async def run(limit_s: float, *command: str) -> tuple[int, str]:
    """Run a Python program to its end: exit code, and the end of what it said. Raise TimeoutError if it is cut off."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limit_s):
            said, _ = await process.communicate()
    except TimeoutError as error:
        raise TimeoutError(f"{Path(command[0]).name} was not over in {limit_s:g} s") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")[-300:].strip()
