"""What it costs to know whether a battery passport is valid: reading its model, and judging payloads by it.

Loading is measured in processes of its own, each with an empty interpreter, because an import happens once. The
reference implementation judges the same passport by the same schema, in turns with ours.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Final

from jsonschema import Draft4Validator

from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.semantics.registry import bundled, compiled, data_folder
from connector.semantics.validation import valid_by
from tests.bench.report import Report, Target

COLD: Final = Target(1.0)
RATE: Final = Target(15_000, at_least=True)
TIMES: Final = Target(100, at_least=True)
REFERENCE_CALLS: Final = 10
"""jsonschema needs ten milliseconds for one passport."""

_LOAD: Final = """
import sys, time
start = time.perf_counter()
from pathlib import Path
from connector.semantics.registry import compiled
from connector.semantics.samm.schemas import aspect_schema
urn, root, remembered = sys.argv[1:]
compiled(aspect_schema(None, urn, roots=(Path(root),), remembered=Path(remembered)), urn)
print(time.perf_counter() - start)
"""


async def measure(folder: Path, starts: int, rounds: int, report: Report) -> None:
    """Load the passport's model `starts` times with and without what was remembered; judge it in `rounds` rounds.

    folder: for remembered schemas; nothing else is in it.
    """
    cold = [await _load(folder / f"cold-{number}") for number in range(starts)]
    report.add("passport model to validator, cold", "s", cold, COLD)
    cached = [await _load(folder / "cold-0") for _ in range(starts)]
    report.add("passport model to validator, cached", "s", cached)
    schema, passport = bundled().schema(PASSPORT_SEMANTIC_ID), passports()[0]
    report.add("schema to validator, same digest", "ms", [1000 / _rate(lambda: compiled(schema, ""), rounds * 10)])
    ours, reference = compiled(schema, ""), Draft4Validator(schema)
    rates, times = [], []
    for _ in range(rounds):
        rates.append(_rate(lambda: valid_by(ours, passport), 1000))
        times.append(rates[-1] / _rate(lambda: reference.is_valid(passport), REFERENCE_CALLS))
    report.add("validations of a passport", "1/s", rates, RATE)
    report.add("validations, times those of jsonschema", "x", times, TIMES)


async def _load(remembered: Path) -> float:
    """Seconds from an empty interpreter's first import to a compiled validator."""
    arguments = (PASSPORT_SEMANTIC_ID, str(data_folder("schemas")), str(remembered))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LOAD, *arguments, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    return float(told)


def _rate(call: Callable[[], object], times: int) -> float:
    """Calls a second."""
    start = time.perf_counter()
    for _ in repeat(None, times):
        call()
    return times / (time.perf_counter() - start)
